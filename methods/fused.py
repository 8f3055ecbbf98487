"""What AE-XAD computes of every pixel in a training step, with few passes over memory.

The decoder's last maps take 26 MB each at batch 16 and 224 px: what is done there one operation at
a time waits for memory, not for arithmetic. Here intermediate maps are written over, and gradients
are written down by hand. Same operations in the same order: the same bits as autograd's.
"""

from __future__ import annotations

from typing import Any

import torch

GROWN = 8  # the code's pixels are 8 x 8 of the image's


class Masked(torch.autograd.Function):
    """b + up(m) * b, for b (B, C, 8h, 8w) in channels_last and m (B, C, h, w) or (B, 1, h, w), up
    by nearest neighbour: what the soft mask does to the decoder's last block (Section 5.1)."""

    @staticmethod
    def forward(ctx: Any, b: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(b, m)
        return _times(b, m).add_(b)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        b, m = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)  # as it is in training
        of_m = grad * b
        if m.shape[1] != b.shape[1]:
            of_m = of_m.sum(dim=1, keepdim=True)
        of_m = torch.ops.aten.upsample_nearest2d_backward(
            of_m, b.shape[2:], m.shape, float(GROWN), float(GROWN))
        return _times(grad, m).add_(grad), of_m


def _times(b: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
    """b * up(m), upsampled only along a row, which the eight rows below each other share."""
    n, channels, height, width = b.shape
    product = torch.empty_like(b)
    shape = (n, height // GROWN, GROWN, width * channels)
    row = m.permute(0, 2, 3, 1).expand(-1, -1, -1, channels).repeat_interleave(GROWN, dim=2)
    torch.mul(b.permute(0, 2, 3, 1).view(shape), row.view(n, height // GROWN, 1, -1),
              out=product.permute(0, 2, 3, 1).view(shape))
    return product


class Squares(torch.autograd.Function):
    """The sum of lam * (want - out)^2 / most over all elements, whose gradient is that of `out`
    alone: Equations 1 and 2. Without lam and most they are 1."""

    @staticmethod
    def forward(ctx: Any, out: torch.Tensor, want: torch.Tensor, lam: torch.Tensor | None,
                most: torch.Tensor | None) -> torch.Tensor:
        rest = want - out
        ctx.save_for_backward(rest, lam, most)
        error = rest.square()
        if lam is not None:
            error.mul_(lam)
        if most is not None:
            error.div_(most)
        return error.sum()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        rest, lam, most = ctx.saved_tensors
        if most is None:
            return rest.mul(grad * -2), None, None, None  # 2 is exact wherever it stands
        found = grad / most
        if lam is not None:
            found.mul_(lam)
        return found.mul_(rest).mul_(-2), None, None, None

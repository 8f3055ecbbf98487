"""AE-XAD's training step written straight from the paper: the reference that the benchmark times
ours against, and that a test compares losses and gradients with.

The encoder runs in every step, all 64 channels are upsampled before tanh and the sum, tensors are
in PyTorch's default NCHW layout.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from methods.ae_xad import AutoEncoder


class NaiveAutoEncoder(nn.Module):
    """The forward pass of Section 5.1 over the layers of `net` (its weights are shared)."""

    def __init__(self, net: AutoEncoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net, decoder = self.net, self.net.decoder
        with torch.no_grad():
            features = net.encoder((x - net.mean) / net.std)
        code = decoder.reduce(features)
        b1 = torch.tanh(F.interpolate(code, scale_factor=8, mode="nearest"))
        b1 = torch.stack([b1[:, 8 * g:8 * g + 8].sum(dim=1) for g in range(8)], dim=1)
        b2 = decoder.blocks(code)
        return F.relu(decoder.out(F.selu(decoder.refine(b1 * b2 + b2))))


def naive_loss(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Equations 1 and 2 with F = 2, term by term. x, out: (B, 3, H, W); y: (B, 1, H, W)."""
    total = torch.zeros(())
    for xi, yi, oi in zip(x, y.expand_as(x), out):
        lam = yi.numel() / yi.sum() if yi.sum() > 0 else 1.0
        most = (2 - xi) ** 2
        total = total + ((1 - yi) * (xi - oi) ** 2 / most + lam * yi * (2 - oi) ** 2 / most).sum()
    return total / len(x)

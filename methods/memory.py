"""Training steps in parts: of what does not fit into memory, or is faster so."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from aexad.bench.base.errors import first_line

First = Callable[[np.ndarray], torch.Tensor]  # positions -> (B, ...)
Second = Callable[[torch.Tensor, np.ndarray], torch.Tensor]  # that and the positions -> the loss


class OutOfMemory(RuntimeError):
    """A step does not fit into memory, and can't be done in parts."""


class Steps:
    """Gradients of a batch, at once where that fits and is no slower, else in parts whose
    gradients add up.

    A network has two stages here. BatchNorm in training, whose statistics are the batch's, may be
    in the first, which then sees the batch at once in any case; the second takes most of the
    memory.
    Gradients and loss are those of the batch up to rounding, as a loss is a mean over images.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.largest: int | None = None  # images that fit at once, once that is known

    def backward(self, first: First, second: Second, batch: np.ndarray,
                 at_once: int | None = None) -> torch.Tensor:
        """Add the gradients of second(first(batch), batch), a mean over its images; returns it.
        batch: (B,) positions, of which at most `at_once` go through the second stage together.
        Before it, gradients must be None or zero."""
        while True:
            most = min(self.largest or len(batch), at_once or len(batch), len(batch))
            size = math.ceil(len(batch) / math.ceil(len(batch) / most))  # parts nearly equal
            statistics = [(b, b.clone()) for layer in _coupling(self.net) for b in layer.buffers()]
            try:
                return self._in_parts(first, second, batch, size)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # Outside of `except`: the exception holds the frames that hold the activations.
            self.largest = (size + 1) // 2
            self.net.zero_grad(set_to_none=True)
            for buffer, before in statistics:  # the batch is seen again
                buffer.copy_(before)
            torch.cuda.empty_cache()
            print(f"note: {size} images at once do not fit into memory; steps are computed in "
                  f"parts of {self.largest}, their gradients added", file=sys.stderr)

    def _in_parts(self, first: First, second: Second, batch: np.ndarray, size: int
                  ) -> torch.Tensor:
        if size == len(batch):
            loss = second(first(batch), batch)
            loss.backward()
            return loss.detach()
        code = first(batch) if _coupling(self.net) else None
        leaf = None if code is None else code.detach().requires_grad_()
        losses = []
        for i in range(0, len(batch), size):
            part = batch[i:i + size]
            middle = first(part) if leaf is None else leaf[i:i + size]
            loss = second(middle, part) * (len(part) / len(batch))
            loss.backward()
            losses.append(loss.detach())
        if code is not None:
            code.backward(leaf.grad)
        return torch.stack(losses).sum()


def _coupling(net: nn.Module) -> list[nn.Module]:
    """The layers by which an image's output depends on the others of its batch."""
    return [layer for layer in net.modules()
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training]


@contextmanager
def said(method: str, params: Any) -> Iterator[None]:
    """Turns what a device without memory left raises into what to do about it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        size = getattr(params, "batch_size", None)
        smaller = size and f"--set {method}.batch_size={max(size // 2, 2)}, "
        reason = first_line(error, "no memory")[:200]
        raise OutOfMemory(f"{method} does not fit into memory; try {smaller or ''}a smaller --set "
                          f"data.size, or --device cpu ({reason})") from error

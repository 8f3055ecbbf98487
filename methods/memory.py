"""Training steps that do not fit into the device's memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


class OutOfMemory(RuntimeError):
    """A step does not fit into memory, and can't be done in parts."""


class Steps:
    """Gradients of a batch, at once where that fits, else in parts whose gradients add up.

    The parts' gradients and losses are those of the batch up to rounding where the loss is a mean
    over the batch's images and no BatchNorm is in training, whose statistics are the batch's.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.largest: int | None = None  # images that fit at once, once that is known

    def backward(self, loss_of: Callable[[np.ndarray], torch.Tensor], batch: np.ndarray
                 ) -> torch.Tensor:
        """Add the gradients of loss_of(batch), a mean over its images; returns the loss.
        batch: (B,) positions. Before it, gradients must be None or zero."""
        while True:
            size = min(self.largest or len(batch), len(batch))
            try:
                return self._in_parts(loss_of, batch, size)
            except torch.OutOfMemoryError:
                if size == 1 or coupled(self.net):
                    raise
            # Outside of `except`: the exception holds the frames that hold the activations.
            self.largest = (size + 1) // 2
            self.net.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            print(f"note: {size} images at once do not fit into memory; steps are computed in "
                  f"parts of {self.largest}, their gradients added", file=sys.stderr)

    @staticmethod
    def _in_parts(loss_of: Callable[[np.ndarray], torch.Tensor], batch: np.ndarray, size: int
                  ) -> torch.Tensor:
        if size == len(batch):
            loss = loss_of(batch)
            loss.backward()
            return loss.detach()
        losses = []
        for i in range(0, len(batch), size):
            part = batch[i:i + size]
            loss = loss_of(part) * (len(part) / len(batch))
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()


def coupled(net: nn.Module) -> bool:
    """Whether an image's output depends on the others of its batch."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training
               for layer in net.modules())


@contextmanager
def said(method: str, params: Any) -> Iterator[None]:
    """Turns what a device without memory left raises into what to do about it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        size = getattr(params, "batch_size", None)
        smaller = size and f"--set {method}.batch_size={max(size // 2, 2)}, "
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no memory"
        raise OutOfMemory(f"{method} does not fit into memory; try {smaller or ''}a smaller --set "
                          f"data.size, or --device cpu ({reason})") from error

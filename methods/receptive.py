"""The receptive field of a network's output, and its upsampling by one Gaussian a unit (FCDD)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn


class Field(NamedTuple):
    """Of a layer's output along one axis: n units, `jump` pixels apart, each seeing r pixels; the
    centre of the first unit's is `shift` pixels after the centre of the first pixel."""

    n: int
    jump: int = 1
    r: int = 1
    shift: float = 0.0


def fields(net: nn.Module, size: int) -> list[Field]:
    """The image's field, then one after each convolution and pooling of `net`, which must be
    registered in the order in which they run. A shortcut beside them sees no more than they do."""
    found = [Field(size)]
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            found.append(_after(layer, found[-1]))
    return found


def _after(layer: nn.Module, before: Field) -> Field:
    kernel, stride, padding = (v[0] if isinstance(v, tuple) else v
                               for v in (layer.kernel_size, layer.stride, layer.padding))
    n = (before.n + 2 * padding - kernel) // stride + 1
    if type(layer).__name__ == "Conv2dSame":  # timm's form of TensorFlow: pads as much as is
        n = -(-before.n // stride)            # needed, the odd pixel behind
        padding = max((n - 1) * stride + kernel - before.n, 0) // 2
    return Field(n, before.jump * stride, before.r + (kernel - 1) * before.jump,
                 before.shift + ((kernel - 1) / 2 - padding) * before.jump)


def gaussian_window(r: int, std: float | None) -> torch.Tensor:
    """A Gaussian of r samples, float64, not normalised: the outer product of two such windows is
    FCDD's kernel. An even r doubles the central sample of the odd window and halves all."""
    if std is None:
        std = math.log10(0.45 * r + 1) + 0.25 if r < 32 else 10.0
    odd = r - 1 + r % 2
    window = torch.exp(-(torch.arange(odd, dtype=torch.float64) - odd // 2).square() / (2 * std**2))
    if r % 2:
        return window
    return torch.cat([window[:odd // 2 + 1], window[odd // 2:]]) / 2


def gaussian_matrix(field: Field, size: int, std: float | None) -> torch.Tensor:
    """G, (size, n) float32: G @ A @ G.T is the n x n map A under a transposed convolution with the
    Gaussian kernel, cropped to size x size so that each unit's Gaussian lies on what it sees.

    The kernel is an outer product, so each axis is a product with a small matrix: as fast as the
    convolution on a GPU, faster on a CPU, and deterministic on both."""
    window = gaussian_window(field.r, std).float()
    cropped = (field.r - 1) // 2 - int(field.shift)  # rows of the full result before the image
    matrix = torch.zeros(size, field.n)
    for unit in range(field.n):
        first = unit * field.jump - cropped
        low, high = max(first, 0), min(first + field.r, size)
        matrix[low:high, unit] = window[low - first:high - first]
    return matrix

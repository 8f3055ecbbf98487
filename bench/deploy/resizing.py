"""`datasets.images.resized` as tensor operations: images of any size in an exported graph. They do
Pillow's arithmetic: the same bytes, but for `antialias` of tall images, where Pillow may take the
two axes in the other order and a rounding between them moves a value by 1 of 255."""

from __future__ import annotations

import torch
from torch import nn

FIXED_POINT = float(1 << 22)  # Pillow's weights of a new pixel are whole multiples of 1 / this


class Resize(nn.Module):
    """Images (N, H, W, 3) uint8 -> (N, height, width, 3) uint8, of a shape (height, width).
    interpolation: nearest, bilinear or antialias, as in `datasets.images.read_image`."""

    def __init__(self, shape: tuple[int, int], interpolation: str) -> None:
        super().__init__()
        self.height, self.width = shape
        self.way = {"nearest": self.nearest, "bilinear": self.bilinear,
                    "antialias": self.antialias}[interpolation]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.way(images)

    def nearest(self, images: torch.Tensor) -> torch.Tensor:
        """Pillow adds up the places of the new pixels' centres, one step after another."""
        for axis, size in ((1, self.height), (2, self.width)):
            steps = scale(images.shape[axis], size) * torch.where(pixels(size) > 0, 1.0, 0.5)
            images = images.index_select(axis, steps.cumsum(0).long())
        return images

    def bilinear(self, images: torch.Tensor) -> torch.Tensor:
        """Between the four nearest pixels, whatever is between the places; cut to whole numbers."""
        made = images
        for axis, size in ((2, self.width), (1, self.height)):  # along the rows first
            length = images.shape[axis]
            place = scale(length, size) * (pixels(size) + 0.5) - 0.5
            low = place.floor()
            share = (place - low).view([-1 if i == axis else 1 for i in range(4)])
            a, b = (made.index_select(axis, (low + step).long().clamp(0, length - 1)).double()
                    for step in (0, 1))
            made = a + (b - a) * share
        return made.to(torch.uint8)

    def antialias(self, images: torch.Tensor) -> torch.Tensor:
        """A triangle over the area of a new pixel, in fixed point, rounded after each axis. Where
        nothing is to be resized the weights are 1 and 0."""
        made = images.permute(0, 3, 1, 2).double()
        made = _whole(made @ triangles(images.shape[2], self.width).T)
        made = _whole(triangles(images.shape[1], self.height) @ made)
        return made.permute(0, 2, 3, 1).to(torch.uint8)


def triangles(length: int, size: int) -> torch.Tensor:
    """Weights (size, length) float64 of the old pixels in the new ones, whole numbers."""
    step = scale(length, size)[:, None]
    wide = step.clamp_min(1.0)
    centre = (pixels(size)[:, None] + 0.5) * step
    first = (centre - wide + 0.5).long().clamp_min(0)
    last = (centre + wide + 0.5).long().clamp_max(length)
    old = torch.arange(length)[None, :]
    heights = (1 - ((old - centre + 0.5) * (1 / wide)).abs()).clamp_min(0.0)
    heights = torch.where((old >= first) & (old < last), heights, 0.0)
    return (heights / heights.sum(dim=1, keepdim=True) * FIXED_POINT + 0.5).floor()


def scale(length: int, size: int) -> torch.Tensor:
    """Old pixels in a new one, (size,) float64, all alike."""
    return torch.full((size,), length, dtype=torch.float64) / size


def pixels(size: int) -> torch.Tensor:
    """Whole numbers, (size,) float64."""
    return torch.arange(size, dtype=torch.float64)


def _whole(sums: torch.Tensor) -> torch.Tensor:
    """Sums in fixed point -> whole pixel values, halves up."""
    return ((sums + FIXED_POINT / 2) / FIXED_POINT).floor().clamp(0.0, 255.0)

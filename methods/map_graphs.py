"""The rules of bench/measure/maps.py as tensor operations whose number does not depend on the data,
so that they can be part of an exported graph. A batch of maps at a time; numbers are float64
inside, as there, so that both give the same radius, mask and filtered map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from aexad.methods.ae_xad_params import AEExplain
from aexad.methods.base import NoGraph

Shape = tuple[int, int]  # height, width
Explained = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]
"""Heatmaps (N, H, W) float32, scores (N,) float64 and a method's extras (N,), by name."""


class ExplainGraph(nn.Module):
    """A method's explanation as fixed operations, in the two steps of methods/base.py."""

    def raw_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of images or tiles (N, 3, H, W) in [0, 1]: (N, h, w) float32 each."""
        raise NotImplementedError

    def finish(self, *maps: torch.Tensor) -> Explained:
        """Of images of the size that the graph is for, whose maps these are."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> Explained:
        return self.finish(*self.raw_maps(x))


def threshold(h: torch.Tensor, a: float) -> torch.Tensor:
    """mu + a*sigma of each map (N, H, W) -> (N, 1, 1), rounded to the dtype of the map."""
    each = h.double()
    mu = each.mean(dim=(1, 2), keepdim=True)
    mu = torch.maximum(torch.minimum(mu, each.amax(dim=(1, 2), keepdim=True)),
                       each.amin(dim=(1, 2), keepdim=True))
    sigma = (each - mu).square().mean(dim=(1, 2), keepdim=True).sqrt()
    return (mu + a * sigma).to(h.dtype)


def mean_run_length(binary: torch.Tensor, min_run: int) -> torch.Tensor:
    """Mean length of the horizontal runs of at least `min_run` true pixels of each map (N, H, W)
    bool -> (N,) float64, 0 where there is none.

    A run of L pixels has L - m + 1 windows of m = min_run pixels inside, the first of which has
    nothing true before it: counting both gives the number of runs and their lengths together."""
    width = binary.shape[2]
    if min_run > width:
        return binary.new_zeros(binary.shape[0], dtype=torch.float64)
    ones = F.pad(binary.int(), (1, 0))
    sums = ones.cumsum(dim=2)
    windows = width + 1 - min_run
    inside = sums[:, :, min_run:] - sums[:, :, :windows] == min_run
    first = inside & (ones[:, :, :windows] == 0)
    runs = first.sum(dim=(1, 2)).double()
    total = inside.sum(dim=(1, 2)).double() + (min_run - 1) * runs
    return torch.where(runs > 0, total / runs.clamp_min(1), 0.0)


def filter_radius(e_norm: torch.Tensor, q: AEExplain) -> torch.Tensor:
    """k of each map (N, H, W) -> (N,) float64: `maps.filter_radius`, segments=runs."""
    if q.k is not None:
        return torch.full((e_norm.shape[0],), float(q.k), dtype=torch.float64)
    above = (e_norm > threshold(e_norm, 1.0) if q.thr == "mean_std" else
             e_norm >= torch.tensor(q.thr_value, dtype=e_norm.dtype))
    horizontal = mean_run_length(above, q.min_run)
    vertical = mean_run_length(above.transpose(1, 2), q.min_run)
    if q.agg == "max":
        half = torch.maximum(horizontal, vertical) / 2
    else:
        half = torch.minimum(horizontal, vertical) / 2
        if q.agg == "min_nan":
            half = torch.where(horizontal > 0, half, vertical / 2)
    if q.k_round != "none":
        half = torch.floor(half + 0.5 if q.k_round == "round" else half)
    largest = largest_radius(q, min(e_norm.shape[1:]))
    return half.clamp(min(q.k_min, largest), largest)


def largest_radius(q: AEExplain, side: int) -> int:
    """The largest k that maps with a shorter side of `side` pixels can get; it wins over k_min."""
    if q.k is not None:
        return q.k
    fits = (side - 1) // 2
    return fits if q.k_max is None else min(q.k_max, fits)


def check(q: AEExplain) -> None:
    """NoGraph where options ask for what has no fixed number of operations."""
    if q.filter and q.k is None and q.segments == "components":
        raise NoGraph("segments=components: how many steps it takes to find a component depends on "
                      "the image; segments=runs, or a fixed k, can be in a graph")


class GaussianFilter(nn.Module):
    """`maps.gaussian_filter` of maps (N, H, W) float32, shape (H, W), each with a sigma and a
    radius of its own, of `largest` pixels at most: on each axis a product with a banded matrix, the
    border's pixels folded back into it. In float64, rounded to float32 after each axis, as scipy
    does."""

    def __init__(self, shape: Shape, largest: int, border: str = "reflect") -> None:
        super().__init__()
        self.largest, self.border = largest, border
        self.height, self.width = shape
        # of weights 0 ... largest + 1, of which the last is 0
        self.register_buffer("places", torch.arange(largest + 2, dtype=torch.float64),
                             persistent=False)

    def forward(self, maps: torch.Tensor, sigma: torch.Tensor, radius: torch.Tensor
                ) -> torch.Tensor:
        """sigma, radius: (N,) float64."""
        weights = torch.exp(-0.5 / sigma.square()[:, None] * self.places.square())
        weights = torch.where(self.places <= radius[:, None], weights, 0.0)
        weights = weights / (2 * weights.sum(dim=1, keepdim=True) - weights[:, :1])
        down = self.matrix(weights, self.height)
        across = down if self.width == self.height else self.matrix(weights, self.width)
        columns = (down @ maps.double()).to(maps.dtype)
        return (columns.double() @ across.transpose(1, 2)).to(maps.dtype)

    def matrix(self, weights: torch.Tensor, side: int) -> torch.Tensor:
        """Of an axis (N, side, side): what each place along it counts at each. Which of the weights
        that is, is computed here: as numbers in the file it would be a gigabyte for large maps."""
        here = torch.arange(side)
        total = torch.zeros((), dtype=weights.dtype)
        for turn, forwards in self.seen(side):
            place = (here if forwards else -1 - here) + 2 * side * turn
            apart = (place[None, :] - here[:, None]).abs().clamp_max(self.largest + 1)
            total = total + weights[:, apart]
        return total

    def seen(self, side: int) -> list[tuple[int, bool]]:
        """Where an axis is seen, itself first, then near enough beyond its border: moved by so many
        times two sides, forwards or backwards."""
        if self.border == "zero":
            return [(0, True)]
        turns = math.ceil(self.largest / (2 * side))
        return [(turn, forwards) for turn in range(-turns, turns + 1) for forwards in (True, False)
                if self.nearest(turn, forwards, side) <= self.largest]

    @staticmethod
    def nearest(turn: int, forwards: bool, side: int) -> int:
        """Pixels between the axis and where it is seen, at least."""
        first = 2 * side * turn - (0 if forwards else side)
        return max(0, first - (side - 1), -(first + side - 1))


class Smooth(nn.Module):
    """F_k of maps (N, H, W) float32, shape (H, W), given the radius of each (N,) float64; 0 is a
    copy."""

    def __init__(self, q: AEExplain, shape: Shape) -> None:
        super().__init__()
        self.q = q
        sigma = max(largest_radius(q, min(shape)) / q.sigma_div, q.sigma_min)
        self.filter = GaussianFilter(shape, int(q.truncate * sigma + 0.5), q.border)

    def forward(self, maps: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        q = self.q
        sigma = torch.where(k > 0, (k / q.sigma_div).clamp_min(q.sigma_min), 1.0)
        smoothed = self.filter(maps, sigma, torch.floor(q.truncate * sigma + 0.5))
        return torch.where(k[:, None, None] > 0, smoothed, maps)

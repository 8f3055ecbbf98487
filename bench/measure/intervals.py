"""Intervals of means, AUCs and shares over test images and seeds: the one rule of all that shows
any.

Images and seeds are crossed: a seed draws its own split, but tests mostly the same images. So there
are two sources of chance, and an interval has a part of each:

- images: the interval that other images of the category would give, the numbers of an image being
  averaged over the seeds that test it. BCa bootstrap for means, Newcombe's for AUCs, Wilson's for
  shares;
- seeds: t(S - 1) * s / sqrt(S), s being the standard deviation of the S seeds' numbers; of shares
  and AUCs, which crowd at their ends, that of asin(sqrt(number)). With one seed there is none, and
  the interval is over images alone.

Both are added in quadrature, each end for itself. With a t quantile for each part this is
conservative where the parts are normal and independent (Banerjee, Biometrika 47, 1960); how often
such intervals hold the truth is measured in bench/measure/interval_coverage.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # not scipy.stats, whose import takes as long as all the rest

LEVEL = 0.95
RESAMPLES, SEED = 9999, 40  # of the bootstrap
_BATCH = 1000
_Z = float(special.ndtri((1 + LEVEL) / 2))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """seeds: whether it is about other seeds, too, or about other images alone."""

    low: float
    high: float
    seeds: bool

    def within(self, low: float, high: float) -> Interval:
        """The same, without what a number can't be."""
        return Interval(max(self.low, low), min(self.high, high), self.seeds)

    @property
    def over(self) -> str:
        return "images and seeds" if self.seeds else "images"


def of_mean(images: Sequence[ArrayLike], seeds: Sequence[ArrayLike] = ()) -> Interval | None:
    """The interval of the mean over categories of their means over images.

    images: for each category the numbers of its images. seeds: for each category the means of its
    seeds. Images are drawn again within their category, each category as often as it has images:
    the categories are those of the benchmark and stay. None where a category has fewer than two
    images: nothing is known of others.
    """
    ends = bootstrap(images)
    if ends is None:
        return None
    center = _mean([_mean(group) for group in images])
    return _added(center, *ends, seeds)


def of_auc(aucs: ArrayLike, normals: int, anomalies: int) -> Interval | None:
    """The interval of a detection AUC over so many normal and anomalous images. aucs: one a seed.

    Newcombe's method 5 (Statistics in Medicine 25, 2006): where |AUC - A| = z sqrt(V(A)), with
    Hanley and McNeil's variance at that A. It needs no normal distribution, and is one of positive
    length where all images are told apart. None without images of both kinds.
    """
    if min(normals, anomalies) < 1:
        return None
    auc = _mean(aucs)
    ends = (_root(auc, -1.0, normals, anomalies), _root(auc, 1.0, normals, anomalies))
    return _added(auc, *ends, [aucs], shares=True)


def of_share(shares: Sequence[float], counts: Sequence[int], seeds: Sequence[ArrayLike] = ()
             ) -> Interval | None:
    """The interval of the mean over categories of the share of their images on which something
    holds. shares, counts: of each category, and its number of images; seeds: its share by seed.

    Wilson's intervals, added in quadrature (MOVER; Zou and Donner, Statistics in Medicine 27,
    2008): the bootstrap knows nothing where a share is 0 or 1. None where a category has no image.
    """
    if not shares or min(counts) < 1:
        return None
    p, n = np.asarray(shares, np.float64), np.asarray(counts, np.float64)
    middle = (p + _Z ** 2 / (2 * n)) / (1 + _Z ** 2 / n)
    half = _Z * np.sqrt(p * (1 - p) / n + _Z ** 2 / (4 * n ** 2)) / (1 + _Z ** 2 / n)
    center = float(p.mean())
    down, up = (math.sqrt(float(((end - p) ** 2).sum())) / len(p)
                for end in (middle - half, middle + half))
    return _added(center, center - down, center + up, seeds, shares=True)


def of_seeds(values: ArrayLike) -> Interval | None:
    """The t interval of a number of which nothing is known below the seeds, None of one alone."""
    center = _mean(values)
    return _added(center, center, center, [values]) if np.size(values) > 1 else None


def _seeds_part(seeds: Sequence[ArrayLike], shares: bool) -> Floats:
    """What seeds add below and above the mean over categories. seeds: the numbers of each category,
    one a seed. Trainings of two categories have nothing in common but the seed's name, and a
    category with one seed adds nothing: of its other trainings nothing is known."""
    parts = [_shares_part(values) if shares else np.full(2, _half(values))
             for values in (np.asarray(category, np.float64) for category in seeds)
             if len(values) > 1]
    added = np.sqrt(np.sum(np.square(parts or [np.zeros(2)]), axis=0))
    return np.asarray(added / max(len(seeds), 1), np.float64)


def _half(values: Floats) -> float:
    """t(S - 1) * s / sqrt(S)."""
    quantile = special.stdtrit(len(values) - 1, (1 + LEVEL) / 2)
    return float(quantile * values.std(ddof=1) / math.sqrt(len(values)))


def _shares_part(shares: Floats) -> Floats:
    center = math.asin(math.sqrt(shares.mean()))
    half = _half(np.arcsin(np.sqrt(shares)))
    ends = np.clip([center - half, center + half], 0, math.pi / 2)
    return np.asarray(np.abs(np.sin(ends) ** 2 - shares.mean()))


def _mean(values: ArrayLike) -> float:
    return float(np.asarray(values, np.float64).mean())


def _added(center: float, low: float, high: float, seeds: Sequence[ArrayLike],
           shares: bool = False) -> Interval:
    """Both parts in quadrature. It is about other seeds where each category has several."""
    down, up = _seeds_part(seeds, shares)
    return Interval(center - math.hypot(center - low, down), center + math.hypot(high - center, up),
                    bool(seeds) and min(map(np.size, seeds)) > 1)


def bootstrap(images: Sequence[ArrayLike]) -> tuple[float, float] | None:
    """The images' part of `of_mean`: BCa (LEVEL, fixed seed). Without any spread it is the value
    itself twice.

    The draws are those of scipy.stats.bootstrap, whose numbers it gives; they are made once for all
    numbers of as many images, and scipy.stats need not be imported.
    """
    groups = [np.asarray(group, np.float64) for group in images]
    if min(map(len, groups)) < 2:
        return None
    center = float(np.mean([group.mean() for group in groups]))
    if all(np.ptp(group) == 0 for group in groups):  # BCa is undefined there
        return center, center
    drawn = np.mean([weights @ group for weights, group
                     in zip(_drawn(tuple(map(len, groups))), groups)], axis=0)
    rounding = 1e-12 * float(np.abs(drawn).max())  # sums in another order are no other draw
    below = ((drawn < center - rounding).mean() + (drawn <= center + rounding).mean()) / 2
    bias = float(special.ndtri(below))
    z = bias + np.array([-_Z, _Z])
    at = special.ndtr(bias + z / (1 - _acceleration(groups) * z))
    if not np.isfinite(at).all():  # all draws on one side: a group of two or three images
        at = np.array([0.0, 1.0])
    low, high = np.quantile(drawn, at)
    return float(low), float(high)


def _acceleration(groups: Sequence[Floats]) -> float:
    """Of the mean of means, by leaving each image out (Efron and Tibshirani 1993, Chapter 14)."""
    third = second = 0.0
    for group in groups:
        influence = group - group.mean()  # (n - 1) (mean - mean without it), but for 1/groups
        third += float((influence ** 3).sum()) / len(group) ** 3
        second += float((influence ** 2).sum()) / len(group) ** 2
    return float(third / second ** 1.5 / 6)


@functools.lru_cache(maxsize=32)
def _drawn(sizes: tuple[int, ...]) -> list[Floats]:
    """For each group (RESAMPLES, its size): how often each image is drawn, divided by the size."""
    rng = np.random.default_rng(SEED)
    parts: list[list[Floats]] = [[] for _ in sizes]
    for start in range(0, RESAMPLES, _BATCH):
        rows = min(_BATCH, RESAMPLES - start)
        for part, n in zip(parts, sizes):
            at = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
            part.append(np.bincount(at.ravel(), minlength=rows * n).reshape(rows, n) / n)
    return [np.concatenate(part) for part in parts]


def _root(auc: float, side: float, normals: int, anomalies: int) -> float:
    """The A on one side of an AUC (-1: below) from which it is z standard deviations away, by
    bisection; the end of [0, 1] where there is none."""
    n = (normals + anomalies) / 2 - 1

    def distance(a: float) -> float:
        spread = a * (1 - a) * (1 + n * ((1 - a) / (2 - a) + a / (1 + a))) / (normals * anomalies)
        return abs(auc - a) - _Z * math.sqrt(spread)

    near, far = auc, (0.0 if side < 0 else 1.0)
    if auc == far:
        return far
    near += side * 1e-12
    if distance(far) <= 0:
        return far
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if distance(middle) <= 0 else (near, middle)
    return (near + far) / 2

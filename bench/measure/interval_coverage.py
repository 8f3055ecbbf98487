"""How often the intervals of bench/measure/intervals.py hold the truth, on made-up data whose truth
is known: images and seeds crossed, as a benchmark has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from aexad.bench.measure import intervals
from aexad.bench.measure.intervals import Interval

DATA_SETS, SEED = 2000, 7
SEEDS = (1, 2, 3, 10)
POOL, TESTED = 40, 28  # anomalous images of a category, and those that a seed tests (transistor's)
NORMALS = 60
# Standard deviation of the seeds' effect as a share of the images'. What of an image changes with
# the seed (the training sees it in another way) is half of the images' own.
RATIOS = (0.0, 0.2, 0.5, 1.0)
INTERACTION = 0.5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """What an interval is of, and what the made-up numbers are like."""

    name: str
    make: Callable[[np.random.Generator, int, float], tuple[Interval | None, float, float]]


@dataclass(frozen=True)
class Coverage:
    """The share of `n` intervals that hold the truth. truth: 'other seeds', the mean over all
    trainings and images, or 'these trainings', the mean over all images of those made."""

    kind: str
    ratio: float
    seeds: int
    truth: str
    n: int
    share: float


def measure(data_sets: int = DATA_SETS, seeds: Sequence[int] = SEEDS,
            ratios: Sequence[float] = RATIOS) -> Iterator[Coverage]:
    """Every kind by every ratio and number of seeds, from a fixed generator. An interval of one
    seed is over images alone, so it is asked for both truths."""
    for kind in KINDS:
        for ratio in ratios:
            for n in seeds:
                rng = np.random.default_rng([SEED, n, round(100 * ratio)])
                made = [kind.make(rng, n, ratio) for _ in range(data_sets)]
                truths = ("these trainings", "other seeds") if n == 1 else ("other seeds",)
                for truth in truths:
                    held = [found.low <= (here if truth == "these trainings" else there)
                            <= found.high for found, here, there in made if found]
                    yield Coverage(kind.name, ratio, n, truth, len(held), float(np.mean(held)))


def _tested(rng: np.random.Generator, seeds: int) -> list[NDArray[np.intp]]:
    """Which images of the pool each seed tests."""
    return [rng.permutation(POOL)[:TESTED] for _ in range(seeds)]


def _effects(rng: np.random.Generator, seeds: int, ratio: float,
             images: Callable[[np.random.Generator, int], Floats]) -> tuple[Floats, Floats]:
    """The seeds' effects (seeds,), and (seeds, POOL) effects of the images and of both together,
    without a mean, in standard deviations of the images' own."""
    own, both = images(rng, POOL), rng.normal(0, INTERACTION, (seeds, POOL))
    return rng.normal(0, ratio, seeds), own + both


def _interval_of_mean(by_seed: Floats, tested: Sequence[NDArray[np.intp]]) -> Interval | None:
    """As `compare` and `verdict` make it of a category: means over the seeds of each image."""
    sums, counts = np.zeros(POOL), np.zeros(POOL)
    for values, ids in zip(by_seed, tested):
        sums[ids] += values[ids]
        counts[ids] += 1
    seen = counts > 0
    return intervals.of_mean([sums[seen] / counts[seen]],
                             [[values[ids].mean() for values, ids in zip(by_seed, tested)]])


def _mean(images: Callable[[np.random.Generator, int], Floats]
          ) -> Callable[[np.random.Generator, int, float], tuple[Interval | None, float, float]]:
    def make(rng: np.random.Generator, seeds: int, ratio: float
             ) -> tuple[Interval | None, float, float]:
        of_seed, of_image = _effects(rng, seeds, ratio, images)
        found = _interval_of_mean(of_seed[:, None] + of_image, _tested(rng, seeds))
        return found, float(of_seed.mean()), 0.0
    return make


def _share(rng: np.random.Generator, seeds: int, ratio: float
           ) -> tuple[Interval | None, float, float]:
    """Wins where a normal number is above 0.7 of its standard deviation below its mean."""
    of_seed, of_image = _effects(rng, seeds, ratio, _normal)
    won = (of_seed[:, None] + of_image > -0.7).astype(float)
    tested = _tested(rng, seeds)
    sums, counts = np.zeros(POOL), np.zeros(POOL)
    for values, ids in zip(won, tested):
        sums[ids] += values[ids]
        counts[ids] += 1
    seen = counts > 0
    found = intervals.of_share([float((sums[seen] / counts[seen]).mean())], [int(seen.sum())],
                               [[values[ids].mean() for values, ids in zip(won, tested)]])
    within = math.hypot(1, INTERACTION)
    here = special.ndtr((of_seed + 0.7) / within).mean()
    return found, float(here), float(special.ndtr(0.7 / math.hypot(within, ratio)))


def _auc(rng: np.random.Generator, seeds: int, ratio: float
         ) -> tuple[Interval | None, float, float]:
    """Scores of normal and anomalous images two standard deviations apart; the seed moves that."""
    of_seed, anomalies = _effects(rng, seeds, ratio, _normal)
    normals = rng.normal(0, 1, NORMALS) + rng.normal(0, INTERACTION, (seeds, NORMALS))
    apart = 2 + of_seed
    aucs = [float((values[ids][:, None] + d > others).mean())
            for values, ids, d, others in zip(anomalies, _tested(rng, seeds), apart, normals)]
    found = intervals.of_auc(aucs, NORMALS, TESTED)
    within = math.sqrt(2) * math.hypot(1, INTERACTION)
    return (found, float(special.ndtr(apart / within).mean()),
            float(special.ndtr(2 / math.hypot(within, ratio))))


# -- effects of images: mean 0, standard deviation 1 --

def _normal(rng: np.random.Generator, n: int) -> Floats:
    return rng.normal(0, 1, n)


def _left(rng: np.random.Generator, n: int) -> Floats:
    """As AUCs: most near the best, a long tail below."""
    return 1 - rng.exponential(1, n)


def _with_zeros(rng: np.random.Generator, n: int) -> Floats:
    """As F1: a fifth are 0, the others Beta(2, 4)."""
    values = np.where(rng.random(n) < 0.2, 0.0, rng.beta(2, 4, n))
    mean, square = 0.8 / 3, 0.8 * (1 / 9 + 8 / (36 * 7))  # Beta(2, 4): mean 1/3, variance 8/252
    return (values - mean) / math.sqrt(square - mean ** 2)


KINDS = (Kind("mean, normal", _mean(_normal)),
         Kind("mean, long tail below, as AUC", _mean(_left)),
         Kind("mean, a fifth zeros, as F1", _mean(_with_zeros)),
         Kind("share", _share), Kind("detection AUC", _auc))

"""measure.intervals against all resamples, scipy, published values and hand-worked cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from aexad.bench.measure.intervals import (
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    bootstrap,
    of_auc,
    of_mean,
    of_seeds,
    of_share,
)

# -- the images' part of a mean --


def exact_bca(samples):
    """BCa interval of the mean of means from every possible resample (Efron, Tibshirani 1993)."""
    def mean_of_means(parts):
        return np.mean([np.mean(p) for p in parts])

    everything = np.sort([mean_of_means(parts) for parts in itertools.product(
        *(list(itertools.product(s, repeat=len(s))) for s in samples))])
    here = mean_of_means(samples)
    at = (np.mean(everything < here) + np.mean(everything <= here)) / 2
    numerator = denominator = 0.0
    for i, sample in enumerate(samples):
        left_out = np.array([mean_of_means([*samples[:i], np.delete(sample, j), *samples[i + 1:]])
                             for j in range(len(sample))])
        influence = (len(sample) - 1) * (left_out.mean() - left_out)
        numerator += (influence ** 3).sum() / len(sample) ** 3
        denominator += (influence ** 2).sum() / len(sample) ** 2
    a, z0 = numerator / denominator ** 1.5 / 6, stats.norm.ppf(at)
    ends = [z0 + (z0 + z) / (1 - a * (z0 + z)) for z in stats.norm.ppf([0.025, 0.975])]
    return np.quantile(everything, stats.norm.cdf(ends)), everything.std()


@pytest.mark.parametrize("samples", [
    [np.array([0.1, -0.2, 0.5, 0.3, 0.9])],
    [np.array([0.1, -0.2, 0.5, 0.32]), np.array([2.0, 2.4, 5.0])],
])
def test_interval_is_that_of_all_resamples(samples):
    wanted, spread = exact_bca(samples)
    assert bootstrap(samples) == pytest.approx(wanted, abs=0.1 * spread)
    assert bootstrap(samples) == bootstrap(samples)  # a fixed seed


def test_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(120):
        # Two categories of unlike size, level and spread; the truth is the mean of their means.
        low, high = bootstrap([rng.normal(0.3, 0.1, 25), rng.gamma(2.0, 0.5, 40)])
        covered += low <= (0.3 + 1.0) / 2 <= high
    assert 0.90 <= covered / 120 <= 0.99


def test_interval_of_nothing_to_draw_from():
    assert bootstrap([[0.5], [0.1, 0.2]]) is None
    assert bootstrap([[0.5, 0.5], [0.25, 0.25, 0.25]]) == (0.375, 0.375)


def test_interval_of_categories_is_narrower_than_that_of_their_mixture():
    """Images are drawn within categories: a difference between those is no uncertainty."""
    far = [np.arange(10) / 100, 1 + np.arange(10) / 100]
    low, high = bootstrap(far)
    assert high - low < 0.03 < np.subtract(*bootstrap([np.concatenate(far)])[::-1])


@pytest.mark.parametrize("sizes", [(28,), (54, 20), (7, 30, 11)])
def test_the_draws_are_scipys(sizes):
    rng = np.random.default_rng(sum(sizes))
    groups = [rng.gamma(1, 1, n) for n in sizes]

    def mean_of_means(*drawn, axis):
        return np.mean([part.mean(axis=axis) for part in drawn], axis=0)

    wanted = stats.bootstrap(groups, mean_of_means, n_resamples=RESAMPLES, vectorized=True,
                             batch=1000, confidence_level=LEVEL, method="BCa",
                             rng=np.random.default_rng(SEED)).confidence_interval
    assert bootstrap(groups) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


# -- seeds --

def test_with_one_seed_it_is_the_images_interval_and_says_so():
    images = [np.arange(12) / 12]
    one = of_mean(images, [[0.5]])
    assert (one.low, one.high) == pytest.approx(bootstrap(images)) and one.over == "images"
    assert of_mean(images) == one


def test_seeds_by_hand():
    # s = 0.1 of three, t(2) = 4.3027: 4.3027 * 0.1 / sqrt(3).
    part = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    images, seeds = np.linspace(0.3, 0.7, 9), [0.4, 0.5, 0.6]
    low, high = bootstrap([images])
    both = of_mean([images], [seeds])
    assert both.over == "images and seeds"
    assert both.low == pytest.approx(0.5 - math.hypot(0.5 - low, part))
    assert both.high == pytest.approx(0.5 + math.hypot(high - 0.5, part))
    # Two categories, two trainings: half of each in quadrature.
    low, _ = bootstrap([images] * 2)
    two = of_mean([images] * 2, [seeds] * 2)
    assert two.low == pytest.approx(0.5 - math.hypot(0.5 - low, part / math.sqrt(2)))
    # Where one of two has a single seed, nothing is said of other seeds.
    half = of_mean([images] * 2, [seeds, [0.5]])
    assert half.over == "images"
    assert half.low == pytest.approx(0.5 - math.hypot(0.5 - low, part / 2))


def test_seeds_of_a_share_by_hand():
    # 1/4, 1/2 and 3/4 are sin² of 30°, 45° and 60°: s = 15° of three.
    part = stats.t.ppf(0.975, 2) * math.pi / 12 / math.sqrt(3)
    alone = of_share([0.5], [40])
    with_seeds = of_share([0.5], [40], [[0.25, 0.5, 0.75]])
    below = 0.5 - math.sin(math.pi / 4 - part) ** 2
    assert with_seeds.low == pytest.approx(0.5 - math.hypot(0.5 - alone.low, below))
    assert with_seeds.over == "images and seeds" and with_seeds.high > alone.high


def test_equal_seeds_say_nothing_new():
    images = [np.arange(10) / 10]
    low, high = bootstrap(images)
    same = of_mean(images, [[0.45, 0.45, 0.45]])
    assert (same.low, same.high) == pytest.approx((low, high))


def test_of_seeds_is_the_t_interval():
    values = [1.4, 1.6, 1.7]
    wanted = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    found = of_seeds(values)
    assert (found.low, found.high) == pytest.approx(wanted) and of_seeds([1.4]) is None


# -- AUCs and shares --

def test_auc_solves_newcombes_equation():
    for auc, normals, anomalies in ((0.96, 60, 28), (0.5, 10, 12), (0.7, 3, 40), (0.02, 9, 9)):
        found = of_auc([auc], normals, anomalies)
        n = (normals + anomalies) / 2 - 1
        for a in (found.low, found.high):
            variance = (a * (1 - a) / (normals * anomalies)
                        * (1 + n * ((1 - a) / (2 - a) + a / (1 + a))))
            assert (auc - a) ** 2 == pytest.approx(stats.norm.ppf(0.975) ** 2 * variance, abs=1e-9)
        assert found.low < auc < found.high and found.over == "images"
        mirrored = of_auc([1 - auc], normals, anomalies)
        assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))


def test_auc_of_all_told_apart_is_no_certainty():
    few, many = of_auc([1.0], 1, 27), of_auc([1.0], 60, 28)
    assert few.high == many.high == 1.0 and few.low < 0.5 < 0.9 < many.low < 1.0
    assert of_auc([0.9], 0, 27) is None
    assert of_auc([0.9, 0.95, 1.0], 60, 28).over == "images and seeds"


def test_share_is_wilsons():
    for share, n in ((0.0, 20), (1.0, 5), (0.25, 40)):
        wanted = stats.binomtest(round(share * n), n).proportion_ci(0.95, "wilson")
        found = of_share([share], [n])
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    # Two alike: half the variance. Without images nothing is known.
    one, two = of_share([0.25], [40]), of_share([0.25] * 2, [40] * 2)
    assert 0.25 - two.low == pytest.approx((0.25 - one.low) / math.sqrt(2))
    assert of_share([0.5, 0.5], [3, 0]) is None


def test_what_a_number_cannot_be_is_cut_off():
    assert Interval(-0.2, 1.3, True).within(0, 1) == Interval(0, 1, True)

"""measure.statistics against brute force, scipy, hand-worked cases and Demšar's own example."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from aexad.bench.measure import intervals
from aexad.bench.measure.statistics import (
    Ranks,
    by_method,
    compare,
    groups,
    holm,
    mean_ranks,
    nemenyi,
    rank_biserial,
    wilcoxon,
)

A, B, C = ("mvtec", "bottle"), ("mvtec", "cable"), ("wfdd", "grey_cloth")

# -- Wilcoxon, effect, Holm --


def exact_p(d):
    """Two-sided p over all signs of the differences that are not zero, ranks as Pratt."""
    d = np.asarray(d, float)
    ranks = stats.rankdata(np.abs(d)) * (d != 0)
    signs = np.array(list(itertools.product((-1, 1), repeat=len(d))))
    sums, here = signs @ ranks, np.sign(d) @ ranks
    return min(1.0, 2 * min(np.mean(sums >= here - 1e-9), np.mean(sums <= here + 1e-9)))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_wilcoxon_is_exact_for_small_n_with_ties_and_zeros(d):
    assert wilcoxon(np.array(d) / 8) == pytest.approx(exact_p(d))


@pytest.mark.parametrize("n", [9, 30, 120])
def test_wilcoxon_without_zeros_is_scipys(n):
    d = np.random.default_rng(n).normal(0.2, 1, n)
    assert wilcoxon(d) == stats.wilcoxon(d).pvalue


def test_zeros_weaken_the_evidence():
    some = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.05])
    assert wilcoxon(np.concatenate([some, np.zeros(100)])) > wilcoxon(some)
    assert wilcoxon(np.zeros(5)) == 1.0


@pytest.mark.parametrize("d, effect", [
    ([3, -1, 2], (5 - 1) / 6), ([1, 2, 3], 1.0), ([-1, -2], -1.0), ([1, -1], 0.0),
    ([0, 2, -1], (3 - 2) / 6), ([0, 0, 0], 0.0),
    ([1, 1, -2], (3 - 3) / 6),                  # two share rank 1.5
    ([0, 0, 0, 5], 4 / 10),                     # one image of four speaks, with the highest rank
])
def test_rank_biserial_by_hand(d, effect):
    assert rank_biserial(d) == pytest.approx(effect)
    assert rank_biserial(np.negative(d)) == pytest.approx(-effect)


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; the last can't fall.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_raw_and_bonferronis(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


# -- ranks --

# Demšar 2006, Table 6: AUC of C4.5, with tuned m, with tuned cf, with both, on 14 data sets. His
# ranks tell apart what he prints as 0.975 twice.
DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970]])


def frame(*rows):
    """(place, method, id, auc[, seed]) -> what per_image returns, as far as it is used."""
    return pd.DataFrame([{"dataset": place[0], "category": place[1], "method": method, "id": name,
                          "auc": value, "seed": seed[0] if seed else 40, "used": True}
                         for place, method, name, value, *seed in rows])


def demsar():
    places = [("d", f"c{i}") for i in range(14)]
    rows = [(place, f"m{j}", "x", value) for place, row in zip(places, DEMSAR)
            for j, value in enumerate(row)]
    return mean_ranks(frame(*rows), [f"m{j}" for j in range(4)], "auc", places)


def test_mean_ranks_and_critical_difference_are_demsars():
    ranks = demsar()
    assert list(ranks.means) == ["m3", "m1", "m2", "m0"]
    assert [round(ranks.means[f"m{j}"], 3) for j in range(4)] == [3.143, 2.000, 2.893, 1.964]
    assert ranks.n == 14 and ranks.cd == pytest.approx(1.25, abs=0.005)
    # As he says: nothing is found at 0.05; at 0.10 (1.12) two groups, m2 may belong to either.
    assert groups(ranks) == [["m3", "m1", "m2", "m0"]]
    assert groups(replace(ranks, cd=1.12)) == [["m3", "m1", "m2"], ["m2", "m0"]]


def test_friedman_is_scipys_and_demsars_before_the_correction_for_ties():
    ranks = demsar()
    wanted = stats.friedmanchisquare(*DEMSAR.T)
    assert (ranks.chi2, ranks.p) == pytest.approx((wanted.statistic, wanted.pvalue))
    means, k, n = np.array(list(ranks.means.values())), 4, 14
    chi2 = 12 * n / (k * (k + 1)) * ((means ** 2).sum() - k * (k + 1) ** 2 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.005)
    assert chi2 <= ranks.chi2 and ranks.agreement == pytest.approx(ranks.chi2 / (n * (k - 1)))


@pytest.mark.parametrize("k, q", [(3, 2.343), (4, 2.569), (5, 2.728)])
def test_nemenyis_table(k, q):
    assert nemenyi(k, 10) == pytest.approx(q * math.sqrt(k * (k + 1) / 60), abs=1e-3)


@pytest.mark.parametrize("means, cd, wanted", [
    ((1, 2, 3), 0.5, []), ((1, 2, 3), 1.5, [["a", "b"], ["b", "c"]]),
    ((1, 2, 3), 2.5, [["a", "b", "c"]]), ((1, 1, 3), 0.5, [["a", "b"]]),
    ((1, 2, 3), 1.0, []),  # at least the critical difference differs
])
def test_groups(means, cd, wanted):
    assert groups(Ranks("auc", 9, dict(zip("abc", means)), cd=cd)) == wanted


def test_ranks_that_can_not_be_tested_say_why():
    rows = [(place, m, "x", v) for place, values in ((A, (0.9, 0.8, 0.7)), (B, (0.9, 0.5, 0.6)))
            for m, v in zip("abc", values)]
    images = frame(*rows)
    pair = mean_ranks(images, ["a", "b"], "auc", [A, B])
    assert pair.means == {"a": 1.0, "b": 2.0} and pair.cd is None and "two" in pair.reason
    assert pair.pair_p == stats.wilcoxon([0.1, 0.4]).pvalue
    one = mean_ranks(images, ["a", "b", "c"], "auc", [A])
    assert one.means == {} and "two categories" in one.reason
    equal = frame(*((place, m, "x", 0.5) for place in (A, B) for m in "abc"))
    assert mean_ranks(equal, ["a", "b", "c"], "auc", [A, B]).reason.startswith("all methods are eq")


def test_only_categories_of_all_methods_are_ranked():
    rows = [(place, m, "x", v) for place in (A, B, C) for m, v in (("a", 0.9), ("b", 0.8))]
    ranks = mean_ranks(frame(*rows, (A, "c", "x", 0.7), (B, "c", "x", 0.95)), ["a", "b", "c"],
                       "auc", [A, B, C])
    assert ranks.n == 2 and ranks.means == {"a": 1.5, "c": 2.0, "b": 2.5}


# -- from stored numbers --

def test_images_are_paired_and_seeds_averaged_within_an_image():
    images = frame(
        (A, "a", "1", 0.9, 40), (A, "b", "1", 0.5, 40), (A, "a", "1", 0.7, 41),
        (A, "b", "1", 0.7, 41), (A, "a", "1", 0.0, 42),          # seed 42: b has none
        (A, "a", "2", 0.6, 41), (A, "b", "2", 0.8, 41),          # trains under seed 40
        (A, "a", "3", 0.1, 40))                                  # b lacks the image
    images.loc[len(images)] = {**images.iloc[0].to_dict(), "id": "4", "used": False}
    images.loc[len(images)] = {**images.iloc[1].to_dict(), "id": "4", "used": False}
    wide = by_method(images, "auc", ("a", "b"))
    assert wide.index.to_list() == [(*A, "1"), (*A, "2")]
    assert wide.loc[(*A, "1")].to_dict() == pytest.approx({"a": 0.8, "b": 0.6, "seeds": 2})
    assert wide.loc[(*A, "2")].to_dict() == pytest.approx({"a": 0.6, "b": 0.8, "seeds": 1})


def test_comparison_by_hand():
    values = {A: [(0.9, 0.5), (0.8, 0.8)], B: [(0.2, 0.5), (0.6, 0.5), (0.4, 0.3), (0.7, 0.7)],
              C: [(0.5, 0.25), (0.5, 0.25)]}
    images = frame(*((place, method, str(i), pair[j]) for place, pairs in values.items()
                     for i, pair in enumerate(pairs) for j, method in enumerate("ab")))
    found = compare(images, [("a", "b")], ["auc"], [A, B, C])
    assert [(c.dataset, c.category) for c in found] == [A, B, ("mvtec", ""), C, ("all", "")]
    bottle, cable, mvtec, _, everything = found
    assert (bottle.n, bottle.wins, bottle.ties, bottle.losses) == (2, 1, 1, 0)
    assert bottle.difference == pytest.approx(0.2) and bottle.effect == pytest.approx(2 / 3)
    assert cable.difference == pytest.approx(-0.025) and cable.means == pytest.approx((.475, .5))
    # Over categories: means of means, counts of images.
    assert mvtec.difference == pytest.approx((0.2 - 0.025) / 2) and mvtec.n == 6
    assert (mvtec.wins, mvtec.ties, mvtec.losses) == (3, 2, 1)
    assert everything.difference == pytest.approx((0.2 - 0.025 + 0.25) / 3)
    d = np.array([x - y for pairs in values.values() for x, y in pairs])
    assert everything.p == wilcoxon(d) and everything.effect == rank_biserial(d)
    assert [c.p_holm for c in found] == list(holm([c.p for c in found]))
    back = compare(images, [("b", "a")], ["auc"], [A])[0]
    assert back.difference == -bottle.difference and back.effect == -bottle.effect
    assert (back.wins, back.losses, back.p) == (0, 1, bottle.p)


def test_several_seeds_are_a_part_of_the_interval_and_no_images():
    rng = np.random.default_rng(2)
    own, effects = rng.normal(0.1, 0.05, 12), {40: 0.0, 41: 0.08, 42: -0.05}
    rows = [(A, method, i, value, seed) for seed, effect in effects.items()
            for i, d in zip("abcdefghijkl", own)
            for method, value in (("a", 0.5 + d + effect), ("b", 0.5))]
    images = frame(*rows)
    [one] = compare(images[images["seed"] == 40], [("a", "b")], ["auc"], [A])
    [three] = compare(images, [("a", "b")], ["auc"], [A])
    assert (one.n, three.n, three.n_seeds) == (12, 12, 3)
    assert (one.over, three.over) == ("images", "images and seeds")
    wanted = intervals.of_mean([own + 0.01], [[own.mean() + e for e in effects.values()]])
    assert (three.low, three.high) == pytest.approx((wanted.low, wanted.high))
    assert three.high - three.low > 2 * (one.high - one.low)
    # The same numbers under three names of seeds are no more evidence than under one.
    same = pd.concat([images[images["seed"] == 40].assign(seed=seed) for seed in effects])
    [again] = compare(same, [("a", "b")], ["auc"], [A])
    assert (again.low, again.high, again.p) == pytest.approx((one.low, one.high, one.p))


@pytest.mark.filterwarnings("error")
def test_a_category_of_two_datasets_is_two_and_gives_no_warning():
    places = [("hazelnut", "hazelnut"), ("mvtec", "bottle"), ("mvtec", "hazelnut")]
    images = frame(*((place, m, str(i), v + i / 100) for place in places
                     for m, v in (("x", 0.5), ("y", 0.4), ("z", 0.1)) for i in range(3)))
    found = compare(images, [("x", "y")], ["auc"], places)
    assert [(c.dataset, c.category) for c in found] == [*places, ("mvtec", ""), ("all", "")]
    assert all(c.difference == pytest.approx(0.1) for c in found)
    assert mean_ranks(images, ["x", "y", "z"], "auc", places).means == {"x": 1, "y": 2, "z": 3}


def test_methods_without_a_common_image_have_no_row():
    images = frame((A, "a", "1", 0.9), (B, "b", "1", 0.5))
    assert compare(images, [("a", "b")], ["auc"], [A, B]) == []


def test_one_image_has_no_interval():
    images = frame((A, "a", "1", 0.9), (A, "b", "1", 0.5))
    [only] = compare(images, [("a", "b")], ["auc"], [A])
    assert (only.low, only.high, only.p) == (None, None, 1.0)

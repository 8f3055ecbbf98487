"""Are two methods different? Paired statistics over test images, and ranks over categories.

The unit is the image. An image that several seeds test counts once, with the mean of its numbers
over the seeds that both methods have: its numbers under two seeds are no independent witnesses.
(Seeds draw different test sets, so these means may differ in the last digits from a table's, which
are means over each seed's images first.) What is tested are the stored fits: how another training
would have turned out is in the spread over seeds, not in an interval over images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy  # scipy.stats is loaded at its first use: other commands need not wait for it
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95  # of intervals; 1 - LEVEL is the significance level of the critical difference
RESAMPLES, SEED = 9999, 40  # of the bootstrap
PLACE = ["dataset", "category"]
ALL = "all"  # the dataset of what is over several datasets; "" is the category of a mean


@dataclass(frozen=True)
class Comparison:
    """`first` against `second` by one metric, in one category, or over several (category "").

    n: images. means: of the two methods. difference: first - second, and low, high its bootstrap
    interval (`interval`), None where a category has a single image. p: Wilcoxon's test, p_holm: the
    same after Holm's correction over everything compared together. effect: `rank_biserial`.
    wins, ties, losses: images on which first is above, exactly equal to, below second.
    """

    dataset: str
    category: str
    first: str
    second: str
    metric: str
    n: int
    n_seeds: int
    means: tuple[float, float]
    difference: float
    low: float | None
    high: float | None
    p: float
    effect: float
    wins: int
    ties: int
    losses: int
    p_holm: float = math.nan


@dataclass(frozen=True)
class Ranks:
    """Methods over N categories by one metric (Demšar, JMLR 7, 2006).

    means: method -> its mean rank, best first; 1 is the best, ties share. chi2, p: Friedman's test,
    for three methods and more; agreement: Kendall's W = chi2 / (N (k - 1)), 1 where all categories
    rank alike. pair_p: Wilcoxon's test over the category means, for two methods. cd: `nemenyi`'s
    critical difference, None where no diagram can be drawn, which `reason` explains.
    """

    metric: str
    n: int
    means: dict[str, float]
    chi2: float | None = None
    p: float | None = None
    agreement: float | None = None
    pair_p: float | None = None
    cd: float | None = None
    reason: str = ""


# -- pieces --

def interval(groups: Sequence[ArrayLike]) -> tuple[float, float] | None:
    """Bootstrap interval (BCa, LEVEL, fixed seed) of the mean of the groups' means.

    groups: for each category the paired differences of its images. Images are drawn again within
    their category, each category as often as it has images: the categories are those of the
    benchmark and stay (stratified, not clustered: a handful of categories is too few to be drawn
    from, and the question of other categories is that of `mean_ranks`). None where a group has
    fewer than two values; without any spread, the value itself twice.
    """
    samples = [np.asarray(group, np.float64) for group in groups]
    if min(map(len, samples)) < 2:
        return None
    if all(np.ptp(sample) == 0 for sample in samples):  # BCa is undefined there
        mean = float(np.mean([sample.mean() for sample in samples]))
        return mean, mean

    def mean_of_means(*drawn: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(np.mean([sample.mean(axis=axis) for sample in drawn], axis=0))

    found = scipy.stats.bootstrap(
        samples, mean_of_means, n_resamples=RESAMPLES, vectorized=True, batch=1000,
        confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(SEED)).confidence_interval
    return float(found.low), float(found.high)


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test: differences are symmetric about zero.

    Zeros as Pratt has it: they are ranked with the others, then left out. On many images two
    methods are exactly equal (an F1 of 0 where both miss), and to drop these before ranking would
    let the few others speak for all. Exact without ties up to 50 images, with ties up to 13; the
    normal approximation beyond (scipy's choice). 1 where all differences are zero.
    """
    d = np.asarray(differences, np.float64)
    return float(scipy.stats.wilcoxon(d, zero_method="pratt").pvalue) if d.any() else 1.0


def rank_biserial(differences: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation: (R+ - R-) / (R+ + R- + R0), from -1 to 1.

    The sums of the ranks of |difference| of the positive, negative and zero differences: the share
    of the evidence for the first method minus that for the second (Kerby 2014). Ranks are those of
    `wilcoxon`, so that ties weigh for neither.
    """
    d = np.asarray(differences, np.float64)
    ranks = scipy.stats.rankdata(np.abs(d))
    return float((ranks[d > 0].sum() - ranks[d < 0].sum()) / ranks.sum())


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values, in the order given; valid whatever the dependence."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    steps = p[order] * (len(p) - np.arange(len(p)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def nemenyi(k: int, n: int) -> float:
    """Critical difference of the mean ranks of k methods over n categories: two methods whose
    mean ranks differ by at least as much differ at 1 - LEVEL (Demšar, Section 3.2.2)."""
    q = scipy.stats.studentized_range.ppf(LEVEL, k, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(k * (k + 1) / (6 * n)))


def groups(ranks: Ranks) -> list[list[str]]:
    """The largest sets of methods, neighbours by mean rank, no two of which differ by `cd`;
    without a `cd`, none."""
    if ranks.cd is None:
        return []
    names = list(ranks.means)
    found: list[list[str]] = []
    for i, name in enumerate(names):
        near = [m for m in names[i:] if ranks.means[m] - ranks.means[name] < ranks.cd]
        if len(near) > 1 and not (found and near[-1] == found[-1][-1]):
            found.append(near)
    return found


# -- from stored numbers --

def by_method(images: pd.DataFrame, metric: str, methods: Sequence[str]) -> pd.DataFrame:
    """The numbers of images that all `methods` explained: index dataset, category, id, a column
    per method, and `seeds`, over how many seeds a number is the mean.

    images: columns dataset, category, method, seed, id, used and the metric, of one scenario
    (image_rows.per_image). Of an image only seeds under which all methods have it are taken.
    """
    rows = images[images["used"] & images["method"].isin(methods)]
    wide = rows.pivot(index=[*PLACE, "id", "seed"], columns="method", values=metric)
    wide = wide.reindex(columns=list(methods)).dropna()
    by_image = wide.groupby(level=[*PLACE, "id"], sort=False)
    return by_image.mean().assign(seeds=by_image.size())


def compare(images: pd.DataFrame, pairs: Iterable[tuple[str, str]], metrics: Sequence[str],
            places: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Every pair by every metric: in each of `places` with images of both, over each dataset with
    several such categories, and over all where there are several datasets.

    Over categories, `difference` is the mean of the categories' means, as in the tables; the test,
    the effect and the counts are over all their images, so that large categories weigh more there.
    Holm's family is everything that is returned.
    """
    made = []
    for first, second in pairs:
        for metric in metrics:
            wide = by_method(images, metric, (first, second))
            frames = {place: wide.xs(place) for place in places if place in _places(wide)}
            made += [_comparison(dataset, category, first, second, metric, within)
                     for (dataset, category), within in _scopes(frames).items()]
    adjusted = holm([c.p for c in made])
    return [replace(c, p_holm=float(p)) for c, p in zip(made, adjusted)]


def _places(wide: pd.DataFrame) -> set[tuple[str, str]]:
    return set(wide.index.droplevel("id"))


def _scopes(frames: dict[tuple[str, str], pd.DataFrame]
            ) -> dict[tuple[str, str], list[pd.DataFrame]]:
    """(dataset, category) -> the frames of its categories; means after their categories."""
    scopes: dict[tuple[str, str], list[pd.DataFrame]] = {}
    datasets = list(dict.fromkeys(dataset for dataset, _ in frames))
    for dataset in datasets:
        mine = {place: [frame] for place, frame in frames.items() if place[0] == dataset}
        scopes |= mine
        if len(mine) > 1:
            scopes[dataset, ""] = [frame for [frame] in mine.values()]
    if len(datasets) > 1:
        scopes[ALL, ""] = list(frames.values())
    return scopes


def _comparison(dataset: str, category: str, first: str, second: str, metric: str,
                within: list[pd.DataFrame]) -> Comparison:
    differences = [(f[first] - f[second]).to_numpy() for f in within]
    pooled = np.concatenate(differences)
    low, high = interval(differences) or (None, None)
    first_mean, second_mean = (float(np.mean([f[m].mean() for f in within]))
                               for m in (first, second))
    return Comparison(
        dataset, category, first, second, metric, len(pooled),
        int(max(f["seeds"].max() for f in within)), (first_mean, second_mean),
        float(np.mean([d.mean() for d in differences])), low, high, wilcoxon(pooled),
        rank_biserial(pooled), int((pooled > 0).sum()), int((pooled == 0).sum()),
        int((pooled < 0).sum()))


def mean_ranks(images: pd.DataFrame, methods: Sequence[str], metric: str,
               places: Sequence[tuple[str, str]]) -> Ranks:
    """The methods ranked in every category by their mean over the images that all have, and
    Friedman's test over the categories. Categories in which one of them has none are left out.

    Friedman's p is from the chi-squared approximation, which is rough below about ten categories.
    """
    wide = by_method(images, metric, methods)
    kept = [place for place in places if place in _places(wide)]
    values = np.array([[wide.xs(place)[m].mean() for m in methods] for place in kept])
    n, k = len(kept), len(methods)
    if n < 2 or k < 2:
        reason = (f"one method of {k} cannot be ranked" if k < 2 else
                  f"ranks need two categories in which all of them have images, there {_are(n)}")
        return Ranks(metric, n, {}, reason=reason)
    ranks = scipy.stats.rankdata(-values, axis=1).mean(axis=0)
    means = {methods[i]: float(ranks[i]) for i in np.argsort(ranks, kind="stable")}
    if k == 2:
        return Ranks(metric, n, means, pair_p=wilcoxon(values[:, 0] - values[:, 1]),
                     reason="a critical difference is for three methods or more; for two, "
                            "Wilcoxon's test over the category means stands in its place")
    if (np.ptp(values, axis=1) == 0).all():
        return Ranks(metric, n, means, reason="all methods are equal in every category")
    chi2, p = scipy.stats.friedmanchisquare(*values.T)
    return Ranks(metric, n, means, float(chi2), float(p), float(chi2 / (n * (k - 1))),
                 cd=nemenyi(k, n))


def _are(n: int) -> str:
    return {0: "are none", 1: "is one"}[n]

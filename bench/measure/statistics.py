"""Are two methods different? Paired statistics over test images, and ranks over categories.

The unit is the image. An image that several seeds test counts once, with the mean of its numbers
over the seeds that both methods have: its numbers under two seeds are no independent witnesses.
(Seeds draw different test sets, so these means may differ in the last digits from a table's, which
are means over each seed's images first.) What is tested are the stored fits; an interval is about
other trainings, too, where there are several seeds (bench/measure/intervals.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy  # scipy.stats is loaded at its first use: other commands need not wait for it
from numpy.typing import ArrayLike, NDArray

from aexad.bench.measure import intervals
from aexad.bench.measure.intervals import LEVEL  # 1 - LEVEL: of the critical difference, too

PLACE = ["dataset", "category"]
ALL = "all"  # the dataset of what is over several datasets; "" is the category of a mean


@dataclass(frozen=True)
class Comparison:
    """`first` against `second` by one metric, in one category, or over several (category "").

    n: images. means: of the two methods. difference: first - second, and low, high its interval
    (intervals.of_mean), None where a category has a single image; over: what it is about, 'images'
    or 'images and seeds'. p: Wilcoxon's test, p_holm: the
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
    over: str
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
    return _averaged(_paired(images, metric, methods), [*PLACE, "id"])


def _paired(images: pd.DataFrame, metric: str, methods: Sequence[str]) -> pd.DataFrame:
    """As `by_method`, one seed a row: index dataset, category, id, seed, a column per method."""
    rows = images[images["used"] & images["method"].isin(methods)]
    wide = rows.pivot(index=[*PLACE, "id", "seed"], columns="method", values=metric)
    return wide.reindex(columns=list(methods)).dropna()


def _averaged(paired: pd.DataFrame, image: Sequence[str]) -> pd.DataFrame:
    """Over the seeds of each image. image: the levels of the index that tell images apart."""
    by_image = paired.groupby(level=list(image), sort=False)
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
            found = _by_place(_paired(images, metric, (first, second)))
            frames = {place: found[place] for place in places if place in found}
            made += [_comparison(dataset, category, first, second, metric, within)
                     for (dataset, category), within in _scopes(frames).items()]
    adjusted = holm([c.p for c in made])
    return [replace(c, p_holm=float(p)) for c, p in zip(made, adjusted)]


def _by_place(wide: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """(dataset, category) -> its rows, without these two in the index."""
    return {place: rows.droplevel(PLACE) for place, rows in wide.groupby(level=PLACE, sort=False)}


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
    averaged = [_averaged(frame, ["id"]) for frame in within]
    differences = [(f[first] - f[second]).to_numpy() for f in averaged]
    by_seed = [(f[first] - f[second]).groupby(level="seed").mean().to_numpy() for f in within]
    pooled = np.concatenate(differences)
    found = intervals.of_mean(differences, by_seed)
    low, high, over = (found.low, found.high, found.over) if found else (None, None, "")
    first_mean, second_mean = (float(np.mean([f[m].mean() for f in averaged]))
                               for m in (first, second))
    return Comparison(
        dataset, category, first, second, metric, len(pooled),
        int(max(f["seeds"].max() for f in averaged)), (first_mean, second_mean),
        float(np.mean([d.mean() for d in differences])), low, high, over, wilcoxon(pooled),
        rank_biserial(pooled), int((pooled > 0).sum()), int((pooled == 0).sum()),
        int((pooled < 0).sum()))


def mean_ranks(images: pd.DataFrame, methods: Sequence[str], metric: str,
               places: Sequence[tuple[str, str]]) -> Ranks:
    """The methods ranked in every category by their mean over the images that all have, and
    Friedman's test over the categories. Categories in which one of them has none are left out.

    Friedman's p is from the chi-squared approximation, which is rough below about ten categories.
    """
    found = _by_place(by_method(images, metric, methods))
    kept = [place for place in places if place in found]
    values = np.array([[found[place][m].mean() for m in methods] for place in kept])
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

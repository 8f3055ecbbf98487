"""What bench/measure/statistics.py found, as grids of texts, as CSV and for `--json`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from aexad.bench.measure.intervals import LEVEL, RESAMPLES
from aexad.bench.measure.names import METRICS
from aexad.bench.measure.statistics import ALL, Comparison, Ranks
from aexad.bench.tables.grids import Grid, Page, signed

EXPLAINED = (
    "difference: mean over images of first − second (over categories: mean of the categories' "
    f"means), with its {LEVEL:.0%} interval: over images (BCa, {RESAMPLES} resamples of the paired "
    "images within their category, fixed seed), and with several seeds over images and seeds "
    "(bench/measure/intervals.py)",
    "p: Wilcoxon signed-rank test over images, two-sided, zeros as Pratt; * p Holm below "
    f"{1 - LEVEL:.2f}",
    "r: matched-pairs rank-biserial correlation, +1 where the first is always above",
    "an image of several seeds counts once, with its mean over the seeds that both methods have",
    "the interval is about the mean, the test about ranks: a few images that differ much move "
    "the one more than the other",
)


@dataclasses.dataclass(frozen=True)
class Report:
    """All that is shown. labels: method -> its name in tables. notes: lines on what is missing."""

    name: str
    title: str
    comparisons: Sequence[Comparison]
    ranks: Sequence[Ranks]
    labels: dict[str, str]
    notes: tuple[str, ...]

    @property
    def all_notes(self) -> list[str]:
        """What the numbers are, then what must be known about these."""
        family = (f"p Holm: corrected over all {len(self.comparisons)} tests shown here (every "
                  "pair of methods, metric and row)") if self.comparisons else ""
        lines = [*EXPLAINED[:2], family, *EXPLAINED[2:]] if self.comparisons else []
        if any(r.cd for r in self.ranks):
            lines.append("mean ranks: of the categories' means; Friedman's p is rough below about "
                         "ten categories; methods whose mean ranks differ by the critical "
                         f"difference differ at {1 - LEVEL:.2f} (Nemenyi)")
        reasons = dict.fromkeys(r.reason for r in self.ranks if r.reason)
        return [*filter(None, lines), *(f"mean ranks: {reason}" for reason in reasons),
                *self.notes]


def grids(report: Report) -> list[Grid]:
    """A grid of texts for each pair of methods, and one of the mean ranks."""
    made = []
    for (first, second), found in groupby(report.comparisons, key=lambda c: (c.first, c.second)):
        one, other = (report.labels.get(m, m) for m in (first, second))
        heads = ["", "metric", "images", one, other, "difference", f"{LEVEL:.0%} interval", "p",
                 "p Holm", "r", "win/tie/loss"]
        made.append(Grid(f"{one} − {other}", heads, _rows(list(found)), words=2))
    ranked = [r for r in report.ranks if r.means]
    if ranked:
        made.append(_rank_grid(ranked, report.labels))
    return made


def _rows(found: Sequence[Comparison]) -> list[list[str]]:
    """Metrics of a place below each other, its name where it changes."""
    places = list(dict.fromkeys((c.dataset, c.category) for c in found))
    rows = []
    for place in places:
        name = ("all" if place[0] == ALL else f"{place[0]} (all)") if not place[1] else (
            "/".join(place))
        for c in (c for c in found if (c.dataset, c.category) == place):
            between = "–" if c.low is None else f"[{signed(c.low)}, {signed(c.high)}]"
            star = "*" if c.p_holm < 1 - LEVEL else ""
            rows.append([name, METRICS.get(c.metric, c.metric), str(c.n),
                         *(f"{mean:.3f}" for mean in c.means), signed(c.difference), between,
                         _p(c.p), _p(c.p_holm) + star, signed(c.effect, 2),
                         f"{c.wins}/{c.ties}/{c.losses}"])
            name = ""
    return rows


def _rank_grid(ranked: Sequence[Ranks], labels: dict[str, str]) -> Grid:
    names = sorted({m for r in ranked for m in r.means}, key=list(labels).index)
    heads = ["metric", "categories", *(labels[m] for m in names), "Friedman chi²", "p", "Kendall W",
             "critical difference"]
    rows = [[METRICS.get(r.metric, r.metric), str(r.n),
             *(_or_dash(r.means.get(m)) for m in names),
             _or_dash(r.chi2), _rank_p(r), _or_dash(r.agreement), _or_dash(r.cd)]
            for r in ranked]
    return Grid("Mean ranks over categories (1 is best)", heads, rows)


def _rank_p(ranks: Ranks) -> str:
    if ranks.pair_p is not None:
        return f"{_p(ranks.pair_p)} (Wilcoxon)"
    return "–" if ranks.p is None else _p(ranks.p)


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<0.0001" if value < 0.0001 else f"{value:.4f}"


def page(report: Report) -> Page:
    """All of it as grids of texts."""
    return Page(report.name, report.title, grids(report), report.all_notes)


def csv(report: Report) -> str:
    """Tidy: a row per pair, metric and place, all digits; category is empty over categories."""
    fields = [f.name for f in dataclasses.fields(Comparison) if f.name != "means"]
    at = fields.index("difference")
    columns = [*fields[:at], "mean_first", "mean_second", *fields[at:]]
    frame = pd.DataFrame(_comparisons(report), columns=columns)
    return frame.to_csv(index=False, lineterminator="\n")


def _comparisons(report: Report) -> list[dict[str, Any]]:
    rows = []
    for c in report.comparisons:
        row = dataclasses.asdict(c)
        row["mean_first"], row["mean_second"] = row.pop("means")
        rows.append(row)
    return rows


def as_json(report: Report) -> dict[str, Any]:
    """All of it; the fields of a comparison are the columns of the CSV file."""
    return {"title": report.title, "labels": report.labels, "level": LEVEL,
            "comparisons": _comparisons(report),
            "ranks": [dataclasses.asdict(ranks) for ranks in report.ranks],
            "notes": report.all_notes}

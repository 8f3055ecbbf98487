"""The verdict on each published number: ours, an interval, and whether it holds the published one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import numpy as np
import pandas as pd

from aexad.bench.measure import intervals
from aexad.bench.measure.intervals import Interval
from aexad.bench.paper.printed_tables import published
from aexad.bench.plan.definitions import TABLES
from aexad.bench.plan.settings import MetricsParams
from aexad.bench.verdict import conditions
from aexad.bench.verdict.chosen import Chosen, Where
from aexad.bench.verdict.tolerances import tolerance
from aexad.datasets.catalog import all_categories

Word = Literal["reproduced", "above", "below"]
WORDS: tuple[Word, ...] = ("reproduced", "above", "below")
PLAIN = ("table1", "table2", "table4", "table9")  # numbers of one method in one category
NOT_RUN = "not run"
COLUMNS = {"f1": MetricsParams().column("f1"), "iou": MetricsParams().column("iou")}
"""metric -> stored column, where that has another name."""


@dataclass(frozen=True)
class Number:
    """A published number, where it stands. category: '' over a dataset. against: the method that is
    beaten (Table 3), or that the number is divided by (Tables 5 to 8)."""

    table: str
    dataset: str
    category: str
    method: str
    metric: str
    scenario: str
    value: float
    against: str = ""

    @property
    def kind(self) -> str:
        """What of it is compared: its metric, 'share' or 'ratio'."""
        return (self.metric if not self.against else
                "share" if TABLES[self.table].shows == "winrates" else "ratio")


@dataclass(frozen=True)
class Judged:
    """A published number and ours. value: mean over seeds, None where there is none, for `reason`.
    std: over seeds. interval: None where nothing is known of other images or seeds. remark: what
    must be known beside the conditions."""

    number: Number
    value: float | None = None
    std: float | None = None
    interval: Interval | None = None
    images: int = 0
    seeds: tuple[int, ...] = ()
    conditions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    reason: str = ""
    remark: str = ""

    @property
    def tolerance(self) -> float:
        return tolerance(self.number.kind, self.number.value)

    @property
    def comparison(self) -> Word | None:
        """Whether the published number lies in the interval widened by the tolerance, or ours is
        above or below it. Without an interval it is that of the number itself."""
        if self.value is None:
            return None
        low, high = ((self.interval.low, self.interval.high) if self.interval
                     else (self.value, self.value))
        if self.number.value < low - self.tolerance - 1e-9:
            return "above"
        return "below" if self.number.value > high + self.tolerance + 1e-9 else "reproduced"

    @property
    def as_published(self) -> bool:
        return self.value is not None and not self.conditions


def plain_numbers() -> Iterator[Number]:
    """All of PLAIN."""
    return printed(PLAIN)


def printed(tables: Sequence[str]) -> Iterator[Number]:
    """What these tables print of a method in a category, in their order."""
    for name in tables:
        table = TABLES[name]
        for dataset, category in all_categories(table.datasets):
            for method in table.methods:
                for metric in table.metrics:
                    value = published(name, dataset, category, method, metric)
                    if value is not None:
                        yield Number(name, dataset, category, method, metric, table.scenario, value)


def judge(number: Number, chosen: dict[Where, Chosen], why: dict[Where, str]) -> Judged:
    """A number of PLAIN. why: reasons for cells that are not there, other than that nobody ran
    them."""
    where = (number.method, (number.dataset, number.category), number.scenario)
    cells = chosen.get(where)
    if cells is None:
        return Judged(number, reason=why.get(where, NOT_RUN))
    column = COLUMNS.get(number.metric, number.metric)
    values = {s: v for s in cells.seeds if (v := cells.runs[s].number(column)) is not None}
    if not values:
        return Judged(number, reason="undefined")
    value = fmean(values.values())
    of_metric = detection if number.metric == "detection_auc" else over_images
    return Judged(
        number, value, spread(list(values.values())), of_metric(cells, column, values),
        int(min(cells.runs[s].number("n_used" if number.metric != "detection_auc" else "n_images")
                or 0 for s in values)),
        tuple(values), cells.conditions(number.metric), cells.sources,
        remark="; ".join(filter(None, (
            "" if cells.has_rows or number.metric == "detection_auc" else NO_ROWS,
            cells.other_runs(column)))))


NO_ROWS = "no rows per image, so no interval"


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation over seeds, None of a single one."""
    return stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else None


def over_images(cells: Chosen, column: str, values: dict[int, float]) -> Interval | None:
    """Of a mean over images, around the mean that the tables show (over seeds of their means)."""
    if not cells.has_rows:
        return None
    by_seed = [rows[column].dropna() for seed in values
               if (rows := cells.runs[seed].used) is not None]
    which, _ = pd.factorize(np.concatenate([numbers.index for numbers in by_seed]))
    images = np.bincount(which, np.concatenate(by_seed)) / np.bincount(which)
    found = intervals.of_mean([images], [list(values.values())])
    if found is None:
        return None
    moved = fmean(values.values()) - float(images.mean())
    return Interval(found.low + moved, found.high + moved, found.seeds).within(0, 1)


def detection(cells: Chosen, column: str, values: dict[int, float]) -> Interval | None:
    """Of a detection AUC, which needs no rows."""
    counts = [cells.runs[seed].entry["numbers"] for seed in values]
    found = intervals.of_auc(list(values.values()), *(
        int(min(numbers[name] for numbers in counts)) for name in ("n_normal", "n_anomalous")))
    return found and found.within(0, 1)


def plain_words(judged: Judged) -> str:
    """'reproduced, as published'."""
    return f"{judged.comparison}, {conditions.in_words(judged.conditions)}"

"""Stored results -> a table beside the paper's numbers: pure functions, no training, no disk."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any, Literal

import pandas as pd

from aexad.bench.paper.printed_tables import published
from aexad.bench.plan.definitions import TableDef
from aexad.bench.tables.notes import (
    DIFFERENT,
    SHARED,
    Footnotes,
    Place,
    emission_notes,
    image_notes,
    lacking,
    remarks,
    seed_notes,
    span,
    warnings,
)

_UNDEFINED = {"detection_auc": "detection AUC needs normal and anomalous test images"}
_TRADEOFF = (("auc", "T(AUC)"), ("f1", "T(F1)"), ("iou", "T(IoU)"))


@dataclass(frozen=True)
class Cell:
    """One number of ours, with the paper's beside it.

    value: mean over seeds; in a row of means, over categories too. std: sample standard deviation
    over seeds, None for a single one. difference: value - published. status: 'done', or why there
    is no value. reason: why seeds are missing (all of them when there is no value). notes: numbers
    of the footnotes that say so. remark: what must be known about the value. by_seed: (seed,
    number) of those that the value is the mean of, in a row of means none.
    """

    value: float | None
    std: float | None = None
    n_seeds: int = 0
    published: float | None = None
    mark: Literal["best", "second"] | None = None
    status: str = "done"
    reason: str = ""
    notes: tuple[int, ...] = ()
    remark: str = ""
    by_seed: tuple[tuple[int, float], ...] = ()

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, where both are numbers."""
        both = (self.value, self.published)
        return both[0] - both[1] if all(v is not None and math.isfinite(v) for v in both) else None


@dataclass(frozen=True)
class Row:
    """One line of a table. `cells[i][j]` is of the table's i-th method and j-th metric."""

    dataset: str
    label: str
    cells: tuple[tuple[Cell, ...], ...]
    is_mean: bool = False


@dataclass(frozen=True)
class Table:
    """What the renderers need. `groups`: (method, its label); each has a column per metric.

    decimals, digits: as in TableDef. titles: (metric, heading of its columns) where that is not
    the usual one. keys: what dataset, row, group and column are called in a file. best, second,
    among: what marks mean, in words.
    """

    name: str
    title: str
    groups: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    decimals: int
    digits: int | None = None
    titles: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, str, str, str] = ("dataset", "category", "method", "metric")
    best: str = "best"
    second: str = "runner-up"
    among: str = "among the methods of a row"
    scenario: str = "standard"


def places_of(value: float, decimals: int, digits: int | None) -> int:
    """Decimals to print: `decimals`, fewer where the number would have more than `digits`."""
    if digits is None or not math.isfinite(value):
        return decimals
    return max(0, min(decimals, digits - len(str(int(abs(value))))))


def build(records: pd.DataFrame, definition: TableDef, rows: list[Place], methods: list[str],
          labels: dict[str, str], title: str | None = None) -> Table:
    """The table of `rows` x `methods`, from `records` with one row per cell and seed.

    Columns of records: dataset, category, scenario, method, seed, status, reason, the metrics,
    n_used, n_dropped, n_normal, device, environment, threads, data, note; for tables about
    emissions also what aexad.bench.results.readings adds. Cells without a record
    are shown as missing.
    """
    source = _Source(records, definition, list(rows), list(methods), labels)
    body, with_data = [], []
    for dataset in dict.fromkeys(dataset for dataset, _ in rows):
        mine = [place for place in rows if place[0] == dataset]
        body += [source.row(place) for place in mine]
        done = [place for place in mine if source.has_value(place)]
        if len(done) > 1:
            body.append(source.means(dataset, "mean", done))
        with_data += done
    if len({dataset for dataset, _ in with_data}) > 1:
        body.append(source.means("all", "mean of all", with_data))
    return Table(definition.name, title or definition.title,
                 tuple((method, labels.get(method, method)) for method in methods),
                 definition.metrics, tuple(body), tuple(source.notes()), definition.decimals,
                 definition.digits, _TRADEOFF if definition.shows == "tradeoff" else (),
                 scenario=definition.scenario)


@dataclass
class _Source:
    """The records by cell, and the footnotes that come up while cells are made of them."""

    records: pd.DataFrame
    definition: TableDef
    places: list[Place]
    methods: list[str]
    labels: dict[str, str]
    found: dict[tuple[Place, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    uneven: list[str] = field(default_factory=list)  # means over different categories

    def __post_init__(self) -> None:
        rows = self.records[self.records["scenario"] == self.definition.scenario]
        for record in rows.sort_values("seed", kind="stable").itertuples():
            place = (record.dataset, record.category)
            if place in self.places and record.method in self.methods:
                self.found[place, record.method].append(record)
        self.seeds = sorted({record.seed for record in self.all()})
        self.why = Footnotes(self.methods, self.places, self.labels, self.seeds)

    def label(self, method: str) -> str:
        return self.labels.get(method, method)

    def all(self) -> list[Any]:
        return [record for cell in self.found.values() for record in cell]

    def done(self) -> list[Any]:
        return [record for record in self.all() if record.status == "done"]

    def values(self, place: Place, method: str, metric: str) -> dict[int, float]:
        """seed -> number."""
        numbers = {record.seed: getattr(record, metric)
                   for record in self.found.get((place, method), ()) if record.status == "done"}
        return {seed: value for seed, value in numbers.items() if not math.isnan(value)}

    def has_value(self, place: Place) -> bool:
        return any(self.values(place, method, metric)
                   for method in self.methods for metric in self.definition.metrics)

    def row(self, place: Place) -> Row:
        cells = [[self.cell(place, method, metric) for metric in self.definition.metrics]
                 for method in self.methods]
        return Row(*place, self.marked(cells, self.definition.metrics))

    def cell(self, place: Place, method: str, metric: str) -> Cell:
        records = self.found.get((place, method), [])
        values = self.values(place, method, metric)
        numbers = _mean([values])
        why = self.footnotes(place, method, metric)
        said = [r.note for r in records if r.note] + [SHARED[1]] * (SHARED in why)
        return Cell(
            **numbers or {"value": None}, status="done" if numbers else next(iter(why))[0],
            notes=tuple(why.values()), published=self.published(place, method, metric),
            reason="; ".join(dict.fromkeys(w[1] for w in why if w != SHARED)),
            remark="; ".join(dict.fromkeys(said)), by_seed=tuple(values.items()))

    def footnotes(self, place: Place, method: str, metric: str) -> dict[tuple[str, str], int]:
        """(status, reason) -> number of the footnote: why seeds lack here, and whether the
        energy of others may be in it."""
        records = self.found.get((place, method), [])
        done = [record for record in records if record.status == "done"]
        why = lacking(records, self.seeds)
        why += [(("undefined", _UNDEFINED.get(metric, f"{metric} of no test image is a number")),
                 r.seed) for r in done if math.isnan(getattr(r, metric))]
        if self.definition.about_emissions:
            why += [(SHARED, r.seed) for r in done if r.shared]
        return {w: self.why.add(w, place, method, seed) for w, seed in why}

    def published(self, place: Place, method: str, metric: str) -> float | None:
        table = self.definition.printed_in
        return published(self.definition.name if table is None else table, *place, method, metric)

    def means(self, dataset: str, name: str, places: list[Place]) -> Row:
        """Means over the categories that have a value, the paper's over the same ones."""
        used = {(method, metric): tuple(p for p in places if self.values(p, method, metric))
                for method in self.methods for metric in self.definition.metrics}
        cells = [[self.mean(used[method, metric], method, metric)
                  for metric in self.definition.metrics] for method in self.methods]
        # Means over different categories can't be ranked.
        ranked = [metric for metric in self.definition.metrics
                  if len({used[m, metric] for m in self.methods if used[m, metric]}) == 1]
        counts = {method: max(len(used[method, metric]) for metric in self.definition.metrics)
                  for method in self.methods}
        if len(ranked) < len(self.definition.metrics):
            each = ", ".join(f"{self.label(m)} {n}" for m, n in counts.items() if n)
            row = name if dataset == "all" else f"{dataset} {name}"
            self.uneven.append(f"{row}: each method's over its own categories with a value, "
                               f"so not ranked ({each})")
        label = f"{name} ({span(n for n in counts.values() if n)})"
        return Row(dataset, label, self.marked(cells, ranked), is_mean=True)

    def mean(self, places: Sequence[Place], method: str, metric: str) -> Cell:
        if not places:
            return Cell(None, status="no data")
        paper = [self.published(place, method, metric) for place in places]
        numbers = _mean([self.values(place, method, metric) for place in places])
        return Cell(**numbers, published=None if None in paper else fmean(paper))

    def marked(self, cells: list[list[Cell]], metrics: Iterable[str]) -> tuple:
        """Best and runner-up of each metric across methods, as far as the printed digits tell."""
        size = (self.definition.decimals, self.definition.digits)
        printed = [[None if c.value is None else float(f"{c.value:.{places_of(c.value, *size)}f}")
                    for c in group] for group in cells]
        marked = [list(group) for group in cells]
        for j in map(self.definition.metrics.index, metrics):
            column = [group[j] for group in printed if group[j] is not None]
            if len(column) < 2:
                continue  # nothing is compared
            order = sorted(set(column), reverse=self.definition.higher_is_better)
            for i, group in enumerate(printed):
                if group[j] in order[:2]:
                    marked[i][j] = replace(
                        cells[i][j], mark=("best", "second")[order.index(group[j])])
        return tuple(map(tuple, marked))

    def notes(self) -> list[str]:
        done, emissions = self.done(), self.definition.about_emissions
        columns = DIFFERENT | {"meter": "meters of emissions"} if emissions else DIFFERENT
        return [*seed_notes(self.found, self.seeds, self.why.where), *image_notes(done),
                *(emission_notes(done) if emissions else ()), *self.uneven,
                *remarks(self.found, self.why.where), *self.about_printed(),
                *warnings(done, columns), *self.why.texts()]

    def about_printed(self) -> list[str]:
        """What must be known of the paper's numbers, where some stand beside ours."""
        methods, text = self.definition.about_printed
        beside = [m for m in self.methods if m in methods and any(
            self.values(place, m, metric) and self.published(place, m, metric) is not None
            for place in self.places for metric in self.definition.metrics)]
        return [f"{', '.join(map(self.label, beside))}: {text}"] if beside else []


def _mean(by_category: Sequence[dict[int, float]]) -> dict[str, Any]:
    """value, std and n_seeds over categories, each seed -> number; {} when there is none."""
    if not all(by_category):
        return {}
    seeds = sorted(by_category[0])
    by_seed = []
    # The spread of a mean over categories needs each seed to have all of them.
    if all(set(numbers) == set(seeds) for numbers in by_category):
        by_seed = [fmean(numbers[seed] for numbers in by_category) for seed in seeds]
    spread = len(by_seed) > 1 and all(map(math.isfinite, by_seed))
    return {"value": fmean(fmean(numbers.values()) for numbers in by_category),
            "std": stdev(by_seed) if spread else None, "n_seeds": min(map(len, by_category))}

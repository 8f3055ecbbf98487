"""Stored results -> a table beside the paper's numbers: pure functions, no training, no disk."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any, Literal

import pandas as pd

from bench.paper import published
from datasets.catalog import PAPER

Place = tuple[str, str]  # (dataset, category)


@dataclass(frozen=True)
class TableDef:
    """What a table of the paper shows. `methods` and `metrics` are in the order of its columns."""

    name: str
    title: str
    scenario: Literal["standard", "anomalies_only"]
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    datasets: tuple[str, ...]
    decimals: int = 3
    higher_is_better: bool = True


TABLES: dict[str, TableDef] = {
    "table1": TableDef(
        "table1", "Table 1: mean pixel-wise AUC of the ablated methods",
        "standard", ("ae", "ae_filtered", "ae_xad_raw", "ae_xad"), ("auc",), ("mvtec",)),
    "table2": TableDef(
        "table2", "Table 2: mean pixel-wise AUC, F1 and IoU",
        "standard", ("ae_xad", "fcdd", "bgad"), ("auc", "f1", "iou"), PAPER),
    "table-vit": TableDef(
        "table-vit", "ViT encoders beside the report of the ViT re-implementation", "standard",
        ("ae_xad_vit", "ae_xad_vit_finetuned", "ae_xad_vit_scratch"),
        ("auc", "f1", "iou"), ("mvtec",)),
}


@dataclass(frozen=True)
class Cell:
    """One number of ours, with the paper's beside it.

    value: mean over seeds; in a row of means, over categories too. std: sample standard deviation
    over seeds, None for a single one. difference: value - published. status: 'done', or why there
    is no value. reason: why seeds are missing (all of them when there is no value). notes: numbers
    of the footnotes that say so. remark: what must be known about the value.
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
    """What the renderers need. `groups`: (method, its label); each has a column per metric."""

    name: str
    title: str
    groups: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    decimals: int


def build(records: pd.DataFrame, definition: TableDef, rows: list[Place], methods: list[str],
          labels: dict[str, str], title: str | None = None) -> Table:
    """The table of `rows` x `methods`, from `records` with one row per cell and seed.

    Columns of records: dataset, category, scenario, method, seed, status, reason, the metrics,
    n_used, n_dropped, n_normal, device, environment, threads, data, note. Cells without a record
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
                 definition.metrics, tuple(body), tuple(source.notes()), definition.decimals)


@dataclass
class _Source:
    """The records by cell, and the footnotes that come up while cells are made of them."""

    records: pd.DataFrame
    definition: TableDef
    places: list[Place]
    methods: list[str]
    labels: dict[str, str]
    found: dict[tuple[Place, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    # (status, reason) -> {(place, method): seeds}; the footnotes are numbered in this order.
    lacking: dict[tuple[str, str], dict] = field(default_factory=dict)
    uneven: list[str] = field(default_factory=list)  # means over different categories

    def __post_init__(self) -> None:
        rows = self.records[self.records["scenario"] == self.definition.scenario]
        for record in rows.sort_values("seed", kind="stable").itertuples():
            place = (record.dataset, record.category)
            if place in self.places and record.method in self.methods:
                self.found[place, record.method].append(record)
        self.seeds = sorted({record.seed for record in self.all()})

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
        numbers = _mean([self.values(place, method, metric)])
        why = self.footnotes(place, method, metric)
        status = "done" if numbers else next(iter(why))[0]
        return Cell(
            **numbers or {"value": None}, status=status, notes=tuple(why.values()),
            published=self.published(place, method, metric),
            reason="; ".join(dict.fromkeys(reason for _, reason in why)),
            remark="; ".join(dict.fromkeys(r.note for r in records if r.note)))

    def footnotes(self, place: Place, method: str, metric: str) -> dict[tuple[str, str], int]:
        """(status, reason) -> number of the footnote, for each reason why seeds lack here."""
        records = self.found.get((place, method), [])
        lacking = [((record.status, record.reason), record.seed) for record in records
                   if record.status != "done"]
        lacking += [(("undefined", f"{metric} of no test image is a number"), record.seed)
                    for record in records
                    if record.status == "done" and math.isnan(getattr(record, metric))]
        if not records:
            lacking = [(("missing", "not run"), seed) for seed in self.seeds or [None]]
        for why, seed in lacking:
            self.lacking.setdefault(why, {}).setdefault((place, method), {})[seed] = True
        numbers = list(self.lacking)
        return {why: numbers.index(why) + 1 for why, _ in lacking}

    def published(self, place: Place, method: str, metric: str) -> float | None:
        return published(self.definition.name, *place, method, metric)

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
        label = f"{name} ({_span(n for n in counts.values() if n)})"
        return Row(dataset, label, self.marked(cells, ranked), is_mean=True)

    def mean(self, places: Sequence[Place], method: str, metric: str) -> Cell:
        if not places:
            return Cell(None, status="no data")
        paper = [self.published(place, method, metric) for place in places]
        numbers = _mean([self.values(place, method, metric) for place in places])
        return Cell(**numbers, published=None if None in paper else fmean(paper))

    def marked(self, cells: list[list[Cell]], metrics: Iterable[str]) -> tuple:
        """Best and runner-up of each metric across methods, as far as the printed digits tell."""
        printed = [[None if c.value is None else float(f"{c.value:.{self.definition.decimals}f}")
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
        remarks = defaultdict(list)
        for (place, method), records in self.found.items():
            for note in dict.fromkeys(r.note for r in records if r.note):
                remarks[note].append((place, method))
        notes = [*self.seed_notes(), *_image_notes(self.done()),
                 *self.uneven,
                 *(f"{self.where(cells)}: {note}" for note, cells in remarks.items()),
                 *_warnings(self.done())]
        for number, ((status, reason), cells) in enumerate(self.lacking.items(), 1):
            seeds = sorted({s for cell in cells.values() for s in cell if s is not None})
            some = f" (seeds {_listed(seeds)})" if seeds != self.seeds else ""
            why = f"{status}, {reason}" if reason and not reason.startswith(status) else (
                reason or status)
            notes.append(f"[{number}] {self.where(cells)}{some}: {why}")
        return notes

    def seed_notes(self) -> list[str]:
        done = {cell: len({r.seed for r in records if r.status == "done"})
                for cell, records in self.found.items()}
        if not any(done.values()):
            return []
        if len(self.seeds) == 1:
            return [f"seed {self.seeds[0]}"]
        fewer = [cell for cell, n in done.items() if 0 < n < len(self.seeds)]
        return [f"mean ± sample standard deviation over {len(self.seeds)} seeds "
                f"({_listed(self.seeds)})" + (f"; fewer: {self.where(fewer)}" if fewer else "")]

    def where(self, cells: Iterable[tuple[Place, str]]) -> str:
        """The cells in words: rows alone where all methods are meant, else 'FCDD on rows'."""
        rows: dict[str, list[Place]] = {method: [] for method in self.methods}
        for place, method in cells:
            rows[method].append(place)
        methods = defaultdict(list)
        for method, places in rows.items():
            if places:
                places = tuple(place for place in self.places if place in places)
                methods[places].append(self.label(method))
        return "; ".join(
            ("" if len(names) == len(self.methods) else f"{', '.join(names)} on ")
            + (f"all {len(places)} rows" if len(places) == len(self.places) > 3
               else _listed(["/".join(place) for place in places]))
            for places, names in methods.items())


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


def _image_notes(done: Iterable[Any]) -> list[str]:
    """How many test images the numbers stand on."""
    records = defaultdict(list)
    for record in done:
        records[record.dataset, record.category].append(record)
    if not records:
        return []

    def count(name: str) -> dict[Place, list[int]]:
        return {place: [int(getattr(r, name)) for r in rs] for place, rs in records.items()}

    def total(numbers: dict[Place, list[int]]) -> str:
        return _span([sum(map(min, numbers.values())), sum(map(max, numbers.values()))])

    dropped = count("n_dropped")
    where = _listed([f"{'/'.join(p)} {_span(ns)}" for p, ns in dropped.items()
                     if max(ns) and len(records) > 1])
    return [f"test images of {_listed(['/'.join(place) for place in records])}: "
            f"{total(count('n_used'))} anomalous used, {total(count('n_normal'))} normal; "
            f"{total(dropped)} dropped because the mask vanishes at the working size"
            + (f" ({where})" if where else "")]


def _warnings(done: Iterable[Any]) -> list[str]:
    """What makes the numbers of a table hard to compare with each other."""
    done, warnings, data = list(done), [], defaultdict(set)
    for name, plural in (("device", "devices"), ("environment", "environments"),
                         ("threads", "thread counts")):
        # A column of integers with a gap holds floats.
        met = Counter(int(v) if isinstance(v, float) else v
                      for v in (getattr(record, name) for record in done))
        if len(met) > 1:
            each = ", ".join(f"{value} ({n})" for value, n in met.most_common())
            warnings.append(f"warning: cells of different {plural} meet: {each}")
    for record in done:
        data[f"{record.dataset}/{record.category}"].add(record.data)
    mixed = [place for place, hashes in data.items() if len(hashes) > 1]
    if mixed:
        warnings.append(f"warning: cells of different data meet: {_listed(mixed)}")
    return warnings


def _listed(items: Sequence[Any], most: int = 5) -> str:
    """'a, b, c', or 'a, … (24)' when there are many."""
    return ", ".join(map(str, items)) if len(items) <= most else f"{items[0]}, … ({len(items)})"


def _span(numbers: Iterable[int]) -> str:
    low, *_, high = sorted([*numbers] * 2)
    return str(low) if low == high else f"{low}–{high}"

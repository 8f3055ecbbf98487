"""What stands below a table: why numbers lack, what they stand on, what makes them hard to
compare."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from aexad.bench.measure.busy import MOST

Place = tuple[str, str]  # (dataset, category)
Where = tuple[Place, str]  # a place and a method
Why = tuple[str, str]  # (status, reason)

SHARED: Why = ("shared machine", "shared machine: other fits ran beside it, or other programs for "
               f"more than {MOST:.0%} of its busy time, so that the energy is not its own alone; "
               "--emissions strict measures it again")


@dataclass
class Footnotes:
    """The numbered footnotes of a table, in the order in which they come up."""

    methods: Sequence[str]
    places: Sequence[Place]
    labels: dict[str, str]
    seeds: Sequence[int]
    found: dict[Why, dict[Where, dict[int | None, bool]]] = field(default_factory=dict)

    def add(self, why: Why, place: Place, method: str, seed: int | None) -> int:
        """The number of the footnote that says `why` of this cell, too."""
        self.found.setdefault(why, {}).setdefault((place, method), {})[seed] = True
        return list(self.found).index(why) + 1

    def texts(self) -> list[str]:
        notes = []
        for number, ((status, reason), cells) in enumerate(self.found.items(), 1):
            seeds = sorted({s for cell in cells.values() for s in cell if s is not None})
            some = f" (seeds {listed(seeds)})" if seeds != list(self.seeds) else ""
            why = f"{status}, {reason}" if reason and not reason.startswith(status) else (
                reason or status)
            notes.append(f"[{number}] {self.where(cells)}{some}: {why}")
        return notes

    def where(self, cells: Iterable[Where]) -> str:
        """The cells in words: rows alone where all methods are meant, else 'FCDD on rows'."""
        rows: dict[str, list[Place]] = {method: [] for method in self.methods}
        for place, method in cells:
            rows[method].append(place)
        methods = defaultdict(list)
        for method, places in rows.items():
            if places:
                places = tuple(place for place in self.places if place in places)
                methods[places].append(self.labels.get(method, method))
        return "; ".join(
            ("" if len(names) == len(self.methods) else f"{', '.join(names)} on ")
            + (f"all {len(places)} rows" if len(places) == len(self.places) > 3
               else listed(["/".join(place) for place in places]))
            for places, names in methods.items())


def lacking(records: Sequence[Any], seeds: Sequence[int]) -> list[tuple[Why, int | None]]:
    """((status, reason), seed) of each of a cell's `records` that is not done."""
    if not records:
        return [(("missing", "not run"), seed) for seed in seeds or [None]]
    return [((r.status, r.reason), r.seed) for r in records if r.status != "done"]


def seed_notes(found: dict[Where, list[Any]], seeds: Sequence[int],
               where: Callable[[Iterable[Where]], str]) -> list[str]:
    """Which seeds the numbers are of."""
    done = {cell: len({r.seed for r in records if r.status == "done"})
            for cell, records in found.items()}
    if not any(done.values()):
        return []
    if len(seeds) == 1:
        return [f"seed {seeds[0]}"]
    fewer = [cell for cell, n in done.items() if 0 < n < len(seeds)]
    return [f"mean ± sample standard deviation over {len(seeds)} seeds ({listed(seeds)})"
            + (f"; fewer: {where(fewer)}" if fewer else "")]


def remarks(found: dict[Where, list[Any]], where: Callable[[Iterable[Where]], str]) -> list[str]:
    """What must be known about values, with the cells that it is about."""
    cells = defaultdict(list)
    for cell, records in found.items():
        for note in dict.fromkeys(r.note for r in records if r.note):
            cells[note].append(cell)
    return [f"{where(places)}: {note}" for note, places in cells.items()]


def image_notes(done: Iterable[Any]) -> list[str]:
    """How many test images the numbers stand on."""
    records = defaultdict(list)
    for record in done:
        records[record.dataset, record.category].append(record)
    if not records:
        return []

    def count(name: str) -> dict[Place, list[int]]:
        return {place: [int(getattr(r, name)) for r in rs] for place, rs in records.items()}

    dropped = count("n_dropped")
    where = listed([f"{'/'.join(p)} {span(ns)}" for p, ns in dropped.items()
                    if max(ns) and len(records) > 1])
    return [f"test images of {listed(['/'.join(place) for place in records])}: "
            f"{_total(count('n_used'))} anomalous used, {_total(count('n_normal'))} normal; "
            f"{_total(dropped)} dropped because the mask is empty or full at the working size"
            + (f" ({where})" if where else "") + _causes(records)]


def _total(numbers: dict[Place, list[int]]) -> str:
    return span([sum(map(min, numbers.values())), sum(map(max, numbers.values()))])


def _causes(records: dict[Place, list[Any]]) -> str:
    """Why masks are empty or full, where all cells say it: on disk, or by resizing."""
    found: dict[str, dict[Place, list[int]]] = defaultdict(dict)
    for place, each in records.items():
        on_disk = [(getattr(r, "n_empty", math.nan), getattr(r, "n_full", math.nan)) for r in each]
        if any(map(math.isnan, sum(on_disk, ()))):
            return ""
        found["empty on disk"][place] = [int(empty) for empty, _ in on_disk]
        found["full on disk"][place] = [int(full) for _, full in on_disk]
        found["by resizing"][place] = [int(r.n_dropped - empty - full)
                                       for r, (empty, full) in zip(each, on_disk)]
    parts = [f"{_total(n)} {how}" for how, n in found.items() if any(map(max, n.values()))]
    return f": {', '.join(parts)}" if parts else ""


def emission_notes(done: Iterable[Any]) -> list[str]:
    """How emissions were measured, and their sum over the cells and the fits behind them. Cells
    of one fit share its training, so that the sum of a table's cells would count it twice."""
    done = list(done)
    if not done:
        return []
    fits = {r.fit: r for r in done}.values()
    grams, kwh = (sum(getattr(r, f"explain_{unit}") for r in done)
                  + sum(getattr(r, f"fit_{unit}") for r in fits) for unit in ("grams", "kwh"))
    meters = listed(list(dict.fromkeys(r.meter for r in done)))
    return [f"emissions of training and of explaining the test images, by {meters}; in all "
            f"{grams:.3f} g ({kwh:.5f} kWh), each training counted once"]


DIFFERENT = {"device": "devices", "environment": "environments", "threads": "thread counts"}
"""Columns of records that should be alike in a table; with `meter` where emissions are shown."""


def warnings(done: Iterable[Any], columns: dict[str, str] = DIFFERENT) -> list[str]:
    """What makes the numbers of a table hard to compare with each other."""
    done, found, data = list(done), [], defaultdict(set)
    for name, plural in columns.items():
        # A column of integers with a gap holds floats; of maps made elsewhere nothing is known.
        values = [v for v in (getattr(record, name) for record in done) if pd.notna(v) and v != ""]
        met = Counter(int(v) if isinstance(v, float) else v for v in values)
        if len(met) > 1:
            each = ", ".join(f"{value} ({n})" for value, n in met.most_common())
            found.append(f"warning: cells of different {plural} meet: {each}")
    for record in done:
        data[f"{record.dataset}/{record.category}"].add(record.data)
    mixed = [place for place, hashes in data.items() if len(hashes) > 1]
    if mixed:
        found.append(f"warning: cells of different data meet: {listed(mixed)}")
    return found


def listed(items: Sequence[Any], most: int = 5) -> str:
    """'a, b, c', or 'a, … (24)' when there are many."""
    return ", ".join(map(str, items)) if len(items) <= most else f"{items[0]}, … ({len(items)})"


def span(numbers: Iterable[int]) -> str:
    """'3' or '3–5'."""
    low, *_, high = sorted([*numbers] * 2)
    return str(low) if low == high else f"{low}–{high}"

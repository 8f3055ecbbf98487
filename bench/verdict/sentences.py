"""The paper's sentences (bench/paper/audit/claims.py) read over our numbers, on the rows that have
them, and how sure that is: the share of draws of images and seeds in which the reading holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

from aexad.bench.paper.audit.claims import LABELS, READINGS
from aexad.bench.paper.audit.printed import Tables
from aexad.bench.paper.audit.readings import Claim, Columns, Reading
from aexad.bench.paper.printed_tables import METHODS
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.evidence import Evidence, Place
from aexad.bench.tables.notes import listed
from aexad.bench.verdict import ratios, shares, unprinted
from aexad.bench.verdict.chosen import Chosen, Where
from aexad.bench.verdict.draws import DRAWS, Draws, Floats
from aexad.bench.verdict.numbers import COLUMNS, PLAIN
from aexad.datasets.catalog import all_categories

DECIMALS = 3  # ours are read as a table prints them, so that equal means the same as there
MEANS = (*PLAIN, unprinted.THRESHOLDS)
View = Literal["as published", "all"]
VIEWS: tuple[View, ...] = ("as published", "all")


@dataclass(frozen=True)
class Read:
    """A sentence over our numbers. rows, of: on how many rows, of how many that the paper has.
    sure: the share of draws in which it holds, None where nothing can be drawn. why: where it can't
    be said."""

    claim: Claim | None
    rows: int
    of: int
    every: bool
    sure: float | None = None
    why: str = ""

    @property
    def word(self) -> str:
        if self.claim is None:
            return f"can't be said ({self.why})"
        some = f"on the rows there are ({self.rows} of {self.of})"
        verdict = {"holds": "holds", "only with ties": "holds only with ties",
                   "does not hold": "does not hold"}[self.claim.verdict]
        refuted = self.every and verdict == "does not hold"
        return verdict if self.rows == self.of or refuted else f"{verdict} {some}"


@dataclass(frozen=True)
class Sentence:
    """A reading: what the paper's own tables say (None: nothing is printed), and ours."""

    reading: Reading
    paper: Claim | None
    ours: dict[View, Read]


def read_all(chosen: dict[Where, Chosen], evidence: Sequence[Evidence], paper: Tables
             ) -> list[Sentence]:
    """Every sentence; paper: the printed tables."""
    drawn, measured = _Drawn(chosen), ratios.by_device(evidence)
    made = {view: _Ours(chosen, evidence, view, drawn, measured) for view in VIEWS}
    return [Sentence(reading, reading.judge(paper),
                     {view: ours.read(reading, paper) for view, ours in made.items()})
            for reading in (*READINGS, *unprinted.READINGS)]


class _Drawn:
    """The draws of each category and scenario, the same whatever is read."""

    def __init__(self, chosen: dict[Where, Chosen]) -> None:
        self.there: dict[tuple[Place, str], list[Chosen]] = {}
        for (_, place, scenario), cells in chosen.items():
            if cells.has_rows:
                self.there.setdefault((place, scenario), []).append(cells)
        self.made: dict[tuple[Place, str], Draws] = {}

    def __call__(self, place: Place, scenario: str) -> Draws:
        """Of a category in which some cells have rows per image."""
        at = (place, scenario)
        if at not in self.made:
            self.made[at] = Draws(place, scenario, self.there[at])
        return self.made[at]


class _Ours:
    """Our numbers in the form of paper_tables.json, and drawn again."""

    def __init__(self, chosen: dict[Where, Chosen], evidence: Sequence[Evidence], view: View,
                 draws: _Drawn, measured: dict[str, dict[Where, Chosen]]) -> None:
        self.view, self.draws = view, draws
        self.chosen = {where: cells for where, cells in chosen.items()
                       if view == "all" or not cells.conditions()}
        self.drawn: dict[tuple[str, str, str, str], Floats] = {}
        self.tables: dict[str, dict[str, dict]] = ratios.tables(measured, view != "all")
        for name in MEANS:
            self._add_means(name)
        self._add_shares()
        self.tables[unprinted.RADII] = unprinted.radii(evidence, view != "all")

    def read(self, reading: Reading, paper: Tables) -> Read:
        of = (sum(len(rows) for rows in reading.rows(paper).values())
              or unprinted.rows_of(reading))
        mine = reading.rows(self.tables)
        rows, claim = sum(map(len, mine.values())), reading.judge(self.tables)
        if claim is None:
            return Read(None, rows, of, reading.every, why=self._why(reading))
        return Read(claim, rows, of, reading.every, self._sure(reading, mine))

    # -- tables --

    def _add_means(self, name: str) -> None:
        """Of what stands in a table once for each method and category."""
        table = unprinted.SHOWN if name == unprinted.THRESHOLDS else TABLES[name]
        rows = self.tables.setdefault(name, {})
        for place in all_categories(table.datasets):
            row = place[1] if name == "table1" else "/".join(place)
            for method in table.methods:
                cells = self.chosen.get((method, place, table.scenario))
                if cells is None or (name == "table9" and self.view != "all"
                                     and cells.conditions(table.metrics[0])):
                    continue
                numbers = {m: self._mean(name, row, place, cells, method, m, table.scenario)
                           for m in table.metrics}
                if None not in numbers.values():
                    rows.setdefault(row, {})[METHODS[method]] = (
                        numbers if len(numbers) > 1 else next(iter(numbers.values())))

    def _mean(self, name: str, row: str, place: Place, cells: Chosen, method: str, metric: str,
              scenario: str) -> float | None:
        column = COLUMNS.get(metric, metric)
        values = [v for run in cells.runs.values() if (v := run.number(column)) is not None]
        if not values:
            return None
        if cells.has_rows:
            draws = self.draws(place, scenario)
            key = (name, row, METHODS[method], metric if len(_metrics(name)) > 1 else "")
            self.drawn[key] = (draws.auc(cells) if metric == "detection_auc"
                               else draws.mean(cells, column)).round(DECIMALS)
        return round(float(np.mean(values)), DECIMALS)

    def _add_shares(self) -> None:
        """Table 3, of the categories that all three have."""
        table = shares.TABLE
        rows = self.tables.setdefault(table.name, {})
        for dataset in table.datasets:
            places = [p for p in all_categories((dataset,)) if all(
                (c := self.chosen.get((m, p, table.scenario))) and c.has_rows
                for m in table.methods)]
            whole = len(places) == len(all_categories((dataset,)))
            if not places or (self.view != "all" and not whole):
                continue
            rows[dataset] = {metric: {METHODS[a]: {} for a in table.methods}
                             for metric in table.metrics}
            for metric in table.metrics:
                for a, b in permutations(table.methods, 2):
                    share, drawn = self._share(places, a, b, metric)
                    rows[dataset][metric][METHODS[a]][METHODS[b]] = round(share, DECIMALS)
                    self.drawn[table.name, dataset, f"{METHODS[a]}/{METHODS[b]}", metric] = drawn

    def _share(self, places: list[Place], a: str, b: str, metric: str) -> tuple[float, Floats]:
        values, drawn = [], []
        for place in places:
            first, second = (self.chosen[m, place, shares.TABLE.scenario] for m in (a, b))
            won = shares.won(first, second, COLUMNS.get(metric, metric))
            by_seed = {int(s): w.droplevel("seed") for s, w in won.groupby(level="seed")}
            values.append(float(np.mean([w.mean() for w in by_seed.values()])))
            draws = self.draws(place, shares.TABLE.scenario)
            drawn.append(draws.share({s: (list(w.index), w.to_numpy())
                                      for s, w in by_seed.items()}))
        return float(np.mean(values)), np.mean(drawn, axis=0).round(DECIMALS)

    # -- how sure --

    def _sure(self, reading: Reading, mine: Tables) -> float | None:
        """Rows without numbers per image stay as they are; None where all do."""
        single = {name: Columns.of(name, rows) for name, rows in mine.items()}
        stack, any_drawn = {}, False
        for name, columns in single.items():
            values = {}
            for (metric, method), column in columns.values.items():
                drawn = [self.drawn.get((name, row, method, metric)) for row in columns.rows]
                any_drawn = any_drawn or any(d is not None for d in drawn)
                values[metric, method] = np.stack(
                    [np.full(DRAWS, number) if d is None else d
                     for number, d in zip(column, drawn)], axis=-1)
            stack[name] = Columns(columns.rows, values)
        return float(np.mean(reading.holds(stack)[0])) if any_drawn else None

    def _why(self, reading: Reading) -> str:
        """Why no row can be read."""
        if set(reading.needs) <= set(ratios.RATIOS):
            return ratios.NOT_ALONE
        if unprinted.RADII in reading.needs:
            return "no two categories with several fixed radii"
        needed = list(dict.fromkeys(m for methods in reading.needs.values() for m in methods))
        lacking = [m for m in needed if not self._anywhere(m, reading)
                   and "table3" not in reading.needs]
        names = listed([LABELS[m] for m in lacking or needed])
        if "table3" in reading.needs:
            part = "" if self.view == "all" else " of a whole dataset as published"
            return f"no numbers per image of all of {names}{part}"
        where = "" if self.view == "all" else " as published"
        return f"no row of {names}{where}" if lacking else f"no row of all of {names}{where}"

    def _anywhere(self, method: str, reading: Reading) -> bool:
        return any(method in row for name in reading.needs
                   for row in self.tables.get(name, {}).values())


def _metrics(name: str) -> Sequence[str]:
    return unprinted.SHOWN.metrics if name == unprinted.THRESHOLDS else TABLES[name].metrics

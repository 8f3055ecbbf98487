"""Where a number is not reproduced: the open point that moves it most towards the published one,
when a study of that category is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from aexad import methods
from aexad.bench.base.params import declared
from aexad.bench.plan.open_points import points
from aexad.bench.plan.settings import Settings
from aexad.bench.results.evidence import Evidence
from aexad.bench.tables.grids import signed
from aexad.bench.verdict import conditions
from aexad.bench.verdict.chosen import Chosen, Where
from aexad.bench.verdict.numbers import COLUMNS, PLAIN, Judged

_ABSENT = object()  # a parameter with the value of before it was added is not declared


@dataclass(frozen=True)
class Move:
    """One open point changed, all else equal: by how much a number moved, and from which cell."""

    point: str
    choice: str
    by: float
    base: Evidence

    def text(self, ours: Evidence) -> str:
        """'epochs: one −0.404'; where the base is not our own cell, what it is."""
        passes = conditions.passes(self.base.parameters)
        beside = (f" (in a study of {passes} epochs)"
                  if passes != conditions.passes(ours.parameters)
                  else " (in a study of other parameters)"
                  if self.base.configuration != ours.configuration else "")
        return f"{self.point}: {self.choice} {signed(self.by, 3)}{beside}"


def explain(judged: Judged, chosen: dict[Where, Chosen], evidence: Iterable[Evidence]) -> str:
    """In words, '' for a number that is reproduced or is not one of a single cell."""
    number = judged.number
    if judged.comparison in (None, "reproduced") or number.table not in PLAIN:
        return ""
    place = (number.dataset, number.category)
    ours = chosen[number.method, place, number.scenario].first
    cells = [e for e in evidence if (e.method, e.place, e.scenario) == (
        number.method, place, number.scenario)]
    column, way = COLUMNS.get(number.metric, number.metric), number.value - (judged.value or 0.0)
    towards = [m for m in moves(ours, cells, column) if m.by * way > 0]
    if not towards:
        return "no study of it"
    # A study of our own configuration says more than one of another.
    best = max(towards, key=lambda m: (m.base.configuration == ours.configuration, m.by * way))
    return best.text(ours)


def moves(ours: Evidence, cells: Sequence[Evidence], column: str) -> list[Move]:
    """Every pair of `cells` that differ in one open point alone, from our choice of it to another.
    """
    found = []
    for base in cells:
        for other in cells:
            if base.version != other.version:
                continue
            named = _changed(ours, base, other)
            values = base.number(column), other.number(column)
            if named and None not in values:
                found.append(Move(*named, values[1] - values[0], base))
    same = [one for one in cells if one.configuration == ours.configuration]
    set_column = column.replace("_a", "_set_a")
    found += [Move("binarize", "the test set's", values[1] - values[0], one) for one in same[:1]
              if set_column != column
              and None not in (values := (one.number(column), one.number(set_column)))]
    return found


def _changed(ours: Evidence, base: Evidence, other: Evidence) -> tuple[str, str] | None:
    """(point, choice) that leads from the one cell to the other."""
    a, b, mine = base.parameters, other.parameters, ours.parameters
    differing = {k for k in {*a, *b} if a.get(k, _ABSENT) != b.get(k, _ABSENT)}
    if base.seed != other.seed:
        same_split = base.seed == ours.seed and not differing
        return ("split", f"seed {other.seed}") if same_split else None
    if not differing or any(a.get(k, _ABSENT) != mine.get(k, _ABSENT) for k in differing):
        return None
    for point, choice, sets in _choices(methods.trained_as(ours.method)):
        if differing <= sets.keys() and all(b.get(k, _ABSENT) == v for k, v in sets.items()):
            return point, choice
    return None


@cache
def _choices(method: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(point, choice, what it sets as declared) of every choice of a method's open points."""
    found = []
    for point in points(method).values():
        for choice in point.choices:
            names = [text.partition("=")[0].rpartition(".")[2] for text in choice.sets]
            settings = Settings("paper", None, point.sets(choice))
            sets = {}
            for part, values in (("fit", settings.fit(method)),
                                 ("explain", settings.explain(method))):
                mine = {field.name for field in fields(values)}
                there = declared(values)
                sets |= {f"{part}.{n}": there.get(n, _ABSENT) for n in names if n in mine}
            if sets:
                found.append((point.name, choice.label, sets))
    return found

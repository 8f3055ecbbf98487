"""The parameters of a cell that are not those of the paper, or not its method's own defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any

from aexad.bench.plan.cells import Cell
from aexad.bench.plan.settings import Settings


@dataclass(frozen=True)
class Change:
    """One parameter: its value, and the one it is compared with."""

    name: str
    value: Any
    before: Any


@cache
def _paper() -> Settings:
    return Settings("paper")


def from_paper(cell: Cell) -> list[Change]:
    """The parameters that the protocol `paper` has otherwise: of the training, the explanation and
    the images."""
    paper = _paper()
    return [*_changes(cell.fit.params, paper.fit(cell.method)),
            *_changes(cell.params, paper.explain(cell.method)),
            *_changes(cell.fit.data, paper.data, "data.")]


def from_defaults(cell: Cell) -> list[Change]:
    """The same against what the parameters are where nobody says anything."""
    groups = ((cell.fit.params, ""), (cell.params, ""), (cell.fit.data, "data."))
    return [change for values, owner in groups
            for change in _changes(values, type(values)(), owner)]


def _changes(values: Any, others: Any, owner: str = "") -> list[Change]:
    pairs = ((f.name, getattr(values, f.name), getattr(others, f.name))
             for f in dataclasses.fields(values))
    return [Change(owner + name, value, before) for name, value, before in pairs
            if value != before]


def listed(changes: list[Change]) -> str:
    """'epochs 40 (paper: 200), …'"""
    return ", ".join(f"{c.name} {said(c.value)} (paper: {said(c.before)})" for c in changes)


def said(value: Any) -> str:
    """A parameter's value as `--set` takes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else (
        f"{value:g}" if isinstance(value, float) else str(value))

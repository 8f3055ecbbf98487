"""How far a method's parameters are from those that the paper states, or from its own defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any

from aexad.bench.plan.cells import Cell
from aexad.bench.plan.settings import Settings

NETWORKS = ("encoder", "net", "backbone")
BUDGETS = ("epochs", "meta_epochs", "sub_epochs", "warm_epochs", "steps", "batch_size",
           "n_positions", "lr", "lr_gamma", "size", "max_train")
"""What a training costs, and what changes with it so that a shorter one still learns."""


@dataclass(frozen=True)
class Change:
    """One parameter: its value, and the one it is compared with."""

    name: str
    value: Any
    before: Any


@cache
def _paper() -> Settings:
    return Settings("paper")


def departures(cell: Cell) -> list[Change]:
    """The parameters of a cell that the protocol `paper` has otherwise: of the training, the
    explanation and the images."""
    paper = _paper()
    return [*_changes(cell.fit.params, paper.fit(cell.method)),
            *_changes(cell.params, paper.explain(cell.method)),
            *_changes(cell.fit.data, paper.data, "data.")]


def not_default(cell: Cell) -> list[Change]:
    """The same against what the parameters are where nobody says anything."""
    groups = ((cell.fit.params, ""), (cell.params, ""), (cell.fit.data, "data."))
    return [change for values, owner in groups
            for change in _changes(values, type(values)(), owner)]


def _changes(values: Any, others: Any, owner: str = "") -> list[Change]:
    pairs = ((f.name, getattr(values, f.name), getattr(others, f.name))
             for f in dataclasses.fields(values))
    return [Change(owner + name, value, before) for name, value, before in pairs
            if value != before]


def _of(changes: list[Change], names: tuple[str, ...]) -> list[Change]:
    return [c for c in changes if c.name.removeprefix("data.") in names]


def reduced(cell: Cell) -> bool:
    """Whether a number of this cell has another budget or network than the paper's."""
    return bool(_of(departures(cell), BUDGETS + NETWORKS))


def described(cell: Cell) -> list[tuple[str, str]]:
    """The departures in words: (what, 'name value (before)' of each), none where there are none."""
    found = departures(cell)
    rest = [c for c in found if c not in _of(found, BUDGETS + NETWORKS)]
    kinds = (("substitute network", _of(found, NETWORKS)), ("budget", _of(found, BUDGETS)),
             ("other parameters", rest))
    return [(what, ", ".join(f"{c.name} {said(c.value)} (paper: {said(c.before)})"
                             for c in changes)) for what, changes in kinds if changes]


def said(value: Any) -> str:
    """A parameter's value as `--set` takes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else (
        f"{value:g}" if isinstance(value, float) else str(value))

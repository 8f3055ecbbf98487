"""Sentences about tables, read as counts over rows: over printed numbers, or others in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aexad.bench.paper.audit.printed import LOWER_IS_BETTER, Tables, numbers

ALMOST_ALL = 0.8  # how large a share "almost all" and "nearly all" must at least be
ABOUT = 0.1  # how far a ratio may be from an "approximately" stated one
Verdict = Literal["holds", "only with ties", "does not hold"]
Bools = NDArray[np.bool_]
Truth = tuple[Bools, Bools]  # strictly, and where ties count in favour


@dataclass(frozen=True)
class Columns:
    """A table as arrays (..., rows), so that many tables of the same rows are judged at once.

    values: (metric, method) -> numbers; metric '' where the table has one only. In Table 3 the
    rows are datasets, and a share's method is 'winner/loser'.
    """

    rows: tuple[str, ...]
    values: dict[tuple[str, str], NDArray[np.float64]]

    @classmethod
    def of(cls, name: str, table: dict[str, Any]) -> Columns:
        """From a table as paper_tables.json has it, every row of which has the same columns."""
        found: dict[tuple[str, str], dict[str, float]] = {}
        if name == "table3":
            for row, metrics in table.items():
                for metric, block in metrics.items():
                    for a, others in block.items():
                        for b, share in others.items():
                            found.setdefault((metric, f"{a}/{b}"), {})[row] = share
        else:
            for number in numbers(table):
                key = (number.metric, number.method)
                found.setdefault(key, {})[number.row] = number.value
        return cls(tuple(table), {key: np.array([column[row] for row in table], np.float64)
                                  for key, column in found.items() if len(column) == len(table)})

    def __call__(self, method: str, metric: str = "") -> NDArray[np.float64]:
        return self.values[metric, method]

    def methods(self, metric: str) -> list[str]:
        return [method for name, method in self.values if name == metric]


Stack = dict[str, Columns]  # table -> its numbers


@dataclass(frozen=True)
class Claim:
    """One sentence: how it is read as a count, what the tables give, and whether it holds."""

    section: str
    quote: str
    reading: str
    found: str
    verdict: Verdict


@dataclass(frozen=True)
class Reading:
    """How a sentence is read.

    needs: table -> the methods that a row must have to be read; together: rows must be in all these
    tables. holds: of arrays, whether it does. found: of tables in the paper's form, what they say.
    every: it is about each row, so that one can refute it.
    """

    section: str
    quote: str
    reading: str
    needs: dict[str, tuple[str, ...]]
    holds: Callable[[Stack], Truth]
    found: Callable[[Tables], str]
    every: bool = False
    together: bool = False

    def rows(self, tables: Tables) -> Tables:
        """What it is read on: its tables' rows that have all methods, and of these nothing else."""
        chosen = {name: {row: _only(name, found, methods)
                         for row, found in tables.get(name, {}).items()
                         if set(methods) <= set(_methods(name, found))}
                  for name, methods in self.needs.items()}
        if self.together:
            common = set.intersection(*(set(rows) for rows in chosen.values()))
            chosen = {name: {row: v for row, v in rows.items() if row in common}
                      for name, rows in chosen.items()}
        return chosen

    def judge(self, tables: Tables) -> Claim | None:
        """None where no row can be read."""
        chosen = self.rows(tables)
        if not all(chosen.values()):
            return None
        strict, tied = self.holds({n: Columns.of(n, table) for n, table in chosen.items()})
        return Claim(self.section, self.quote, self.reading, self.found(chosen),
                     "holds" if strict else "only with ties" if tied else "does not hold")


def _methods(table: str, found: dict[str, Any]) -> Iterable[str]:
    """The methods of a row; in Table 3 those that are in the blocks of all metrics."""
    if table != "table3":
        return found
    return set.intersection(*(set(block) for block in found.values())) if found else ()


def _only(table: str, found: dict[str, Any], methods: tuple[str, ...]) -> dict[str, Any]:
    if table != "table3":
        return {m: found[m] for m in methods}
    return {metric: {a: {b: block[a][b] for b in methods if b != a} for a in methods}
            for metric, block in found.items()}


# -- what is counted --

def alike(truth: Any) -> Truth:
    """Where ties make no difference."""
    return np.asarray(truth, bool), np.asarray(truth, bool)


def ranked(stack: Stack, table: str, metric: str, method: str
           ) -> tuple[Bools, Bools, Bools, Bools]:
    """(..., rows): where a method is best, best alone, second and last; equal ones share a place.
    """
    columns = stack[table]
    all_of = np.stack([columns(m, metric) for m in columns.methods(metric)])
    if table in LOWER_IS_BETTER:
        all_of = -all_of
    mine = all_of[columns.methods(metric).index(method)]
    best = mine == all_of.max(axis=0)
    alone = best & ((all_of == mine).sum(axis=0) == 1)
    last = (mine == all_of.min(axis=0)) & ~best
    return best, alone, ~best & ~last, last


def majority(stack: Stack, table: str, metric: str, method: str) -> Truth:
    """Best in more than half of the rows: alone, and with others."""
    best, alone, _, _ = ranked(stack, table, metric, method)
    return alone.mean(axis=-1) > 0.5, best.mean(axis=-1) > 0.5


def almost_all(true: Bools) -> Truth:
    """True in almost all of the rows, the last axis."""
    return alike(true.mean(axis=-1) >= ALMOST_ALL - 1e-9)

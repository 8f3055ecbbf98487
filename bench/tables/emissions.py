"""Records of cells -> records of their emissions and trade-offs, and tables relative to one
method. Pure functions of what bench.results.readings adds to the records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.tables.build import Cell, Table

BASE = "ae_xad"
"""Whose emissions those of the others are divided by: grams depend on the machine, ratios less."""

UNMEASURED = "not measured"
_UNDEFINED = "undefined: nothing can be divided by a 0 or an infinite one"


def measured(records: pd.DataFrame) -> pd.DataFrame:
    """Finished cells without a reading that counts become 'not measured', with the reason."""
    records = records.copy()
    if "problem" in records:
        again = records["emission_note"].fillna("")
        records["note"] = [", ".join(filter(None, both)) for both in zip(records["note"], again)]
        lost = (records["status"] == "done") & (records["problem"] != "")
        records.loc[lost, "status"] = UNMEASURED
        records.loc[lost, "reason"] = records.loc[lost, "problem"]
    return records


def tradeoffs(records: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Each of `metrics` in [0, 1] becomes its trade-off T against the column `grams`, per seed."""
    records = records.copy()
    grams = records["grams"] if "grams" in records else [math.nan] * len(records)
    for metric in metrics:
        records[metric] = [tradeoff(e, m) for e, m in zip(grams, records[metric])]
    return records


def relative(table: Table, title: str, base: str = BASE) -> Table | None:
    """The table with each number divided by `base`'s of its row, ours and the paper's, without
    `base` itself. Rows of means are ratios of means, over the rows where both have a value.
    None where base or all others are missing."""
    methods = [method for method, _ in table.groups]
    if base not in methods or len(methods) < 2:
        return None
    at, label = methods.index(base), dict(table.groups)[base]
    undefined = sum(note.startswith("[") for note in table.notes) + 1
    singles = [row for row in table.rows if not row.is_mean]
    rows = []
    for row in table.rows:
        places = [r for r in singles if row.dataset in (r.dataset, "all")]
        cells = [[_of_means([(r.cells[i][j], r.cells[at][j]) for r in places]) if row.is_mean
                  else _ratio(cell, row.cells[at][j], label, undefined)
                  for j, cell in enumerate(group)] for i, group in enumerate(row.cells) if i != at]
        rows.append(replace(row, label="ratio of means" if row.is_mean else row.label,
                            cells=tuple(map(tuple, cells))))
    noted = {n for row in rows for group in row.cells for cell in group for n in cell.notes}
    notes = [note for note in table.notes
             if note.startswith("[") and int(note[1:note.index("]")]) in noted]
    if undefined in noted:
        notes.append(f"[{undefined}] {_UNDEFINED}")
    several = any(cell.n_seeds > 1 for row in singles for group in row.cells for cell in group)
    return replace(
        table, name=f"{table.name}-relative", title=title, titles=(*table.titles, ("grams", "CO2")),
        groups=tuple(group for group in table.groups if group[0] != base), rows=tuple(rows),
        notes=(f"each number of {table.name} divided by {label}'s"
               + (", means over seeds by means over seeds" if several else "")
               + f"; further notes are those of {table.name}", *notes),
        decimals=2)


def _of_means(pairs: Sequence[tuple[Cell, Cell]]) -> Cell:
    """Sum of the first / sum of the second, over the pairs that both have a value."""
    both = [(cell, by) for cell, by in pairs if None not in (cell.value, by.value)]
    paper = [(cell.published, by.published) for cell, by in both]
    value = _divided(*(sum(c.value for c in cells) for cells in zip(*both))) if both else None
    printed = None
    if both and not any(None in pair for pair in paper):
        printed = _divided(*map(sum, zip(*paper)))
    return Cell(value, published=printed, n_seeds=min((c.n_seeds for c, _ in both), default=0),
                status="no data" if value is None else "done")


def _ratio(cell: Cell, base: Cell, label: str, undefined: int) -> Cell:
    """`cell` / `base`, ours and the paper's."""
    own = replace(cell, std=None, mark=None, published=_divided(cell.published, base.published),
                  notes=tuple(sorted({*cell.notes, *base.notes})), by_seed=())
    if cell.value is None:
        return own
    value = _divided(cell.value, base.value)
    if value is None and base.value is None:
        reason = f"{label}: {base.reason or base.status}"
        return replace(own, value=None, n_seeds=0, status=base.status, reason=reason)
    if value is None:
        return replace(own, value=None, n_seeds=0, status="undefined", reason=_UNDEFINED,
                       notes=(*own.notes, undefined))
    return replace(own, value=value)


def _divided(number: float | None, by: float | None) -> float | None:
    if number is None or by is None or by == 0 or not math.isfinite(by):
        return None
    return number / by

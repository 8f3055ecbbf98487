"""What `--json` prints, by pure functions: objects of numbers that are not rounded. Those of tables
and of `status` are made here, those of `compare` and `check` beside their texts (comparison,
verdicts).

The shapes are documented in docs/tables.md, docs/compare.md and docs/check.md; FORMAT counts their
changes (a field that is added is none). NaN is null; an infinite number, which JSON has not, is the
text "Infinity" or "-Infinity".
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pandas as pd

from aexad.bench.tables.build import Cell, Row, Table

FORMAT = 1


def text(command: str, content: dict[str, Any]) -> str:
    """The object as it is printed, with what all of them begin with: in ASCII, so that it is the
    same whatever a terminal's or pipe's encoding is."""
    return json.dumps(plain({"format": FORMAT, "command": command, **content}), indent=1,
                      allow_nan=False)


def plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def table(made: Table) -> dict[str, Any]:
    """A table: its numbers one by one, means apart from cells, and the lines below it."""
    cells = [(row.is_mean, _cell(made, row, group, metric, cell))
             for row in made.rows
             for (group, _), of_group in zip(made.groups, row.cells)
             for metric, cell in zip(made.metrics, of_group)]
    return {"name": made.name, "title": made.title, "scenario": made.scenario,
            "keys": made.keys, "labels": dict(made.groups),
            "cells": [content for is_mean, content in cells if not is_mean],
            "means": [content for is_mean, content in cells if is_mean],
            "notes": made.notes}


def _cell(made: Table, row: Row, group: str, metric: str, cell: Cell) -> dict[str, Any]:
    """The first four fields are called as the table's `keys`, as in its CSV file."""
    return {**dict(zip(made.keys, (row.dataset, row.label, group, metric))),
            "scenario": made.scenario, "status": cell.status, "reason": cell.reason,
            "remark": cell.remark, "notes": cell.notes, "value": cell.value, "std": cell.std,
            "n_seeds": cell.n_seeds, "seeds": [seed for seed, _ in cell.by_seed],
            "values": [value for _, value in cell.by_seed], "published": cell.published,
            "difference": cell.difference, "mark": cell.mark}


def status(records: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Of each table: how many cells of each method are done, missing, …, and every cell. records:
    table -> a row per cell and seed, as for build."""
    fields = ("dataset", "category", "scenario", "method", "seed", "status", "reason")
    return [{"name": name,
             "counts": {method: Counter(mine["status"])
                        for method, mine in found.groupby("method", sort=False)},
             "cells": [dict(zip(fields, row)) for row in
                       found[list(fields)].itertuples(index=False, name=None)]}
            for name, found in records.items()]

"""What tables are made of: a row per cell that was asked for, stored or not. It reads alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from aexad import methods
from aexad.bench.plan.cells import Cell, Fit
from aexad.bench.results import external, readings
from aexad.bench.results.store import Store
from aexad.datasets.category import Library, vanished_note


def pending(cells: Sequence[Cell], store: Store, library: Library) -> list[Cell]:
    """The cells still to compute: not stored, not skipped, their images there."""
    return [c for c in cells if not store.cell_info(c) and not c.skip
            and library.locate(c.fit.dataset, c.fit.category)]


def records(cells: Sequence[Cell], store: Store, library: Library,
            left_out: Mapping[Fit, str] = {}) -> pd.DataFrame:
    """A row per cell. Columns: what tables.build.build asks for, and all numbers that are stored.

    A number that is undefined is NaN. left_out: fits that a run just before could not do, and why.
    """
    return pd.DataFrame([_record(cell, store, library, left_out) for cell in cells])


def _record(cell: Cell, store: Store, library: Library, left_out: Mapping[Fit, str]
            ) -> dict[str, Any]:
    fit, info = cell.fit, store.cell_info(cell)
    row = {"dataset": fit.dataset, "category": fit.category, "scenario": fit.scenario,
           "method": cell.method, "seed": fit.seed, "status": "done", "reason": "", "note": ""}
    if info is None:
        why = why_not(cell, store, library, left_out)
        return row | dict(zip(("status", "reason"), why))
    row["note"] = "; ".join(_notes(fit, store))
    origin = info["provenance"]
    numbers = {name: math.nan if value is None else value  # undefined, as with no usable mask
               for name, value in info["numbers"].items()}
    row |= numbers | readings.of_cell(cell, store).columns() | {
        "device": origin["device"], "threads": origin["threads"],
        "environment": " ".join(f"{k} {v}" for k, v in origin["libraries"].items()),
        "data": info["data_sha256"]}
    return row | external.remarks(info)


def _notes(fit: Fit, store: Store) -> list[str]:
    """What must be known about a fit's numbers."""
    notes = []
    if fit.data.tile:
        notes.append(f"tiles of {fit.data.tile} px at {fit.data.size} px, at least "
                     f"{fit.data.tile_overlap:.0%} of them shared; maps and metrics at the images' "
                     f"size × {fit.data.size / fit.data.tile:.3g}")
    if note := getattr(methods.facts(fit.method), "note", None):
        notes.append(note(fit.params))
    if getattr(fit.params, "weights", None) == "random":
        notes.append("encoder with random weights")
    info = store.fit_info(fit) or {}
    vanished = info.get("vanished")  # fits of before have none
    if vanished:
        notes.append(vanished_note(vanished, fit.data.scale, info.get("empty") or ()))
    return notes


def why_not(cell: Cell, store: Store, library: Library, left_out: Mapping[Fit, str] = {}
            ) -> tuple[str, str]:
    """What is the matter with a cell that isn't stored, in a word or two, and why."""
    fit = cell.fit
    if library.locate(fit.dataset, fit.category) is None:
        place = library.expected(fit.dataset, fit.category).parent
        return "no data", f"looked in {place}"
    if cell.skip:
        return "missing" if cell.method in external.externals() else "skipped", cell.skip
    if fit in left_out:
        return "skipped", left_out[fit]
    failure = store.failure(cell)
    if failure:
        return "failed", failure
    if store.checkpoint(fit).exists():
        return "missing", "interrupted; the same command continues it"
    return "missing", "not computed yet"

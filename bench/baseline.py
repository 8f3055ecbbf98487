"""Numbers worth keeping in the repository: the cells of a table with all their provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.plan import Cell
from bench.store import Store, write_json


def save(path: Path, cells: Sequence[Cell], store: Store, command: str, note: str) -> int:
    """Write the finished ones of `cells` to a JSON file; returns how many there are.

    Each entry has what the cell and its fit declare, its numbers, the emissions of training and
    explaining, and where it was computed. `note`: what a reader must know about the data.
    """
    entries = [_entry(cell, info, store.fit_info(cell.fit) or {})
               for cell in cells if (info := store.cell_info(cell))]
    write_json(path, {"command": command, "note": note, "cells": entries})
    return len(entries)


def _entry(cell: Cell, info: dict[str, Any], fit: dict[str, Any]) -> dict[str, Any]:
    losses = fit.get("losses", [])
    return {"method": cell.method, "key": cell.key, "declared": info["declared"],
            "fit": info["fit"], "numbers": info["numbers"], "n_train": fit.get("n_train"),
            "last_loss": losses[-1] if losses else None,
            "emissions": {"fit": fit.get("emissions"), "explain": info["emissions"]},
            "provenance": {"fit": fit.get("provenance"), "explain": info["provenance"]},
            "data_sha256": info["data_sha256"], "weights_sha256": info["weights_sha256"]}

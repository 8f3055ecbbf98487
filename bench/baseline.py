"""Numbers worth keeping in the repository: the cells of a table with all their provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import images
from bench.errors import UserError
from bench.json_files import mismatch, read_object
from bench.plan import Cell
from bench.shapes import BASELINE
from bench.store import Store, write_json


def save(path: Path, cells: Sequence[Cell], store: Store, command: str, note: str,
         settings: dict[str, Any]) -> int:
    """Write the finished ones of `cells` to a JSON file; returns how many there are. `note`: what
    a reader must know about the data; settings: protocol, epochs and set as they were given."""
    entries = [entry(cell, store) for cell in cells if store.cell_info(cell)]
    write(path, entries, command, note, settings=settings)
    return len(entries)


def write(path: Path, entries: Sequence[dict[str, Any]], command: str, note: str,
          **more: Any) -> None:
    write_json(path, {"command": command, "note": note, "cells": entries, **more})


def load(path: Path) -> dict[str, Any]:
    """The content of such a file. Raises UserError when it is none."""
    try:
        content = read_object(path)
        wrong = mismatch(content, BASELINE)
        if wrong is None:
            return content
        reason = f"field {wrong[:80]}"
    except FileNotFoundError:
        raise UserError(f"{path}: no such baseline; make one with check --update, or with "
                        f"--save-baseline of a table") from None
    except (OSError, ValueError) as error:
        reason = str(error)
    raise UserError(f"{path}: not a baseline ({reason}); make it anew with check --update, or with "
                    f"--save-baseline of a table")


def entry(cell: Cell, store: Store) -> dict[str, Any]:
    """What a baseline says of a finished cell: what it and its fit declare, its numbers, the
    emissions of training and explaining, and where it was computed."""
    info, fit = store.cell_info(cell), store.fit_info(cell.fit) or {}
    losses = fit.get("losses", [])
    return {"method": cell.method, "key": cell.key, "declared": info["declared"],
            "fit": info["fit"], "numbers": info["numbers"], "n_train": fit.get("n_train"),
            "last_loss": losses[-1] if losses else None,
            "emissions": {"fit": fit.get("emissions"), "explain": info["emissions"]},
            "provenance": {"fit": fit.get("provenance"), "explain": info["provenance"]},
            "test_sha256": _test_images(store.cell_dir(cell) / "images.parquet"),
            "data_sha256": info["data_sha256"], "weights_sha256": info["weights_sha256"]}


def _test_images(path: Path) -> str:
    """A hash of which images were tested, in their order."""
    ids = images.read(path)["id"]
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()

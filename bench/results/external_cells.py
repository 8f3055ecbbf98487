"""Heatmaps made elsewhere, measured and stored as a cell beside our own (external.py)."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import torch

from aexad.bench.base import provenance
from aexad.bench.plan.cells import Cell
from aexad.bench.results.measured import measure
from aexad.bench.results.store import CELL, Store
from aexad.datasets.category import Category

UNKNOWN = {"commit": None, "libraries": {}, "device": None, "threads": None, "system": None}


def save(cell: Cell, category: Category, positions: np.ndarray, heatmaps: np.ndarray,
         scores: np.ndarray, facts: dict[str, Any], store: Store, keep_maps: bool) -> None:
    """Measure the heatmaps (N, S, S) and scores (N,) of the test images at `positions`, and store
    the cell in place of an older one. facts: where the maps come from (sha256, folder, score)."""
    table, numbers = measure(heatmaps, scores, category, positions, cell.fit.scenario)
    (store.cell_dir(cell) / CELL).unlink(missing_ok=True)  # first: half an older cell is none
    shutil.rmtree(store.cell_dir(cell), ignore_errors=True)
    store.save_cell(cell, table, {
        "declared": cell.declared(), "fit": cell.fit.declared(), "numbers": numbers,
        "emissions": None, "provenance": UNKNOWN,
        "external": {**facts, "evaluated": provenance.collect(torch.device("cpu"), 1)},
        "data_sha256": category.digest, "weights_sha256": {},
    }, heatmaps if keep_maps else None)

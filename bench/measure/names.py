"""The names of the metrics: the stored columns, and what tables and texts call them; and which rows
count. A module of its own, so that whoever reads stored numbers imports nothing that computes any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

VERSION = 1
"""Part of every cell's key: bumped when a stored number would change."""

A_VALUES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
"""Multiples a of sigma in the threshold mu + a*sigma (the paper's F1 and IoU use 1)."""

IMAGE_COLUMNS = ("auc", "ap", *(f"{m}_a{a}" for a in A_VALUES for m in ("f1", "iou")))
"""The metrics of one image by itself."""

METRIC_COLUMNS = (*IMAGE_COLUMNS, *(f"{m}_set_a{a}" for a in A_VALUES for m in ("f1", "iou")))
"""The columns of metrics.per_image that metrics.aggregate averages: also F1 and IoU at a threshold
from the maps of the whole test set."""

METRICS = {"auc": "AUC", "f1": "F1", "iou": "IoU", "detection_auc": "detection AUC",
           "grams": "CO2 (g)"}
"""What tables and texts call them: metric -> heading."""


def used(df: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) which images the means are over: the anomalous ones whose mask has both classes.
    df: what metrics.per_image returned."""
    both = (df["area"] > 0) & (df["area"] < 1)
    counted: NDArray[np.bool_] = ((df["label"] == 1) & both).to_numpy()
    return counted

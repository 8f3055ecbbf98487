"""What is stored of a test set that was explained: the metrics of each image, and of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from aexad.bench.measure import metrics
from aexad.bench.plan.cells import ANOMALIES_ONLY
from aexad.datasets.category import EMPTY, FULL, Category
from aexad.datasets.folder import GOOD


def measure(heatmaps: np.ndarray, scores: np.ndarray, category: Category, positions: np.ndarray,
            scenario: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The metrics of each test image, and the numbers of the test set as a whole.

    heatmaps: (N, H, W), scores: (N,), of the category's images at `positions` (N,). On anomalies
    only the authors' test set has no normal images, so that these don't count in the threshold
    of the whole set; for the detection AUC they do. Of the dropped anomalies n_empty and n_full are
    those whose mask is empty or full on disk; the others' became so by resizing.
    """
    masks, kinds = category.masks[positions], category.kinds[positions]
    table = metrics.per_image(heatmaps, masks, (kinds != GOOD).astype(np.int64),
                              set_normals=scenario != ANOMALIES_ONLY)
    numbers = metrics.aggregate(table, scores) | metrics.pooled(heatmaps, masks)
    blank = category.blank[positions]
    numbers |= {"n_empty": int((blank == EMPTY).sum()), "n_full": int((blank == FULL).sum())}
    table.insert(0, "id", category.ids[positions])
    table.insert(1, "kind", kinds)
    table.insert(3, "score", scores)
    return table, numbers

"""The stored numbers of every test image, for all that looks below the means of a cell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pyarrow import ArrowException

from bench import metrics
from bench.errors import UserError
from bench.plan import Cell
from bench.store import CELL, Store, read_json

KEYS = ("dataset", "category", "scenario", "method", "seed")
"""What `of_folder` puts before the stored columns; with `id`, one row of one plan."""

COLUMNS = (*KEYS, "id", "kind", "label", "score", "area", "used", *metrics.METRIC_COLUMNS)


def per_image(cells: Iterable[Cell], store: Store) -> pd.DataFrame:
    """A row per test image of every finished cell among `cells`, in their order.

    Columns: dataset, category, scenario, method, seed; id (the image's path in its category, the
    same for all methods, so that rows pair up by dataset, category, scenario, seed and id); kind
    ('good' or the defect), label (0 normal, 1 anomalous), score (image score), area (share of
    anomalous pixels), the metrics of bench.metrics.METRIC_COLUMNS, then what methods add (k, ...).
    used: whether the image is in a cell's means, that is anomalous with a mask that has both
    classes at the working size; the metrics of the others may be NaN. Cells that are not finished
    have no rows; without any, the frame has columns alone.

    UserError when a file is damaged.
    """
    return joined(store.cell_dir(cell) for cell in cells if store.cell_info(cell))


def joined(folders: Iterable[Path]) -> pd.DataFrame:
    """`of_folder` of all of them, below each other."""
    frames = [frame for folder in folders if (frame := of_folder(folder)) is not None]
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(frames, ignore_index=True)


def of_folder(folder: Path) -> pd.DataFrame | None:
    """The rows of one finished cell's folder, columns as `per_image`; None where it has none."""
    info = read_json(folder / CELL)
    if not info or info.get("status") != "done":
        return None
    path = folder / "images.parquet"
    try:
        images = pd.read_parquet(path)
    except (OSError, ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged ({reason}); delete its folder and run the same command "
                        f"again") from None
    facts = {**info["fit"], "method": info["declared"]["method"]}
    for i, key in enumerate(KEYS):
        images.insert(i, key, facts[key])
    images.insert(images.columns.get_loc("area") + 1, "used", metrics.used(images))
    return images

"""The stored numbers of every test image, for all that looks below the means of a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from pyarrow import ArrowException, parquet
from pyarrow.types import is_boolean, is_floating, is_integer, is_large_string, is_string

from aexad.bench.base.errors import UserError, first_line
from aexad.bench.base.refusals import reading
from aexad.bench.measure.names import METRIC_COLUMNS, used
from aexad.bench.plan.cells import Cell
from aexad.bench.results.store import CELL, Store, done

KEYS = ("dataset", "category", "scenario", "method", "seed")
"""What `of_folder` puts before the stored columns; with `id`, one row of one plan."""

NUMBERS = ("label", "score", "area", *METRIC_COLUMNS)
STORED = ("id", "kind", *NUMBERS)
LARGEST = 10_000_000  # rows; a test set has some hundred

COLUMNS = (*KEYS, "id", "kind", "label", "score", "area", "used", *METRIC_COLUMNS)


def per_image(cells: Iterable[Cell], store: Store) -> pd.DataFrame:
    """A row per test image of every finished cell among `cells`, in their order.

    Columns: dataset, category, scenario, method, seed; id (the image's path in its category, the
    same for all methods, so that rows pair up by dataset, category, scenario, seed and id); kind
    ('good' or the defect), label (0 normal, 1 anomalous), score (image score), area (share of
    anomalous pixels), the metrics of METRIC_COLUMNS, then what methods add (k, ...).
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
    info = done(folder / CELL)
    if info is None:
        return None
    images = read(folder / "images.parquet")
    facts = {**info["fit"], "method": info["declared"]["method"]}
    for i, key in enumerate(KEYS):
        images.insert(i, key, facts[key])
    images.insert(images.columns.get_loc("area") + 1, "used", used(images))
    return images


def read(path: Path) -> pd.DataFrame:
    """The rows of an images.parquet, as they were stored. UserError for a damaged file."""
    try:
        images = read_columns(path, STORED, texts=("id", "kind"))
        added = [name for name in (*KEYS, "used") if name in images]  # what `of_folder` adds
        if added:
            raise ValueError(f"a column {added[0]}")
    except UNREADABLE as error:
        raise UserError(f"{path}: damaged ({first_line(error)}); delete its folder and run the "
                        f"same command again") from None
    return images


UNREADABLE = (OSError, ArrowException, ValueError, TypeError, KeyError, OverflowError, MemoryError)
"""What `read_columns` raises for a file that is not what it should be."""


def read_columns(path: Path, names: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    """The table in a parquet file, which has to have the columns `names`, those of them in `texts`
    as texts. Raises one of UNREADABLE."""
    # Only plain columns are read: an edited file's schema can name any type of Arrow's and
    # pandas', and a little compressed page can hold any amount of memory.
    # Opened here: the system's encoding of its name may be another than Arrow's, UTF-8.
    with reading(path), open(path, "rb") as content, parquet.ParquetFile(content) as file:
        _check_columns(file)
        images = file.read(use_threads=False).to_pandas(ignore_metadata=True)
    missing = [name for name in names if name not in images]
    if missing:
        raise ValueError(f"no column {missing[0]}")
    images[list(texts)].map(str.encode)  # TypeError or UnicodeError where one is no text
    return images


def _check_columns(file: parquet.ParquetFile) -> None:
    rows, size = file.metadata.num_rows, 0
    for i in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(i)
        size += sum(group.column(j).total_uncompressed_size for j in range(group.num_columns))
    if not (0 <= rows < LARGEST and 0 <= size < 100 * LARGEST):
        raise ValueError(f"{rows} rows, {size} bytes")
    for field in file.schema_arrow:
        if not (is_floating(field.type) or is_integer(field.type) or is_boolean(field.type)
                or is_string(field.type) or is_large_string(field.type)):
            raise ValueError(f"column {field.name} of type {field.type}")
        if field.name in NUMBERS and not (is_floating(field.type) or is_integer(field.type)):
            raise ValueError(f"column {field.name} of type {field.type}")

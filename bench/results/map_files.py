"""Float maps as other tools write them: finding, reading and resizing them, and their scores.

    DIR/<dataset>/<category>/<kind>/<stem>.<ext>      kind: 'good' or the defect, as in the dataset
    DIR/<kind>/<stem>.<ext>                           where one category is asked for

A folder test/ above the kinds, as in the datasets themselves, is the same. Everything that is wrong
with a file is a UserError that names it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from aexad.bench.base.csv_files import read_text
from aexad.bench.base.errors import UserError
from aexad.bench.base.npy import read_npy
from aexad.bench.base.refusals import files_below
from aexad.bench.results import deep_tiff
from aexad.datasets.catalog import DATASETS
from aexad.datasets.folder import GOOD, form
from aexad.datasets.images import decoded

EXTENSIONS = (".npy", ".tiff", ".tif", ".png")
SCORES = "scores.csv"
LARGEST = 1e100  # of a pixel; the sum of the squares of a test set is a float64
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339  # TIFF's tags
RULES = {"max": np.max, "mean": np.mean, "sum": np.sum}  # score of an image from its map


def folder_of(root: Path, dataset: str, category: str, alone: bool) -> Path | None:
    """Where the maps of a category lie below `root`, or None; `root` itself where the category is
    asked for `alone`."""
    nested = root / dataset / category
    return nested if nested.is_dir() else root if alone else None


def key_of(image_id: str) -> str:
    """'test/crack/000' -> 'crack/000': what a map of the image is called below its category."""
    return image_id.removeprefix("test/")


def find(folder: Path, dataset: str, keys: Sequence[str]) -> tuple[list[Path], int]:
    """The file of each image's map, and how many further maps lie there. UserError where one is
    missing, or where two have its name."""
    wanted, found, extra = {form(key): key for key in keys}, {}, 0
    for path in sorted(p for p in files_below(folder) if p.suffix.lower() in EXTENSIONS):
        key = wanted.get(form(_key(path.relative_to(folder), dataset)))
        if key is None:
            extra += 1
        elif key in found:
            raise UserError(f"{path}: ambiguous, {found[key].relative_to(folder)} is a map of the "
                            f"same image; remove one")
        else:
            found[key] = path
    missing = [key for key in keys if key not in found]
    if missing:
        raise UserError(f"{folder}: the maps of {len(missing)} of {len(keys)} test images are "
                        f"missing, the first is {missing[0]}.npy (or {', '.join(EXTENSIONS[1:])}); "
                        f"--list names all")
    return [found[key] for key in keys], extra


def _key(path: Path, dataset: str) -> str:
    parts = path.with_suffix("").parts
    parts = parts[1:] if parts[0] == "test" and len(parts) > 2 else parts
    kind = GOOD if parts[0] in DATASETS[dataset].good else parts[0]
    return "/".join((kind, *parts[1:]))


def read_map(path: Path) -> np.ndarray:
    """One map (height, width), higher = more anomalous: float32, or float64 where float32 does not
    hold every value of the file's."""
    values = _array(path) if path.suffix.lower() == ".npy" else _picture(path)
    if values.ndim != 2 or 0 in values.shape:
        raise UserError(f"{path}: shape {values.shape}; expected one map (height, width)")
    if values.dtype.kind not in "fiub":
        raise UserError(f"{path}: {values.dtype} values; expected floats")
    if values.dtype.kind in "iu" and values.dtype.itemsize == 1:
        raise _coarse(path, str(values.dtype))
    low, high = values.min(), values.max()  # of which a NaN is one
    if not -LARGEST <= float(low) <= float(high) <= LARGEST:
        bad = np.count_nonzero(~np.isfinite(values) | (abs(values.astype(float)) > LARGEST))
        raise UserError(f"{path}: {bad} pixels are NaN or infinite, or beyond {LARGEST:g}; every "
                        f"pixel needs a number")
    return _held(path, values)


def _held(path: Path, values: np.ndarray) -> np.ndarray:
    """The same numbers as float32, or else as float64; UserError where neither holds them."""
    for kind in (np.float32, np.float64):
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                fits = np.array_equal(values.astype(kind), values)
        else:  # whole numbers up to that of which float has all
            most = max(abs(int(values.min())), abs(int(values.max())))
            fits = most <= 2 ** (np.finfo(kind).nmant + 1)
        if fits:
            return values.astype(kind)
    raise UserError(f"{path}: {values.dtype} values that no 64-bit float holds; write the map as "
                    f"float64")


def _array(path: Path) -> np.ndarray:
    try:
        return read_npy(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); write one map with numpy.save"
                        ) from None


def _picture(path: Path) -> np.ndarray:
    try:
        picture, frames = decoded(path, ("PNG", "TIFF"))
    except UserError:
        found = deep_tiff.read(path)  # of number types that Pillow doesn't know
        if found is None:
            raise
        return found
    if frames > 1:
        raise UserError(f"{path}: {frames} pages; expected one map")
    if not picture.mode.startswith(("I", "F")):
        raise _coarse(path, picture.mode)
    values, tags = np.asarray(picture), getattr(picture, "tag_v2", {})
    unsigned = tags.get(SAMPLE_FORMAT, (1,)) == (1,) and tags.get(BITS_PER_SAMPLE) == (32,)
    return values.view(np.uint32) if unsigned else values  # which Pillow takes for signed


def _coarse(path: Path, kind: str) -> UserError:
    return UserError(f"{path}: {kind} pixels of 8 bits are too coarse for exact metrics; write "
                     f"16-bit grey PNG, float TIFF or .npy of floats")


def to_size(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(height, width) -> `shape`, of the same type, float32 or float64: bilinear, over the
    area of a new pixel where the map shrinks; unchanged where it has that size."""
    if values.shape == shape:
        return values
    if values.dtype == np.float64:  # which Pillow would cut to float32
        height, width = values.shape
        return _shares(height, shape[0]) @ values @ _shares(width, shape[1]).T
    resized = Image.fromarray(values).resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _shares(old: int, new: int) -> np.ndarray:
    """(new, old) float64: what each old pixel of a line gives to a new one, by a triangle as wide
    as two pixels, old or new, whichever are larger, around the new one's centre."""
    scale = old / new
    centres = (np.arange(new)[:, None] + 0.5) * scale
    shares = np.maximum(1 - abs(np.arange(old) + 0.5 - centres) / max(scale, 1), 0)
    return shares / shares.sum(axis=1, keepdims=True)


def read_scores(path: Path) -> dict[str, float]:
    """id -> score, from a CSV file with these two columns; ids as `evaluate --list` prints them."""
    try:
        text, separator, _ = read_text(path)
        comma = "," if separator == ";" else "."  # as spreadsheets write numbers with it
        table = pd.read_csv(io.StringIO(text), sep=separator, decimal=comma, dtype={"id": str},
                            float_precision="round_trip")
    except (OSError, ValueError) as error:  # what pandas cannot parse are ValueErrors
        raise UserError(f"{path}: cannot be read ({str(error).strip()}); expected CSV with the "
                        f"columns id and score") from None
    if not {"id", "score"} <= set(table.columns):
        raise UserError(f"{path}: columns {', '.join(table.columns)}; expected id and score")
    scores = pd.to_numeric(table["score"], errors="coerce")
    bad = table["id"][~np.isfinite(scores)]
    if len(bad):
        raise UserError(f"{path}: the score of {bad.iloc[0]} is not a finite number")
    double = table["id"][table["id"].duplicated()]
    if len(double):
        raise UserError(f"{path}: {double.iloc[0]} has several scores; keep one")
    return dict(zip(table["id"], scores.astype(float)))

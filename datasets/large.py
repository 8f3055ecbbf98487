"""The images of a category that are to be cut into tiles: each of its own size, all of them in two
files that are mapped. An image at a time is decoded, and lies in memory while it is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from aexad.bench.base import mapped
from aexad.bench.base.files import neighbour
from aexad.bench.measure.tiles import Ragged, Tiling

Decoded = tuple[np.ndarray, np.ndarray, np.uint8]
"""An image (H, W, 3) uint8, its mask (H, W) bool, and whether that is blank (category.py)."""


def files(path: Path) -> tuple[Path, Path]:
    """Of images and masks, beside the category's entry in the cache."""
    return path.with_suffix(".images"), path.with_suffix(".masks")


def write(path: Path, decoded: Iterable[Decoded]) -> tuple[np.ndarray, np.ndarray]:
    """Both files, whole or not at all. Returns the images' heights and widths (N, 2), and blank
    (N,). OSError where they can't be written."""
    places = files(path)
    building = [neighbour(place) for place in places]
    shapes, blanks = [], []
    try:
        with open(building[0], "wb") as images, open(building[1], "wb") as masks:
            for image, mask, blank in decoded:
                images.write(np.ascontiguousarray(image).data)
                masks.write(np.ascontiguousarray(mask).data)
                shapes.append(mask.shape)
                blanks.append(blank)
        for made, place in zip(building, places):
            os.replace(made, place)
    finally:
        for made in building:
            with suppress(OSError):  # where nothing can be written, nothing was
                made.unlink(missing_ok=True)
    return np.array(shapes), np.array(blanks)


def read(path: Path, shapes: np.ndarray, tiling: Tiling) -> tuple[Ragged, Ragged]:
    """Images and masks of these heights and widths, mapped. OSError or ValueError where the files
    are not there, or are not of that size."""
    images, masks = files(path)
    return (Ragged(_mapped(images, [(*shape, 3) for shape in shapes.tolist()], np.uint8), tiling),
            Ragged(_mapped(masks, [tuple(shape) for shape in shapes.tolist()], bool), tiling))


def _mapped(path: Path, shapes: Sequence[tuple[int, ...]], kind: type) -> list[np.ndarray]:
    # of a view of a plain array nothing is kept but where it lies
    return mapped.apart(np.asarray(np.memmap(path, kind, "r")), shapes)

"""Images and masks as Python has them, read as those of a folder are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from aexad.bench.base.errors import UserError
from aexad.bench.base.places import expanded
from aexad.bench.measure.tiles import Ragged
from aexad.datasets.data_params import DataParams
from aexad.datasets.images import marked, read_working, resized, shrunk
from aexad.methods.tiled import Images

Place = str | os.PathLike[str]
Picture = np.ndarray | Image.Image | Place
"""(H, W, 3) uint8, a picture of Pillow, or the path of a file. Of masks: (H, W) bool."""

Shape = tuple[int, int]  # height, width


def path_of(place: Place) -> Path:
    """As the command line reads it: `~` is the home folder."""
    return Path(expanded(os.fspath(place)))


def read_images(images: np.ndarray | Sequence[Picture], data: DataParams
                ) -> tuple[Images, list[Shape]]:
    """Images of any size -> at the working size (N, S, S, 3) uint8, and their own sizes. UserError
    that names the image, as images[3], or the file."""
    _check_list("images", images, 4, "(N, H, W, 3) uint8")
    if not len(images):
        raise UserError("images: there are none")
    read, shapes = [], []
    for i, image in enumerate(images):
        if isinstance(image, (str, os.PathLike)):
            pixels, (width, height) = read_working(path_of(image), data)
        else:
            picture = _picture(image, f"images[{i}]")
            pixels, (width, height) = (resized(picture, data.working(*picture.size),
                                               data.image_interp), picture.size)
        read.append(pixels)
        shapes.append((height, width))
    return _together(read, data), shapes


def read_masks(masks: np.ndarray | Sequence[Picture | None] | None, shapes: Sequence[Shape],
               data: DataParams) -> tuple[Images, np.ndarray]:
    """Masks of images of these sizes -> (N, S, S) bool, and (N,) bool: which mark something at
    their own size. None: nothing is anomalous, also as one of a list."""
    if masks is None:
        masks = [None] * len(shapes)
    _check_list("masks", masks, 3, "(N, H, W) bool")
    if len(masks) != len(shapes):
        raise UserError(f"masks: {len(masks)} of {len(shapes)} images; give one for each, None for "
                        f"a normal one")
    marked, anomalous = [], []
    for mask in _full_masks(masks, shapes, data):
        marked.append(shrunk(mask, data.working(*mask.shape[::-1])))
        anomalous.append(bool(mask.any()))
    return _together(marked, data), np.array(anomalous)


def _together(arrays: list[np.ndarray], data: DataParams) -> Images:
    return Ragged(arrays, data.tiling) if data.tiling else np.stack(arrays)


def _full_masks(masks: np.ndarray | Sequence[Picture | None], shapes: Sequence[Shape],
                data: DataParams) -> Iterator[np.ndarray]:
    for i, (mask, shape) in enumerate(zip(masks, shapes, strict=True)):
        if mask is None:
            yield np.zeros(shape, bool)
        elif isinstance(mask, (str, os.PathLike)):
            yield marked(path_of(mask), shape[::-1], data.mask_threshold,
                         data.grey_masks == "threshold")
        else:
            yield _mask(mask, shape, f"masks[{i}]")


def _check_list(name: str, given: Any, axes: int, wanted: str) -> None:
    """UserError for one picture in place of several."""
    if isinstance(given, np.ndarray):
        if given.ndim != axes and given.dtype != object:
            raise UserError(f"{name}: an array of shape {given.shape}; give {wanted}, or a list")
    elif isinstance(given, (str, os.PathLike, Image.Image)) or not isinstance(given, Sequence):
        raise UserError(f"{name}: {type(given).__name__}; give an array {wanted}, or a list of "
                        f"arrays, pictures or paths")


def _picture(image: Any, name: str) -> Image.Image:
    """In RGB, as read from a file: turned as its EXIF data say."""
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":
            raise UserError(f"{name}: pixels of mode {image.mode}, of which no number means white; "
                            f"give 8 bits, or the path of the file")
        return ImageOps.exif_transpose(image).convert("RGB")
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UserError(f"{name}: {array.dtype} of shape {array.shape}; give (H, W, 3) uint8")
    return Image.fromarray(np.ascontiguousarray(array))


def _mask(mask: Any, shape: Shape, name: str) -> np.ndarray:
    array = np.asarray(mask.convert("L") if isinstance(mask, Image.Image) else mask)
    if array.shape != shape:
        raise UserError(f"{name}: shape {array.shape}, its image has {shape}")
    if array.dtype != bool:
        levels = np.unique(array)
        if len(levels) > 2 or levels[0] != 0:
            raise UserError(f"{name}: {array.dtype} with {len(levels)} values; give bool, true on "
                            f"anomalous pixels")
    marks: np.ndarray = array != 0
    return marks

"""Reading and resizing one image or mask; every defect of a file is a UserError that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.errors import UserError

INTERPOLATIONS = ("nearest", "bilinear", "antialias")


def read_image(path: Path, size: int, interpolation: str) -> tuple[np.ndarray, tuple[int, int]]:
    """(image (size, size, 3) uint8, its size (width, height) on disk).

    interpolation: nearest; bilinear between the four nearest pixels; antialias: bilinear over the
    area that a new pixel covers.
    """
    picture = _open(path)
    if picture.mode.startswith("I"):  # 16-bit grey: keep the high byte, PIL's own way would clip
        picture = Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8))
    picture = picture.convert("RGB")
    shape, wanted = picture.size, (size, size)
    if interpolation == "bilinear":
        scale = (shape[0] / size, 0, 0, 0, shape[1] / size, 0)
        small = picture.transform(wanted, Image.AFFINE, scale, Image.BILINEAR)
    else:
        small = picture.resize(wanted, Image.NEAREST if interpolation == "nearest"
                               else Image.BILINEAR)
    return np.asarray(small), shape


def read_mask(path: Path, size: int, shape: tuple[int, int], threshold: int, grey: bool
              ) -> np.ndarray:
    """The mask (size, size) bool, nearest. It must have the size `shape` of its image on disk and
    two values, black and another; with `grey`, whatever is above `threshold` is anomalous."""
    picture = _open(path)
    if picture.size != shape:
        raise UserError(f"{path}: the mask is {picture.size[0]}x{picture.size[1]} pixels, its "
                        f"image {shape[0]}x{shape[1]}; make them equal")
    if picture.mode not in ("1", "L") and not picture.mode.startswith("I"):
        picture = picture.convert("L")
    values = np.asarray(picture).astype(np.int64)
    if not grey:
        levels = np.unique(values)
        if len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
            raise UserError(f"{path}: a non-binary mask ({len(levels)} grey values); make it black "
                            f"and white, or pass --set data.grey_masks=threshold")
        threshold = 0  # masks in {0, 1} are common, too
    small = Image.fromarray((values > threshold).astype(np.uint8) * 255)
    return np.asarray(small.resize((size, size), Image.NEAREST)) > 0


def _open(path: Path) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image that can be read; replace the file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: damaged image ({error}); replace the file") from None
    return picture

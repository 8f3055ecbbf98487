"""Photos, heatmaps and masks as small files inside a page: arrays in, data addresses out."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from aexad.bench.figures import overlays

SIDE = 224  # pixels: maps of a larger working size are shrunk to it
LARGE, OF_LARGE = 1024, 672  # of a longer side than this they are shrunk to that one
QUALITY = 80  # of photos


def shown(shape: tuple[int, ...]) -> tuple[int, int]:
    """The height and width at which images of a working size (H, W, …) are shown."""
    longest = max(shape[:2])
    share = min(1.0, (OF_LARGE if longest > LARGE else SIDE) / longest)
    height, width = (max(1, round(side * share)) for side in shape[:2])
    return height, width


def photo(image: np.ndarray) -> str:
    """(H, W, 3) uint8 -> WebP, lossy."""
    size = shown(image.shape)[::-1]
    picture = Image.fromarray(image)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BOX)
    return _address(picture, "webp", quality=QUALITY, method=4)


def heatmap(values: np.ndarray, thresholds: Sequence[float] = ()) -> str:
    """(H, W) float -> 8 bits on the map's own scale, from its smallest value, 0, to its largest,
    255, as lossless WebP. One without any range is 0 everywhere.

    Values are rounded to the nearest step, but never across one of `thresholds`, the first of which
    counts most: what is above it stays above it, so that F1 and IoU there are the exact ones.
    """
    small = overlays.at_size(values.astype(np.float32), shown(values.shape)).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    grey = np.rint(((small - low) * scale).clip(0, 255))
    for threshold in reversed(thresholds):
        first = np.floor((threshold - low) * scale) + 1  # the lowest step above it
        if 0 < first <= 255:
            above = small > threshold
            grey[above] = np.maximum(grey[above], first)
            grey[~above] = np.minimum(grey[~above], first - 1)
    return _address(Image.fromarray(grey.astype(np.uint8)), "webp", lossless=True, quality=90,
                    method=4)


def mask(truth: np.ndarray) -> str:
    """(H, W) bool -> PNG of one bit a pixel."""
    small = overlays.mask_at_size(truth, shown(truth.shape))
    return _address(Image.fromarray(small).convert("1"), "png", optimize=True)


def _address(picture: Image.Image, kind: str, **how: object) -> str:
    made = io.BytesIO()
    picture.save(made, kind, **how)
    return f"data:image/{kind};base64,{base64.b64encode(made.getvalue()).decode()}"

"""Heatmaps over their images, at the images' own resolution. Arrays in, arrays out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from aexad.bench.figures.gallery import GREY_OF, TOP
from aexad.bench.figures.plotting import colormaps
from aexad.bench.figures.steps import HEAT
from aexad.bench.measure.tiles import Tiling
from aexad.bench.results.store import write_file

STRENGTH = 0.65  # of the colours over the grey image, as in the gallery
BAND = 1 << 20  # pixels mixed at a time: in double precision 20 megapixels take gigabytes
LINE = 400  # an outline is as wide as the image's shorter side over this, at least a pixel


def at_size(heatmap: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 -> `shape` (H, W): bilinear, over the area of a new pixel where it shrinks;
    the same numbers where it has that shape."""
    if heatmap.shape == tuple(shape):
        return heatmap
    picture = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    return np.asarray(picture.resize(tuple(shape)[::-1], Image.Resampling.BILINEAR))


def mask_at_size(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) bool -> `shape` (H, W), nearest."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(picture.resize(tuple(shape)[::-1], Image.Resampling.NEAREST)) > 0


def top_of(heatmap: np.ndarray, tiling: Tiling | None) -> float:
    """The quantile at which colours end: TOP, or of a map that tiles were joined to that which
    leaves as many pixels above it as TOP does in a tile. A small defect would else be one colour
    with half a percent of a large surface."""
    return TOP if tiling is None else 1 - (1 - TOP) * min(1.0, tiling.side ** 2 / heatmap.size)


def overlay(image: np.ndarray, heatmap: np.ndarray, truth: np.ndarray | None = None,
            top: float = TOP) -> np.ndarray:
    """The heatmap in colours over a grey copy of the image, (H, W, 3) uint8.

    image (H, W, 3) uint8; heatmap (H, W) float, on a scale of its own, from its smallest value to
    the quantile `top` (see aexad.bench.figures.gallery); truth: (H, W) bool, drawn as an outline.
    """
    low, high = heatmap.min(), np.quantile(heatmap, top)
    made = np.empty(image.shape, np.uint8)
    rows = max(1, BAND // image.shape[1])
    for i in range(0, len(image), rows):
        values = heatmap[i:i + rows]
        share = np.clip((values - low) / (high - low), 0, 1) if high > low else values * 0
        colours = colormaps[HEAT](share)[..., :3] * 255
        mixed = STRENGTH * colours + (1 - STRENGTH) * (image[i:i + rows] @ GREY_OF)[..., None]
        made[i:i + rows] = np.clip(np.rint(mixed), 0, 255)
    if truth is not None and truth.any():
        width = max(1, min(truth.shape) // LINE)
        white = ndimage.binary_dilation(truth, iterations=width) & ~truth
        black = ndimage.binary_dilation(truth | white, iterations=width) & ~(truth | white)
        made[white], made[black] = 255, 0  # seen on any ground
    return made


def save(path: Path, pixels: np.ndarray) -> None:
    """A PNG, whole or not at all: (H, W, 3) or (H, W) uint8, or (H, W) bool as black and white."""
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    write_file(path, lambda p: Image.fromarray(pixels).save(p, format="PNG"))


def save_map(path: Path, heatmap: np.ndarray) -> None:
    """A .npy file, whole or not at all."""
    def write(place: Path) -> None:
        with open(place, "wb") as file:  # numpy.save adds an ending to a name
            np.save(file, heatmap)
    write_file(path, write)

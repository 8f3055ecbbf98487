"""A made-up set of large images: a brushed surface, some of it with one small dark spot.

    python docs/large_images.py DIR                          # 5000 x 4000 pixels, spots of 30
    python docs/large_images.py DIR --width 1000 --height 800 --spot 6
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

COUNTS = {"train/good": 4, "test/good": 4, "test/spot": 8}


def surface(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(height, width) float32 grey values: slow waves of the light, brush marks, grain."""
    small = rng.normal(0, 1, (8, 10)).astype(np.float32)
    light = ndimage.zoom(small, (height / 8, width / 10), order=3)[:height, :width]
    marks = ndimage.gaussian_filter1d(rng.normal(0, 1, (height, width)).astype(np.float32), 40, 1)
    grain = rng.normal(0, 1, (height, width)).astype(np.float32)
    return 140 + 8 * light + 60 * marks + 9 * grain


def spotted(rng: np.random.Generator, grey: np.ndarray, size: int
            ) -> tuple[np.ndarray, np.ndarray]:
    """The same with a spot, darker by 55 and soft at its rim, and its mask (height, width) bool."""
    y, x = (rng.integers(2 * size, side - 2 * size) for side in grey.shape)
    rows, columns = np.ogrid[:grey.shape[0], :grey.shape[1]]
    far = np.hypot(rows - y, columns - x) / (size / 2)
    return grey - 55 * np.clip(4 * (1 - far), 0, 1), far <= 1


def write(folder: Path, width: int, height: int, spot: int, counts: dict[str, int] = COUNTS
          ) -> None:
    """The set in the MVTec layout."""
    rng = np.random.default_rng(0)
    for part, count in counts.items():
        for i in range(count):
            grey = surface(rng, width, height)
            if part.endswith("spot"):
                grey, mask = spotted(rng, grey, spot)
                _save(folder / "ground_truth" / "spot" / f"{i:03d}_mask.png", mask * 255)
            _save(folder / part / f"{i:03d}.png", grey)


def _save(path: Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(path, compress_level=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name, value in (("width", 5000), ("height", 4000), ("spot", 30)):
        parser.add_argument(f"--{name}", type=int, default=value, help="pixels")
    args = parser.parse_args()
    write(args.folder, args.width, args.height, args.spot)

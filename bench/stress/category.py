"""A small category of noise, for what needs images on disk and not what is on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def make_category(folder: Path, *, normals: int = 6, tested: int = 3, side: int = 64,
                  kinds: tuple[str, ...] = ("dent", "scratch"), each: int = 5) -> Path:
    """A small category in the MVTec layout: noise, anomalies are bright squares."""
    rng = np.random.default_rng(len(kinds) * 100 + each)

    def save(path: Path, square: tuple[int, int] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(60, 120, (side, side, 3), dtype=np.uint8)
        if square:
            mask = np.zeros((side, side), np.uint8)
            mask[square[0]:square[0] + side // 4, square[1]:square[1] + side // 4] = 255
            pixels[mask > 0] += 100
            place = folder / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(place)
        Image.fromarray(pixels).save(path)

    for i in range(normals):
        save(folder / "train" / "good" / f"{i:03d}.png")
    for i in range(tested):
        save(folder / "test" / "good" / f"{i:03d}.png")
    for kind in kinds:
        for i in range(each):
            corner = tuple(int(v) for v in rng.integers(0, side - side // 4, 2))
            save(folder / "test" / kind / f"{i:03d}.png", corner)
    return folder

"""Numbers that the original programs gave, and how to compare with them.

The recipes of inputs and weights, the tolerances and the sources stand in README.md beside this
file; no code of the originals is here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """The vectors of `name`.json."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def drawn(seed: int) -> np.random.RandomState:
    """RS(seed) of the recipes: the legacy generator, whose streams are fixed."""
    return np.random.RandomState(seed)


def error(found: ArrayLike, expected: ArrayLike | dict[str, Any]) -> float:
    """The largest difference as a part of the largest expected entry; of a brief (see README.md)
    that of its sums by `abs` and of its entries by the root mean square."""
    found = np.asarray(found, np.float64)
    if not isinstance(expected, dict):
        expected = np.asarray(expected, np.float64)
        assert found.shape == expected.shape, f"{found.shape}, expected {expected.shape}"
        return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300))
    flat = found.ravel()
    sums = {"sum": flat.sum(), "abs": np.abs(flat).sum()}
    squares = np.square(flat).sum()
    rms = np.sqrt(expected["square"] / flat.size) or 1.0
    entries = np.abs(flat[expected["at"]] - np.asarray(expected["entries"])).max()
    return float(max(*(abs(value - expected[name]) / (expected["abs"] or 1.0)
                       for name, value in sums.items()),
                     abs(squares - expected["square"]) / (expected["square"] or 1.0),
                     entries / rms))


def spread_tensors(rows: Sequence[Sequence]) -> dict[str, np.ndarray]:
    """The weights of BGAD's and FCDD's vectors, float64 by name: rows [number, name, shape, base,
    spread]; base "rotation" is a matrix of SO(n)."""
    found = {}
    for number, name, shape, base, spread in rows:
        z = drawn(1000 + number).standard_normal(shape)
        found[name] = _rotation(z) if base == "rotation" else base + spread * z
    return found


def _rotation(z: np.ndarray) -> np.ndarray:
    q, t = np.linalg.qr(z)
    q = q * np.sign(np.diag(t))
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


def kind_tensors(rows: Sequence[Sequence]) -> dict[str, torch.Tensor]:
    """The weights of AE-XAD's and the ViT's vectors, float64 by name: rows [number, name, shape,
    kind], kind as in README.md."""
    made = {"weight": lambda z: z * np.sqrt(0.7 / np.prod(z.shape[1:])),
            "scale": lambda z: 1 + 0.1 * z, "variance": lambda z: 1 + 0.1 * np.abs(z),
            "shift": lambda z: 0.1 * z, "small": lambda z: 0.02 * z}
    found = {}
    for number, name, shape, kind in rows:
        kind, _, offset = kind.partition(" + ")
        z = drawn(1000 + number).standard_normal(shape)
        found[name] = torch.from_numpy(made[kind](z) + float(offset or 0))
    return found


class Scene(NamedTuple):
    """Eight images with made-up reconstructions, for everything that comes after the network.

    images: (8, 64, 64, 3) uint8; reconstructions: (8, 3, 64, 64) float64; masks: (8, 64, 64)
    bool; labels: (8,) int64.
    """

    images: np.ndarray
    reconstructions: np.ndarray
    masks: np.ndarray
    labels: np.ndarray


def scene() -> Scene:
    """The scene of aexad_maps and vit_maps."""
    shape = (64, 64)
    images = drawn(10).randint(0, 256, (8, *shape, 3)).astype(np.uint8)
    x = images.transpose(0, 3, 1, 2) / 255
    out = x + drawn(11).uniform(-0.05, 0.05, x.shape)
    lit = {0: [(10, 20, 5, 25)], 1: [(10, 20, 5, 15), (10, 20, 30, 50)], 3: [(5, 55, 20, 23)],
           4: [(20, 23, 5, 55)], 5: [(5, 25, 5, 10), (30, 50, 40, 44)],
           6: [(8, 30, 8, 30), (40, 42, 3, 60), (50, 53, 50, 53)], 7: [(0, 9, 56, 64)]}
    for i, boxes in lit.items():
        out[i][:, boxed(shape, *boxes)] = 1.9
    faint = boxed(shape, (30, 45, 10, 21))  # a normalised error of 0.32
    out[7][:, faint] = (x + np.sqrt(0.32) * (2 - x))[7][:, faint]
    marked = {0: (12, 24, 5, 22), 1: (9, 19, 28, 52), 3: (5, 50, 18, 24), 4: (18, 24, 10, 60),
              6: (8, 30, 8, 34)}
    masks = np.stack([boxed(shape, *([marked[i]] if i in marked else [])) for i in range(8)])
    return Scene(images, out, masks, masks.any(axis=(1, 2)).astype(np.int64))


class Given(torch.nn.Module):
    """In the place of a network: it answers the images it is asked about with `outputs`."""

    def __init__(self, outputs: np.ndarray) -> None:
        super().__init__()
        self.outputs = torch.from_numpy(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert len(x) == len(self.outputs)  # all of them at once
        return self.outputs.to(x)


def made_up_loss() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, masks and outputs of loss.json: (3, 3, 8, 8), (3, 1, 8, 8), (3, 3, 8, 8) float64."""
    images = drawn(2).randint(0, 256, (3, 8, 8, 3)).astype(np.uint8).transpose(0, 3, 1, 2) / 255
    masks = (drawn(4).uniform(size=(3, 1, 8, 8)) < 0.2).astype(float)
    masks[0] = 0
    outputs = drawn(3).uniform(0, 2.2, (3, 3, 8, 8))
    return torch.from_numpy(images), torch.from_numpy(masks), torch.from_numpy(outputs)


def boxed(shape: Sequence[int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """(H, W) bool, true in the half-open boxes (y0, y1, x0, x1)."""
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask

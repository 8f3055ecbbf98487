"""Numbers that the original programs gave, and how to compare with them.

The recipes of inputs and weights, the tolerances and the sources stand in README.md beside this
file; no code of the originals is here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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


def boxed(shape: Sequence[int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """(H, W) bool, true in the half-open boxes (y0, y1, x0, x1)."""
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask

"""Copy-paste of anomalies and the composition of batches (paper, Section 4.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.methods.base import Room, TrainingSet
from aexad.methods.rows import Images, joined

_REDRAWS = 20  # tries for a copy whose mask does not vanish before it is pasted as it is


@dataclass(frozen=True)
class Augmented:
    """A training set after augmentation.

    images: (U, H, W, 3) uint8 and masks: (U, H, W) bool, each distinct image once; large ones
    looked up (methods/rows.py).
    normals, anomalies: positions to draw from, int64; raw copies are repeated positions.
    """

    images: Images
    masks: Images
    normals: np.ndarray
    anomalies: np.ndarray


def augment(train: TrainingSet, rng: np.random.Generator, *, n_raw: int, n_paste: int,
            rotate: float, scale: tuple[float, float], position: str, room: Room = np.empty
            ) -> Augmented:
    """Each anomaly `n_raw` times as it is and `n_paste` times cut out, transformed and pasted into
    a random normal image, once before training (Algorithm 1, line 1). Without normals there is
    nothing to paste on: raw copies only. room: makes the arrays."""
    if not len(train.normals):
        n_paste = 0
    sources = np.repeat(train.anomalies, n_paste)
    raw = np.tile(train.anomalies, n_raw)
    if not len(sources):
        return Augmented(train.images, train.masks, train.normals, raw)
    images, masks = (room((len(sources), *array.shape[1:]), array.dtype.type)
                     for array in (train.images, train.masks))
    for k, i in enumerate(sources):
        images[k], masks[k] = copy_paste(rng, train.images[i], train.masks[i],
                                         train.images[rng.choice(train.normals)],
                                         rotate=rotate, scale=scale, position=position)
    return Augmented(joined(train.images, images), joined(train.masks, masks), train.normals,
                     np.concatenate([raw, len(train.images) + np.arange(len(images))]))


def copy_paste(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, target: np.ndarray, *,
               rotate: float, scale: tuple[float, float], position: str
               ) -> tuple[np.ndarray, np.ndarray]:
    """The masked pixels of `image`, rotated by up to +-`rotate` degrees, zoomed by a factor in
    `scale` and moved (`uniform`: anywhere fully inside; `jitter`: by up to 10% of the side;
    `same`: not at all), on top of `target`. Returns (image uint8 (H, W, 3), mask bool (H, W))."""
    if not mask.any():
        return target.copy(), mask.copy()
    for _ in range(_REDRAWS):
        angle = math.radians(rng.uniform(-rotate, rotate))
        coefficients = _place(rng, mask, angle, rng.uniform(*scale), position)
        moved_mask = _warp(mask.astype(np.uint8) * 255, coefficients, Image.NEAREST) > 127
        if moved_mask.any():
            moved = _warp(image, coefficients, Image.BILINEAR)
            return np.where(moved_mask[..., None], moved, target), moved_mask
    return np.where(mask[..., None], image, target), mask.copy()


def _place(rng: np.random.Generator, mask: np.ndarray, angle: float, zoom: float, position: str
           ) -> tuple[float, ...]:
    """The inverse affine map (output pixel -> source pixel) in PIL's order."""
    ys, xs = np.nonzero(mask)
    points = np.stack([xs, ys], axis=1) + 0.5
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    turned = zoom * (points - centre) @ rotation.T
    side = np.array(mask.shape[::-1], float)
    low, high = 0.5 - turned.min(axis=0), side - 0.5 - turned.max(axis=0)
    middle = (low + high) / 2  # an anomaly larger than the image is centred, its rim lost
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    low, high = np.where(low > high, middle, low), np.where(low > high, middle, high)
    if position == "uniform":
        goal = rng.uniform(low, high)
    else:
        shift = rng.uniform(-0.1, 0.1, 2) * side if position == "jitter" else 0.0
        goal = np.clip(centre + shift, low, high)
    inverse = rotation.T / zoom
    offset = centre - inverse @ goal
    return (*inverse[0], offset[0], *inverse[1], offset[1])


def _warp(array: np.ndarray, coefficients: tuple[float, ...], resample: int) -> np.ndarray:
    picture = Image.fromarray(array)
    return np.asarray(picture.transform(picture.size, Image.AFFINE, coefficients, resample))


def draw_weighted(rng: np.random.Generator, normals: np.ndarray, anomalies: np.ndarray, *,
                  steps: int, batch_size: int, weight: float, copies: int) -> np.ndarray:
    """All batches of a training drawn with replacement: positions (steps, batch_size) int64. Each
    anomalous image weighs `weight`, shared by its `copies`, each normal one 1 - weight, so that the
    share of anomalies depends on how many images there are of both and not on the augmentation.
    Not of the paper: the authors' code, which draws images without copies (row 25)."""
    pool = np.concatenate([normals, anomalies])
    weights = np.repeat([1 - weight, weight / copies], [len(normals), len(anomalies)])
    if not weights.any():
        raise UserError("anom_weight: leaves nothing to draw from these training images")
    return rng.choice(pool, (steps, batch_size), p=weights / weights.sum())


def draw_batches(rng: np.random.Generator, normals: np.ndarray, anomalies: np.ndarray, *,
                 steps: int, batch_size: int, anomaly_share: float, rounding: str) -> np.ndarray:
    """All batches of a training at once: positions (steps, batch_size) int64.

    A batch holds ceil or floor(batch_size * anomaly_share) anomalies, the rest are normals
    (Section 4.2: 1/3 and 2/3), each drawn from its list, reshuffled whenever it is used up. Where
    one of the lists is empty, the batch comes from the other. Drawn in advance, a training that
    was interrupted continues with the very batches it would have had.
    """
    round_ = math.ceil if rounding == "ceil" else math.floor
    # 1/3 of 16 is 5.33 -> 6; the small number keeps 1/3 of 15 from being 5.000000001 -> 6
    n_anomalies = round_(batch_size * anomaly_share - (1e-9 if rounding == "ceil" else -1e-9))
    if not len(anomalies) or not len(normals):
        n_anomalies = batch_size if len(anomalies) else 0
    return np.concatenate([_endless(rng, normals, steps, batch_size - n_anomalies),
                           _endless(rng, anomalies, steps, n_anomalies)], axis=1)


def _endless(rng: np.random.Generator, pool: np.ndarray, rows: int, columns: int) -> np.ndarray:
    if not columns:
        return np.empty((rows, 0), np.int64)
    rounds = -(-rows * columns // len(pool))
    drawn = np.concatenate([rng.permutation(pool) for _ in range(rounds)])
    return drawn[:rows * columns].reshape(rows, columns)

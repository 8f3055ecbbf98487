"""Methods on large images: trained on their tiles, explained from the maps of their tiles.

A method can that whose `explain` has two steps (methods/base.py): `raw_maps` of tiles, which are
joined, and `finish`, which sees the maps of whole images. Of a method that needs something of the
whole test set before (BGAD), `measure` gets all its maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError
from aexad.bench.measure.tiles import Join, Ragged, Tiling
from aexad.methods.base import EXPLAIN_BATCH, Explanation, Room, TrainingSet
from aexad.methods.rows import Chosen

PART = 16 * EXPLAIN_BATCH  # images of a large set that are explained at a time
Images = np.ndarray | Chosen | Ragged
Joined = tuple[tuple[np.ndarray, ...], tuple[int, int]]
"""The maps of some images of one size, (N, h, w) each, and that size."""


def check(name: str, method: type) -> None:
    """UserError for a method that can't work on tiles."""
    if not (hasattr(method, "raw_maps") and hasattr(method, "finish")):
        raise UserError(f"data.tile: {name} can't explain tiles, it has no raw_maps and finish "
                        f"(methods/base.py); leave out data.tile, or this method")


def training_set(images: Images, masks: Images, anomalous: np.ndarray,
                 room: Room = np.empty) -> TrainingSet:
    """What a method trains on. Of images to be cut these are all their tiles: one is an anomaly if
    any of its pixels is marked, whatever its image is. room: makes the arrays (Context.array)."""
    if not isinstance(images, Ragged) or not isinstance(masks, Ragged):
        return TrainingSet(images, masks, anomalous)
    tiling, shapes = images.tiling, images.shapes
    count = sum(map(tiling.count, shapes))
    pixels = room((count, tiling.side, tiling.side, 3), np.uint8)
    marked = room((count, tiling.side, tiling.side), bool)
    first = 0
    for image, mask in zip(images, masks, strict=True):
        for i, (tile, marks) in enumerate(zip(tiling.cut(image), tiling.cut(mask)), first):
            pixels[i], marked[i] = tile, marks
        first += tiling.count(image.shape)
    return TrainingSet(pixels, marked, np.array([tile.any() for tile in marked]))


def explain(method: Any, images: Images, room: Room = np.empty) -> Explanation:
    """What the method says of images; of such as are to be cut, `heatmaps` is a list of (H, W).
    room: makes the array of the maps of a large set, which are never all in memory."""
    if not isinstance(images, Ragged):
        size = 4 * math.prod(images.shape[:3])
        parts = size > mapped.LARGE and hasattr(method, "raw_maps") and hasattr(method, "finish")
        return in_parts(method, images, room) if parts else method.explain(images)
    found: Iterable[Joined] = joined(method, images, images.tiling)
    if hasattr(method, "measure"):
        found = list(found)
        method.measure(found)
    parts = [method.finish(*some) for some in found]
    return Explanation(
        [heatmap for part in parts for heatmap in part.heatmaps],
        np.concatenate([part.scores for part in parts]),
        {name: np.concatenate([part.extras[name] for part in parts]) for name in parts[0].extras})


def in_parts(method: Any, images: Chosen | np.ndarray, room: Room) -> Explanation:
    """`method.explain`, PART images at a time: the same batches, and the same bits. Of a method
    that measures the test set first all raw maps are kept."""
    shape = images.shape[1:3]
    places = [slice(i, i + PART) for i in range(0, len(images), PART)]
    found: Iterable[Joined] = ((method.raw_maps(images[some]), shape) for some in places)
    if hasattr(method, "measure"):
        found = list(found)
        method.measure(found)
    heatmaps, parts = room((len(images), *shape), np.float32), []
    for some, raw in zip(places, found, strict=True):
        part = method.finish(*raw)
        heatmaps[some] = part.heatmaps
        parts.append((part.scores, part.extras))
    extras = {name: np.concatenate([more[name] for _, more in parts]) for name in parts[0][1]}
    return Explanation(heatmaps, np.concatenate([scores for scores, _ in parts]), extras)


def joined(method: Any, images: Iterable[np.ndarray], tiling: Tiling) -> Iterator[Joined]:
    """The maps of the images (H, W, 3) in their order, those of images that are ready at the same
    time together. No more than EXPLAIN_BATCH tiles are at work at a time: as many as whole images
    are, so that one tile an image is the same batches as none."""
    for tiles, owners in _batches(images, tiling):
        maps = method.raw_maps(np.stack(tiles))
        for i, owner in enumerate(owners):
            owner.add([each[i] for each in maps])
        ready = [owner for owner in dict.fromkeys(owners) if owner.full]
        for shape, group in groupby(ready, key=lambda owner: owner.shape):
            yield tuple(map(np.stack, zip(*(owner.maps() for owner in group)))), shape


def _batches(images: Iterable[np.ndarray], tiling: Tiling
             ) -> Iterator[tuple[list[np.ndarray], list[Join]]]:
    """Tiles, and to which image each of them belongs."""
    tiles: list[np.ndarray] = []
    owners: list[Join] = []
    for image in images:
        owner = Join(image.shape, tiling)
        for tile in tiling.cut(image):
            tiles.append(tile)
            owners.append(owner)
            if len(tiles) == EXPLAIN_BATCH:
                yield tiles, owners
                tiles, owners = [], []
    if tiles:
        yield tiles, owners

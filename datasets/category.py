"""One category decoded and split: what the bench gets from this package."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError, say
from aexad.bench.base.files import neighbour, sweep
from aexad.bench.base.refusals import refusal
from aexad.bench.measure.tiles import Ragged, Tiling
from aexad.datasets import folder, large, suite
from aexad.datasets.catalog import DATASETS
from aexad.datasets.data_params import DataParams
from aexad.datasets.folder import GOOD, Item
from aexad.datasets.images import marked, read_working, shrunk

FORMAT = 3  # of the cache; part of its key
EMPTY, FULL = 1, 2
LINKS = "own"  # the folder in the cache where two folders of images and masks are linked together


@dataclass(frozen=True)
class Category:
    """All images of a category: images (N, S, S, 3) uint8, masks (N, S, S) bool, with tiles each of
    its own size; ids, kinds ('good' or the defect) and in_train (N,) in the order of
    datasets/folder.py; digest: SHA-256 of all of that. blank (N,) uint8: EMPTY or FULL where the
    mask of an anomaly is that on disk, whatever the working size, else 0. Large arrays are mapped
    from the cache (bench/base/mapped.py)."""

    ids: np.ndarray
    kinds: np.ndarray
    in_train: np.ndarray
    images: np.ndarray | Ragged
    masks: np.ndarray | Ragged
    digest: str
    blank: np.ndarray


@dataclass(frozen=True)
class Split:
    """Positions of the training and test images in a Category, int64; vanished: of the anomalies
    that were drawn to train and are left out, as nothing is marked at the working size; empty:
    those of them whose mask is empty on disk."""

    train: np.ndarray
    test: np.ndarray
    vanished: np.ndarray
    empty: np.ndarray


class Library:
    """The datasets below one data root, with a cache of decoded images."""

    def __init__(self, root: Path, cache: Path, threads: int = 2) -> None:
        self.root, self.cache, self.threads = Path(root), Path(cache), threads

    def locate(self, dataset: str, category: str) -> Path | None:
        """The category's folder, or None. The embedded suite is generated where it is missing."""
        if dataset == "embedded":
            return embedded_folder(self.cache, category)
        return folder.locate(self.root, dataset, category)

    def expected(self, dataset: str, category: str) -> Path:
        return folder.expected(self.root, dataset, category)

    def scan(self, dataset: str, category: str) -> list[Item]:
        """The category's files, checked for completeness but not read."""
        place = self.locate(dataset, category)
        if place is None:
            raise UserError(f"{self.expected(dataset, category)}: no data there")
        items = folder.scan(place, DATASETS[dataset].good)
        if self.linked(place):  # messages name the user's own files
            items = [replace(i, image=i.image.readlink(), mask=i.mask and i.mask.readlink())
                     for i in items]
        return items

    def linked(self, place: Path) -> bool:
        """Whether a category's folder is one of links, made of two folders of a user's."""
        return self.cache.resolve() / LINKS in place.parents

    def load(self, dataset: str, category: str, params: DataParams) -> Category:
        """The category decoded, from the cache where no file has changed since. UserError for
        whatever is wrong with its files."""
        items, reading, path = self._entry(dataset, category, params)
        return _cached(path, params.tiling) or self._decode(items, params, reading[3], path)

    def digest(self, dataset: str, category: str, params: DataParams) -> str:
        """The category's digest; without reading its images where they are cached."""
        path = self._entry(dataset, category, params)[2]
        cached = _cached(path, params.tiling, only_digest=True)
        return cached or self.load(dataset, category, params).digest

    def _entry(self, dataset: str, category: str, params: DataParams
               ) -> tuple[list[Item], tuple, Path]:
        items = self.scan(dataset, category)
        grey = {"auto": DATASETS[dataset].grey_masks, "threshold": True,
                "refuse": False}[params.grey_masks]
        reading = (params.size, params.image_interp, params.mask_threshold, grey, params.bits,
                   *([params.tile] if params.tile else []))
        name = f"{dataset}-{category}-{params.size}-{_key(items, reading)[:16]}.npz"
        return items, reading, self.cache / "images" / name

    def _decode(self, items: list[Item], params: DataParams, grey: bool, path: Path) -> Category:
        def one(item: Item) -> large.Decoded:
            image, shape = read_working(item.image, params)
            if item.mask is None:
                return image, np.zeros(image.shape[:2], bool), np.uint8(0)
            mask = marked(item.mask, shape, params.mask_threshold, grey)
            blank = FULL if mask.all() else 0 if mask.any() else EMPTY
            return image, shrunk(mask, image.shape[1::-1]), np.uint8(blank)

        arrays = {"ids": np.array([i.id for i in items]),
                  "kinds": np.array([i.kind for i in items]),
                  "in_train": np.array([i.in_train for i in items])}
        if params.tiling:
            return self._decode_large(items, one, arrays, path, params.tiling)
        n, size, place = len(items), params.size, neighbour(path)
        images, masks = _room(place, (n, size, size, 3), np.uint8), _room(place, (n, size, size))
        blank = np.empty(n, np.uint8)
        with ThreadPoolExecutor(self.threads) as pool:
            for i, found in enumerate(pool.map(one, items)):
                images[i], masks[i], blank[i] = found
        digest = _digest({**arrays, "images": images, "masks": masks})
        # stored results know the digest without what is blank
        arrays |= {"images": images, "masks": masks, "blank": blank}
        _store(path, {**arrays, "digest": np.array(digest)})
        stored = _cached(path, None) if images.nbytes > mapped.LARGE else None  # one on the disk
        return stored or Category(**arrays, digest=digest)

    def _decode_large(self, items: list[Item], one: Callable[[Item], large.Decoded],
                      arrays: dict[str, np.ndarray], path: Path, tiling: Tiling) -> Category:
        """As many images at a time as there are threads, into files beside the entry; into memory
        where there can be none."""
        def in_turn() -> Iterator[large.Decoded]:
            with ThreadPoolExecutor(self.threads) as pool:
                for i in range(0, len(items), self.threads):
                    yield from pool.map(one, items[i:i + self.threads])

        try:
            _make_room(path)
            shapes, blank = large.write(path, in_turn())
            images, masks = large.read(path, shapes, tiling)
        except OSError as error:
            _say_uncached(path, error)
            *parts, blanks = zip(*in_turn())
            images, masks = (Ragged(part, tiling) for part in parts)
            return Category(**arrays, images=images, masks=masks, blank=np.array(blanks),
                            digest=_digest({**arrays, "images": images, "masks": masks}))
        digest = _digest({**arrays, "images": images, "masks": masks})
        arrays["blank"] = blank
        _store(path, {**arrays, "shapes": shapes, "digest": np.array(digest)})
        return Category(**arrays, images=images, masks=masks, digest=digest)


def _digest(arrays: dict[str, np.ndarray | Ragged]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        found = arrays[name]
        for array in found if isinstance(found, Ragged) else [found]:
            if isinstance(found, Ragged):
                digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def embedded_folder(cache: Path, category: str) -> Path:
    """The generated category's folder, written on first use."""
    place = cache / "embedded" / f"v{suite.VERSION}" / category
    if not place.exists():
        from aexad.datasets import embedded  # scipy, for those who draw

        building = place.parent / f".{category}-{os.getpid()}"
        try:
            embedded.write(building, category)
            (building / category).rename(place)
            building.rmdir()
        except OSError as error:
            if place.exists():  # another process was faster
                return place
            raise UserError(f"{place}: cannot write the embedded suite ({error.strerror}); "
                            f"free the disk or set AEXAD_CACHE") from None
    return place


def split(category: Category, dataset: str, seed: int, scenario: str, params: DataParams) -> Split:
    """Which images train and which test; never depends on the method.

    As the authors drew: one legacy numpy generator per category, the defect types in order, of
    each the first 3 of a permutation train and leave the test set (row 44). All
    normal test images stay. In 'anomalies_only' the normals of the training set are left out. An
    anomaly whose mask is empty at the working size would teach that it is normal: it trains nothing
    and is not tested either.
    """
    spec = DATASETS[dataset]
    draw = np.random.RandomState(seed)
    normal = category.kinds == GOOD
    chosen = category.in_train & ~normal  # fixed folders need no draw
    if not chosen.any():
        pools = [np.flatnonzero(category.kinds == k) for k in np.unique(category.kinds[~normal])]
        count = params.per_type or spec.per_type
        if spec.train_anomalies and params.per_type is None:
            pools, count = [np.concatenate(pools)], spec.train_anomalies
        for pool in pools:
            chosen[pool[draw.permutation(len(pool))[:count]]] = True
    visible = np.array([mask.any() for mask in category.masks])
    anomalies, vanished = np.flatnonzero(chosen & visible), np.flatnonzero(chosen & ~visible)
    normals = np.flatnonzero(category.in_train & normal)
    if params.max_train is not None:
        keep = max(params.max_train - chosen.sum(), 1)
        normals = np.sort(normals[draw.permutation(len(normals))[:keep]])
    if scenario == "anomalies_only":
        normals = normals[:0]
    test = np.flatnonzero(~category.in_train & ~chosen)
    if normal[test].all():
        raise UserError(f"{dataset}/{category.ids[chosen][0]}: no anomalies are left to test on "
                        f"after {chosen.sum()} went to training; lower --set data.per_type")
    train = np.concatenate([normals, anomalies])
    empty = vanished[category.blank[vanished] == EMPTY]
    if not len(train):
        remedy = ("mark their anomalies" if len(empty) == len(vanished)
                  else "raise --set data.size")
        raise UserError(f"{dataset}/{category.ids[chosen][0]}: its mask and those of all other "
                        f"training anomalies are empty at {params.scale}; {remedy}")
    return Split(train, test, vanished, empty)


def vanished_note(ids: Sequence[str], scale: str, empty: Sequence[str] = ()) -> str:
    """What is said of the anomalies that were to train and could not; scale: DataParams.scale;
    empty: those of `ids` whose mask is empty on disk."""
    def named(some: Sequence[str]) -> str:
        return ", ".join(some[:3]) + (f", … ({len(some)})" if len(some) > 3 else "")

    resized = [name for name in ids if name not in set(empty)]
    parts = [f"{named(resized)}: at {scale} nothing is left of the mask"] if resized else []
    parts += [f"{named(empty)}: the mask is empty on disk"] if empty else []
    return f"trained without {'; without '.join(parts)}"


def _key(items: list[Item], reading: tuple) -> str:
    """Changes whenever a file of the category is replaced, touched, added or removed."""
    files = [p for i in items for p in (i.image, i.mask) if p is not None]
    stats = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise refusal(error, path) from None
        stats.append((str(path), stat.st_size, stat.st_mtime_ns))
    ids = [(i.id, i.kind, i.in_train) for i in items]
    return hashlib.sha256(json.dumps([FORMAT, reading, stats, ids]).encode()).hexdigest()


def _cached(path: Path, tiling: Tiling | None, only_digest: bool = False
            ) -> Category | str | None:
    try:
        if only_digest:
            with np.load(path, allow_pickle=False) as stored:
                return str(stored["digest"])
        arrays = mapped.read_npz(path)
        if tiling:
            arrays["images"], arrays["masks"] = large.read(path, arrays.pop("shapes"), tiling)
        return Category(**{**arrays, "digest": str(arrays["digest"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # a damaged cache entry is only decoded and written again


def _room(place: Path, shape: tuple[int, ...], dtype: type = bool) -> np.ndarray:
    """An array for what is decoded: a large one in a file beside the cache's, where there is room
    for one."""
    if math.prod(shape) > mapped.LARGE:  # a byte each
        with suppress(OSError):  # the cache says it when it can't be written
            place.parent.mkdir(parents=True, exist_ok=True)
            return np.asarray(mapped.new_array(place, shape, dtype))
    return np.empty(shape, dtype)


def _store(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The cache saves time only: where it can't be written, say so and go on."""
    building = neighbour(path)
    try:
        _make_room(path)
        with open(building, "wb") as file:
            np.savez(file, **arrays)
        os.replace(building, path)
    except OSError as error:
        with suppress(OSError):  # where nothing can be written, nothing was
            building.unlink(missing_ok=True)
        _say_uncached(path, error)


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)


def _say_uncached(path: Path, error: OSError) -> None:
    say(f"warning: cannot cache decoded images in {path.parent} ({error.strerror})")

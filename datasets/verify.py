"""Is a dataset on disk complete and sound? All faults of a category's files, not only the first."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aexad.bench.base.errors import UserError
from aexad.datasets import folder as layout
from aexad.datasets.catalog import Dataset
from aexad.datasets.folder import GOOD, Masks, form, is_image
from aexad.datasets.images import marked, read_image

COUNTED = {"train_normals": "normal training images", "test_normals": "normal test images",
           "normals": "normal images", "anomalies": "anomalous images",
           "types": "types of anomalies", "train": "training images", "test": "test images",
           "images": "images"}
SIEVE = 64  # side at which images are first compared


@dataclass(frozen=True)
class Finding:
    """One fault. kind: 'count', 'folder', 'image', 'mask', 'no mask', 'no image', 'same name' or
    'duplicate'; text: one line that names the file."""

    kind: str
    text: str


@dataclass(frozen=True)
class Picture:
    """One image file; kind: 'good' or the defect."""

    part: str
    kind: str
    path: Path
    mask: Path | None

    @property
    def can_train(self) -> bool:
        """Also anomalies of test/: some of them are drawn for training (Section 5.1)."""
        return self.part == "train" or self.kind != GOOD

    @property
    def can_test(self) -> bool:
        return self.part == "test"


@dataclass
class Report:
    """What a category has. counts: those COUNTED, of files whether they can be read or not."""

    counts: dict[str, int]
    findings: list[Finding] = field(default_factory=list)


def verify(folder: Path, spec: Dataset, published: Mapping[str, int] | None = None,
           threads: int = 1, mask_threshold: int = 127) -> Report:
    """Look at every file of the category in `folder`.

    published: the numbers of `Report.counts` that are known. Masks must be as the reader takes
    them: of their image's size, of two values where spec.grey_masks is not set, and they must mark
    something and not everything, or else the image's AUC is undefined.
    """
    masks = Masks(folder)
    pictures = [Picture(part, kind, path, None if kind == GOOD else masks.of(kind, path))
                for part in ("train", "test")
                for kind, path in layout.images(folder, part, spec.good)]
    report = Report(_count(pictures))
    found = report.findings
    found += different_counts(str(folder), report.counts, published or {})
    found += _folders(folder, pictures, spec.good)
    found += _pairs(folder, pictures, masks)
    with ThreadPoolExecutor(threads) as pool:
        looks = list(pool.map(lambda p: _look(p, spec.grey_masks, mask_threshold), pictures))
    for _, faults in looks:
        found += faults
    found += _duplicates({p: digest for p, (digest, _) in zip(pictures, looks) if digest})
    return report


def different_counts(name: str, counts: Mapping[str, int], published: Mapping[str, int]
                     ) -> list[Finding]:
    """A finding for each count that isn't the published one."""
    return [Finding("count", f"{name}: {counts[what]} {COUNTED[what]}, {number} published")
            for what, number in published.items() if counts[what] != number]


def _count(pictures: list[Picture]) -> dict[str, int]:
    good = [p.kind == GOOD for p in pictures]
    train = [p.part == "train" for p in pictures]
    return {"train_normals": sum(g and t for g, t in zip(good, train)),
            "test_normals": sum(g and not t for g, t in zip(good, train)),
            "normals": sum(good), "anomalies": len(good) - sum(good),
            "types": len({p.kind for p in pictures} - {GOOD}),
            "train": sum(train), "test": len(train) - sum(train), "images": len(train)}


def _folders(folder: Path, pictures: list[Picture], good: tuple[str, ...]) -> Iterator[Finding]:
    """Folders without which the category is useless, and folders of masks without images."""
    kinds = {form(p.kind) for p in pictures} - {GOOD}
    masked = set(_mask_kinds(folder, good))
    if not any(p.kind == GOOD and p.part == "train" for p in pictures):
        yield Finding("folder", f"{folder / 'train' / good[0]}: no normal training images")
    if not kinds | masked:
        yield Finding("folder", f"{folder / 'test'}: no folders of anomalies")
    for kind in sorted(kinds - masked):
        yield Finding("folder", f"{folder / 'ground_truth' / kind}: no masks, but images in "
                                f"test/{kind}")
    for kind in sorted(masked - kinds):
        yield Finding("folder", f"{folder / 'test' / kind}: no images, but masks in "
                                f"ground_truth/{kind}")


def _mask_kinds(folder: Path, good: tuple[str, ...]) -> Iterator[str]:
    base = folder / "ground_truth"
    for path in sorted(base.iterdir()) if base.is_dir() else ():
        if (path.is_dir() and path.name[0] != "." and path.name not in good
                and any(map(is_image, path.iterdir()))):
            yield form(path.name)


def _pairs(folder: Path, pictures: list[Picture], known: Masks) -> Iterator[Finding]:
    """Images without masks, masks without images, images that share a name. A folder that is
    missing as a whole is one fault, and said by _folders."""
    by_name = defaultdict(list)
    for p in pictures:
        by_name[p.part, form(p.kind), form(p.path.stem)].append(p.path)
    for same in by_name.values():
        for path in same[1:]:
            yield Finding("same name", f"{path}: the same name as {same[0].name}, so that a mask "
                                       f"or a result can't be told to be of which")
    used = {p.mask for p in pictures}
    for kind in sorted({form(p.kind) for p in pictures} - {GOOD}):
        place, masks = folder / "ground_truth" / kind, known.files(kind)
        for p in pictures:
            if masks and form(p.kind) == kind and p.mask is None:
                yield Finding("no mask", f"{p.path}: no mask {place / p.path.stem}_mask.png")
        for path in masks:
            if path not in used:
                yield Finding("no image", f"{path}: not the mask of any image")


def _look(p: Picture, grey: bool, threshold: int) -> tuple[bytes | None, list[Finding]]:
    """A digest of the image's size and some of its pixels, None where it can't be read; and what
    is wrong with it and its mask."""
    try:
        pixels, shape = read_image(p.path, SIEVE, "nearest")
    except UserError as error:
        return None, [Finding("image", str(error))]
    digest = hashlib.sha256(repr(shape).encode() + pixels.tobytes()).digest()
    return digest, [] if p.mask is None else list(_look_at_mask(p.mask, shape, grey, threshold))


def _look_at_mask(path: Path, shape: tuple[int, int], grey: bool, threshold: int
                  ) -> Iterator[Finding]:
    try:
        mask = marked(path, shape, threshold, grey)
    except UserError as error:
        yield Finding("mask", str(error))
        return
    if mask.all() or not mask.any():
        yield Finding("mask", f"{path}: the mask marks {'every' if mask.any() else 'no'} pixel")


def _duplicates(digests: Mapping[Picture, bytes]) -> Iterator[Finding]:
    """Images with equal pixels of which one can train and another can test."""
    alike = defaultdict(list)
    for p, digest in digests.items():
        alike[digest].append(p)
    for group in alike.values():
        for i, p in enumerate(group):
            # each copy is said once, with the first image that it equals
            for q in group[:i]:
                leaks = q.can_train and p.can_test or p.can_train and q.can_test
                if leaks and _equal(q.path, p.path):
                    yield Finding("duplicate", f"{p.path}: the same pixels as {q.path}")
                    break


def _equal(first: Path, second: Path) -> bool:
    """Whether two images of one size have equal pixels (RGB)."""
    _, shape = read_image(first, SIEVE, "nearest")
    side = max(shape)  # enlarged by nearest neighbour, an image still has every pixel
    a, b = (read_image(path, side, "nearest")[0] for path in (first, second))
    return np.array_equal(a, b)

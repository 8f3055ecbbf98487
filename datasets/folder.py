"""The one reader of the MVTec folder layout: which files a category has, checked before training.

    train/good/*.png   test/good/*.png   test/<defect>/*.png   ground_truth/<defect>/*_mask.png

Also .jpg, .jpeg, .bmp, .tif, .tiff, in upper case too; a mask may have the image's own name;
train/<defect> holds anomalies that always train. Names that look alike are alike: macOS writes é
as two characters (NFD), others as one (NFC).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.bench.base.refusals import encodable, listed, misnamed, nowhere
from aexad.datasets.catalog import DATASETS

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
GOOD = "good"
# Folders that file servers, archives and desktops put between those of their users.
OF_SYSTEMS = ("@eaDir", "#recycle", "#snapshot", "__MACOSX", "$RECYCLE.BIN", "lost+found",
              "System Volume Information", "__pycache__")


@dataclass(frozen=True)
class Item:
    """One image. id: its path in the category without extension; kind: 'good' or the defect."""

    id: str
    kind: str
    in_train: bool
    image: Path
    mask: Path | None


def locate(root: Path, dataset: str, category: str) -> Path | None:
    """The category's folder below the data root, or None. One that is behind a link that leads
    nowhere counts as there: who reads it is told so, where 'no data' would send them elsewhere."""
    spec = DATASETS[dataset]
    places = [root / folder / name for folder in spec.folders
              for name in spec.categories[category]]
    for there in (Path.is_dir, nowhere):
        for path in places:
            if there(path / "train") or there(path / "test"):
                return path
    return None


def expected(root: Path, dataset: str, category: str) -> Path:
    """The folder a category is first looked for in, for messages."""
    spec = DATASETS[dataset]
    return root / spec.folders[0] / spec.categories[category][0]


def dataset_itself(root: Path) -> str | None:
    """The dataset whose categories lie in a would-be data root itself, one folder too high."""
    for name, spec in DATASETS.items():
        if name != "embedded" and not any((root / folder).is_dir() for folder in spec.folders):
            names = {n for c, each in spec.categories.items() if c not in DATASETS for n in each}
            if any(n and (root / n / "train").is_dir() for n in names):
                return name
    return None


def scan(folder: Path, good: tuple[str, ...]) -> list[Item]:
    """All items of a category, training first, sorted by folder and file name.

    Raises UserError when there are no normal images, no anomalies, or a mask is missing.
    """
    items = [item for part in ("train", "test") for item in _items(folder, part, good)]
    if not any(i.kind == GOOD and i.in_train for i in items):
        raise UserError(f"{folder / 'train' / good[0]}: no normal training images there")
    if all(i.kind == GOOD for i in items):
        raise UserError(f"{folder}: a category with no anomalies; put anomalous images into "
                        f"test/<defect> and their masks into ground_truth/<defect>")
    seen: set[str] = set()
    for item in items:
        if not encodable(item.id):
            raise misnamed(item.image)
        if (name := form(item.id)) in seen:
            raise UserError(f"{item.image}: another image of that name with another extension, or "
                            f"in another Unicode form, stands beside it; remove one")
        seen.add(name)
    return items


def images(folder: Path, part: str, good: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """(kind, image file) of all images in train/ or test/, sorted by folder and file name."""
    base = folder / part
    for kind_dir in filter(is_kind, listed(base)):
        kind = GOOD if kind_dir.name in good else kind_dir.name
        for image in listed(kind_dir):
            if is_image(image):
                yield kind, image


class Masks:
    """The files of masks in a category, each folder listed once."""

    def __init__(self, folder: Path) -> None:
        base = folder / "ground_truth"
        self._folders = [p for p in listed(base) if p.is_dir() or nowhere(p)]
        self._known: dict[str, dict[str, Path]] = {}

    def of(self, kind: str, image: Path) -> Path | None:
        """The mask of an anomalous image, or None."""
        if kind not in self._known:
            ranked = sorted(self.files(kind), key=lambda p: (
                EXTENSIONS.index(p.suffix.lower()), p.suffix != p.suffix.lower()))
            self._known[kind] = {mask_name(p): p for p in reversed(ranked)}
        known, name = self._known[kind], form(image.stem)
        return known.get(f"{name}_mask") or known.get(name)

    def files(self, kind: str) -> list[Path]:
        """All masks of a kind, sorted."""
        return [p for p in self._listed(kind) if is_image(p)]

    def unread(self, kind: str, image: Path) -> Path | None:
        """What may be meant as the image's mask, and has no format that is read."""
        names = (form(image.stem), f"{form(image.stem)}_mask")
        return next((p for p in self._listed(kind) if mask_name(p) in names), None)

    def _listed(self, kind: str) -> list[Path]:
        return sorted(p for folder in self._folders if form(folder.name) == form(kind)
                      for p in listed(folder))


def is_image(path: Path) -> bool:
    """Whether a file is one that is read, by its name."""
    return path.suffix.lower() in EXTENSIONS and path.name[0] != "."


def is_kind(path: Path) -> bool:
    """Whether a path is a folder of a user's, not a hidden one or one of a system. A link that
    leads nowhere may be one: who lists it is told."""
    return of_user(path.name) and (path.is_dir() or nowhere(path) is not None)


def of_user(name: str) -> bool:
    """Whether a folder's name is a user's, not a hidden one or one of a system."""
    return name[0] != "." and name not in OF_SYSTEMS


def form(name: str) -> str:
    """The one Unicode form (NFC) of names that look alike."""
    return unicodedata.normalize("NFC", name)


def mask_name(path: Path) -> str:
    """A mask's name without extension, `_mask` at its end in lower case."""
    name = form(path.stem)
    return name[:-5] + "_mask" if name.lower().endswith("_mask") else name


def _items(folder: Path, part: str, good: tuple[str, ...]) -> Iterator[Item]:
    masks = Masks(folder)
    for kind, image in images(folder, part, good):
        mask = None if kind == GOOD else masks.of(kind, image)
        if kind != GOOD and mask is None:
            expected = folder / "ground_truth" / kind / f"{image.stem}_mask.png"
            other = masks.unread(kind, image)
            raise UserError(f"{image}: its mask is missing; expected {expected}"
                            + (f"; {other.name} has no format that is read "
                               f"({', '.join(EXTENSIONS)})" if other else ""))
        yield Item(f"{part}/{kind}/{image.stem}", kind, part == "train", image, mask)

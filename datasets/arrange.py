"""From an unpacked archive to the folders where the reader looks (datasets/catalog.py)."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from aexad.bench.base.csv_files import read_text
from aexad.bench.base.errors import UserError, first_line
from aexad.datasets import folder
from aexad.datasets.catalog import DATASETS
from aexad.datasets.folder import EXTENSIONS, GOOD

DEPTH = 3  # folders around the categories
COLUMNS = ("image", "part", "kind", "mask")


def find_categories(tree: Path, dataset: str) -> dict[str, Path]:
    """The categories that lie somewhere in `tree`: name -> folder with train/ or test/."""
    candidates = [p for p in _folders(tree, DEPTH)
                  if (p / "train").is_dir() or (p / "test").is_dir()]
    found: dict[str, Path] = {}
    for category, names in DATASETS[dataset].categories.items():
        # '' in names: the dataset has one category, which may lie in a folder of any name
        same = [p for p in candidates if p.name in names or "" in names]
        if same:
            found[category] = same[0]
    return found


def lay_out(found: dict[str, Path], root: Path, dataset: str) -> list[str]:
    """Move the categories' folders below the data root, each at once; those that are already there
    stay as they are. Returns the names of the moved ones."""
    moved = []
    for category, place in found.items():
        if folder.locate(root, dataset, category) is None:
            _move(place, folder.expected(root, dataset, category))
            moved.append(category)
    return moved


def choose(tree: Path, choice: Path, target: Path, good: tuple[str, ...] = (GOOD,)) -> None:
    """Copy the images of `tree` that the CSV file `choice` names into the MVTec layout in
    `target`, a new folder.

    A row per image: image, a path in `tree`; part, train or test; kind, good or the defect; mask, a
    path beside the CSV file or in `tree`, empty for normal images. UserError, with the line, for
    whatever is wrong.
    """
    for line, row in _rows(choice):
        where = f"{choice}, line {line}"
        part, kind = row["part"], GOOD if row["kind"] in good else row["kind"]
        if part not in ("train", "test"):
            raise UserError(f"{where}: part '{part}', expected train or test")
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", kind):
            raise UserError(f"{where}: kind '{kind}', expected good or the name of a defect")
        if (kind == GOOD) == bool(row["mask"]):
            raise UserError(f"{where}: " + ("a mask of a normal image" if kind == GOOD else
                                            "an anomalous image without a mask"))
        image = _inside((tree,), row["image"], where)
        _copy(image, target / part / kind / image.name, where)
        if row["mask"]:
            mask = _inside((choice.parent, tree), row["mask"], where)
            _copy(mask, target / "ground_truth" / kind / f"{image.stem}_mask{mask.suffix}", where)


def check_tree(tree: Path) -> None:
    """UserError for links: what a tree of someone else's points at is none of our business."""
    for base, folders, files in os.walk(tree):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(base, name)):
                raise UserError(f"{os.path.join(base, name)}: a link; not taken")


def _folders(tree: Path, depth: int) -> Iterator[Path]:
    """`tree` and the folders in it, nearest first."""
    level = [tree]
    for _ in range(depth + 1):
        yield from level
        level = [p for base in level for p in sorted(base.iterdir())
                 if p.is_dir() and p.name[0] not in "._"]


def _rows(choice: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text, separator, before = read_text(choice)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = _fields(next(reader, []))
        if tuple(name.lower() for name in header) != COLUMNS:
            raise UserError(f"{choice}: expected the columns {','.join(COLUMNS)}, has "
                            f"{','.join(header) or 'none'}")
        for words in reader:
            fields, line = _fields(words), before + reader.line_num
            if not fields:  # as a spreadsheet's last rows are
                continue
            if len(words) < len(COLUMNS) or len(fields) > len(COLUMNS):
                raise UserError(f"{choice}, line {line}: expected {len(COLUMNS)} fields")
            yield line, dict.fromkeys(COLUMNS, "") | dict(zip(COLUMNS, fields))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{choice}: not a readable CSV file ({first_line(error)})") from None


def _fields(words: list[str]) -> list[str]:
    """The fields of a row up to its last that is not empty, without spaces around them."""
    fields = [word.strip() for word in words]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _inside(bases: tuple[Path, ...], name: str, where: str) -> Path:
    """The image file `name` in the first of the folders that has it."""
    for base in bases:
        try:
            path = (base / name).resolve()
            if not path.exists():
                path = _spelled(base, Path(name.replace("\\", "/"))).resolve()  # from Windows
            found = path.is_relative_to(base.resolve()) and path.is_file()
        except (OSError, ValueError):  # too long for a name, or with a null in it
            continue
        if found:
            if path.suffix.lower() not in EXTENSIONS:
                raise UserError(f"{where}: {name} is no image ({', '.join(EXTENSIONS)})")
            return path
    raise UserError(f"{where}: no file {name} in {' or '.join(map(str, bases))}")


def _spelled(base: Path, name: Path) -> Path:
    """The path as the folders spell it, whose Unicode form may be another: é as one character or,
    from macOS, as two."""
    path = base
    for part in name.parts:
        there = (path / part).exists() or part == ".."
        path = path / part if there else next(
            (p for p in folder.listed(path) if folder.form(p.name) == folder.form(part)),
            path / part)
    return path


def _copy(source: Path, target: Path, where: str) -> None:
    if target.exists():
        raise UserError(f"{where}: a second {target.name} in {target.parent.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise UserError(f"{target}: cannot write ({error.strerror or error})") from None


def _move(place: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(place, target)
    except OSError as error:
        raise UserError(f"{target}: cannot put the dataset there ({error.strerror or error}); "
                        f"move away what is there") from None

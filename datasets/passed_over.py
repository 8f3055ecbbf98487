"""What the readers of folders pass over, and why: phrases for a person, before anything trains."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from aexad.datasets.folder import EXTENSIONS, GOOD, Item, Masks, is_image, is_kind

MOST = 5  # kinds of files that are named by their extensions
FORMAT = "format "


def of_category(folder: Path, items: Iterable[Item], good: tuple[str, ...]) -> list[str]:
    """What is left out of a category in the MVTec layout. items: those that are not."""
    found: Counter[str] = Counter()
    for part in ("train", "test", "ground_truth"):
        for path in _entries(folder / part):
            if path.is_dir():
                _inside(path, f"{part}/{path.name}", found)
            elif is_image(path):
                found[f"directly in {part}/, not in a folder there"] += 1
            else:
                _other(path, found)
    known, used = Masks(folder), {item.mask for item in items}
    for kind in sorted({p.name for p in _entries(folder / "ground_truth") if is_kind(p)}):
        whose = "normal images" if kind in (*good, GOOD) else "no image"
        found[f"in ground_truth/ of {whose}"] += sum(mask not in used for mask in known.files(kind))
    others = [p.name for p in _entries(folder)
              if is_kind(p) and p.name not in ("train", "test", "ground_truth")]
    return [*_phrases(found), *(f"the folder {name}/" for name in others)]


def of_flat(folder: Path) -> list[str]:
    """What is left out of a folder whose images lie directly in it."""
    found: Counter[str] = Counter()
    _inside(folder, folder.name, found, named=True)
    return _phrases(found)


def below(folder: Path, out: Path) -> list[str]:
    """What is left out of a folder whose images are looked for in all folders inside, too; not of
    `out`, which is our own."""
    found: Counter[str] = Counter()
    for path in _deep(folder, found):
        if not is_image(path) and out.resolve() not in path.resolve().parents:
            _other(path, found)
    return _phrases(found)


def _inside(folder: Path, where: str, found: Counter[str], named: bool = False) -> None:
    """What is left out of a folder of images: what is no image, and what lies deeper."""
    if not (named or is_kind(folder)):
        found[f"the folder {folder.name}/ of a system"] += 1
        return
    for path in _entries(folder):
        if not path.is_dir():
            if not is_image(path):
                _other(path, found)
        elif not is_kind(path):
            found[f"the folder {path.name}/ of a system"] += 1
        elif deeper := sum(map(is_image, _deep(path, found))):
            found[f"in folders inside {where}/"] += deeper


def _deep(folder: Path, found: Counter[str]) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        for name in [name for name in folders if not is_kind(Path(base, name))]:
            found[f"the folder {name}/ of a system"] += 1
            folders.remove(name)
        yield from (Path(base, name) for name in files)


def _other(path: Path, found: Counter[str]) -> None:
    if path.name[0] != ".":
        found[f"{FORMAT}{path.suffix.lower() or 'without an extension'}"] += 1
    elif path.suffix.lower() in EXTENSIONS:
        found["hidden, such as ._name of macOS"] += 1


def _phrases(found: Counter[str]) -> list[str]:
    formats = {reason: found.pop(reason) for reason in [*found] if reason.startswith(FORMAT)}
    phrases = [reason if reason.startswith("the folder") else f"{number} {reason}"
               for reason, number in found.items() if number]
    each = [f"{number} {reason.removeprefix(FORMAT)}" for reason, number in formats.items()]
    each[MOST:] = [f"{sum([*formats.values()][MOST:])} others"] if len(each) > MOST else []
    return phrases + ([f"{', '.join(each)} (no formats that are read)"] if each else [])


def _entries(folder: Path) -> list[Path]:
    """Sorted; none where it can't be listed, which is said by who reads it."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []

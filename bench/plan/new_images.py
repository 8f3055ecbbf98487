"""New images for a trained method: single files, and all that lie in folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.datasets.folder import EXTENSIONS, OF_SYSTEMS


@dataclass(frozen=True)
class New:
    """A new image. id: its path below the folder given, without extension."""

    id: str
    path: Path


def find(inputs: list[Path], out: Path) -> list[New]:
    """The images given, and all images below the folders given, in their order by name; not those
    below `out`, which a call before may have made. UserError where two have the same name."""
    found: dict[str, New] = {}
    for given in inputs:
        if not given.exists():
            raise UserError(f"{given}: no such image or folder")
        for new in _below(given, out.resolve()) if given.is_dir() else [New(given.stem, given)]:
            if new.id in found:
                raise UserError(f"{new.path}: the same name as {found[new.id].path}, their maps "
                                f"would be one file; rename one, or explain them apart")
            found[new.id] = new
    if not found:
        raise UserError(f"{inputs[0]}: no images there ({', '.join(EXTENSIONS)})")
    return list(found.values())


def _below(folder: Path, out: Path) -> Iterator[New]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if (path.suffix.lower() in EXTENSIONS and path.is_file()
                and not any(part[0] == "." or part in OF_SYSTEMS for part in inside.parts)
                and out not in path.resolve().parents):
            yield New(inside.with_suffix("").as_posix(), path)

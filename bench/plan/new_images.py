"""New images for a trained method: single files, and all that lie in folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.bench.base.refusals import encodable, files_below, misnamed, refusal
from aexad.datasets.folder import EXTENSIONS, is_image, of_user


@dataclass(frozen=True)
class New:
    """A new image. id: its path below the folder given, without extension."""

    id: str
    path: Path


@dataclass(frozen=True)
class Found:
    """The images to explain, by name; and what can't be, with the reason, a line each: folders
    that can't be read, names that can't be stored."""

    images: list[New]
    left_out: list[str]


def find(inputs: list[Path], out: Path) -> Found:
    """The images given, and all images below the folders given, in their order by name; not those
    below `out`, which a call before may have made. UserError where two have the same name, or
    where there is none."""
    found: dict[str, New] = {}
    left_out: list[str] = []
    for given in inputs:
        below = _below(given, out.resolve(), left_out) if given.is_dir() else [_single(given)]
        for new in below:
            if not encodable(new.path):
                left_out.append(str(misnamed(new.path)))
            elif new.id in found:
                raise UserError(f"{new.path}: the same name as {found[new.id].path}, their maps "
                                f"would be one file; rename one, or explain them apart")
            else:
                found[new.id] = new
    if not found:
        raise UserError(left_out[0] if left_out else
                        f"{inputs[0]}: no images there ({', '.join(EXTENSIONS)})")
    return Found(list(found.values()), left_out)


def _single(given: Path) -> New:
    if not (given.exists() or given.is_symlink()):  # a link that leads nowhere: when it is read
        raise UserError(f"{given}: no such image or folder")
    return New(given.stem, given)


def _below(folder: Path, out: Path, left_out: list[str]) -> Iterator[New]:
    def refused(error: OSError) -> None:
        left_out.append(str(refusal(error)))

    for path in sorted(files_below(folder, refused)):
        inside = path.relative_to(folder)
        if (is_image(path) and all(map(of_user, inside.parts[:-1]))
                and out not in path.resolve().parents):
            yield New(inside.with_suffix("").as_posix(), path)

"""Whether a worker is fit for the work: the same code, libraries and folders as the runner."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import torch

from aexad.bench.base import places, provenance
from aexad.bench.results.store import write_file
from aexad.bench.run.job import Options

PACKAGES = ("aexad", "aexad.bench", "aexad.methods", "aexad.datasets")


@dataclass(frozen=True)
class Surroundings:
    """What results depend on, of the runner's process. mark: a file that it has just written into
    the store. folders: those that the options name and that are there."""

    code: str
    commit: str
    libraries: dict[str, str]
    mark: Path
    folders: tuple[Path, ...]


@contextmanager
def surroundings(options: Options) -> Iterator[Surroundings]:
    """Those of this process; the mark is there for as long as the block runs."""
    mark = options.results / f".runner-{secrets.token_hex(8)}"
    write_file(mark, lambda p: p.write_text(""))
    folders = [options.data_root, *([options.weights] if options.weights else [])]
    try:
        yield Surroundings(code(), provenance.commit(), libraries(), mark,
                           tuple(f for f in folders if f.exists()))
    finally:
        mark.unlink(missing_ok=True)


def objection(runner: Surroundings, options: Options) -> str | None:
    """Why this process is not fit for the runner's work, with the remedy; None where it is."""
    if code() != runner.code:
        return (f"other code: {places.ROOT} at {provenance.commit()}, the runner's is at "
                f"{runner.commit}; start the worker anew, from the same checkout")
    mine = libraries()
    for name in sorted(mine.keys() | runner.libraries.keys()):
        here, there = mine.get(name, "absent"), runner.libraries.get(name, "absent")
        if here != there:
            return (f"{name} {here}, the runner has {there}; start the worker with the runner's "
                    f"environment")
    if not runner.mark.exists():
        return (f"does not see the runner's store {runner.mark.parent}; results have to be on a "
                f"file system that all share, at the same path")
    for folder in runner.folders:
        if not folder.exists():
            return f"does not see {folder}; it has to be there at the same path"
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        return f"no GPU for --device {options.device}; use a worker that has one, or --device cpu"
    return None


@cache
def code() -> str:
    """SHA-256 of our source files, those not committed included."""
    return digest_of({name: Path(import_module(name).__file__).parent for name in PACKAGES})


def digest_of(packages: Mapping[str, Path]) -> str:
    """SHA-256 of the source files below the folders of packages, and of their names. The folder of
    one may lie in that of another."""
    files = {f"{name.replace('.', '/')}/{path.relative_to(folder).as_posix()}": path
             for name, folder in packages.items() for path in folder.rglob("*")
             if path.suffix in (".py", ".json")}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(files[name].read_bytes()).digest())
    return digest.hexdigest()


@cache
def libraries() -> dict[str, str]:
    """Versions of what computes, methods of third parties included."""
    others = {f"{point.name} ({point.value})": point.dist.version if point.dist else "unknown"
              for point in entry_points(group="aexad_bench.methods")}
    return provenance.libraries() | others

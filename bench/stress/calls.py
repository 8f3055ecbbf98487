"""Commands in odd surroundings, beside the same ones where nothing is odd."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aexad.bench.results.model import FACTS
from aexad.bench.results.store import CELL, FIT, read_json
from aexad.bench.stress.child import Child
from aexad.bench.stress.field import OTHERWISE, Field, changed, finished

# What is compared of files that also name the run or a folder.
NAMING = {FACTS: "sha256", "scores.json": "images"}

NOWHERE = "/no/such/disk"

Check = Callable[[], list[str]]


def nothing() -> None:
    """Surroundings as they are."""


@dataclass(frozen=True)
class Call:
    """A command in the surroundings that `prepare` makes in its process. status, says: how it must
    end, and what its line must have where that is a refusal; check: what is wrong with what it
    wrote; fresh: it needs an interpreter of its own, as what is read at its start is odd."""

    name: str
    words: Sequence[str]
    check: Check = list
    prepare: Callable[[], None] = nothing
    status: int = 0
    says: str = ""
    fresh: bool = False

    def run(self, field: Field) -> list[str]:
        """What was wrong."""
        child = Child(_program if self.fresh else field.main, self.words, field.folder / "log.txt",
                      self.prepare)
        child.wait(OTHERWISE)
        wrong = self.check()
        if child.code != self.status:
            wrong.append(f"status {child.code}, not {self.status}: {child.said()}")
        elif "Traceback" in child.text() or self.says not in child.text():
            wrong.append(f"it says {child.said()}")
        elif self.status == 2 and not child.refused():
            wrong.append(f"more than one line: {child.said()}")
        return [f"{self.name}: {what}" for what in wrong]


def _program(words: Sequence[str]) -> int:
    """The command in place of this process."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", "aexad.bench", *words])


class Undisturbed:
    """Commands, and what they write where nothing is odd: a table with its training, `run` on
    stored results with its pictures, a model, `explain`."""

    def __init__(self, field: Field) -> None:
        self.field, self.place = field, field.folder / "undisturbed"
        for words, _ in (self.run(self.place), self.fit(self.place), self.explain(self.place)):
            child = Child(field.main, words, field.folder / "log.txt")
            child.wait(OTHERWISE)
            assert child.code == 0, child.said()

    def table(self, results: Path, *more: str) -> tuple[list[str], Check]:
        return self.field.words(results, *more), lambda: self.field.differences(results)

    def run(self, results: Path) -> tuple[list[str], Check]:
        shutil.copytree(self.field.whole, results)
        words = ["run", *self.field.words(results, "--methods", "ae_xad")[1:]]
        return words, self._same(results, "tables", "figures", "overlays")

    def fit(self, results: Path) -> tuple[list[str], Check]:
        words = ["fit", *self.field.words(results, "--methods", "ae_xad")[1:],
                 "--out", str(results / "model")]
        return words, self._same(results, "model")

    def explain(self, results: Path, model: Path | None = None) -> tuple[list[str], Check]:
        words = ["explain", str(model or self.place / "model"),
                 str(self.field.data / "mvtec/bottle/test"), "--out", str(results / "explained"),
                 "--device", "cpu", "--threads", "1"]
        return words, self._same(results, "explained")

    def any(self, rng: random.Random, results: Path, *names: str) -> tuple[list[str], Check]:
        return getattr(self, rng.choice(names))(results)

    def _same(self, results: Path, *folders: str) -> Check:
        def check() -> list[str]:
            files = [p for folder in folders for p in sorted((self.place / folder).rglob("*"))]
            return [f"{p.relative_to(self.place)} is not as elsewhere" for p in files
                    if p.is_file() and p.suffix != ".toml"  # it names the results
                    and not _alike(p, results / p.relative_to(self.place))]
        return check


def _alike(path: Path, other: Path) -> bool:
    if path.name in NAMING:
        key = NAMING[path.name]
        return (read_json(other) or {}).get(key) == read_json(path)[key]
    return other.is_file() and other.read_bytes() == path.read_bytes()


undisturbed = cache(Undisturbed)


def environment(**values: str | Path | None) -> Callable[[], None]:
    """Sets variables, and removes those that are None."""
    def prepare() -> None:
        for name, value in values.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = str(value)
    return prepare


def both(*parts: Callable[[], None]) -> Callable[[], None]:
    def prepare() -> None:
        for part in parts:
            part()
    return prepare


def inside(folder: Path, **values: str | Path | None) -> Callable[[], None]:
    """In this working folder, which is made, and with these variables."""
    folder.mkdir(exist_ok=True)
    return both(lambda: os.chdir(folder), environment(**values))


# -- files that are taken away, and given back --


class Copies:
    """Copies of the data, of results and of a model, and what is asked of them while something is
    the matter with a file or folder of theirs."""

    def __init__(self, plain: Undisturbed, place: Path) -> None:
        self.plain, self.place = plain, place
        self.data = shutil.copytree(plain.field.data, place / "data")
        self.results = shutil.copytree(plain.field.whole, place / "results")
        self.model = shutil.copytree(plain.place / "model", place / "a model")
        self.before = finished(self.results)

    def of_data(self) -> list[Path]:
        bottle = self.data / "mvtec" / "bottle"
        return [bottle.parent, *(bottle / part for part in (
            "train/good", "train/good/003.png", "test/scratch", "ground_truth/dent",
            "ground_truth/scratch/002_mask.png"))]

    def of_results(self, rng: random.Random) -> list[Path]:
        return [rng.choice(sorted(self.results.rglob(name))) for name in (FIT, CELL)]

    def new(self, says: str, path: Path, prepare: Callable[[], None] = nothing) -> Call:
        """Something is to be computed of the data; nothing of it is."""
        words, _ = self.plain.table(self.place / "new", "--data-root", str(self.data))
        return self._refused(words, says, path, prepare)

    def again(self, says: str, path: Path, prepare: Callable[[], None] = nothing) -> Call:
        """All is stored."""
        return self._refused(self.plain.table(self.results)[0], says, path, prepare)

    def explained(self, says: str, path: Path, prepare: Callable[[], None] = nothing) -> Call:
        words, _ = self.plain.explain(self.place, self.model)
        return self._refused(words, says, path, prepare)

    def _refused(self, words: Sequence[str], says: str, path: Path, prepare: Callable[[], None]
                 ) -> Call:
        def trained() -> list[str]:
            return ["something was trained"] if (self.place / "new" / "fits").exists() else []
        return Call(f"{says}: {path.relative_to(self.place)}", words, trained, prepare, 2, says)

    def given_back(self) -> Iterator[Call]:
        """The same commands where nothing is the matter any more."""
        words, check = self.plain.table(self.results)
        yield Call("stored, given back", words, lambda: check() + changed(self.before))
        words, check = self.plain.table(self.place / "new", "--data-root", str(self.data))
        yield Call("new, given back", words, check)
        yield Call("explained, given back", *self.plain.explain(self.place, self.model))


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """Its mode allows nothing."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


@contextmanager
def away(path: Path, aside: Path) -> Iterator[None]:
    """A link that leads nowhere is in its place, and it is aside."""
    path.rename(aside)
    path.symlink_to(NOWHERE)
    try:
        yield
    finally:
        path.unlink()
        aside.rename(path)

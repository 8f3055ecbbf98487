"""Where faults are tried: a small data folder, the results of undisturbed runs, and what of a
disturbed one is not as it should be."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aexad.bench.results.store import CELL, FIT, read_json
from aexad.bench.stress.category import make_category
from aexad.bench.stress.child import Child, Main

METHODS = "ae,ae_filtered,ae_xad_raw,ae_xad"  # two fits, four cells
SAME = ("heatmaps.npy", "images.parquet", "model.safetensors", "*.csv")
OTHERWISE = 300.0  # seconds after which a run counts as one that never ends


class Untried(Exception):
    """Why a fault can't be made here."""


@dataclass
class Outcome:
    """Rounds of one fault. lost: what was lost or wrong, with the round's number; untried: why
    there were none."""

    name: str
    rounds: int = 0
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    untried: str = ""


class Field:
    """A small data folder, the results of undisturbed runs, and places for disturbed ones. main:
    what runs a command."""

    def __init__(self, folder: Path, seed: int, main: Main) -> None:
        self.folder, self.seed, self.main = folder, seed, main
        self.data = make_category(folder / "data" / "mvtec" / "bottle").parents[1]
        self.whole = folder / "whole"
        began = time.monotonic()
        self.first = self.run(self.whole)
        self.seconds = time.monotonic() - began

    def words(self, results: Path, *more: str) -> list[str]:
        return ["table1", "--data-root", str(self.data), "--results", str(results),
                "--protocol", "smoke", "--set", "data.size=32", "--epochs", "4", "--device", "cpu",
                "--threads", "1", "--categories", "mvtec/bottle", "--methods", METHODS,
                "--keep-maps", "--checkpoint-every", "0", *more]

    def start(self, results: Path, *more: str, prepare: Callable[[], None] | None = None) -> Child:
        return Child(self.main, self.words(results, *more), self.folder / "log.txt", prepare)

    def run(self, results: Path, *more: str, prepare: Callable[[], None] | None = None) -> Child:
        child = self.start(results, *more, prepare=prepare)
        child.wait(OTHERWISE)
        return child

    def place(self, number: int) -> Path:
        """An empty results folder for a round, and an empty cache of images."""
        results = self.folder / f"round-{number}"
        shutil.rmtree(results, ignore_errors=True)
        os.environ["AEXAD_CACHE"] = str(results / "cache")
        return results

    def ended(self, results: Path, *more: str) -> list[str]:
        """Run the command to its end; what is not as it should be then."""
        child = self.run(results, *more)
        if child.code != 0:
            return [f"the command ended with {child.code}: {child.said()}"]
        return self.differences(results)

    def differences(self, results: Path) -> list[str]:
        """Files that are not, bit for bit, those of the undisturbed run, or should not be there."""
        wrong = []
        for pattern in SAME:
            for path in sorted(self.whole.rglob(pattern)):
                other = results / path.relative_to(self.whole)
                if not other.exists() or other.read_bytes() != path.read_bytes():
                    wrong.append(f"{other.relative_to(results)} is not that of the whole run")
        for name, key in ((CELL, "numbers"), (FIT, "losses")):
            for path in sorted(self.whole.rglob(name)):
                other = read_json(results / path.relative_to(self.whole)) or {}
                if other.get(key) != read_json(path)[key]:
                    wrong.append(f"{path.relative_to(self.whole)}: other {key}")
        left = [p for p in results.rglob("*") if p.name.endswith((".tmp", "checkpoint.pt"))]
        return wrong + [f"{path.relative_to(results)} was left behind" for path in left]


def finished(results: Path) -> dict[Path, bytes]:
    """fit.json and cell.json of what is done."""
    paths = [*results.rglob(FIT), *results.rglob(CELL)]
    return {p: p.read_bytes() for p in paths if (read_json(p) or {}).get("status") == "done"}


def changed(before: dict[Path, bytes]) -> list[str]:
    return [f"{path.parent.name}: finished, and done again" for path, content in before.items()
            if not path.exists() or path.read_bytes() != content]

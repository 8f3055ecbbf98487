"""Finished cells with their numbers, of whatever parameters, from a results folder or from the
baselines of the repository: what a verdict is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from aexad.bench.base.errors import UserError
from aexad.bench.base.json_files import read_object
from aexad.bench.measure.names import IMAGE_COLUMNS
from aexad.bench.results import baseline
from aexad.bench.results.image_rows import of_folder
from aexad.bench.results.readings import ALONE
from aexad.bench.results.store import Store

Place = tuple[str, str]
COLUMNS = ["id", "label", "score", "used", *IMAGE_COLUMNS]
"""What is kept of an image: of the rest nothing is asked, and a hundred cells add up."""


@dataclass(frozen=True)
class Evidence:
    """A finished cell. entry: as baseline.entry writes it; images: COLUMNS of its rows, as
    image_rows.per_image gives them, None where they were not kept. source: where it is kept."""

    source: str
    entry: dict[str, Any]
    images: pd.DataFrame | None

    @property
    def method(self) -> str:
        return str(self.entry["method"])

    @property
    def place(self) -> Place:
        return self.entry["fit"]["dataset"], self.entry["fit"]["category"]

    @property
    def scenario(self) -> str:
        return str(self.entry["fit"]["scenario"])

    @property
    def seed(self) -> int:
        return int(self.entry["fit"]["seed"])

    @property
    def version(self) -> int:
        return int(self.entry["fit"]["version"])

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What is declared of training, data and explanation, flat: 'fit.lr', 'data.size',
        'explain.k'. A parameter that is not there has its `before` (base/params.py)."""
        parts = {"fit": self.entry["fit"]["params"], "data": self.entry["fit"]["data"],
                 "explain": self.entry["declared"]["params"]}
        return {f"{part}.{name}": value for part, values in parts.items()
                for name, value in values.items()}

    @cached_property
    def configuration(self) -> tuple[Any, ...]:
        """What cells have in common that differ in the seed alone."""
        return self.version, tuple(sorted(self.parameters.items(), key=lambda item: item[0]))

    def number(self, column: str) -> float | None:
        """A stored number; None where it is undefined or was not stored."""
        value = self.entry["numbers"].get(column)
        return None if value is None else float(value)

    @cached_property
    def used(self) -> pd.DataFrame | None:
        """The rows of the images that the means are over, by id."""
        if self.images is None:
            return None
        return self.images[self.images["used"].astype(bool)].set_index("id")

    @property
    def device(self) -> str:
        """What it was computed on, training and explanation."""
        found = self.entry.get("provenance") or {}
        return " and ".join(dict.fromkeys(
            str(part["device"]) for part in (found.get("fit"), found.get("explain")) if part))

    @property
    def grams(self) -> float | None:
        """What training and explaining emitted, where both were measured and nothing else ran on
        the machine. Readings of old say nothing of other programs: they are not known to be such.
        """
        found = self.entry.get("emissions") or {}
        both = [found.get("fit"), found.get("explain")]
        alone = all(r and not r["problem"] and not r["shared"] and r.get("others") is not None
                    for r in both)
        return sum(float(r["grams"]) for r in both) if alone else None


def of_baselines(folder: Path) -> tuple[list[Evidence], dict[str, str]]:
    """The cells of all baselines in a folder, file by file, sorted; and file -> what a reader must
    know. Other JSON files have none. UserError for a damaged file, and where there is no baseline.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of baselines")
    found, notes = [], {}
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError):  # which baseline.load tells
            if "cells" not in read_object(path):
                continue
        content = baseline.load(path)
        notes[path.name] = content.get("note") or ""
        rows = (dict(list(baseline.images(path, content)[[*COLUMNS, "key"]].groupby("key")))
                if content.get("images") else {})
        found += [Evidence(path.name, entry, rows.get(entry.get("key")))
                  for entry in content["cells"]]
    if not found:
        raise UserError(f"{folder}: has no baseline; make one with --save-baseline of a table")
    return found, notes


def of_store(store: Store) -> list[Evidence]:
    """All finished cells of a results folder, and those that were done again to be measured alone
    (bench/results/readings.py)."""
    return [*_of_folders(store, ""), *_of_folders(Store(store.root / ALONE), f"{ALONE}/")]


def _of_folders(store: Store, prefix: str) -> Iterator[Evidence]:
    for folder, info in store.all_cells():
        entry = baseline.entry_of(info, store.fit_behind(info))
        rows = of_folder(folder)
        yield Evidence(prefix + folder.relative_to(store.root).as_posix(), entry,
                       None if rows is None else rows[COLUMNS])

"""Methods of which the bench has heatmaps and nothing else: other tools, evaluated beside ours.

`results/external/<name>.json` makes a name known in one results folder, its cells lie among the
others. As for our own, what a cell's key is made of is declared (name, images, seed, scenario);
the maps themselves are data: their sha256 is in cell.json, and new maps under the same name take
the place of the old ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.results.store import read_json, write_json

if TYPE_CHECKING:
    from aexad.methods.base import Context

NO_MAPS = "no maps evaluated"
NOTE = "heatmaps made elsewhere, their emissions unknown"
_known: set[str] = set()  # the names that `register` put into methods.REGISTRY


@dataclass(frozen=True)
class NoParams:
    """There is nothing to set: what made the maps is not known here."""


class External:
    """Heatmaps made elsewhere."""

    fit_params, explain_params, version = NoParams, NoParams, 1

    def __init__(self, fit: NoParams, explain: NoParams, ctx: Context) -> None:
        pass

    @staticmethod
    def skip(scenario: str) -> str:
        """Never run: a cell is there because `evaluate` stored it, or it is missing."""
        return NO_MAPS


def externals() -> frozenset[str]:
    """The names of the external methods of the results folder in use."""
    return frozenset(_known)


def register(results: Path) -> None:
    """Make the external methods of a results folder known by name, and those of another folder
    unknown. UserError where one has a name that a method has by now."""
    for name in _known:
        methods.REGISTRY.pop(name, None)
    _known.clear()
    methods.entries.cache_clear()
    for path in sorted((Path(results) / "external").glob("*.json")):
        info = read_json(path)
        if info is None:
            continue
        if path.stem in methods.entries():
            raise UserError(f"{path}: '{path.stem}' is also the name of a method; evaluate the "
                            f"maps under another name and remove this file")
        _add(path.stem, str(info.get("label", path.stem)))


def check_name(name: str) -> None:
    """UserError for a name that a method of ours has, or that is none."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UserError(f"--name {name}: expected letters, digits, _ and -, a letter first")
    if name in ("data", "metrics") or name in methods.entries().keys() - _known:
        raise UserError(f"--name {name}: taken by the bench itself; choose another name")


def keep_name(name: str, label: str | None, results: Path) -> None:
    """Make an external method known in a results folder, now and from now on."""
    label = label or (methods.entry(name).label if name in _known else name)
    write_json(Path(results) / "external" / f"{name}.json", {"label": label})
    _add(name, label)


def _add(name: str, label: str) -> None:
    methods.REGISTRY[name] = methods.Entry(label, "aexad.bench.results.external:External")
    _known.add(name)
    methods.entries.cache_clear()


def remarks(info: dict[str, Any]) -> dict[str, str]:
    """What the record of a cell, whose cell.json is `info`, must say if it is an external one."""
    return {"note": NOTE, "problem": "made elsewhere"} if "external" in info else {}

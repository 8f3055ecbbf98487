"""Methods of packages installed beside this one: their entry points of the group GROUP.

An entry point's value is "module:ENTRY", an Entry, or "module:Class", the method's class itself. A
plug-in that can't be imported is known with the reason, and refused when it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import TracebackType

from aexad.methods import torchvision_cure
from aexad.methods.entry import Entry, import_object

GROUP = "aexad_bench.methods"
EXPECTED = ("fit_params", "explain_params", "version")  # of a method's class: methods/base.py

# Until version 0.2 our folders were packages of their own.
_OLD = re.compile(r"\s*(?:from|import)\s+((?:bench|methods|datasets)\b[\w.]*)")
_MOVED = {"bench.params": "bench.base.params", "bench.errors": "bench.base.errors",
          "bench.files": "bench.base.files", "bench.maps": "bench.measure.maps",
          "bench.metrics": "bench.measure.metrics"}


@dataclass(frozen=True)
class Broken:
    """A plug-in that can't be used: its entry point's value, why, and lines of its own that import
    ours by the names of before: (file, line, as it is, as it should be)."""

    target: str
    reason: str
    old_imports: list[tuple[Path, int, str, str]] = field(default_factory=list)


@cache
def find() -> tuple[dict[str, Entry], dict[str, Broken]]:
    """Those that can be used and those that can't, by name."""
    usable: dict[str, Entry] = {}
    broken: dict[str, Broken] = {}
    for point in entry_points(group=GROUP):
        torchvision_cure.install()
        try:
            usable[point.name] = _entry(point)
        except Exception as error:  # noqa: BLE001  a stranger's module may raise anything; it is told
            reason = str(error).split("\n")[0]
            broken[point.name] = Broken(point.value, f"{type(error).__name__}: {reason}",
                                        _old_imports(error.__traceback__))
    return usable, broken


def _entry(point: EntryPoint) -> Entry:
    made = import_object(point.value)
    entry = made if isinstance(made, Entry) else Entry(point.name, point.value)
    cls = import_object(entry.facts or entry.target)
    lacking = [name for name in EXPECTED if not hasattr(cls, name)]
    if lacking:
        raise TypeError(f"{cls.__name__} has no {', '.join(lacking)}; methods/base.py says what a "
                        f"method is")
    package = [point.dist.name] if point.dist else []
    return replace(entry, libraries=(*dict.fromkeys([*package, *entry.libraries]),))


def _old_imports(traceback: TracebackType | None) -> list[tuple[Path, int, str, str]]:
    """The lines to change in the file in which importing a plug-in ended."""
    files = []
    while traceback:
        files.append(Path(traceback.tb_frame.f_code.co_filename))
        traceback = traceback.tb_next
    found = []
    for path in [p for p in files[-1:] if p.is_file() and p.parent != Path(__file__).parent]:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if old := _OLD.match(line):
                found.append((path, number, line.strip(), _renamed(line.strip(), old[1])))
    return found


def _renamed(line: str, name: str) -> str:
    """An import of ours, by the names of now; `from bench import a, b` may become several."""
    start = f"from {name} import "
    if name != "bench" or not line.startswith(start):
        return line.replace(name, f"aexad.{_MOVED.get(name, name)}", 1)
    rooms: dict[str, list[str]] = {}
    for part in line.removeprefix(start).split(","):
        module = f"bench.{part.split()[0]}"
        rooms.setdefault(_MOVED.get(module, module).rpartition(".")[0], []).append(part.strip())
    return "; ".join(f"from aexad.{room} import {', '.join(names)}"
                     for room, names in rooms.items())

"""The rules of the rooms (ARCHITECTURE.md), held by the imports that stand in the files."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
TOP = ("aexad", "bench", "methods", "datasets")  # our folders; what lies in them is aexad.…
RANKS = {  # a room imports from those of a lower rank alone
    "bench.base": 0, "bench.measure": 1, "methods": 2, "datasets": 2, "bench.paper": 3,
    "bench.plan": 4, "bench.results": 5, "bench.run": 6, "bench.deploy": 6,
    "bench.tables": 7, "bench.figures": 8,
    "bench.verdict": 9, "bench.report": 10, "bench.speed": 11, "bench.stress": 11,
    "bench.study": 11, "bench.commands": 12, "bench.__main__": 13, "aexad": 14}
LONGEST = 400  # lines of a file


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours below `root`, by its name without 'aexad.'."""
    found = {}
    for path in sorted(p for top in TOP for p in (root / top).rglob("*.py")):
        inside = path.relative_to(root).with_suffix("")
        found[".".join(p for p in inside.parts if p != "__init__")] = path
    return found


def imports(path: Path, known: Iterable[str]) -> set[str]:
    """The modules among `known` that a file imports, wherever in it that stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            assert not isinstance(node, ast.ImportFrom), f"{path}: a relative import"
            continue
        for name in names:
            name = name.removeprefix("aexad.")
            parents = [name, name.rpartition(".")[0]]  # a module, or something in one
            found |= set(parents[:1] if name in known else parents[1:]) & set(known)
    return found


def graph(root: Path) -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    known = modules(root)
    return {name: imports(path, known) - {name} for name, path in known.items()}


def room(module: str) -> str:
    """The folder of a module, or the module itself where it lies between the rooms."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "bench" else parts[0]


def upwards(edges: dict[str, set[str]]) -> list[str]:
    """The imports that do not go down. A room that nobody ranked is one, too."""
    return [f"{a} -> {b}" for a, below in sorted(edges.items()) for b in sorted(below)
            if room(a) != room(b) and not RANKS.get(room(a), -1) > RANKS.get(room(b), 99)]


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first found."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def same_names(root: Path) -> list[str]:
    """Names that two modules directly in the rooms of bench/ share. Folders in a room may be called
    as a command."""
    counts = Counter(path.stem for name, path in modules(root).items() if name.startswith("bench.")
                     and name.count(".") == 2 and path.name != "__init__.py")
    return sorted(name for name, n in counts.items() if n > 1)


def too_long(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in modules(root).values()
            if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST]


def unpacked(root: Path) -> list[str]:
    """Folders of modules that setup.cfg does not name as packages."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    named = set(config["options"]["packages"].split())
    folders = {path.relative_to(root).parent.parts for path in modules(root).values()}
    there = {".".join(("aexad", *parts) if parts[0] != "aexad" else parts) for parts in folders}
    return sorted(there - named)


def test_imports_go_down():
    assert upwards(graph(REPOSITORY)) == []


def test_no_circle():
    edges = graph(REPOSITORY)
    assert circle(edges) == []
    rooms: dict[str, set[str]] = {}
    for a, below in edges.items():
        rooms.setdefault(room(a), set()).update({room(b) for b in below} - {room(a)})
    assert circle(rooms) == []


def test_base_imports_nothing_of_ours():
    assert {b for a, below in graph(REPOSITORY).items() for b in below
            if room(a) == "bench.base" and room(b) != "bench.base"} == set()


def test_a_name_says_it_without_its_folder():
    assert same_names(REPOSITORY) == []


def test_a_file_can_be_read_in_one_go():
    assert too_long(REPOSITORY) == []


def test_all_is_installed():
    assert unpacked(REPOSITORY) == []


def test_what_reads_results_computes_nothing():
    """Tables of stored results don't wait for torch and what else computes."""
    code = ("import sys, aexad.bench.results.records, aexad.bench.results.baseline\n"
            "import aexad.bench.commands.table, aexad.bench.commands.status\n"
            "print(*(n for n in sys.modules if n in ('torch', 'timm', 'scipy.ndimage', "
            "'scipy.stats', 'matplotlib', 'sklearn', 'aexad.bench.run.task')))")
    made = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert made.returncode == 0 and made.stdout.split() == [], made.stdout + made.stderr


def test_every_path_in_architecture_md_is_there():
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = missing_paths(text, REPOSITORY)
    assert paths == [] and len(text.splitlines()) <= 120


def missing_paths(text: str, root: Path) -> list[str]:
    """What a text names in `…` as a file or folder and is not there; <…> is a pattern."""
    named = {word for word in re.findall(r"`([^`\s]+)`", text)
             if "<" not in word and re.search(r"/|\.(py|md|cfg|toml|sh)$", word)}
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    assert named, "no path was found"
    return sorted(path for path in named | linked if not (root / path).exists())


# -- each rule bites --


@pytest.fixture
def tree(tmp_path):
    """Two rooms, the upper of which imports the lower; a function that writes a file."""
    def write(path: str, text: str = "") -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for name in ("aexad", "bench", "bench/base", "bench/run"):
        write(f"{name}/__init__.py")
    write("bench/base/files.py")
    write("bench/run/task.py", "from aexad.bench.base import files\n")
    write("setup.cfg", "[options]\npackages =\n    aexad\n    aexad.bench\n    aexad.bench.base\n"
                       "    aexad.bench.run\n")
    edges = graph(tmp_path)
    assert edges["bench.run.task"] == {"bench.base.files"}
    assert upwards(edges) == circle(edges) == unpacked(tmp_path) == too_long(tmp_path) == []
    return tmp_path, write


@pytest.mark.parametrize("text", (
    "from aexad.bench.run import task\n", "import aexad.bench.run.task\n",
    "from aexad.bench.run.task import run\n", "import aexad.bench.run.task as t\n",
    "def f():\n    from aexad.bench.run.task import run\n",
    "if TYPE_CHECKING:\n    from aexad.bench import run\n"))
def test_an_import_upwards_is_seen(tree, text):
    root, write = tree
    write("bench/base/params.py", text)
    [seen] = upwards(graph(root))
    assert seen.startswith("bench.base.params -> bench.run")


def test_a_room_without_a_rank_is_seen(tree):
    root, write = tree
    write("bench/attic/old.py", "from aexad.bench.base import files\n")
    assert upwards(graph(root)) == ["bench.attic.old -> bench.base.files"]


def test_a_circle_is_seen(tree):
    root, write = tree
    write("bench/run/jobs.py", "def f():\n    from aexad.bench.run import task\n")
    assert circle(graph(root)) == []
    write("bench/run/task.py", "from aexad.bench.run.jobs import f\n")
    assert set(circle(graph(root))) == {"bench.run.jobs", "bench.run.task"}


def test_the_same_name_is_seen(tree):
    root, write = tree
    write("bench/run/files.py")
    write("bench/run/engines/task.py")  # not directly in a room
    assert same_names(root) == ["files"]


def test_a_long_file_is_seen(tree):
    root, write = tree
    write("bench/base/files.py", "x = 1\n" * (LONGEST + 1))
    assert too_long(root) == ["bench/base/files.py"]


def test_a_package_that_is_not_installed_is_seen(tree):
    root, write = tree
    write("bench/run/engines/__init__.py")
    write("bench/tables/build.py")  # without an __init__.py
    assert unpacked(root) == ["aexad.bench.run.engines", "aexad.bench.tables"]


def test_a_path_that_is_not_there_is_seen(tree):
    root, _ = tree
    assert missing_paths("see `bench/run/task.py` and `bench/gone.py`, [it](docs/gone.md)",
                         root) == ["bench/gone.py", "docs/gone.md"]

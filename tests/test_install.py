"""The wheel: what is in it, and that it works where there is no checkout, beside another package
called `datasets`. Built without network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

import pytest

from conftest import REPOSITORY

pytestmark = pytest.mark.slow

PACKAGES = {"aexad": "aexad", "bench": "aexad/bench", "methods": "aexad/methods",
            "datasets": "aexad/datasets"}
DATA = {f"results/baselines/{path.name}": f"aexad/baselines/{path.name}"
        for path in (REPOSITORY / "results" / "baselines").iterdir()
        if path.suffix in (".json", ".parquet")}

BUILD = """
import sys
from setuptools import build_meta
print(build_meta.build_wheel(sys.argv[1]))
"""


def git_files() -> list[str]:
    try:
        listed = subprocess.run(["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached",
                                 "--others", "--exclude-standard"], text=True,
                                capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"THE WHEEL'S FILES WERE NOT COMPARED WITH GIT'S: {error}")
    return [name for name in listed.split("\0") if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built of a copy, since setuptools leaves its own files in the folder."""
    pytest.importorskip("setuptools", minversion="77", reason="THE WHEEL WAS NOT BUILT: no "
                        "setuptools of version 77 or later; pip install setuptools")
    source, out = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("wheel")
    for folder in (*PACKAGES, "results/baselines"):
        copytree(REPOSITORY / folder, source / folder, ignore=ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        copy2(REPOSITORY / name, source)
    done = subprocess.run([sys.executable, "-P", "-c", BUILD, str(out)], cwd=source,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """The wheel unpacked, as pip does it, in a repository of git that is somebody else's, beside a
    package called `datasets`."""
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    place = other / "site-packages"
    zipfile.ZipFile(wheel).extractall(place)
    (place / "datasets").mkdir()
    (place / "datasets" / "__init__.py").write_text("def load_dataset(): return 'theirs'\n")
    return place


# The site comes before this environment's, and nothing of the checkout is on the way: what the
# editable installation put there is taken out.
START = """
import runpy, sys
sys.meta_path = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", "")]
sys.path_hooks = [h for h in sys.path_hooks if "ditable" not in getattr(h, "__qualname__", "")]
sys.path.insert(0, sys.argv.pop(1))
"""


def python(site: Path, code: str, *words: str, cwd: Path, **env: str):
    """Run code with the unpacked wheel in the folder `cwd`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AEXAD_")}
    return subprocess.run([sys.executable, "-P", "-c", START + code, str(site), *words],
                          cwd=cwd, env=clean | env, capture_output=True, text=True)


def bench(site: Path, *words: str, cwd: Path, **env: str):
    return python(site, "from aexad.bench.commands.cli import main\nsys.exit(main())", *words,
                  cwd=cwd, **env)


def test_the_wheel_has_all_modules_and_data_and_nothing_else(wheel):
    expected = {f"{PACKAGES[top]}/{rest}" for name in git_files()
                for top, _, rest in [name.partition("/")]
                if top in PACKAGES and rest.endswith((".py", ".json", ".typed", ".html", ".css",
                                                      ".js"))}
    there = set(zipfile.ZipFile(wheel).namelist())
    assert {n for n in there if ".dist-info/" not in n} == expected | set(DATA.values())


def test_its_data_are_those_of_the_repository(wheel):
    files = zipfile.ZipFile(wheel)
    for ours, theirs in DATA.items():
        assert files.read(theirs) == (REPOSITORY / ours).read_bytes()


def test_it_is_imported_beside_another_package_called_datasets(site, tmp_path):
    done = python(site, """
import datasets, aexad.datasets.catalog, aexad
print(datasets.load_dataset(), len(aexad.datasets.catalog.DATASETS) > 5, aexad.__file__)
""", cwd=tmp_path)
    assert done.stdout.split() == ["theirs", "True", str(site / "aexad" / "__init__.py")]


def test_without_a_checkout_things_are_kept_where_one_is(site, tmp_path):
    done = python(site, """
import json
from aexad.bench.base import places, provenance
from aexad.bench.run.engines import probe
print(json.dumps([places.CHECKOUT, str(places.RESULTS), str(places.DATA), str(places.cache()),
                  str(places.BASELINES), provenance.commit(), probe.code()]))
""", cwd=tmp_path, XDG_CACHE_HOME="/big")
    *found, code = json.loads(done.stdout)
    assert found == [False, "results", "data", "/big/aexad-bench", str(site / "aexad/baselines"),
                     version("aexad-bench")]
    assert len(code) == 64


def test_messages_name_the_installed_command(site, tmp_path):
    said = bench(site, "--help", cwd=tmp_path)
    assert said.returncode == 0 and said.stdout.startswith("usage: aexad-bench")


def test_check_has_its_baseline_and_leaves_it_as_it_is(site, tmp_path):
    said = bench(site, "check", "--dry-run", "--methods", "ae", "--categories", "embedded/wood",
                 cwd=tmp_path, AEXAD_CACHE=os.environ["AEXAD_CACHE"])
    assert said.returncode == 0 and "1 of 1 cells" in said.stdout
    said = bench(site, "check", "--update", cwd=tmp_path)
    assert said.returncode == 2 and "name one of yours with --baseline" in said.stderr


def test_a_table_is_computed_in_the_folder_one_is_in(site, tmp_path):
    said = bench(site, "table2", "--protocol", "smoke", "--set", "data.size=32", "--methods", "ae",
                 "--categories", "embedded/wood", "--device", "cpu", "--threads", "1",
                 cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "c"))
    assert said.returncode == 0, said.stderr
    assert "wood" in said.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "results"]
    assert (tmp_path / "results" / "tables" / "table2-embedded-smoke.csv").is_file()
    [cell] = tmp_path.glob("results/cells/*/*/*/*/*/cell.json")
    assert json.loads(cell.read_text())["provenance"]["commit"] == version("aexad-bench")

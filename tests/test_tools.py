"""The tools that read the code find nothing, and would find something."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import typecheck
from conftest import REPOSITORY

FOLDERS = ("aexad", "bench", "datasets", "methods", "tests")


def tool(*words: str, text: str = "") -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-P", "-m", *words], cwd=REPOSITORY, input=text,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_ruff_finds_nothing():
    assert tool("ruff", "check", "--no-cache") == (0, "All checks passed!\n")


def test_ruff_finds_what_is_planted():
    text = ("import os\nfrom aexad.bench import base\nimport numpy\n\n"
            "try:\n    print(base, numpy)\nexcept Exception:\n    pass\n")
    status, said = tool("ruff", "check", "--no-cache", "--output-format=concise",
                        "--stdin-filename=bench/plan/planted.py", "-", text=text)
    assert status == 1 and {line.split()[1] for line in said.splitlines()[:3]} == {
        "I001", "F401", "BLE001"}


def test_pycodestyle_finds_nothing():
    assert tool("pycodestyle", *FOLDERS) == (0, "")


def test_pycodestyle_finds_what_is_planted():
    status, said = tool("pycodestyle", "-", text="VALUES = max(1,\n        2)\n")
    assert status == 1 and "E128 continuation line" in said


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first call learns of the libraries (15 s) is not learnt again by the next."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
def test_mypy_finds_nothing(mypy_cache):
    done = typecheck.check(REPOSITORY, mypy_cache)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("Success: no issues found in ")


@pytest.mark.slow
def test_mypy_sees_from_one_package_into_another(mypy_cache, tmp_path):
    """Every wrong call is in a room that is checked, and what is called in another package."""
    for name in FOLDERS[:-1]:
        shutil.copytree(REPOSITORY / name, tmp_path / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    (tmp_path / "bench" / "plan" / "planted.py").write_text(
        "from aexad import methods\n"
        "from aexad.bench.base.errors import one_line\n"
        "from aexad.datasets.catalog import DATASETS\n"
        "\n"
        "one_line(3)\n"
        "methods.entry('ae_xad').lable\n"
        "DATASETS['mvtec'].title + 1\n"
        "methods.facts('ae_xad').version + 'x'\n")
    done = typecheck.check(tmp_path, mypy_cache)
    assert done.returncode == 1, done.stdout + done.stderr
    found = [line.split(" error: ") for line in done.stdout.splitlines() if " error: " in line]
    assert [place for place, _ in found] == [f"bench/plan/planted.py:{n}:" for n in (5, 6, 7, 8)]
    assert 'has incompatible type "int"; expected "str"' in found[0][1]

"""The tools that read the code find nothing, and would find something."""

from __future__ import annotations

import subprocess
import sys

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

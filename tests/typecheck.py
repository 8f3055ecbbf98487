"""Check the types of what all else stands on: python tests/typecheck.py

mypy does not follow the mapping of folders to names that an editable install makes. It is shown a
folder of links in which the packages lie as they are imported, and so sees across them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CHECKED = ("-m", "aexad", "-m", "aexad.arrays", "-m", "aexad.detector", "-m", "aexad.harness",
           "-p", "aexad.bench.base", "-p", "aexad.bench.measure", "-p", "aexad.bench.paper",
           "-p", "aexad.bench.plan", "-m", "aexad.methods.base")


def main() -> int:
    found = check(REPOSITORY, REPOSITORY / ".cache" / "mypy")
    print(found.stdout + found.stderr, end="")
    return found.returncode


def check(repository: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """What mypy says of a checkout; its files are named as they lie there. cache: what mypy keeps
    of one call for the next, of whatever checkout."""
    with tempfile.TemporaryDirectory() as folder:
        names = link(repository, Path(folder))
        done = subprocess.run(
            [sys.executable, "-P", "-m", "mypy", "--config-file", repository / "pyproject.toml",
             "--cache-dir", cache, *CHECKED],
            cwd=folder, env={**os.environ, "MYPYPATH": folder}, capture_output=True, text=True)
    for name, place in names.items():
        done.stdout = re.sub(f"^{name}/", f"{place}/", done.stdout, flags=re.MULTILINE)
    return done


def link(repository: Path, folder: Path) -> dict[str, str]:
    """Make the links in `folder`; returns place there -> place in the checkout, as setup.cfg has
    them."""
    config = ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    lines = config["options"]["package_dir"].split("\n")
    mapping = dict(line.replace(" ", "").split("=") for line in lines if line)
    names = {name.replace(".", "/"): place for name, place in mapping.items()}
    for name, place in sorted(names.items()):
        (folder / name).mkdir()  # a folder of its own, which may hold those mapped below it
        for path in (repository / place).glob("*"):
            (folder / name / path.name).symlink_to(path)
    return names


if __name__ == "__main__":
    sys.exit(main())

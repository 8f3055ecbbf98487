"""Pictures are the same bytes whatever a user's matplotlib is set to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY

DRAW = """
import sys
{before}
from pathlib import Path
from aexad.bench.figures import style
fig = style.figure(60, 40)
fig.add_subplot().plot([1, 2, 4], label="a_b, 50 % of α")
fig.axes[0].legend()
style.save(fig, Path(sys.argv[1]))
"""
ODD = "savefig.bbox: tight\nsavefig.transparent: True\nlines.linestyle: --\nfont.size: 30\n"
LATIN = "font.family: Café\n".encode("latin-1")


def drawn(folder: Path, before: str = "", **env: str) -> bytes:
    """The PNG and PDF that a new process draws, which says nothing beside."""
    folder.mkdir(exist_ok=True)
    unset = [name for name, value in env.items() if not value]
    clean = {k: v for k, v in {**os.environ, **env}.items() if k not in unset}
    ran = subprocess.run([sys.executable, "-P", "-c", DRAW.format(before=before), "made"],
                         cwd=folder, env=clean, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    return (folder / "made.png").read_bytes() + (folder / "made.pdf").read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return drawn(tmp_path_factory.mktemp("plain"), MPLBACKEND="")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline",
                                     "module://nowhere.at_all", "no-such-backend", "TkAgg"])
def test_a_backend_changes_nothing(tmp_path, plain, backend):
    assert drawn(tmp_path, MPLBACKEND=backend) == plain


@pytest.mark.parametrize("where", ["matplotlibrc", "rc/mine"])  # the first is found by itself
@pytest.mark.parametrize("content", [b"text.usetex: True\n", ODD.encode(), LATIN,
                                     b"backend: nowhere\nno colon\nfont.size: large?\n"])
def test_a_matplotlibrc_changes_nothing(tmp_path, plain, where, content):
    (tmp_path / "rc").mkdir()
    (tmp_path / where).write_bytes(content)
    assert drawn(tmp_path, MATPLOTLIBRC=str(tmp_path / where)) == plain


@pytest.mark.parametrize("home", ["", os.devnull])
def test_no_home_to_keep_fonts_in_changes_nothing(tmp_path, plain, home):
    assert drawn(tmp_path, HOME=home, XDG_CONFIG_HOME=home, XDG_CACHE_HOME=home) == plain


def test_what_a_plug_in_has_set_before_changes_nothing(tmp_path, plain):
    before = "import matplotlib; matplotlib.rcParams.update({'text.usetex': True, 'font.size': 20})"
    assert drawn(tmp_path, before) == plain


def test_the_environment_is_as_it_was():
    after = "import aexad.bench.figures.style, os; print(os.environ.get('MPLBACKEND'))"
    ran = subprocess.run([sys.executable, "-c", after], capture_output=True, text=True,
                         env={**os.environ, "MPLBACKEND": "no-such-backend"})
    assert ran.stdout == "no-such-backend\n"


def test_nothing_else_imports_matplotlib():
    found = [path.name for room in ("bench", "methods", "datasets")
             for path in (REPOSITORY / room).rglob("*.py")
             if re.search(r"^\s*(from|import) matplotlib\b", path.read_text("utf-8"), re.M)]
    assert found == ["plotting.py"]

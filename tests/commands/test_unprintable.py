"""What can't be printed costs nothing of what is computed and written; and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from running import BOTTLE, TINY

COMMAND = (sys.executable, "-P", "-m", "aexad.bench")
AUDIT = "AUDIT OF THE PUBLISHED NUMBERS"


def call(folder: Path, words: tuple[str, ...], redirect: str = "", **env: str
         ) -> subprocess.CompletedProcess:
    """A command of a shell, with `redirect` behind it."""
    line = f'exec "$@" {redirect}'
    return subprocess.run(["bash", "-c", line, "bash", *COMMAND, *words, "--results",
                           str(folder)], env={**os.environ, **env}, capture_output=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "iso8859-7", "ascii:strict", "cp437"])
def test_characters_that_the_output_does_not_have_are_replaced(tmp_path, encoding):
    ran = call(tmp_path, ("audit",), PYTHONIOENCODING=encoding)
    assert ran.returncode == 0 and b"Traceback" not in ran.stderr
    text = ran.stdout.decode(encoding.partition(":")[0])
    assert AUDIT in text and "?" in text
    assert "−" in (tmp_path / "tables" / "audit.md").read_text("utf-8")


def test_json_is_the_same_in_every_encoding(tmp_path):
    made = [call(tmp_path / "Größe", ("status", "--json"), PYTHONIOENCODING=encoding)
            for encoding in ("ascii", "utf-8")]
    assert made[0].stdout == made[1].stdout and b"Gr\\u00f6" in made[0].stdout


def gone() -> int:
    """A terminal whose window has been closed."""
    there, here = os.openpty()
    os.close(there)
    return here


@pytest.mark.parametrize("where, said", [("/dev/full", b"No space left on device"),
                                         ("window", b"Input/output error")])
def test_output_that_nobody_takes_is_said(tmp_path, where, said):
    out = gone() if where == "window" else os.open(where, os.O_WRONLY)
    ran = subprocess.run([*COMMAND, "audit", "--results", str(tmp_path)], stdout=out,
                         stderr=subprocess.PIPE)
    os.close(out)
    assert ran.returncode == 1 and ran.stderr.splitlines()[-1].startswith(
        b"error: the output cannot be written (" + said)
    assert b"Traceback" not in ran.stderr and b"Exception" not in ran.stderr
    assert AUDIT.lower() in (tmp_path / "tables" / "audit.md").read_text("utf-8").lower()


def test_who_wants_no_more_is_not_told(tmp_path):
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([*COMMAND, "audit", "--results", str(tmp_path)], stdout=write,
                         stderr=subprocess.PIPE)
    os.close(write)
    assert ran.returncode == 0 and ran.stderr.startswith(b"written: ")
    assert b"rror" not in ran.stderr


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_closed_streams_and_full_ones_stop_nothing(tmp_path, redirect):
    ran = call(tmp_path, ("audit",), redirect)
    assert ran.returncode == 0 and b"Traceback" not in ran.stderr
    assert (AUDIT.encode() in ran.stdout) == (">&-" not in redirect.split())
    assert (tmp_path / "tables" / "audit.md").stat().st_size > 1000


@pytest.mark.parametrize("redirect, status", [(">/dev/full", 1), ("2>&-", 0)])
def test_help_and_mistakes_too(tmp_path, redirect, status):
    assert call(tmp_path, ("audit", "--help"), redirect).returncode == status
    ran = call(tmp_path, ("no-such-command",), redirect)
    assert ran.returncode == 2 and b"Traceback" not in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("redirect", [">/dev/full 2>/dev/full", ">&- 2>&-"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_training_goes_on_where_nothing_can_be_said(tmp_path, root, redirect, jobs):
    words = ("table1", "--data-root", str(root), *TINY, *BOTTLE, "--methods", "ae_xad,ae",
             "--jobs", jobs)
    ran = call(tmp_path / "results", words, redirect)
    assert ran.returncode == ("full" in redirect)
    table = (tmp_path / "results" / "tables" / "table1-smoke.csv").read_text("utf-8")
    assert "ae_xad" in table and "failed" not in table
    assert len(list((tmp_path / "results").rglob("cell.json"))) == 2

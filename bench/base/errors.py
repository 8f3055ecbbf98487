"""The one exception that stands for a mistake of the user's: one clear line, exit status 2."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

LONGEST = 2000  # characters of a message; what is quoted in it may have any length


class UserError(Exception):
    """Bad input. The message is one line that names the file or option and the remedy.

    File names and what libraries say of damaged files may hold anything: line feeds, the
    terminal's control characters, halves of surrogate pairs. These are shown as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """`text` in one line that any terminal can show, its middle left out where it is too long."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in _cut(text))
    return _cut(shown)  # an escape has up to ten characters


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST // 2]} … {text[-LONGEST // 2:]}"


def say(text: str) -> None:
    """A line on stderr that may quote what files and their names say, as a UserError does."""
    print(one_line(text), file=sys.stderr, flush=True)


def first_line(error: BaseException, otherwise: str = "") -> str:
    """The first line of what an error says; of one that says nothing, `otherwise` or its type."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else otherwise or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `name`, else the list of known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"

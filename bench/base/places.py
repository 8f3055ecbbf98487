"""Where things are kept: in a checkout of the repository in its folders, else in the folder one is
in, and what can be made again in the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from aexad.bench.base.errors import UserError

# The repository, or, where this is installed without one, the folder of the package `aexad`.
ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = (ROOT / "setup.cfg").is_file()

_HOME = ROOT if CHECKOUT else Path()
RESULTS, DATA = _HOME / "results", _HOME / "data"
BASELINES = RESULTS / "baselines" if CHECKOUT else ROOT / "baselines"


def expanded(path: str) -> str:
    """A path as a user writes it: a shell leaves the `~` in --results=~/results, in quotes and in
    files. UserError where there is no such home."""
    full = os.path.expanduser(path)
    if full.startswith("~"):
        raise UserError(f"{path}: no home folder for {full.partition('/')[0]}; write the folder "
                        f"out, or ./{path} for one of that name")
    return full


def given(variable: str) -> str | None:
    """The path that an environment variable names, or None."""
    value = os.environ.get(variable)
    return expanded(value) if value else None


def chosen_cache() -> Path:
    """The folder of decoded images: the one that AEXAD_CACHE names, else the usual one."""
    return Path(given("AEXAD_CACHE") or cache())


def cache() -> Path:
    """The folder of decoded images. UserError where the user has no home folder for it."""
    if CHECKOUT:
        return ROOT / ".cache"
    place = Path(os.environ.get("XDG_CACHE_HOME", ""))  # its standard: a relative one is ignored
    if not place.is_absolute():
        place = Path(os.path.expanduser("~/.cache"))
    if not place.is_absolute():
        raise UserError("no home folder for the cache; name a folder in AEXAD_CACHE")
    return place / "aexad-bench"

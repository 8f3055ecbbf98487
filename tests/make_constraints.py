"""Writes constraints.txt: the versions of everything that the project requires, of the environment
that runs this, in which all tests pass.

    rm -rf .venv && : >constraints.txt && ./reproduce.sh test     # the newest that setup.cfg allows
    .venv/bin/python tests/make_constraints.py >constraints.txt

What torch brings for its GPU (its requirements nvidia-…, cuda-…, triton) belongs to one of its
builds and is left out, as are the builds' labels (2.13.0+cpu): torch with or without CUDA fits.
A package that is not required on some machine is not installed there for being in it.
"""

from __future__ import annotations

import re
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Requirement("aexad-bench[test,onnx]")
HEAD = """\
# The versions that reproduce.sh installs, those of requirements of requirements included. Torch
# with or without CUDA fits them. Written by tests/make_constraints.py, which says how; don't edit.
"""


def required(requirement: Requirement = PROJECT) -> dict[str, str]:
    """Name -> version of what is required, directly or not, and is not of a build of torch."""
    found: dict[str, str] = {}
    seen, left = set(), [requirement]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            installed = distribution(name)
            found[name] = installed.version.partition("+")[0]
            left += [r for r in map(Requirement, installed.requires or ())
                     if (not r.marker or r.marker.evaluate({"extra": extra}))
                     and not (name == "torch" and re.match("nvidia|cuda|triton", r.name))]
    del found[canonicalize_name(PROJECT.name)]
    return found


def text() -> str:
    """The content of constraints.txt."""
    return HEAD + "".join(f"{name}=={version}\n" for name, version in sorted(required().items()))


if __name__ == "__main__":
    print(text(), end="")

"""`import aexad`: light, and everything is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aexad


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_it_imports_nothing_else():
    assert python("import sys; before = set(sys.modules); import aexad, importlib, typing\n"
                  "print(sorted(m for m in set(sys.modules) - before if m.partition('.')[0] not in "
                  "sys.stdlib_module_names))") == "['aexad']"


def test_packages_are_there_when_they_are_asked_for():
    assert python("import aexad; print('ae_xad' in aexad.methods.entries(), "
                  "aexad.datasets.__name__, aexad.bench.__name__)"
                  ) == "True aexad.datasets aexad.bench"


def test_what_it_has_and_what_it_has_not():
    assert {"bench", "datasets", "methods", "__version__"} <= set(dir(aexad))
    assert aexad.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="module 'aexad' has no attribute 'metods'"):
        _ = aexad.metods

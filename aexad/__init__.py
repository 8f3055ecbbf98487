"""Explainable anomaly detection, measured: the import name of this project.

`aexad.bench` is the harness, `aexad.methods` what it runs, `aexad.datasets` the images it runs on;
their folders lie beside this one (setup.cfg maps them). They are imported when they are first
asked for, as is whatever else this module offers: `import aexad` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_PACKAGES = ("bench", "datasets", "methods")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"aexad.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("aexad-bench")
    raise AttributeError(f"module 'aexad' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES, "__version__"])

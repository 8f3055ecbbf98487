"""Explainable anomaly detection, measured: the import name of this project.

    images, masks, new_images, new_masks = aexad.example()      # generated ones
    model = aexad.AEXAD(protocol="mini").fit(images, masks)     # train on arrays, pictures or paths
    heatmaps, scores, masks = model.explain(new_images)
    model.save("model/"); aexad.load_model("model/")
    aexad.load_results("results"); aexad.run("table2", methods=["ae_xad"], data="folder")

`aexad.bench` is the harness, `aexad.methods` what it runs, `aexad.datasets` the images it runs on;
their folders lie beside this one (setup.cfg maps them). They are imported when they are first
asked for, as is whatever else this module offers: `import aexad` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what the names below are, for editors and type checkers
    from aexad.bench.base.errors import UserError
    from aexad.detector import AE, AEXAD, BGAD, FCDD, Detector, Explained, load_model
    from aexad.harness import Example, example, load_results, run

    __version__: str

__all__ = ["AE", "AEXAD", "BGAD", "FCDD", "Detector", "Example", "Explained", "UserError",
           "example", "load_model", "load_results", "run"]

_PACKAGES = ("bench", "datasets", "methods")
_PLACES = {
    **dict.fromkeys(("AE", "AEXAD", "BGAD", "FCDD", "Detector", "Explained", "load_model"),
                    "aexad.detector"),
    **dict.fromkeys(("Example", "example", "load_results", "run"), "aexad.harness"),
    "UserError": "aexad.bench.base.errors",
}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"aexad.{name}")
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("aexad-bench")
    raise AttributeError(f"module 'aexad' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES, *_PLACES, "__version__"])

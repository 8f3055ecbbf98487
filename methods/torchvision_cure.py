"""A torchvision that can be imported beside a CPU build of torch.

There torchvision's compiled operators can't load (its wheel has no CPU twin), and importing it
fails with 'operator torchvision::nms does not exist'. Nothing here uses those operators, so where
that happens their schemas are declared and the import is done again. As a hook of the import
system, so that it also holds for plug-ins and for what these import, and costs nothing before.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

NAME = "torchvision"
_kept: list[object] = []  # the declarations vanish with the object that made them


class _Finder(MetaPathFinder):
    """Finds torchvision as Python itself does, and has it loaded by _Cured."""

    def find_spec(self, name: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == NAME else None
        if spec and spec.loader:
            spec.loader = _Cured(spec.loader)
        return spec


class _Cured(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:  # what else one asks a loader for: its source, …
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            self.loader.exec_module(module)
        except RuntimeError as error:
            if f"{NAME}::nms" not in str(error):
                raise
            _declare()
            for half_imported in [m for m in sys.modules if m.startswith(f"{NAME}.")]:
                del sys.modules[half_imported]
            self.loader.exec_module(module)


def _declare() -> None:
    import torch

    schemas = torch.library.Library(NAME, "DEF")
    for op in ("nms", "qnms"):
        schemas.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(schemas)


def install() -> None:
    """From now on `import torchvision` works; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())

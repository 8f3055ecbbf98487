"""The one door to torchvision and timm.

Beside a CPU build of torch, torchvision's compiled operators can't load (its wheel has no CPU
twin), and importing it fails with 'operator torchvision::nms does not exist'. Nothing here uses
those operators, so where that happens their schemas are declared and the import is tried again.
"""

from __future__ import annotations

import sys

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    # Kept alive by the module: the declarations vanish with the Library object.
    _SCHEMAS = torch.library.Library("torchvision", "DEF")
    for _op in ("nms", "qnms"):
        _SCHEMAS.define(f"{_op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for _name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[_name]  # half-imported remains of the first try
    import torchvision

import timm

__all__ = ["timm", "torchvision"]

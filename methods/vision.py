"""The one door to torchvision and timm: the cure is in place before they are imported."""

from __future__ import annotations

from aexad.methods import torchvision_cure

torchvision_cure.install()

import timm  # noqa: E402
import torchvision  # noqa: E402

__all__ = ["timm", "torchvision"]

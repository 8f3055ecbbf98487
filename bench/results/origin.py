"""A stored result belongs to the images and the pre-trained weights that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aexad.bench.base.errors import UserError
from aexad.bench.plan import own_images


def check(info: dict[str, Any], folder: Path, data: str | None = None,
          weights: dict[str, str] | None = None) -> None:
    """Refuse a stored result that was made from other images or other pre-trained weights."""
    for what, now, then in (("images", data, info["data_sha256"]),
                            ("pre-trained weights", weights, info["weights_sha256"])):
        if now is not None and now != then:
            mine = info.get("fit", info["declared"])["dataset"] == own_images.NAME
            raise UserError(f"{folder}: made from other {what} than those given now; use another "
                            f"{'--data-name or ' if mine else ''}--results, or delete that folder")

"""A fit's state on disk between two epochs, with a hash of it, so that a damaged one is told from a
good one: torch.load does not notice a changed byte."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from aexad.bench.base.refusals import reading
from aexad.bench.results.store import write_file
from aexad.methods.weights import LOAD_ERRORS


def write(path: Path, content: dict[str, Any]) -> None:
    """content: nested dicts and lists of tensors, texts and numbers."""
    made = io.BytesIO()  # on a full disk torch's own writer hides the system's error
    torch.save({"sha256": _sha256(content), "content": content}, made)
    write_file(path, lambda p: p.write_bytes(made.getbuffer()))


def read(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What was written; None where nothing is there, or something damaged: then the fit begins
    anew, which is all that is lost. UserError for one that is there and can't be read: it may be
    hours of training."""
    try:
        with reading(path):
            saved = torch.load(path, map_location=device, weights_only=True)
        content = saved["content"]
        return content if saved["sha256"] == _sha256(content) else None
    except LOAD_ERRORS:
        return None


def _sha256(content: Any) -> str:
    digest = hashlib.sha256()
    for part in _parts(content):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield f"{value.dtype} {tuple(value.shape)} ".encode()
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield f"{key!r}: ".encode()
            yield from _parts(item)
        yield b"end "
    else:
        yield f"{value!r} ".encode()

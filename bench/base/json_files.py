"""JSON files that anybody may have edited, cut off or made: read within bounds, and compared with
the shape that is expected of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 1 << 26  # bytes; the longest that we write, a fit of a million epochs, has 20 MB
DEEPEST = 20  # levels of nesting; what we write has 6


def read_object(path: Path, largest: int = LARGEST) -> dict[str, Any]:
    """The object in a file. OSError where it can't be read, ValueError (in one line) where it is
    no object, too large or too deep, or holds what no file of ours does: NaN, infinity, halves
    of surrogate pairs, which nothing can print."""
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"{size} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(content, dict):
        raise ValueError("not an object")
    if _deeper(content, DEEPEST):
        raise ValueError("too deeply nested")
    return content


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [item for part in layer if isinstance(part, (dict, list))
                 for item in (part.values() if isinstance(part, dict) else part)]
    return bool(layer)


# -- shapes --


@dataclass(frozen=True)
class Number:
    """A finite number from low to high. (True is none: types are compared, not classes.)"""

    low: float = -1e18
    high: float = 1e18


@dataclass(frozen=True)
class Each:
    """An object or a list, of whatever length, whose values all have the shape `of`."""

    kind: type
    of: Any


@dataclass(frozen=True)
class Maybe:
    """Null, or of the shape `of`; as a field, also absent where `absent` says so."""

    of: Any
    absent: bool = False


_ABSENT = object()


def mismatch(value: Any, shape: Any, name: str = "") -> str | None:
    """Where `value` is not of `shape`, as 'numbers.auc', or None where it is.

    shape: a type, a tuple of types, Number, Each, Maybe, or a dict with the shapes of the fields
    that an object must have, others beside them.
    """
    if isinstance(shape, Maybe):
        return None if value is None else mismatch(value, shape.of, name)
    if isinstance(shape, Number):
        right = type(value) in (int, float) and shape.low <= value <= shape.high  # NaN is not
        return None if right else name
    if isinstance(shape, (Each, dict)):
        kind = shape.kind if isinstance(shape, Each) else dict
        if type(value) is not kind:
            return name
        for key, item, of in _parts(value, shape):
            inside = f"{name}.{key}".lstrip(".")
            where = inside if item is _ABSENT else mismatch(item, of, inside)
            if where is not None:
                return where
        return None
    return None if type(value) in (shape if isinstance(shape, tuple) else (shape,)) else name


def _parts(value: Any, shape: Any) -> list[tuple[Any, Any, Any]]:
    """(key, value, shape) of what is inside an object or a list."""
    if isinstance(shape, dict):
        return [(key, value.get(key, _ABSENT), of) for key, of in shape.items()
                if key in value or not (isinstance(of, Maybe) and of.absent)]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [(key, item, shape.of) for key, item in items]

"""Parameters of methods: frozen dataclasses whose fields carry their unit, range and source.

A field is declared with `param(default, doc, ...)`; `parse` turns the text of `--set` into a value
of the field's type, and refuses what the field does not allow.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, get_type_hints

from aexad.bench.base.errors import UserError

_ALWAYS = object()


def param(default: Any, doc: str, *, choices: tuple[Any, ...] | None = None,
          low: float | None = None, high: float | None = None, before: Any = _ALWAYS) -> Any:
    """A dataclass field. `doc` says unit and source; `choices`, `low`, `high` bound its values.

    before: for a field that was added to a method with stored results, the value that says what
    the method did without it; with that value it is not declared, so that keys stay what they were.
    """
    meta = {"doc": doc, "choices": choices, "low": low, "high": high, "before": before}
    return dataclasses.field(default=default, metadata=meta)


def declared(values: Any) -> dict[str, Any]:
    """The fields of a parameter object that a key is made of."""
    return {field.name: value for field in dataclasses.fields(values)
            if (value := getattr(values, field.name)) != field.metadata.get("before", _ALWAYS)}


def parse(owner: type, field: dataclasses.Field[Any], text: str, name: str) -> Any:
    """The value of `field` of the dataclass `owner` written as `text` (UserError when it is none).

    `name` is the option's full name, for the message. `none` is a value where the type allows it.
    """
    kind = get_type_hints(owner)[field.name]
    optional = type(None) in getattr(kind, "__args__", ())
    if optional:
        kind = next(t for t in kind.__args__ if t is not type(None))
    if optional and text.lower() in ("none", "null"):
        return None
    try:
        value = _convert(kind, text)
    except ValueError:
        raise UserError(f"--set {name}={text}: expected {_kind_name(kind)}") from None
    check(field, value, name)
    return value


def from_json(owner: type, values: Any, name: str) -> Any:
    """The dataclass `owner` from an object of a JSON file that comes from anywhere: all its fields,
    no others, each of its type and within its bounds; one that was added later may be missing.
    UserError that names `name` and the field."""
    fields = {field.name: field for field in dataclasses.fields(owner)}
    if isinstance(values, dict):
        added = {n: f.metadata["before"] for n, f in fields.items()
                 if f.metadata.get("before", _ALWAYS) is not _ALWAYS}
        values = {**added, **values}
    if not isinstance(values, dict) or values.keys() != fields.keys():
        given = set(values) if isinstance(values, dict) else set()
        lacking, unknown = sorted(fields.keys() - given), sorted(given - fields.keys())
        raise UserError(f"{name}: expected an object with exactly the fields of this version"
                        + (f"; it lacks {', '.join(lacking)}" if lacking else "")
                        + (f"; unknown: {ascii(unknown)[:80]}" if unknown else ""))
    kinds = get_type_hints(owner)
    for field in fields.values():
        kind, value = kinds[field.name], values[field.name]
        allowed = getattr(kind, "__args__", (kind,))
        allowed += (int,) if float in allowed else ()
        if (type(value) not in allowed or (isinstance(value, float) and not math.isfinite(value))
                or (isinstance(value, str) and not (len(value) < 80 and value.isprintable()))):
            raise UserError(f"{name}.{field.name}={ascii(value)[:40]}: not a value of this field")
        check(field, value, f"{name}.{field.name}")
    return owner(**values)


def check(field: dataclasses.Field[Any], value: Any, name: str) -> None:
    """Refuse a value outside the field's choices or bounds with a UserError."""
    if value is None:
        return
    meta = field.metadata
    if meta.get("choices") and value not in meta["choices"]:
        allowed = ", ".join(map(str, meta["choices"]))
        raise UserError(f"{name}={value}: expected one of {allowed}")
    low, high = meta.get("low"), meta.get("high")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = (f"at least {low}" if high is None else f"at most {high}" if low is None
                  else f"in its range {low} .. {high}")
        raise UserError(f"{name}={value}: must be {bounds}")


def _convert(kind: type, text: str) -> Any:
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]
    if kind is float:
        numerator, _, denominator = text.partition("/")  # 1/3 is how people write a third
        divisor = float(denominator) if denominator else 1.0
        value = float(numerator) / divisor if divisor else math.nan
        if not math.isfinite(value):
            raise ValueError
        return value
    return kind(text)


def _kind_name(kind: type) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")

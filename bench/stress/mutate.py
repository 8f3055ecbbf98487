"""Hostile versions of good files. All randomness comes from the generator that is given, so that a
seed and a number name an input."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

NASTY_BYTES = (b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
               b"\x00\x00\x00\x00", b"\n", b"\"", b"\xed\xa0\x80", b"\x1b[2J", b"PK\x03\x04")
NASTY_VALUES = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -2**63, 10**400, 0.5, -0.0, 1e308, -1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"), "", " ", "\n", "\x00", "\x1b[2J", "\ud800", "é∪漢",
    "a" * 5000, "../../etc/passwd", "__class__", "1", "nan", [], {}, [[]], [None], {"": None},
    [1.0] * 2000, {"status": "done"}, {"a": {"b": {"c": {"d": 1}}}})
NASTY_TEXTS = ("", "=", ".", "*", "none", "nan", "inf", "-inf", "1e999", "1/0", "0/0", "1/3/2",
               "-1", "0", "1", "2", "1_000", "١٢", "9" * 5000, "0x10", "1e3", "True", "yes", "\x00",
               "\n", "\ud800", "data.size", "*.epochs", "ae_xad", "ae_xad_raw", "a" * 3000, "=1",
               "bgad.blocks=99999999", "data.size=4096", "data.size=100", "*.lr=1e308")


def of_bytes(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A good file with some bytes changed, cut, repeated, or those of another among them."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8, 30))):
        # Most of what matters is at the ends: headers, and zip's and parquet's directories.
        end = min(len(content), rng.choice((16, 64, 256, len(content) or 1)))
        at = rng.randrange(end) if end else 0
        at = len(content) - 1 - at if content and rng.random() < 0.4 else at
        kind = rng.randrange(7)
        if kind == 0 and content:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and content:
            content[at] = rng.randrange(256)
        elif kind == 2:
            piece = rng.choice(NASTY_BYTES)
            content[at:at + len(piece)] = piece
        elif kind == 3:
            del content[at:at + rng.choice((1, 2, 4, 16, 1000))]
        elif kind == 4:
            content[at:at] = content[at:at + rng.choice((1, 4, 64))] * rng.choice((1, 2, 20))
        elif kind == 5:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            content[at:at + 64] = other[start:start + rng.choice((4, 64, 4096))]
        elif rng.random() < 0.5:
            del content[rng.randrange(len(content) + 1):]
    return bytes(content)


def of_json(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A good JSON file with values exchanged, left out, added or nested; or with changed bytes."""
    if rng.random() < 0.25:
        return of_bytes(rng, seeds)
    content = json.loads(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        content = _changed(rng, content)
    text = json.dumps(content)
    if rng.random() < 0.03:
        text = text.replace("1", rng.choice(("1e999", "1" * 5000, "-1", "1.5")), 1)
    if rng.random() < 0.02:
        deep = rng.choice((30, 2000, 200_000))
        text = text[:-1] + ', "deep": ' + "[" * deep + "]" * deep + "}"
    return text.encode()


def _changed(rng: random.Random, value: Any, level: int = 0) -> Any:
    inside = isinstance(value, (dict, list)) and value
    if not inside or (level and rng.random() < 0.15):
        return copy.deepcopy(rng.choice(NASTY_VALUES))
    key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    kind = rng.random()
    if kind < 0.1:
        del value[key]
    elif kind < 0.15 and isinstance(value, dict):
        value[str(rng.choice(NASTY_VALUES))[:50]] = copy.deepcopy(value[key])
    elif kind < 0.25 and isinstance(value, dict):
        value[key] = copy.deepcopy(value[rng.choice(list(value))])
    else:
        value[key] = _changed(rng, value[key], level + 1)
    return value


def of_text(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """An option's text: a good one with pieces exchanged."""
    text = rng.choice(seeds).decode()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        piece = rng.choice((rng.choice(NASTY_TEXTS), chr(rng.randrange(0x20, 0x250)),
                            rng.choice(seeds).decode()))
        name, _, value = text.partition("=")
        text = rng.choice((text[:at] + piece + text[at + len(piece):],
                           text[:at] + piece + text[at:], text[:at],
                           f"{name}={piece}", f"{piece}={value}"))
    return text.encode("utf-8", "surrogatepass")

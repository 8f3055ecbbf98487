"""What the registry knows of a method."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One method. target: "module:Class", imported when it is used.

    label: what it is called in tables. trained_as: the method whose fit it explains, where it has
    no training of its own. fit, explain: what it changes in its class's (in that method's)
    parameters. facts: "module:Class" of what is known of it without its networks, which target's
    class inherits: parameters, version and skip; where there is none, target's class itself is
    asked. libraries: names of installed packages on which its results depend beside the bench's
    own; their versions are stored with its fits.
    """

    label: str
    target: str
    trained_as: str | None = None
    explain: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    facts: str | None = None
    libraries: tuple[str, ...] = ()


def import_object(target: str) -> Any:
    """What "module:name" names. ImportError or AttributeError where it isn't there."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)

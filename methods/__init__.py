"""The methods, by name. Adding one is a file with its class and a line in REGISTRY; packages
installed beside this one can add theirs through the entry-point group `aexad_bench.methods`
(name = "module:Class")."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from aexad.bench.base.errors import UserError, nearest

GROUP = "aexad_bench.methods"


@dataclass(frozen=True)
class Entry:
    """One method. target: "module:Class", imported when it is used.

    trained_as: the method whose fit it explains, where it has no training of its own.
    fit, explain: what it changes in its class's (in that method's) parameters.
    """

    label: str
    target: str
    trained_as: str | None = None
    explain: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)


REGISTRY: dict[str, Entry] = {
    "ae": Entry("AE", "aexad.methods.ae_xad:PlainAE", explain={"filter": False}),
    "ae_filtered": Entry("AE∪F", "aexad.methods.ae_xad:PlainAE", "ae", {"filter": True}),
    "ae_xad_raw": Entry("AE-XAD∖F", "aexad.methods.ae_xad:AEXAD", "ae_xad", {"filter": False}),
    "ae_xad": Entry("AE-XAD", "aexad.methods.ae_xad:AEXAD"),
    "fcdd": Entry("FCDD", "aexad.methods.fcdd:FCDD"),
    "bgad": Entry("BGAD", "aexad.methods.bgad:BGAD"),
    "ae_xad_vit": Entry("AE-XAD ViT frozen", "aexad.methods.ae_xad_vit:AEXADViT"),
    "ae_xad_vit_finetuned": Entry("AE-XAD ViT fine-tuned", "aexad.methods.ae_xad_vit:AEXADViT",
                                  fit={"recipe": "finetuned"}),
    "ae_xad_vit_scratch": Entry("AE-XAD ViT from scratch", "aexad.methods.ae_xad_vit:AEXADViT",
                                fit={"recipe": "scratch"}),
}


@cache
def entries() -> dict[str, Entry]:
    """Our methods and those of installed plug-ins; a plug-in can't take one of our names."""
    plugins = {p.name: Entry(p.name, p.value) for p in entry_points(group=GROUP)}
    return {**plugins, **REGISTRY}


def entry(name: str) -> Entry:
    """The entry of a method; UserError with the nearest name for an unknown one."""
    if name not in entries():
        raise UserError(f"unknown method '{name}'{nearest(name, entries())}")
    return entries()[name]


def load(name: str) -> type:
    """The class of a method, imported now."""
    module, _, attribute = entry(name).target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"method '{name}': cannot import {entry(name).target} ({error})") from None


def trained_as(name: str) -> str:
    """The method whose training gives the model that `name` explains with."""
    return entry(name).trained_as or name

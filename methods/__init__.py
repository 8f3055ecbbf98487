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

    facts: "module:Class" of what is known of it without its networks, which target's class
    inherits: parameters, version and skip; where there is none, target's class itself is asked.
    trained_as: the method whose fit it explains, where it has no training of its own.
    fit, explain: what it changes in its class's (in that method's) parameters.
    """

    label: str
    target: str
    trained_as: str | None = None
    explain: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    facts: str | None = None


AE = {"target": "aexad.methods.ae_xad:PlainAE", "facts": "aexad.methods.ae_xad_params:PlainAEFacts"}
AE_XAD = {"target": "aexad.methods.ae_xad:AEXAD", "facts": "aexad.methods.ae_xad_params:AEXADFacts"}
VIT = {"target": "aexad.methods.ae_xad_vit:AEXADViT",
       "facts": "aexad.methods.ae_xad_vit_params:ViTFacts"}

REGISTRY: dict[str, Entry] = {
    "ae": Entry("AE", **AE, explain={"filter": False}),
    "ae_filtered": Entry("AE∪F", **AE, trained_as="ae", explain={"filter": True}),
    "ae_xad_raw": Entry("AE-XAD∖F", **AE_XAD, trained_as="ae_xad", explain={"filter": False}),
    "ae_xad": Entry("AE-XAD", **AE_XAD),
    "fcdd": Entry("FCDD", "aexad.methods.fcdd:FCDD", facts="aexad.methods.fcdd_params:FCDDFacts"),
    "bgad": Entry("BGAD", "aexad.methods.bgad:BGAD", facts="aexad.methods.bgad_params:BGADFacts"),
    "ae_xad_vit": Entry("AE-XAD ViT frozen", **VIT),
    "ae_xad_vit_finetuned": Entry("AE-XAD ViT fine-tuned", **VIT, fit={"recipe": "finetuned"}),
    "ae_xad_vit_scratch": Entry("AE-XAD ViT from scratch", **VIT, fit={"recipe": "scratch"}),
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
    """The class of a method, imported now, with its networks."""
    return _import(name, entry(name).target)


def facts(name: str) -> type:
    """What is known of a method without its networks: a class that has fit_params, explain_params,
    version, and perhaps skip (methods/base.py)."""
    return _import(name, entry(name).facts or entry(name).target)


def _import(name: str, target: str) -> type:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"method '{name}': cannot import {target} ({error})") from None


def trained_as(name: str) -> str:
    """The method whose training gives the model that `name` explains with."""
    return entry(name).trained_as or name

"""The methods, by name. Adding one is a file with its class and a line in REGISTRY; packages
installed beside this one can add theirs (methods/plug_ins.py), and any model of anomalib is one by
the name `anomalib:Model` (methods/anomalib.py)."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from aexad.bench.base.errors import UserError, nearest
from aexad.methods import plug_ins
from aexad.methods.entry import Entry, import_object

if TYPE_CHECKING:  # it imports torch
    from aexad.methods.base import Facts, Method

AE = {"target": "aexad.methods.ae_xad:PlainAE", "facts": "aexad.methods.ae_xad_params:PlainAEFacts"}
AE_XAD = {"target": "aexad.methods.ae_xad:AEXAD", "facts": "aexad.methods.ae_xad_params:AEXADFacts"}
VIT = {"target": "aexad.methods.ae_xad_vit:AEXADViT",
       "facts": "aexad.methods.ae_xad_vit_params:ViTFacts"}
ANOMALIB = "aexad.methods.anomalib"
FROM_ANOMALIB = ("anomalib", "lightning")


def _anomalib(label: str, model: str) -> Entry:
    return Entry(label, f"{ANOMALIB}:{model}", facts=f"{ANOMALIB}_params:{model}",
                 libraries=FROM_ANOMALIB)


REGISTRY: dict[str, Entry] = {
    "ae": Entry("AE", **AE, explain={"filter": False}),
    "ae_filtered": Entry("AE∪F", **AE, trained_as="ae", explain={"filter": True}),
    "ae_xad_raw": Entry("AE-XAD∖F", **AE_XAD, trained_as="ae_xad", explain={"filter": False}),
    "ae_xad": Entry("AE-XAD", **AE_XAD),
    "ae_xad_green": Entry("AE-XAD green", "aexad.methods.ae_xad:AEXADGreen",
                          facts="aexad.methods.ae_xad_params:GreenFacts"),
    "fcdd": Entry("FCDD", "aexad.methods.fcdd:FCDD", facts="aexad.methods.fcdd_params:FCDDFacts"),
    "bgad": Entry("BGAD", "aexad.methods.bgad:BGAD", facts="aexad.methods.bgad_params:BGADFacts"),
    "ae_xad_vit": Entry("AE-XAD ViT frozen", **VIT),
    "ae_xad_vit_finetuned": Entry("AE-XAD ViT fine-tuned", **VIT, fit={"recipe": "finetuned"}),
    "ae_xad_vit_scratch": Entry("AE-XAD ViT from scratch", **VIT, fit={"recipe": "scratch"}),
    "padim": _anomalib("PaDiM", "NamedPadim"),
    "patchcore": _anomalib("PatchCore", "NamedPatchcore"),
    "supersimplenet": _anomalib("SuperSimpleNet", "NamedSupersimplenet"),
}


@cache
def entries() -> dict[str, Entry]:
    """Our methods and those of installed plug-ins; a plug-in can't take one of our names."""
    return {**plug_ins.find()[0], **REGISTRY}


def entry(name: str) -> Entry:
    """The entry of a method; UserError with the nearest name for an unknown one, with the reason
    for a plug-in's that can't be imported."""
    if name in entries():
        return entries()[name]
    if model := re.fullmatch(r"anomalib:([A-Za-z]\w*)", name, re.ASCII):
        return _anomalib(f"{model[1]} of anomalib", f"Model_{model[1]}")
    broken = plug_ins.find()[1]
    if name in broken:
        raise UserError(f"method '{name}': cannot import {broken[name].target} "
                        f"({broken[name].reason}); `methods` says more")
    raise UserError(f"unknown method '{name}'{nearest(name, entries())}")


def known(name: str) -> bool:
    """Whether `entry` finds it."""
    return name in entries() or name.startswith("anomalib:")


def load(name: str) -> type[Method]:
    """The class of a method, imported now, with its networks."""
    return _import(name, entry(name).target)


def facts(name: str) -> type[Facts]:
    """What is known of a method without its networks: a class that has fit_params, explain_params,
    version, and perhaps skip (methods/base.py)."""
    return _import(name, entry(name).facts or entry(name).target)


def _import(name: str, target: str) -> Any:
    try:
        return import_object(target)
    except (ImportError, AttributeError) as error:
        raise UserError(f"method '{name}': cannot import {target} ({error})") from None


def trained_as(name: str) -> str:
    """The method whose training gives the model that `name` explains with."""
    return entry(name).trained_as or name

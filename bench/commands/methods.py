"""`methods [NAME]`: the methods, or the parameters of one."""

from __future__ import annotations

import argparse
import dataclasses

from tabulate import tabulate

from aexad import methods
from aexad.bench.plan.settings import Settings


def run(args: argparse.Namespace) -> int:
    """All methods, or all parameters of one with their values under the protocol."""
    name, settings = args.name, Settings(args.protocol or "paper", args.epochs, args.set)
    if name is None:
        rows = [(n, e.label, e.trained_as or "", (methods.facts(n).__doc__ or "").split("\n")[0])
                for n, e in methods.entries().items()]
        print(tabulate(rows, ("method", "in tables", "trained as", "what it is")))
        return 0
    methods.entry(name)
    for title, params in (("fit", settings.fit(name)), ("explain", settings.explain(name))):
        owner = methods.trained_as(name) if title == "fit" else name
        rows = [(f"{owner}.{f.name}", getattr(params, f.name), f.metadata.get("doc", ""),
                 ", ".join(map(str, f.metadata.get("choices") or ())))
                for f in dataclasses.fields(params)]
        print(tabulate(rows, (f"{title} parameter", "value", "what it is", "choices"),
                       maxcolwidths=[None, None, 60, 40]), end="\n\n")
    return 0

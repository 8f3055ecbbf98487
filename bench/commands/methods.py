"""`methods [NAME]`: the methods, or the parameters of one."""

from __future__ import annotations

import argparse
import dataclasses

from tabulate import tabulate

from aexad import methods
from aexad.bench.plan.settings import Settings
from aexad.methods import plug_ins
from aexad.methods.plug_ins import Broken


def run(args: argparse.Namespace) -> int:
    """All methods, or all parameters of one with their values under the protocol."""
    settings = Settings(args.protocol or "paper", args.epochs, args.set)
    if args.name is None:
        _all()
    else:
        _one(args.name, settings)
    return 0


def _all() -> None:
    rows = [(name, entry.label, entry.trained_as or "",
             (methods.facts(name).__doc__ or "").split("\n")[0])
            for name, entry in methods.entries().items()]
    rows.append(("anomalib:Model", "Model of anomalib", "", "Any other model of anomalib, as "
                 "anomalib:Dfm."))
    print(tabulate(rows, ("method", "in tables", "trained as", "what it is")))
    for name, broken in plug_ins.find()[1].items():
        print(f"\n{name}: cannot be used, {broken.target}: {broken.reason}")
        _changes(broken)


def _changes(broken: Broken) -> None:
    if broken.old_imports:
        print("  since version 0.2 all is imported from aexad; change")
    for path, number, old, new in broken.old_imports:
        print(f"  {path}:{number}: {old}\n    to: {new}")


def _one(name: str, settings: Settings) -> None:
    methods.entry(name)
    for title, params in (("fit", settings.fit(name)), ("explain", settings.explain(name))):
        owner = methods.trained_as(name) if title == "fit" else name
        rows = [(f"{owner}.{f.name}", getattr(params, f.name), f.metadata.get("doc", ""),
                 ", ".join(map(str, f.metadata.get("choices") or ())))
                for f in dataclasses.fields(params)]
        print(tabulate(rows, (f"{title} parameter", "value", "what it is", "choices"),
                       maxcolwidths=[None, None, 60, 40]), end="\n\n")

"""`--json`: the one object that a command prints, in place of its text."""

from __future__ import annotations

from typing import Any

from aexad.bench.commands.request import Request
from aexad.bench.tables import json_shapes


def show(request: Request, content: dict[str, Any]) -> None:
    """Print what a command found, behind what it was asked and where it looked."""
    args, options = request.args, request.options
    print(json_shapes.text(args.command, {
        "settings": {"protocol": request.settings.protocol, "epochs": args.epochs, "set": args.set,
                     "scenario": args.scenario, "seeds": request.seeds, "device": options.device,
                     "threads": options.threads, "country": options.country},
        "places": {"results": str(options.results), "data": str(request.looked_in),
                   "embedded": request.embedded},
        **content}))

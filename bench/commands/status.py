"""`status`: what is done, missing and failed."""

from __future__ import annotations

import argparse

import pandas as pd
from tabulate import tabulate

from aexad.bench.commands import as_json
from aexad.bench.commands.request import Request, table_cells, understand
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.records import records
from aexad.bench.tables import json_shapes


def run(args: argparse.Namespace) -> int:
    """What is done, missing and failed for every table."""
    request = understand(args)
    store, library = request.options.store, request.options.library
    found = {definition.name: records(table_cells(request, definition)[0], store, library)
             for definition in TABLES.values()}
    if args.json:
        as_json.show(request, {"tables": json_shapes.status(found)})
    else:
        _print(request, found)
    return 0


def _print(request: Request, found: dict[str, pd.DataFrame]) -> None:
    lines, reasons = [], []
    for name, of_table in found.items():
        counts = of_table.groupby(["method", "status"], sort=False).size().unstack(fill_value=0)
        for method, row in counts.iterrows():
            lines.append({"table": name, "method": method, **row.to_dict()})
        reasons += [f"{r.status}: {r.dataset}/{r.category} {r.method} seed {r.seed}: {r.reason}"
                    for r in of_table.itertuples()
                    if r.status == "failed" or "interrupted" in r.reason]
    order = ("table", "method", "done", "missing", "failed", "skipped", "no data")
    print(f"protocol {request.settings.protocol}, results in {request.options.results}, data in "
          f"{request.looked_in}" + (" (none: embedded suite)" if request.embedded else ""))
    print(tabulate([[line.get(k, 0) for k in order] for line in lines], order))
    print("\n".join(dict.fromkeys(reasons)))

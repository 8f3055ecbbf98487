"""`status`: what is done, missing and failed."""

from __future__ import annotations

import argparse

from tabulate import tabulate

from aexad.bench.commands.request import table_cells, understand
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.records import records


def run(args: argparse.Namespace) -> int:
    """What is done, missing and failed for every table."""
    request = understand(args)
    options = request.options
    lines, reasons = [], []
    for definition in TABLES.values():
        found = records(table_cells(request, definition)[0], options.store, options.library)
        counts = found.groupby(["method", "status"], sort=False).size().unstack(fill_value=0)
        for method, row in counts.iterrows():
            lines.append({"table": definition.name, "method": method, **row.to_dict()})
        reasons += [f"{r.status}: {r.dataset}/{r.category} {r.method} seed {r.seed}: {r.reason}"
                    for r in found.itertuples()
                    if r.status == "failed" or "interrupted" in r.reason]
    order = ("table", "method", "done", "missing", "failed", "skipped", "no data")
    print(f"protocol {request.settings.protocol}, results in {options.results}, data in "
          f"{request.looked_in}" + (" (none: embedded suite)" if request.embedded else ""))
    print(tabulate([[line.get(k, 0) for k in order] for line in lines], order))
    print("\n".join(dict.fromkeys(reasons)))
    return 0

"""`status`: what is done, missing and failed."""

from __future__ import annotations

import argparse

from tabulate import tabulate

from aexad.bench.commands.options import Request, table_cells, understand, work_options
from aexad.bench.run.runner import Runner
from aexad.bench.tables.build import TABLES


def register(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("status", parents=[work_options()],
                            help="what is done, missing and failed")
    p.set_defaults(run=lambda args: status(understand(args)))


def status(request: Request) -> int:
    """What is done, missing and failed for every table."""
    runner = Runner(request.options)
    lines, reasons = [], []
    for definition in TABLES.values():
        records = runner.records(table_cells(request, definition)[0])
        counts = records.groupby(["method", "status"], sort=False).size().unstack(fill_value=0)
        for method, row in counts.iterrows():
            lines.append({"table": definition.name, "method": method, **row.to_dict()})
        reasons += [f"{r.status}: {r.dataset}/{r.category} {r.method} seed {r.seed}: {r.reason}"
                    for r in records.itertuples()
                    if r.status == "failed" or "interrupted" in r.reason]
    order = ("table", "method", "done", "missing", "failed", "skipped", "no data")
    print(f"protocol {request.settings.protocol}, results in {request.options.results}, data in "
          f"{request.looked_in}" + (" (none: embedded suite)" if request.embedded else ""))
    print(tabulate([[line.get(k, 0) for k in order] for line in lines], order))
    print("\n".join(dict.fromkeys(reasons)))
    return 0

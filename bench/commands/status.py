"""`status`: what is done, missing and failed."""

from __future__ import annotations

import argparse
from typing import Any

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
    tables = json_shapes.status(found)
    if args.json:
        as_json.show(request, {"tables": tables})
    else:
        _print(request, tables)
    return 0


def _print(request: Request, tables: list[dict[str, Any]]) -> None:
    order = ("done", "missing", "failed", "skipped", "no data")
    lines = [[table["name"], method, *(counts[status] for status in order)]
             for table in tables for method, counts in table["counts"].items()]
    reasons = ["{status}: {dataset}/{category} {method} seed {seed}: {reason}".format(**cell)
               for table in tables for cell in table["cells"]
               if cell["status"] == "failed" or "interrupted" in cell["reason"]]
    print(f"protocol {request.settings.protocol}, results in {request.options.results}, data in "
          f"{request.looked_in}" + (" (none: embedded suite)" if request.embedded else ""))
    print(tabulate(lines, ("table", "method", *order)))
    print("\n".join(dict.fromkeys(reasons)))

"""`audit`: the paper's printed numbers against each other, without any training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from shutil import get_terminal_size

from aexad.bench.commands.options import check_file, results_folder, results_option
from aexad.bench.paper import printed_tables
from aexad.bench.results.store import write_file, write_json

FILE_WIDTH = 120  # columns, where the output goes to a file


def register(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser(
        "audit", help="check the paper's published numbers against each other",
        description="Check the numbers that the paper prints against each other, without any "
                    "training. The exit status is 0 whatever is found: findings are results, not "
                    "failures.")
    p.add_argument("--out", metavar="FILE", help="the report in Markdown (default: "
                                                 "tables/audit.md in the results)")
    p.add_argument("--json", metavar="FILE", help="write the findings as JSON too")
    results_option(p)
    p.set_defaults(run=lambda args: audit(args.out, args.json, args.results))


def audit(out: str | None, json: str | None, results: str | None) -> int:
    """Print the report and write it. Always 0: findings are no failures."""
    from aexad.bench.paper.audit import (
        audit,
        report,  # scipy's statistics, which nothing else needs
    )

    place = Path(out) if out else results_folder(results) / "tables" / "audit.md"
    check_file("--out", str(place))
    check_file("--json", json)
    checks = audit(printed_tables.tables())
    width = get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH
    print(report.terminal(checks, width), end="")
    text = report.markdown(checks)
    write_file(place, lambda p: p.write_text(text, encoding="utf-8"))
    print(f"written: {place}", file=sys.stderr)
    if json:
        write_json(Path(json), report.as_json(checks))
        print(f"written: {json}", file=sys.stderr)
    return 0

"""`audit`: the paper's printed numbers against each other, without any training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from shutil import get_terminal_size

from aexad.bench.commands.request import check_file, results_folder
from aexad.bench.paper import printed_tables
from aexad.bench.paper.audit import audit, report
from aexad.bench.results.store import write_file, write_json

FILE_WIDTH = 120  # columns, where the output goes to a file


def run(args: argparse.Namespace) -> int:
    """Write the report and print it. Always 0: findings are no failures."""
    out, json = args.out, args.json
    place = Path(out) if out else results_folder(args.results) / "tables" / "audit.md"
    check_file("--out", str(place))
    check_file("--json", json)
    checks = audit(printed_tables.tables())
    text = report.markdown(checks)
    try:
        write_file(place, lambda p: p.write_text(text, encoding="utf-8"))
        print(f"written: {place}", file=sys.stderr)
        if json:
            write_json(Path(json), report.as_json(checks))
            print(f"written: {json}", file=sys.stderr)
    finally:  # shown, too, where the disk has no room for it
        width = get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH
        print(report.terminal(checks, width), end="")
    return 0

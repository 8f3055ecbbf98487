"""`benchmark`: speed against naive references, and memory."""

from __future__ import annotations

import argparse
from pathlib import Path

from aexad.bench.commands.options import threads_option, words


def register(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("benchmark", help="speed against naive references, and memory")
    threads_option(p)
    p.add_argument("--methods", help="comma-separated (default: all that have a reference)")
    p.add_argument("--no-memory", action="store_true", help="leave out the memory (minutes each)")
    p.add_argument("--out", type=Path, metavar="FILE", help="write the numbers to a JSON file")
    p.set_defaults(run=benchmark)


def benchmark(args: argparse.Namespace) -> int:
    from aexad.bench.speed import report  # its references need scikit-learn, nothing else does

    return report.main(args.threads, words(args.methods) or None, not args.no_memory, args.out)

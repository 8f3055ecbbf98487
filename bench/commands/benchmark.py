"""`benchmark`: speed against naive references."""

from __future__ import annotations

import argparse

from bench.options import threads_option


def register(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("benchmark", help="speed against naive references")
    threads_option(p)
    p.set_defaults(run=benchmark)


def benchmark(args: argparse.Namespace) -> int:
    from bench import benchmark  # its references need scikit-learn, nothing else does

    return benchmark.main(args.threads)

"""`benchmark`: speed against naive references, and memory."""

from __future__ import annotations

import argparse
from pathlib import Path

from aexad.bench.commands.request import words
from aexad.bench.speed import exported, speedups, startup


def run(args: argparse.Namespace) -> int:
    if args.startup:
        return startup.main(args.out)
    if args.exported:
        return exported.main(args.exported, args.weights and Path(args.weights),
                             args.threads, args.out)
    return speedups.main(args.threads, words(args.methods) or None, not args.no_memory, args.out)

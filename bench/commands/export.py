"""`export`: everything stored, as one table with a row per test image and cell."""

from __future__ import annotations

import argparse
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.bench.commands.parsers import EXPORTED
from aexad.bench.commands.request import check_file, results_folder
from aexad.bench.results.everything import everything
from aexad.bench.results.store import Store, write_file, write_parquet


def run(args: argparse.Namespace) -> int:
    results = results_folder(args.results)
    ending = Path(args.out).suffix[1:] if args.out else ""
    check_file("--out", args.out)
    if ending not in EXPORTED and args.out and not args.format:
        raise UserError(f"--out {args.out}: name it .csv or .parquet, or give --format")
    kind = args.format or ending or "csv"
    out = Path(args.out) if args.out else results / f"images.{kind}"
    images = everything(Store(results))
    if images.empty:
        raise UserError(f"{results}: no finished cell there; give --results, or make a table first")
    if kind == "csv":
        write_file(out, lambda p: images.to_csv(p, index=False, lineterminator="\n"))
    else:
        write_file(out, lambda p: write_parquet(p, images))
    cells = images["key"].nunique()
    print(f"written: {out} ({len(images)} rows, {cells} cells, {len(images.columns)} columns)")
    return 0

"""`table1` … : compute what a table needs, print it, and write it under results/tables."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from shutil import get_terminal_size

import methods
from bench import baseline, render
from bench.options import COMMAND, Request, table_cells, understand, work_options
from bench.runner import Runner
from bench.store import write_file
from bench.tables import TABLES, TableDef, build

FILE_WIDTH = 250  # columns, where the output goes to a file


def register(commands: argparse._SubParsersAction) -> None:
    for name, definition in TABLES.items():
        p = commands.add_parser(name, parents=[work_options()], help=definition.title)
        p.add_argument("--save-baseline", metavar="FILE", help="write the table's cells with "
                       "their provenance to a JSON file")
        p.add_argument("--note", default="", help="what a reader of that file must know")
        p.set_defaults(run=lambda args, d=definition: table(understand(args), d))


def table(request: Request, definition: TableDef) -> int:
    """Compute what the table needs, print it and write it under results/tables."""
    args, settings = request.args, request.settings
    definition = dataclasses.replace(definition, scenario=args.scenario or definition.scenario)
    cells, rows, names = table_cells(request, definition)
    runner = Runner(request.options, args.jobs)
    scenario = definition.scenario.replace("_", " ")
    title = f"{definition.title} [{scenario} scenario, protocol {settings.protocol}]"
    if request.embedded:
        why = "" if request.rows else f": no dataset found in {request.looked_in}"
        title += f" — EMBEDDED SUITE of generated images{why}"
        print(f"note: the embedded suite of generated images is used{why}", file=sys.stderr)
    if args.dry_run:
        print(runner.describe(cells))
        return 0
    failures = runner.run(cells)
    records = runner.records(cells)
    for metric in ("f1", "iou"):
        column = settings.metrics.column(metric)
        records[metric] = records[column] if column in records else None
    labels = {name: methods.entry(name).label for name in methods.entries()}
    made = build(records, definition, rows, names, labels, title)
    shown = sys.stdout.isatty()
    print(render.terminal(made, get_terminal_size().columns if shown else FILE_WIDTH, shown))
    _write(request, definition, made)
    if args.save_baseline:
        command = f"{COMMAND} {shlex.join(args.words)}"
        given = {"protocol": settings.protocol, "epochs": args.epochs, "set": args.set}
        count = baseline.save(Path(args.save_baseline), cells, runner.store, command, args.note,
                              given)
        print(f"written: {args.save_baseline} ({count} cells)", file=sys.stderr)
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures else 0


def _write(request: Request, definition: TableDef, made: object) -> None:
    stem = request.stem(definition.name)
    folder = request.options.results / "tables"
    for suffix, text in (("md", render.markdown(made)), ("tex", render.latex(made)),
                         ("csv", render.csv(made))):
        write_file(folder / f"{stem}.{suffix}",
                   lambda p, text=text: p.write_text(text, encoding="utf-8"))
    print(f"written: {folder / stem}.md, .tex, .csv", file=sys.stderr)

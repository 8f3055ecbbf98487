"""`table1` … `tables`: compute what a table needs, print it, and write it under results/tables."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from shutil import get_terminal_size

import pandas as pd

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands import saving
from aexad.bench.commands.request import Request, table_cells, understand
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.results.image_rows import per_image
from aexad.bench.results.store import Store
from aexad.bench.run import alone
from aexad.bench.run.runner import Runner
from aexad.bench.tables import emissions, render, winrates
from aexad.bench.tables.build import Table, build

FILE_WIDTH = 250  # columns, where the output goes to a file
PAPER_TABLES = tuple(TABLES[f"table{n}"] for n in range(1, 10))


def run(args: argparse.Namespace) -> int:
    return table(understand(args), TABLES[args.command])


def run_all(args: argparse.Namespace) -> int:
    """All tables of the paper. What can be checked is checked for all before the first fit."""
    request = understand(args)
    wanted = [definition for definition in PAPER_TABLES
              if definition.shows != "winrates" or _pairs(request, definition)]
    if len(wanted) < len(PAPER_TABLES):
        print("note: Table 3 needs two methods; left out", file=sys.stderr)
    cells = list(dict.fromkeys(c for d in wanted for c in table_cells(request, d)[0]))
    runner = Runner(request.options, request.choice)
    if request.args.emissions == "strict":
        alone.runner(runner)  # refuses what can't be measured before anything runs
    if request.args.dry_run:
        print(runner.describe(cells))
        return 0
    runner.check(cells, list(dict.fromkeys(c.fit for c in runner.pending(cells))))
    return max(table(request, definition) for definition in wanted)


def table(request: Request, definition: TableDef) -> int:
    """Compute what the table needs, print it and write it under results/tables."""
    args, keeping = request.args, saving.Saving.of(request)
    named_for, definition = definition.scenario, definition.under(args.scenario)
    cells, rows, names = table_cells(request, definition)
    if definition.shows == "winrates" and not _pairs(request, definition):
        raise UserError("--methods: Table 3 compares methods with each other; give two or more")
    if keeping.adds:
        cells = keeping.lacking(cells)
        if not cells:
            return 0
        rows = list(dict.fromkeys((c.fit.dataset, c.fit.category) for c in cells))
        names = [name for name in names if name in {c.method for c in cells}]
    runner = Runner(request.options, request.choice)
    strict = definition.about_emissions and args.emissions == "strict"
    if request.embedded:
        print(f"note: the embedded suite of generated images is used{_why_embedded(request)}",
              file=sys.stderr)
    if args.dry_run:
        print(runner.describe(cells))
        if strict:
            print(f"then, measured again alone: {alone.describe(runner, cells)}")
        return 0
    if strict:
        alone.runner(runner)  # as above
    failures = runner.run(cells, (lambda: keeping.keep(cells, runner.store)) if keeping.adds else
                          lambda: None)
    if strict:
        failures += alone.measure(runner, cells)
    shown = sys.stdout.isatty()
    for made in _make(runner, request, definition, cells, rows, names):
        print(render.terminal(made, get_terminal_size().columns if shown else FILE_WIDTH, shown))
        _write(request, made, named_for)
    keeping.keep(cells, runner.store)
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures else 0


def _pairs(request: Request, definition: TableDef) -> bool:
    return len(table_cells(request, definition)[2]) > 1


def _make(runner: Runner, request: Request, definition: TableDef, cells: list[Cell],
          rows: list[tuple[str, str]], names: list[str]) -> list[Table]:
    """The table, and where it is about emissions the one relative to AE-XAD."""
    title, chosen = _title(request, definition), request.settings.metrics
    columns = {metric: chosen.column(metric) for metric in definition.metrics}
    labels = {name: methods.entry(name).label for name in methods.entries()}
    records = runner.records(cells)
    for metric, column in columns.items():
        records[metric] = pd.to_numeric(records[column]) if column in records else float("nan")
    if definition.shows == "winrates":
        images = per_image(cells, runner.store)
        return [winrates.table(images[images["used"].astype(bool)], records, definition, rows,
                               names, labels, columns, chosen.winrate == "pooled", title)]
    if not definition.about_emissions:
        return [build(records, definition, rows, names, labels, title)]
    records = emissions.measured(records)
    if definition.shows == "tradeoff":
        records = emissions.tradeoffs(records, definition.metrics)
    made = [build(records, definition, rows, names, labels, title)]
    with_grams = replace(definition, metrics=(*dict.fromkeys((*definition.metrics, "grams")),))
    title = _title(request, definition, f", relative to {labels[emissions.BASE]}")
    beside = emissions.relative(build(records, with_grams, rows, names, labels), title)
    return made + [beside] if beside else made


def _title(request: Request, definition: TableDef, more: str = "") -> str:
    scenario = definition.scenario.replace("_", " ")
    title = f"{definition.title}{more} [{scenario} scenario, protocol {request.settings.protocol}]"
    if request.embedded:
        title += f" — EMBEDDED SUITE of generated images{_why_embedded(request)}"
    return title


def _why_embedded(request: Request) -> str:
    return "" if request.rows else f": no dataset found in {request.looked_in}"


def _write(request: Request, made: Table, named_for: str) -> None:
    Store(request.options.results).write_table(request.stem(made.name, named_for), {
        "md": render.markdown(made), "tex": render.latex(made), "csv": render.csv(made)})

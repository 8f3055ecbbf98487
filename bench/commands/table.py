"""`table1` … `tables`: compute what a table needs, write it under results/tables, and print it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from shutil import get_terminal_size

from aexad.bench.base.errors import UserError
from aexad.bench.commands import as_json, config, saving
from aexad.bench.commands.request import Request, table_cells, understand
from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.results.records import pending, records
from aexad.bench.run import alone, estimate, preflight, runner
from aexad.bench.tables import assemble, json_shapes, render
from aexad.bench.tables.build import Table

FILE_WIDTH = 250  # columns, where the output goes to a file
PAPER_TABLES = tuple(TABLES[f"table{n}"] for n in range(1, 10))


def run(args: argparse.Namespace) -> int:
    return tables(understand(args), [TABLES[args.command]])


def run_all(args: argparse.Namespace) -> int:
    """All tables of the paper. What can be checked is checked for all before the first fit."""
    request = understand(args)
    wanted = [definition for definition in PAPER_TABLES
              if definition.shows != "winrates" or _pairs(request, definition)]
    if len(wanted) < len(PAPER_TABLES):
        print("note: Table 3 needs two methods; left out", file=sys.stderr)
    cells = list(dict.fromkeys(c for d in wanted for c in table_cells(request, d)[0]))
    options = request.options
    if request.args.emissions == "strict":  # refuses what can't be measured before anything runs
        alone.options_for(options, request.choice)
    if request.args.dry_run:
        print(estimate.describe(cells, options, request.choice))
        return 0
    todo = pending(cells, options.store, options.library)
    preflight.check(cells, list(dict.fromkeys(c.fit for c in todo)), options)
    return tables(request, wanted)


def tables(request: Request, definitions: Sequence[TableDef]) -> int:
    """Compute what each table needs, write it under results/tables and print it; with --json all
    are printed as one object when the last is done."""
    made: list[Table] = []
    failures = [line for definition in definitions for line in _table(
        request, definition, made.append if request.args.json else _print)]
    if request.args.json:
        as_json.show(request, {"tables": list(map(json_shapes.table, made)),
                               "failures": list(dict.fromkeys(failures))})
    elif not request.args.dry_run and request.args.command != "run":  # which makes the page
        print(f"all of it as a page: {config.again(request, 'report', scenario=None)}",
              file=sys.stderr)
    return 1 if failures else 0


def _print(made: Table) -> None:
    shown = sys.stdout.isatty()
    print(render.terminal(made, get_terminal_size().columns if shown else FILE_WIDTH, shown))


def _table(request: Request, definition: TableDef, show: Callable[[Table], None]) -> list[str]:
    """One of them; returns what failed, a line each."""
    args, options, choice = request.args, request.options, request.choice
    keeping = saving.Saving.of(request)
    named_for, definition = definition.scenario, definition.under(args.scenario)
    cells, rows, names = table_cells(request, definition)
    if definition.shows == "winrates" and not _pairs(request, definition):
        raise UserError("--methods: Table 3 compares methods with each other; give two or more")
    strict = definition.about_emissions and args.emissions == "strict"
    if keeping.adds:
        cells = keeping.lacking(cells, strict)
        if not cells:
            return []
        rows = list(dict.fromkeys((c.fit.dataset, c.fit.category) for c in cells))
        names = [name for name in names if name in {c.method for c in cells}]
    if request.embedded:
        print(f"note: the embedded suite of generated images is used{_why_embedded(request)}",
              file=sys.stderr)
    if args.dry_run:
        print(estimate.describe(cells, options, choice))
        if strict:
            print(f"then, measured again alone: {alone.describe(cells, options, choice)}")
        return []
    if strict:
        alone.options_for(options, choice)  # as above
    ran = runner.run(cells, options, choice, (lambda: keeping.keep(cells, options.store))
                     if keeping.adds else lambda: None)
    failures = ran.failures + (alone.measure(cells, options, choice) if strict else [])
    found = records(cells, options.store, options.library, ran.left_out)
    for made in assemble.tables(definition, cells, rows, names, found, request.settings.metrics,
                                options.store, _about(request, definition)):
        try:
            _write(request, made, definition, named_for)
        finally:  # shown, too, where the disk has no room for it
            show(made)
    keeping.keep(cells, options.store)
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return failures


def _pairs(request: Request, definition: TableDef) -> bool:
    return len(table_cells(request, definition)[2]) > 1


def _about(request: Request, definition: TableDef) -> str:
    """What stands behind a title."""
    scenario = definition.scenario.replace("_", " ")
    about = f"[{scenario} scenario, protocol {request.settings.protocol}]"
    if request.embedded:
        about += f" — EMBEDDED SUITE of generated images{_why_embedded(request)}"
    return about


def _why_embedded(request: Request) -> str:
    return "" if request.rows else f": no dataset found in {request.looked_in}"


def _write(request: Request, made: Table, definition: TableDef, named_for: str) -> None:
    texts = {"md": render.markdown(made), "tex": render.latex(made), "csv": render.csv(made)}
    if made.name == definition.name:  # one relative to a method comes with it
        command = definition.name if request.args.command == "tables" else request.args.command
        texts |= config.beside(request, command)
    request.options.store.write_table(request.stem(made.name, named_for), texts)

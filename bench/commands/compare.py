"""`compare`: paired statistics and mean ranks of methods, from stored cells alone."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from shutil import get_terminal_size

import pandas as pd

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands import as_json, config
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import Request, table_cells, understand
from aexad.bench.measure import statistics
from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.results.external import externals
from aexad.bench.results.image_rows import per_image
from aexad.bench.results.records import records
from aexad.bench.results.store import Store
from aexad.bench.tables import comparison, grids
from aexad.bench.tables.comparison import Report
from aexad.bench.tables.notes import listed, warnings

METRICS = ("auc", "f1", "iou")
TABLE = "table2"  # whose rows are compared where no others are asked for


def run(args: argparse.Namespace) -> int:
    """Compare what is stored, write it under results/tables and results/figures, and print it."""
    request = understand(args)
    store, library = request.options.store, request.options.library
    definition = _definition(request, store)
    cells, rows, names = table_cells(request, definition)
    if len(names) < 2:
        raise UserError(f"compare: needs two methods{'' if names else ' with stored results'}, "
                        f"found {names[0] if names else 'none'} in {request.options.results}; "
                        f"name two, or run {COMMAND} {TABLE} first")
    found = records(cells, store, library)
    lacking = _lacking(request, found, definition.scenario)
    done = [m for m in names if ((found["method"] == m) & (found["status"] == "done")).any()]
    if len(done) < 2:
        raise UserError(f"compare: needs stored results of two methods, found "
                        f"{' '.join(done) or 'none'}; {lacking[-1] if lacking else 'name more'}")
    if request.args.dry_run:
        print("\n".join(["nothing is computed, only stored results are compared", *lacking]))
        return 0
    images = per_image(cells, store)
    for metric in ("f1", "iou"):
        images[metric] = images[request.settings.metrics.column(metric)]
    pairs = statistics.compare(images, combinations(done, 2), METRICS, rows)
    report = Report(
        "compare", _title(request, definition.scenario), pairs,
        [statistics.mean_ranks(images, done, metric, rows) for metric in METRICS],
        {name: methods.entry(name).label for name in names},
        (*_notes(found, done, names), *_apart(pairs, done), *lacking))
    try:
        _write(request, report)
    finally:  # shown, too, where the disk has no room for it
        _show(request, report, definition.scenario)
    return 0


def _show(request: Request, report: Report, scenario: str) -> None:
    if request.args.json:
        as_json.show(request, {"scenario": scenario, **comparison.as_json(report)})
    else:
        shown = sys.stdout.isatty()
        print(grids.terminal(comparison.page(report),
                             get_terminal_size().columns if shown else 120))


def _definition(request: Request, store: Store) -> TableDef:
    """The table whose rows are compared, with the methods asked for, or else with all that have a
    finished cell in it."""
    args, table = request.args, TABLES[TABLE]
    table = replace(table, scenario=args.scenario or table.scenario)
    if args.names and args.methods:
        raise UserError("compare: name the methods either after the command or with --methods")
    for name in args.names:
        methods.entry(name)
    if args.names or args.methods:
        return replace(table, methods=tuple(dict.fromkeys(args.names)))
    everything = table_cells(request, replace(table, methods=tuple(methods.entries())))[0]
    return replace(table, methods=tuple(
        dict.fromkeys(c.method for c in everything if store.cell_info(c))))


def _title(request: Request, scenario: str) -> str:
    title = (f"Paired comparison over test images [{scenario.replace('_', ' ')} scenario, "
             f"protocol {request.settings.protocol}]")
    return title + (" — EMBEDDED SUITE of generated images" if request.embedded else "")


def _notes(records: pd.DataFrame, done: Sequence[str], names: Sequence[str]) -> list[str]:
    """What the numbers stand on."""
    found = records[records["status"] == "done"]
    rest = [methods.entry(m).label for m in names if m not in done]
    lines = ["images: the anomalous test images with both classes in their mask; seeds: "
             f"{listed(sorted(set(found['seed'])))}"]
    if rest:
        lines.append(f"without any stored result, so not compared: {', '.join(rest)}")
    return [*lines, *warnings(found.itertuples())]


def _apart(found: Sequence[statistics.Comparison], done: Sequence[str]) -> list[str]:
    """The pairs that can't be compared."""
    met = {(c.first, c.second) for c in found}
    return [f"no image in common: {methods.entry(a).label} and {methods.entry(b).label}"
            for a, b in combinations(done, 2) if (a, b) not in met]


def _lacking(request: Request, records: pd.DataFrame, scenario: str) -> list[str]:
    """The cells without a result and why, and the commands that make them."""
    lines: list[str] = []
    rest = records[records["status"] != "done"]
    for (status, reason), group in rest.groupby(["status", "reason"], sort=False):
        where: dict[tuple, list[str]] = {}
        for method, mine in group.groupby("method", sort=False):
            seeds = sorted(set(mine["seed"]))
            places = tuple(dict.fromkeys(mine["dataset"] + "/" + mine["category"]))
            where.setdefault((places, *seeds), []).append(methods.entry(method).label)
        lines += [f"{status}, {reason}: {', '.join(labels)} on {listed(places)}"
                  + (f" (seeds {listed(seeds)})" if seeds != request.seeds else "")
                  for (places, *seeds), labels in where.items()]
    missing = rest[rest["status"].isin(("missing", "failed"))]
    ours = missing[~missing["method"].isin(externals())]
    lines += [f"maps of {name} are evaluated by: {COMMAND} evaluate DIR --name {name}"
              for name in dict.fromkeys(missing["method"]) if name in externals()]
    if len(ours):
        lines.append(f"what is missing is made by: {_remedy(request, ours, scenario)}")
    return lines


def _remedy(request: Request, todo: pd.DataFrame, scenario: str) -> str:
    args = request.args
    command = [TABLE, "--methods", ",".join(dict.fromkeys(todo["method"])),
               "--seeds", ",".join(map(str, dict.fromkeys(todo["seed"])))]
    if scenario != TABLES[TABLE].scenario:
        command += ["--scenario", scenario]
    for option in ("datasets", "categories", "protocol", "epochs", "data_root", "results",
                   "weights"):
        if getattr(args, option) is not None:
            command += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    command += [word for text in args.set for word in ("--set", text)]
    return f"{COMMAND} {shlex.join(command)}"


def _write(request: Request, report: Report) -> None:
    stem = request.stem(report.name, TABLES[TABLE].scenario)
    page = comparison.page(report)
    request.options.store.write_table(stem, {
        "md": grids.markdown(page), "tex": grids.latex(page), "csv": comparison.csv(report),
        **config.beside(request, request.args.command)})
    _draw(report, request.options.results / "figures" / f"{stem}-ranks")


def _draw(report: Report, stem: Path) -> None:
    # Imported here: other commands need not wait for matplotlib.
    from aexad.bench.figures.ranks import diagrams
    from aexad.bench.figures.style import save

    fig = diagrams(report.ranks, report.labels)
    if fig is not None:
        print(f"written: {', '.join(map(str, save(fig, stem)))}", file=sys.stderr)
    else:  # an older one would be taken for this comparison's
        for suffix in ("pdf", "png"):
            stem.with_name(f"{stem.name}.{suffix}").unlink(missing_ok=True)

"""`check`: train again, compare with a baseline, fail when a metric fell."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.bench.base.places import BASELINES, CHECKOUT
from aexad.bench.commands import as_json
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import Request, understand, words
from aexad.bench.commands.saving import check_json
from aexad.bench.measure import regression
from aexad.bench.measure.regression import Entry
from aexad.bench.plan.cells import Cell, all_cells
from aexad.bench.results import baseline
from aexad.bench.results.store import Store
from aexad.bench.run import estimate, runner
from aexad.bench.tables import verdicts
from aexad.bench.tables.verdicts import Verdict

BASELINE = BASELINES / "mini.json"
NOT_COMPARABLE = 2
CATEGORIES = ("fabric", "wood", "part")
# What the baseline in the repository watches, in less than five minutes on two cores: BGAD takes
# as long as all others together, so it is watched on one category.
SUITE = {"ae": CATEGORIES, "ae_filtered": CATEGORIES, "ae_xad_raw": CATEGORIES,
         "ae_xad": CATEGORIES, "fcdd": CATEGORIES, "bgad": CATEGORIES[:1]}


def run(args: argparse.Namespace) -> int:
    args.baseline = args.baseline or BASELINE
    if args.update:
        return update(args)
    content = baseline.load(args.baseline)
    _as_then(args, content.get("settings") or {})
    request = understand(args)
    entries = [e for e in content["cells"] if _asked(e, request)]
    if not entries:
        raise UserError(f"{args.baseline}: nothing of it is asked for; it has "
                        f"{', '.join(sorted({*map(regression.name, content['cells'])}))}"[:300])
    cells = baseline.cells_of(entries, request.settings, args.baseline)
    if args.dry_run:
        print("check --stored computes nothing" if args.stored else _describe(request, cells))
        return 0
    if args.stored:
        return compare(request, entries, cells, Store(request.options.results))
    with tempfile.TemporaryDirectory() as folder:
        failures, store = _train(request, cells, Path(folder), args.threads)
        for line in failures:
            print(f"failed: {line}", file=sys.stderr)
        if failures and args.json:
            _show(request, [], failures)
        return 1 if failures else compare(request, entries, cells, store)


def _as_then(args: argparse.Namespace, settings: dict) -> None:
    """The parameters are those of the baseline, but for what is asked for now."""
    args.protocol = args.protocol or settings.get("protocol")
    args.epochs = settings.get("epochs") if args.epochs is None else args.epochs
    args.set = [*(settings.get("set") or []), *args.set]


def _asked(entry: Entry, request: Request) -> bool:
    args, fit = request.args, entry["fit"]
    return ((not args.methods or entry["method"] in words(args.methods))
            and (request.rows is None or (fit["dataset"], fit["category"]) in request.rows)
            and args.scenario in (None, fit["scenario"])
            and (args.seeds is None or fit["seed"] in request.seeds))


def _train(request: Request, cells: Sequence[Cell], folder: Path, threads: int
           ) -> tuple[list[str], Store]:
    """All cells afresh, in a store of their own."""
    options = dataclasses.replace(request.options, results=folder, threads=threads)
    library = options.library
    missing = [c for c in cells if library.locate(c.fit.dataset, c.fit.category) is None]
    if missing:
        fit = missing[0].fit
        raise UserError(f"{fit.dataset}/{fit.category}: no data at "
                        f"{library.expected(fit.dataset, fit.category)}; give --data-root")
    ran = runner.run(cells, options, request.choice)
    failures = ran.failures + [f"{fit.name}: {why}" for fit, why in ran.left_out.items()]
    return failures, options.store


def _describe(request: Request, cells: Sequence[Cell]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        options = dataclasses.replace(request.options, results=Path(folder))
        return estimate.describe(cells, options, request.choice)


def compare(request: Request, entries: Sequence[Entry], cells: Sequence[Cell], store: Store) -> int:
    """Print what moved; the exit status."""
    found = [Verdict.of(before, baseline.entry(cell, store) if store.cell_info(cell) else None)
             for before, cell in zip(entries, cells)]
    if request.args.json:
        _show(request, found)
    else:
        print(verdicts.text(found))
    if any(change.fell for verdict in found for change in verdict.changes):
        return 1
    return NOT_COMPARABLE if any(verdict.reasons for verdict in found) else 0


def _show(request: Request, found: Sequence[Verdict], failures: Sequence[str] = ()) -> None:
    as_json.show(request, {"baseline": str(request.args.baseline), **verdicts.as_json(found),
                           "failures": failures})


def update(args: argparse.Namespace) -> int:
    """Run everything once for each of --repeat, and write numbers (of the first run) with the
    tolerances that the runs' spread gives; or take what is stored for the one run."""
    if args.json:
        raise UserError("--json: says what a comparison found; leave out --json or --update")
    if args.baseline == BASELINE and not CHECKOUT:
        raise UserError("--update: the default is a file of the installed package; name one of "
                        "yours with --baseline")
    check_json("--baseline", str(args.baseline))
    args.protocol = args.protocol or "mini"
    request = understand(args)
    threads = [int(n) for n in words(args.repeat) if n.isdigit() and int(n)]
    if not threads:
        raise UserError(f"--repeat {args.repeat}: expected numbers of threads such as 1,2,1")
    cells = _wanted(request)
    if args.dry_run:
        print("--stored trains nothing" if args.stored
              else f"{len(threads)} times: {_describe(request, cells)}")
        return 0
    if args.stored:
        return _keep(args, cells, [_stored(request, cells)], [request.options.threads])
    with tempfile.TemporaryDirectory() as folder:
        stores = []
        for i, n in enumerate(threads):
            print(f"run {i + 1} of {len(threads)}, {n} threads", file=sys.stderr)
            failures, store = _train(request, cells, Path(folder) / str(i), n)
            if failures:
                raise UserError(f"nothing written: {failures[0]}")
            stores.append(store)
        return _keep(args, cells, stores, threads)


def _stored(request: Request, cells: Sequence[Cell]) -> Store:
    """The store of --results, which must have all cells."""
    store = Store(request.options.results)
    for cell in cells:
        if store.cell_info(cell) is None:
            raise UserError(f"{request.options.results}: no {cell.method} of {cell.fit.name} with "
                            f"these parameters; leave out --stored")
    return store


def _keep(args: argparse.Namespace, cells: Sequence[Cell], stores: Sequence[Store],
          threads: Sequence[int]) -> int:
    """Write the baseline from the runs' stores."""
    runs = [[baseline.entry(cell, store) for cell in cells] for store in stores]
    entries = [{**same[0], "tolerance": regression.tolerances(same),
                "runs": [{m: run["numbers"].get(m) for m in regression.WATCHED} for run in same]}
               for same in zip(*runs)]
    settings = {"protocol": args.protocol, "epochs": args.epochs, "set": args.set}
    rows = baseline.rows(cells, stores[0])
    baseline.write(args.baseline, entries, rows, f"{COMMAND} {shlex.join(args.words)}", args.note,
                   settings=settings, threads=threads)
    print(f"written: {args.baseline} ({len(entries)} cells, {len(threads)} runs)", file=sys.stderr)
    return 0


def _wanted(request: Request) -> list[Cell]:
    """What --update watches: the suite, or the methods and rows asked for."""
    args = request.args
    names = words(args.methods) or list(SUITE)
    rows = request.rows or [("embedded", category) for category in CATEGORIES]
    chosen = [(name, row) for row in rows for name in names
              if args.methods or request.rows or row[1] in SUITE[name]]
    return [cell for name, row in chosen
            for cell in all_cells(request.settings, [name], [row], args.scenario or "standard",
                                  request.seeds) if not cell.skip]

"""`study`: one open point changed at a time, from a protocol: what explains the distance to the
paper?"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator
from shutil import get_terminal_size

from aexad import methods
from aexad.bench import study
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.commands import config, saving
from aexad.bench.commands.request import Request, understand, words
from aexad.bench.measure.intervals import LEVEL, RESAMPLES
from aexad.bench.plan import open_points
from aexad.bench.plan.open_points import Choice, Point
from aexad.bench.plan.settings import Settings
from aexad.bench.results.records import why_not
from aexad.bench.run import estimate, runner
from aexad.bench.study import Variant
from aexad.bench.tables import grids
from aexad.bench.tables.notes import listed
from aexad.datasets.catalog import all_categories

NOTES = (
    "Δ: the choice − the base, mean over the images that both test, with its bootstrap "
    f"{LEVEL:.0%} interval (BCa, {RESAMPLES} resamples of the paired images within their category, "
    "fixed seed): how much it depends on these images, not on the training's chance; with several "
    "seeds on both",
    "paper: ours − the number in its {}",
    "g CO₂: of training and explaining; of explaining alone where the choice needs no training of "
    "its own",
)


def run(args: argparse.Namespace) -> int:
    """Compute every variant's cells, write the table under results/tables and print it."""
    request = understand(args)
    method = _method(request)
    default = "study" if method == open_points.METHOD else f"study-{method}"
    name = default if args.name is None else args.name
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"--name '{name}': expected letters, digits, _, - and .")
    keeping = saving.Saving.of(request)
    places = _places(request)
    found = study.variants(method, request.settings, _changed(request, method), places,
                           args.scenario or "standard", request.seeds)
    if found[0].cells[0].skip:
        raise UserError(f"--scenario {args.scenario}: {method} {found[0].cells[0].skip}")
    if args.explain_only:
        found = [v for v in found if v.point == study.BASE or v.trained_by == study.BASE]
    cells = list(dict.fromkeys(cell for v in found for cell in v.cells))
    options, choice = request.options, request.choice
    store, library = options.store, options.library
    if not any(library.locate(*place) for place in places):
        raise UserError(f"{request.looked_in}: no data of the categories asked for; --data-root")
    if args.dry_run:
        names = {cell: v.name for v in reversed(found) for cell in v.cells}
        print("study --stored computes nothing" if args.stored
              else estimate.describe(cells, options, choice, names))
        return 0
    if args.stored:
        lacking = [v for v in found if not any(map(store.cell_info, v.cells))]
        found, ran = [v for v in found if v not in lacking], runner.Ran([], {})
        if not found or found[0].point != study.BASE:
            raise UserError(f"study: the base is not stored in {options.results}; leave "
                            f"out --stored")
    else:
        lacking, ran = [], runner.run(cells, options, choice)
    made = study.outcomes(found, store, places,
                          lambda cell: why_not(cell, store, library, ran.left_out))
    page = grids.Page(name, _title(request, method), study.grids(made),
                      _notes(request, made, lacking))
    try:
        store.write_table(request.stem(page.name), {
            "md": grids.markdown(page), "tex": grids.latex(page),
            "csv": study.table(made).to_csv(index=False, lineterminator="\n"),
            **config.beside(request, args.command)})
    finally:  # shown, too, where the disk has no room for it
        shown = sys.stdout.isatty()
        print(grids.terminal(page, get_terminal_size().columns if shown else 120))
    keeping.keep(cells, store)
    for line in ran.failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if ran.failures else 0


def _places(request: Request) -> list[tuple[str, str]]:
    if request.rows is not None:
        return request.rows
    if request.embedded:
        return all_categories(("embedded",))
    raise UserError("study: needs --categories, for example mvtec/bottle,mvtec/transistor: each "
                    "takes a training for most choices, which --dry-run counts")


def _method(request: Request) -> str:
    """The one method whose open points are asked for."""
    names = words(request.args.methods) or [open_points.METHOD]
    for name in names:
        if methods.trained_as(name) not in open_points.SHOWN:
            raise UserError(f"--methods {name}: has no open points to study"
                            f"{nearest(name, open_points.SHOWN)}")
        if name not in open_points.SHOWN:
            raise UserError(f"--methods {name}: is trained as {methods.trained_as(name)}; its open "
                            f"points are those of --methods {methods.trained_as(name)}")
    if len(names) > 1:
        raise UserError(f"--methods {request.args.methods}: a study is of one method; run it for "
                        f"each")
    return names[0]


def _changed(request: Request, method: str) -> Iterator[tuple[Point, Choice, Settings]]:
    """The base with one point changed, in the order of the points."""
    args, base = request.args, request.settings
    known = open_points.points(method)
    wanted = [w.strip() for w in (args.points or "").split(",") if w.strip()] or list(known)
    for name in wanted:
        if name in known:
            continue
        other = next((p.method for p in open_points.POINTS if p.name == name), None)
        if other:
            raise UserError(f"--points: '{name}' is an open point of {other}, not of {method}; "
                            f"study it with --methods {other}")
        raise UserError(f"--points: unknown point '{name}'{nearest(name, known)}")
    for point in map(known.get, wanted):
        for choice in point.choices:  # what it sets comes last, so that it wins over --epochs
            yield point, choice, Settings(base.protocol, args.epochs,
                                          [*args.set, *point.sets(choice)])


def _title(request: Request, method: str) -> str:
    args = request.args
    parts = [f"protocol {request.settings.protocol}", f"seeds {listed(request.seeds)}"
             if len(request.seeds) > 1 else f"seed {request.seeds[0]}"]
    parts.append(f"{request.settings.fit(method).epochs} epochs")
    if args.scenario:
        parts.append(f"{args.scenario.replace('_', ' ')} scenario")
    parts += args.set
    title = (f"One open point of {methods.entry(method).label} changed at a time, from "
             f"{', '.join(parts)}")
    return title + (" — EMBEDDED SUITE of generated images" if request.embedded else "")


def _notes(request: Request, made: list[study.Outcome], lacking: list[Variant]) -> list[str]:
    notes = [note.format(_tables(made[0].variant.method, request.args.scenario)) for note in NOTES]
    if any(outcome.variant.shift for outcome in made):
        notes.append("split: the two next seeds, other test images in part: Δ is of those that "
                     "both test; the seed of the training differs, too")
    if any(math.isnan(value) for outcome in made for value in outcome.values.values()):
        notes.append(f"{study.UNDEFINED}: AUC, F1 and IoU where the mask of every anomalous test "
                     f"image is empty or full, detection where no test image is normal")
    why: dict[str, list[str]] = {}
    for o in made:
        if o.missing and o.category:
            of = why.setdefault(f"{o.missing}: {o.reason}", [])
            of.append(f"{o.category}, {o.variant.name}")
    notes += [f"{reason} ({'; '.join(names)})" for reason, names in why.items()]
    return notes + ([f"not computed: {'; '.join(v.name for v in lacking)}"] if lacking else [])


def _tables(method: str, scenario: str | None) -> str:
    """Which of the paper's tables the numbers beside ours are from."""
    tables = study.paper_tables(method, scenario or "standard")
    first = tables["auc"]
    others = [f"{study.METRICS[m]}: Table {table}" for m, table in tables.items() if table != first]
    if "f1" not in tables:
        others.append("the AUC alone")
    return f"Table {first}" + (f" ({', '.join(others)})" if others else "")

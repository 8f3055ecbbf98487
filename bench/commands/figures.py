"""`figure1` … `figure5`, `gallery`, `figures`: compute what a figure needs as a table would, then
draw it from what is stored, and write it under results/figures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands.request import Request, table_cells, understand
from aexad.bench.figures.paper_figures import DRAW, Drawn, Work
from aexad.bench.plan.definitions import FIGURES
from aexad.bench.run import estimate, runner
from aexad.bench.tables.notes import Place


def run(args: argparse.Namespace) -> int:
    return figure(understand(args), args.command)


def run_all(args: argparse.Namespace) -> int:
    """All figures; one that can't be drawn does not keep the others from it."""
    request = understand(args)
    if request.args.dry_run:
        cells = [cell for name in FIGURES for cell in _work(request, name).cells()]
        print(estimate.describe(cells, request.options, request.choice))
        return 0
    status = 0
    for name in FIGURES:
        try:
            status = max(status, figure(request, name))
        except UserError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            status = 2
    return status


def figure(request: Request, name: str, must: bool = True) -> int:
    """Compute what the figure needs, draw it and write it under results/figures. UserError where
    there is nothing to draw and there `must` be."""
    work = _work(request, name)
    if request.embedded and request.rows is None:
        print(f"note: the embedded suite of generated images is used: no dataset found in "
              f"{request.looked_in}", file=sys.stderr)
    if request.args.dry_run:
        print(estimate.describe(work.cells(), request.options, request.choice))
        return 0
    ran = runner.run(work.cells(), request.options, request.choice)
    work = replace(work, left_out=ran.left_out)
    work.notes.extend(work.table_notes())
    drawn = 0
    for drawn, made in enumerate(DRAW[name](work), 1):
        _write(request, name, made)
    remark = f" [{work.remark}]" if work.remark else ""
    print("\n".join([work.definition.title + remark, *work.notes]))
    for line in ran.failures:
        print(f"failed: {line}", file=sys.stderr)
    if must and not drawn and not ran.failures:
        raise UserError(f"{name}: nothing to draw, see above")
    return 1 if ran.failures else 0


def _work(request: Request, name: str) -> Work:
    """What the figure is asked to be drawn from."""
    args, kind = request.args, FIGURES[name]
    definition = replace(kind.shown, scenario=args.scenario or kind.shown.scenario)
    _, places, names = table_cells(request, definition)
    by = args.by or kind.by or names[0]
    methods.entry(by)
    seeds = request.seeds[:1] if kind.one_seed else request.seeds
    if kind.one_place:
        if len(names) > 1:
            raise UserError(f"--methods {args.methods}: {name} shows one method")
        places = [_one_place(request, places)]
        by = names[0] if args.image else by  # nothing is chosen
    return Work(request.settings, request.options, definition, names,
                by if kind.one_seed else names[0], places, seeds, request.embedded, args.image)


def _one_place(request: Request, places: list[Place]) -> Place:
    """The paper's cable where it is there, else the first category that is."""
    there = [place for place in places if request.options.library.locate(*place)]
    return ("mvtec", "cable") if ("mvtec", "cable") in there else (there or places)[0]


def _write(request: Request, name: str, made: Drawn) -> None:
    stem = request.stem(name + made.suffix, FIGURES[name].shown.scenario)
    first, *others = made.save(request.options.results / "figures" / stem)
    print(f"written: {first}{''.join(f', {p.suffix}' for p in others)}", file=sys.stderr)

"""`run`, `fit`, `explain`: one's own images, from a folder to table, gallery and overlays; and a
trained method on new images."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

from aexad.bench.base.errors import UserError, say
from aexad.bench.commands import figures, report
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import (
    Request,
    check_at_least_one,
    device,
    table_cells,
    understand,
)
from aexad.bench.commands.table import tables
from aexad.bench.plan import new_images
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.results import image_rows, model
from aexad.bench.results.records import records
from aexad.bench.results.store import write_file
from aexad.bench.run import estimate, runner
from aexad.datasets import passed_over

TABLE = replace(TABLES["table2"], metrics=(*TABLES["table2"].metrics, "detection_auc"),
                printed_in="table2")


# -- run --


def run(args: argparse.Namespace) -> int:
    """Table, numbers per image, gallery, overlays and the page of the categories asked for."""
    request = understand(args)
    if request.rows is None:
        raise UserError("run: needs --data DIR, or --images DIR and --masks DIR, or --categories")
    request = replace(request, options=replace(request.options, keep_maps=True))
    place = "-".join(request.rows[0]) if len(request.rows) == 1 else "run"
    where = "/".join(request.rows[0]) if len(request.rows) == 1 else "each category"
    definition = replace(TABLE, name=place, title=f"Mean pixel-wise AUC, F1 and IoU, and detection "
                                                  f"AUC of {where}")
    status = tables(request, [definition])
    if request.args.dry_run:
        return status
    store = request.options.store
    cells, _, names = table_cells(request, definition.under(request.args.scenario))
    cells = [c for c in cells if store.cell_info(c)]
    if not cells:
        raise UserError(f"run: nothing is computed of {where}, see above")
    _write_numbers(request, definition, cells)
    done = [name for name in names if any(c.method == name for c in cells)]
    # what has failed just now is not tried once more for the gallery
    args = argparse.Namespace(**{**vars(request.args), "methods": ",".join(done)})
    status = max(status, figures.figure(replace(request, args=args), "gallery",
                                        must=False))
    for cell in cells:
        if cell.fit.seed == request.seeds[0]:
            _write_overlays(request, cell)
    report.write(request, report.count_of(args.pictures))
    return status


def _write_numbers(request: Request, definition: TableDef, cells: list[Cell]) -> None:
    path = request.options.results / "tables" / f"{request.stem(definition.name)}-images.csv"
    numbers = image_rows.per_image(cells, request.options.store)
    write_file(path, lambda p: numbers.to_csv(p, index=False, lineterminator="\n"))
    print(f"written: {path} ({len(numbers)} rows)", file=sys.stderr)


def _write_overlays(request: Request, cell: Cell) -> None:
    from aexad.bench.figures.explained import write_overlays  # matplotlib is for those who draw

    fit = cell.fit
    place = request.stem(f"{fit.dataset}-{fit.category}-{fit.scenario}", fit.scenario)
    folder = request.options.results / "overlays" / place / cell.method
    count = write_overlays(cell, request.options, folder)
    print(f"written: {folder}/ ({count} overlays)" if count else
          f"note: no overlays of {cell.method}: {cell.skip}", file=sys.stderr)


# -- fit --


def fit(args: argparse.Namespace) -> int:
    """Train one method, let it explain the test images, and write it as a model folder."""
    request = understand(args)
    cell, options = _one_cell(request), request.options
    if request.args.dry_run:
        print(estimate.describe([cell], options, request.choice))
        return 0
    model.check_folder(request.args.out)
    ran = runner.run([cell], options, request.choice)
    for line in ran.failures:
        print(f"failed: {line}", file=sys.stderr)
    if ran.failures:
        return 1
    [record] = records([cell], options.store, options.library, ran.left_out).to_dict("records")
    if record["status"] != "done":
        raise UserError(f"fit: {cell.method} is not trained: {record['reason']}")
    model.write(cell, options.store, request.args.out, request.settings.metrics.a)
    print(f"{cell.method} trained on {cell.fit.dataset}/{cell.fit.category}; its test images: AUC "
          f"{_said(record['auc'])}, detection AUC {_said(record['detection_auc'])}")
    print(f"written: {request.args.out}; use it: {COMMAND} explain {request.args.out} "
          f"IMAGE_OR_FOLDER --out heatmaps", file=sys.stderr)
    return 0


def _said(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _one_cell(request: Request) -> Cell:
    """The one that is asked for."""
    rows = request.rows or []
    if len(rows) != 1:
        raise UserError("fit: needs one category: --data DIR, or --images DIR and --masks DIR, or "
                        "--categories mvtec/bottle")
    definition = replace(TABLE, methods=("ae_xad",))
    cells, _, names = table_cells(request, definition)
    if len(cells) != 1:
        raise UserError(f"fit: trains one method with one seed; --methods {','.join(names)} and "
                        f"--seeds {','.join(map(str, request.seeds))} are {len(cells)}")
    if cells[0].skip:
        raise UserError(f"fit: {cells[0].method}: {cells[0].skip}")
    return cells[0]


# -- explain --


def explain(args: argparse.Namespace) -> int:
    """Explain new images: maps, binary maps and overlays at their own size, scores. What can't be
    explained is named and left out, and the status is 1."""
    from aexad.bench.figures.explained import write_new  # as above

    check_at_least_one("threads", args.threads)
    known = model.read(args.model)
    found = new_images.find(args.inputs, args.out)
    for folder in filter(Path.is_dir, args.inputs):
        if phrases := passed_over.below(folder, args.out):
            say(f"{folder}: not looked at: {', '.join(phrases)}")
    left_out = write_new(found, args.model, known, args.weights and Path(args.weights),
                         device(args.device), args.threads, args.out)
    count = f"{len(found.images) + len(found.left_out) - left_out} images"
    print(f"written: {args.out}: maps, masks and overlays of {count}, scores.csv, scores.json"
          + (f"; {left_out} left out, see above" if left_out else ""), file=sys.stderr)
    return 1 if left_out else 0

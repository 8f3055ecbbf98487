"""`run`, `fit`, `explain`: one's own images, from a folder to table, gallery and overlays; and a
trained method on new images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from aexad.bench.base.errors import UserError
from aexad.bench.base.npy import read_npy
from aexad.bench.commands import figures
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import (
    Request,
    check_at_least_one,
    device,
    table_cells,
    understand,
)
from aexad.bench.commands.table import table
from aexad.bench.measure import maps
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.results import image_rows, model
from aexad.bench.results.store import HEATMAPS, write_file, write_json
from aexad.bench.run import task
from aexad.bench.run.runner import Runner
from aexad.datasets.folder import EXTENSIONS
from aexad.datasets.images import read_image, read_rgb

TABLE = replace(TABLES["table2"], metrics=(*TABLES["table2"].metrics, "detection_auc"),
                printed_in="table2")
BATCH = 64  # images read at a time; a multiple of what methods explain at a time, so that the
#             images of a folder get the same maps in parts as at once


# -- run --


def run(args: argparse.Namespace) -> int:
    """Table, numbers per image, gallery and overlays of the categories asked for."""
    request = understand(args)
    if request.rows is None:
        raise UserError("run: needs --data DIR, or --images DIR and --masks DIR, or --categories")
    request = replace(request, options=replace(request.options, keep_maps=True))
    place = "-".join(request.rows[0]) if len(request.rows) == 1 else "run"
    where = "/".join(request.rows[0]) if len(request.rows) == 1 else "each category"
    definition = replace(TABLE, name=place, title=f"Mean pixel-wise AUC, F1 and IoU, and detection "
                                                  f"AUC of {where}")
    status = table(request, definition)
    if request.args.dry_run:
        return status
    runner = Runner(request.options)
    cells, _, names = table_cells(request, definition.under(request.args.scenario))
    cells = [c for c in cells if runner.store.cell_info(c)]
    if not cells:
        raise UserError(f"run: nothing is computed of {where}, see above")
    _write_numbers(request, definition, cells, runner)
    done = [name for name in names if any(c.method == name for c in cells)]
    # what has failed just now is not tried once more for the gallery
    args = argparse.Namespace(**{**vars(request.args), "methods": ",".join(done)})
    status = max(status, figures.figure(replace(request, args=args), "gallery"))
    for cell in cells:
        if cell.fit.seed == request.seeds[0]:
            _write_overlays(request, cell, runner)
    return status


def _write_numbers(request: Request, definition: TableDef, cells: list[Cell], runner: Runner
                   ) -> None:
    path = request.options.results / "tables" / f"{request.stem(definition.name)}-images.csv"
    numbers = image_rows.per_image(cells, runner.store)
    write_file(path, lambda p: numbers.to_csv(p, index=False, lineterminator="\n"))
    print(f"written: {path} ({len(numbers)} rows)", file=sys.stderr)


def _write_overlays(request: Request, cell: Cell, runner: Runner) -> None:
    """An overlay of every test image, at its own resolution, the masks' outlines as the metrics
    see them."""
    from aexad.bench.figures import overlays, stored

    heatmaps = _heatmaps(cell, runner)
    if heatmaps is None:
        return
    fit = cell.fit
    tested = stored.tested(fit, runner)
    files = {item.id: item.image for item in runner.library.scan(fit.dataset, fit.category)}
    place = request.stem(f"{fit.dataset}-{fit.category}-{fit.scenario}", fit.scenario)
    folder = request.options.results / "overlays" / place / cell.method
    for name, heatmap, mask in zip(tested.ids.tolist(), heatmaps, tested.masks, strict=True):
        image = read_rgb(files[name])
        made = overlays.overlay(image, overlays.at_size(heatmap, image.shape[:2]),
                                overlays.mask_at_size(mask, image.shape[:2]))
        overlays.save(folder / f"{name.removeprefix('test/')}.png", made)
    print(f"written: {folder}/ ({len(heatmaps)} overlays)", file=sys.stderr)


def _heatmaps(cell: Cell, runner: Runner) -> np.ndarray | None:
    """The cell's heatmaps (N, S, S); made again where they were not kept, None where that can't
    be done here."""
    from aexad.bench.figures import stored

    path = runner.store.cell_dir(cell) / HEATMAPS
    try:
        maps, side = read_npy(path), cell.fit.data.size
        if maps.dtype == np.float32 and maps.shape[1:] == (side, side):
            return maps
        reason = f"{maps.dtype} {maps.shape}"
    except FileNotFoundError:
        reason = None
    except ValueError as error:
        reason = str(error)
    if reason:
        raise UserError(f"{path}: damaged ({reason}); delete its folder and run the same command "
                        f"again")
    if cell.skip:  # made elsewhere
        print(f"note: no overlays of {cell.method}: {cell.skip}", file=sys.stderr)
        return None
    return stored.method(cell, runner).explain(stored.tested(cell.fit, runner).images).heatmaps


# -- fit --


def fit(args: argparse.Namespace) -> int:
    """Train one method, let it explain the test images, and write it as a model folder."""
    request = understand(args)
    cell = _one_cell(request)
    runner = Runner(request.options, request.choice)
    if request.args.dry_run:
        print(runner.describe([cell]))
        return 0
    model.check_folder(request.args.out)
    failures = runner.run([cell])
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    if failures:
        return 1
    [record] = runner.records([cell]).to_dict("records")
    if record["status"] != "done":
        raise UserError(f"fit: {cell.method} is not trained: {record['reason']}")
    model.write(cell, runner.store, request.args.out, request.settings.metrics.a)
    print(f"{cell.method} trained on {cell.fit.dataset}/{cell.fit.category}; its test images: AUC "
          f"{record['auc']:.3f}, detection AUC {record['detection_auc']:.3f}")
    print(f"written: {request.args.out}; use it: {COMMAND} explain {request.args.out} "
          f"IMAGE_OR_FOLDER --out heatmaps", file=sys.stderr)
    return 0


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


@dataclass(frozen=True)
class New:
    """A new image. id: its path below the folder given, without extension."""

    id: str
    path: Path


def explain(args: argparse.Namespace) -> int:
    """Explain new images: maps, binary maps and overlays at their own size, scores."""
    check_at_least_one("threads", args.threads)
    known = model.read(args.model)
    found = find(args.inputs, args.out)
    task.repeatable(device(args.device), args.threads)
    rows = []
    with threadpool_limits(args.threads):
        method = model.open_method(args.model, known, args.weights and Path(args.weights),
                                   device(args.device))
        for i in range(0, len(found), BATCH):
            rows += _explained(method, known, found[i:i + BATCH], args.out)
            print(f"{len(rows)} of {len(found)} images", file=sys.stderr)
    table = pd.DataFrame(rows)
    write_file(args.out / "scores.csv",
               lambda p: table.to_csv(p, index=False, lineterminator="\n"))
    write_json(args.out / "scores.json", {
        "model": {"folder": str(args.model), "method": known.method, "sha256": known.sha256,
                  "binary_maps": model.RULE, "a": known.a}, "images": rows})
    print(f"written: {args.out}: maps, masks and overlays of {len(rows)} images, scores.csv, "
          f"scores.json", file=sys.stderr)
    return 0


def find(inputs: list[Path], out: Path) -> list[New]:
    """The images given, and all images below the folders given, in their order by name; not those
    below `out`, which a call before may have made. UserError where two have the same name."""
    found: dict[str, New] = {}
    for given in inputs:
        if not given.exists():
            raise UserError(f"{given}: no such image or folder")
        for new in _below(given, out.resolve()) if given.is_dir() else [New(given.stem, given)]:
            if new.id in found:
                raise UserError(f"{new.path}: the same name as {found[new.id].path}, their maps "
                                f"would be one file; rename one, or explain them apart")
            found[new.id] = new
    if not found:
        raise UserError(f"{inputs[0]}: no images there ({', '.join(EXTENSIONS)})")
    return list(found.values())


def _below(folder: Path, out: Path) -> Iterator[New]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if (path.suffix.lower() in EXTENSIONS and path.is_file()
                and not any(part[0] == "." for part in inside.parts)
                and out not in path.resolve().parents):
            yield New(inside.with_suffix("").as_posix(), path)


def _explained(method: object, known: model.Model, found: list[New], out: Path) -> list[dict]:
    """Explain a few images and write what there is of each but the scores, which are returned."""
    from aexad.bench.figures import overlays

    size, interpolation = known.data.size, known.data.image_interp
    read = np.stack([read_image(new.path, size, interpolation)[0] for new in found])
    made = model.explain(method, read, [str(new.path) for new in found])
    rows = []
    for i, new in enumerate(found):
        image = read_rgb(new.path)
        heatmap = overlays.at_size(made.heatmaps[i], image.shape[:2])
        [threshold] = maps.thresholds(maps.mean_std(made.heatmaps[i]), [known.a], heatmap.dtype)
        binary = heatmap > threshold
        overlays.save_map(out / "maps" / f"{new.id}.npy", heatmap)
        overlays.save(out / "masks" / f"{new.id}.png", binary)
        overlays.save(out / "overlays" / f"{new.id}.png", overlays.overlay(image, heatmap))
        rows.append({"id": new.id, "file": str(new.path), "width": image.shape[1],
                     "height": image.shape[0], "score": float(made.scores[i]),
                     "threshold": float(threshold), "share": float(binary.mean()),
                     **{name: values[i].item() for name, values in made.extras.items()}})
    return rows

"""`evaluate`: heatmaps of other tools through our metrics, stored beside our own results."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import get_terminal_size

import numpy as np

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import Request, understand
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results import external, external_cells, map_files
from aexad.bench.results.records import records
from aexad.bench.tables import render
from aexad.bench.tables.assemble import with_metrics
from aexad.bench.tables.build import build
from aexad.datasets.catalog import all_categories
from aexad.datasets.category import Category, Library, split
from aexad.datasets.folder import form

TABLE = TABLES["table2"]


@dataclass(frozen=True)
class Work:
    """A cell to be made: the test images' names, and the file of each one's map."""

    dataset: str
    category: str
    seed: int
    folder: Path
    keys: list[str]
    paths: list[Path]
    extra: int

    @property
    def place(self) -> str:
        return f"{self.dataset}/{self.category}"


def run(args: argparse.Namespace) -> int:
    """Check that every map is there, then read, measure and store, and print the table."""
    request = understand(args)
    library = request.options.library
    rows = _rows(request, library)
    if args.list:
        print("\n".join(_listed(request, library, rows)))
        return 0
    if args.folder is None or args.name is None:
        raise UserError("evaluate: needs DIR and --name (or --list)")
    if not args.folder.is_dir():
        raise UserError(f"{args.folder}: no such folder")
    external.check_name(args.name)
    todo = list(_work(request, library, rows))
    if args.dry_run:
        print("\n".join(f"{w.place} seed {w.seed}: {len(w.paths)} maps in {w.folder}, {w.extra} "
                        f"further ones ignored" for w in todo))
        return 0
    external.keep_name(args.name, args.label, request.options.results)
    for work in todo:
        _store(request, library, work)
    _show(request, list(dict.fromkeys((w.dataset, w.category) for w in todo)))
    return 0


def _scenario(request: Request) -> str:
    return request.args.scenario or TABLE.scenario


def _rows(request: Request, library: Library) -> list[tuple[str, str]]:
    """The categories asked for by name; of whole datasets those that are there."""
    datasets = ("embedded",) if request.embedded else TABLE.datasets
    rows = request.rows if request.rows is not None else all_categories(datasets)
    if request.args.categories:
        return rows  # one that is not there is an error, later
    found = [row for row in rows if library.locate(*row)]
    if not found:
        raise UserError(f"{request.looked_in}: no data of the categories asked for; --data-root")
    return found


def _split(request: Request, library: Library, place: tuple[str, str], seed: int
           ) -> tuple[Category, np.ndarray, np.ndarray]:
    """The category, and the positions of its training and test images."""
    category = library.load(*place, request.settings.data)
    parts = split(category, place[0], seed, _scenario(request), request.settings.data)
    return category, parts.train, parts.test


def _listed(request: Request, library: Library, rows: list[tuple[str, str]]) -> Iterator[str]:
    """Where maps of the test images are looked for, without the extension; or the training images
    as their files are named."""
    for seed in request.seeds:
        folder = f"seed{seed}/" if len(request.seeds) > 1 else ""
        for place in rows:
            category, train, test = _split(request, library, place, seed)
            testing = request.args.list == "test"
            for image_id in category.ids[test if testing else train]:
                name = map_files.key_of(image_id) if testing else image_id
                yield f"{folder}{'/'.join(place)}/{name}"


def _work(request: Request, library: Library, rows: list[tuple[str, str]]) -> Iterator[Work]:
    """What there is to do, every file found; UserError before anything is stored."""
    args, without = request.args, []
    for seed in request.seeds:
        own = args.folder / f"seed{seed}"
        root = own if own.is_dir() else args.folder
        if root != own and seed != request.seeds[0]:
            print(f"note: no folder {own}; seed {seed} gets the same maps, which is right only for "
                  f"a method that trains on no anomalies", file=sys.stderr)
        for place in rows:
            folder = map_files.folder_of(root, *place, alone=len(rows) == 1)
            if folder is None and not args.categories:
                without.append("/".join(place))
                continue
            folder = folder or root.joinpath(*place)
            category, _, test = _split(request, library, place, seed)
            keys = [map_files.key_of(i) for i in category.ids[test]]
            yield Work(*place, seed, folder, keys, *map_files.find(folder, place[0], keys))
    if len(without) == len(rows) * len(request.seeds):
        raise UserError(f"{args.folder}: no maps of any category there; expected folders such as "
                        f"{args.folder.joinpath(*rows[0])}")
    if without:
        print(f"note: no maps of {', '.join(dict.fromkeys(without))}", file=sys.stderr)


def _store(request: Request, library: Library, work: Work) -> None:
    """Read the maps of one test set, measure and store them; say what was done to them."""
    category, _, test = _split(request, library, (work.dataset, work.category), work.seed)
    digest, sizes, maps = hashlib.sha256(), set(), []
    shapes = [mask.shape for mask in category.masks[test]]
    for key, path, shape in zip(work.keys, work.paths, shapes):
        values = map_files.read_map(path)
        digest.update(f"{key} {values.shape} ".encode() + values.tobytes())
        sizes.add(values.shape)
        maps.append(map_files.to_size(values, shape))
    heatmaps = maps if request.settings.data.tile else np.stack(maps)
    scores, rule = _scores(request, work, heatmaps)
    facts = {"maps_sha256": digest.hexdigest(), "folder": str(work.folder), "score": rule,
             "sizes": sorted(sizes)}
    [cell] = all_cells(request.settings, [request.args.name], [(work.dataset, work.category)],
                       _scenario(request), [work.seed])
    external_cells.save(cell, category, test, heatmaps, scores, facts, request.options.store,
                        request.options.keep_maps)
    resized = sizes - {*shapes}
    to = f"{_sizes(set(shapes))} (bilinear)"
    print(f"{work.place} seed {work.seed}: {len(maps)} maps"
          + (f", resized from {_sizes(resized)} to {to}" if resized else "")
          + (f", {work.extra} further maps ignored" if work.extra else "")
          + f"; scores: {rule}", file=sys.stderr)


def _sizes(shapes: object) -> str:
    return ", ".join(f"{height}x{width}" for height, width in sorted(shapes))


def _scores(request: Request, work: Work, heatmaps: Sequence[np.ndarray]) -> tuple[np.ndarray, str]:
    """A score for each image, float64, and how it was found."""
    args, path = request.args, request.args.folder / map_files.SCORES
    own = args.folder / f"seed{work.seed}" / map_files.SCORES
    path = own if own.exists() else path
    if args.score or not path.exists():
        rule = args.score or "max"
        # float64 before it is summed: 50 000 small numbers
        found = [map_files.RULES[rule](heatmap.astype(np.float64)) for heatmap in heatmaps]
        return np.array(found), f"{rule} of the map"
    known = {form(name): score for name, score in map_files.read_scores(path).items()}
    names = [[form(f"{work.place}/{key}"), form(key)] for key in work.keys]
    found = [next((known[n] for n in both if n in known), None) for both in names]
    if None in found:
        raise UserError(f"{path}: no score for {found.count(None)} test images, the first is "
                        f"{names[found.index(None)][0]}; add them, or choose --score "
                        f"{'|'.join(map_files.RULES)}")
    return np.array(found), str(path)


def _show(request: Request, rows: list[tuple[str, str]]) -> None:
    """The table of what was evaluated, and what to do with it."""
    name, scenario = request.args.name, _scenario(request)
    cells = all_cells(request.settings, [name], rows, scenario, request.seeds)
    definition = replace(TABLE, scenario=scenario, metrics=(*TABLE.metrics, "detection_auc"))
    found = with_metrics(records(cells, request.options.store, request.options.library),
                         {m: request.settings.metrics.column(m) for m in ("f1", "iou")})
    label = methods.entry(name).label
    made = build(found, definition, rows, [name], {name: label},
                 f"{label} [{scenario.replace('_', ' ')} scenario]")
    shown = sys.stdout.isatty()
    print(render.terminal(made, get_terminal_size().columns if shown else 100, shown))
    print(f"stored as '{name}'; beside ours: {COMMAND} table2 --methods ae_xad,{name}, "
          f"{COMMAND} compare ae_xad {name}, with the same options", file=sys.stderr)

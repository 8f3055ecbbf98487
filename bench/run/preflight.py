"""Whatever can be checked before the first fit: an error shows now, not after hours."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aexad import methods
from aexad.bench.base.errors import UserError, one_line
from aexad.bench.measure.tiles import Ragged
from aexad.bench.plan.cells import SCENARIOS, Cell, Fit
from aexad.bench.results import origin
from aexad.bench.run import disk
from aexad.bench.run.job import Options
from aexad.datasets import passed_over
from aexad.datasets.catalog import DATASETS
from aexad.datasets.category import EMPTY, FULL, Category, Library, Split, split
from aexad.datasets.folder import GOOD
from aexad.datasets.images import narrow, narrow_note


def check(cells: Sequence[Cell], todo: Sequence[Fit], options: Options) -> dict[Fit, str]:
    """Files, masks, splits and weights of the fits that are to be done (`todo`); origin of those of
    `cells` that are stored. Returns the fits that can't be done here, and why; UserError for what
    is wrong."""
    store, library = options.store, options.library
    _check_tiles(todo)
    for fit in todo:
        category = library.load(fit.dataset, fit.category, fit.data)
        _check_marks(category, fit, library)
        parts = split(category, fit.dataset, fit.seed, fit.scenario, fit.data)
        if (place := (fit.dataset, fit.category)) not in options.counted:
            options.counted.add(place)
            for line in _counts(category, parts, fit, library):
                print(one_line(line), file=sys.stderr, flush=True)
    stored = {cell: info for cell in cells if (info := store.cell_info(cell))}
    _check_disk(todo, options)
    used, left_out = _weights(cells, todo, options)
    if todo and not stored and all(fit in left_out for fit in todo):
        raise UserError(left_out[todo[0]])
    for cell, info in stored.items():
        fit, digest = cell.fit, None
        if library.locate(fit.dataset, fit.category):
            digest = library.digest(fit.dataset, fit.category, fit.data)
        origin.check(info, store.cell_dir(cell), digest,
                     used.get((fit.method, fit.params)))
    return left_out


def _check_disk(todo: Sequence[Fit], options: Options) -> None:
    """The features or maps of a large set must have room while they are needed."""
    for fit in todo:
        trained = bool(options.store.fit_info(fit))
        needed = disk.meanwhile(fit, options.library, trained)
        if not needed or needed <= (free := shutil.disk_usage(options.results).free):
            continue
        less = "" if trained or not hasattr(fit.params, "feature_gb") else (
            f", or give --set {fit.method}.feature_gb=0, which computes features in each step")
        raise UserError(f"{options.results}: {fit.name} needs about {needed / 1e9:.1f} GB there "
                        f"while it is made, {free / 1e9:.1f} GB are free; free some or choose "
                        f"another --results{less}")


def _check_tiles(todo: Sequence[Fit]) -> None:
    names = dict.fromkeys(fit.method for fit in todo if fit.data.tile)
    if names:
        from aexad.methods import tiled  # as in _weights_of

        for name in names:
            tiled.check(name, methods.load(name))


def _counts(category: Category, parts: Split, fit: Fit, library: Library) -> Iterator[str]:
    """How many images train and test, and what of the folder does neither."""
    good = category.kinds == GOOD
    train, test = (np.bincount(~good[at], minlength=2).tolist() for at in (parts.train, parts.test))
    blank = [f"{n} {word}" for state, word in ((EMPTY, "empty"), (FULL, "full"))
             if (n := int((category.blank == state).sum()))]
    yield (f"{fit.dataset}/{fit.category}: {train[0]} normal and {train[1]} anomalous images "
           f"train, {test[0]} normal and {test[1]} anomalous ones test"
           + ("" if fit.scenario == SCENARIOS[0] else f" ({fit.scenario.replace('_', ' ')})")
           + (f"; masks on disk: {', '.join(blank)}" if blank else ""))
    if isinstance(category.masks, Ragged):
        yield _tiles(category.masks[parts.train], fit)
    few = np.flatnonzero(narrow(category.images))
    items = library.scan(fit.dataset, fit.category)
    if len(few):
        yield (f"warning: {fit.dataset}/{fit.category}: {len(few)} of {len(items)} images "
               f"{narrow_note(category.images[few], items[few[0]].image)}")
    spec, folder = DATASETS[fit.dataset], library.locate(fit.dataset, fit.category)
    phrases = [*spec.passed_over]
    if folder and fit.dataset != "embedded" and not library.linked(folder):
        phrases += passed_over.of_category(folder, items, spec.good)
    if phrases:
        yield f"{fit.dataset}/{fit.category}: not looked at: {', '.join(phrases)}"


def _tiles(masks: Ragged, fit: Fit) -> str:
    """How many tiles train."""
    tiling = masks.tiling
    marked = np.array([tile.any() for mask in masks for tile in tiling.cut(mask)])
    size = len(marked) * tiling.side ** 2 * 4 / 1e9  # three channels and the mask
    return (f"{fit.dataset}/{fit.category}: tiles of {fit.data.tile} px: {(~marked).sum():,} "
            f"without and {marked.sum():,} with marked pixels train, {size:.2g} GB at "
            f"{tiling.side} px")


def _check_marks(category: Category, fit: Fit, library: Library) -> None:
    """Masks that are all empty teach and test nothing."""
    if (category.blank[category.kinds != GOOD] == EMPTY).all():
        masks = [i.mask for i in library.scan(fit.dataset, fit.category) if i.mask is not None]
        raise UserError(f"{masks[0]}: empty, and so is the mask of every other anomalous image; "
                        f"make what is anomalous white in them")


def _weights(cells: Sequence[Cell], todo: Sequence[Fit], options: Options
             ) -> tuple[dict[tuple[str, Any], dict[str, str]], dict[Fit, str]]:
    """Build every network once, so that missing or wrong weights show before training.

    A table of stored results needs no weights: those are looked at only where a place for them was
    given. Returns the SHA-256 of what was read, by (method, parameters); and the fits whose weights
    can't be had, with the reason: they are left out as long as there is anything else to show.
    """
    used: dict[tuple[str, Any], dict[str, str] | str] = {}
    left_out: dict[Fit, str] = {}
    for fit in dict.fromkeys(c.fit for c in cells) if options.weights else todo:
        kind = (fit.method, fit.params)
        if kind not in used:
            used[kind] = _weights_of(fit, options)
        if isinstance(used[kind], str):
            left_out[fit] = used[kind]
    return {k: v for k, v in used.items() if not isinstance(v, str)}, left_out


def _weights_of(fit: Fit, options: Options) -> dict[str, str] | str:
    """The SHA-256 of the weights of a fit's network, or why they can't be had."""
    # Imported here: where all is stored, no network is built.
    from aexad.methods.base import Context
    from aexad.methods.weights import Weights, WeightsMissing

    ctx = Context("cpu", fit.seed, Weights(options.weights))
    cls = methods.load(fit.method)
    try:
        cls(fit.params, cls.explain_params(), ctx)
    except WeightsMissing as error:
        return str(error)
    return ctx.weights.used

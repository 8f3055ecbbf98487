"""Fits opened again: their test images, and the methods with what they learned. No training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError
from aexad.bench.base.npy import read_npy
from aexad.bench.plan.cells import Cell, Fit
from aexad.bench.results import origin
from aexad.bench.results.store import HEATMAPS, Store
from aexad.bench.run import task
from aexad.bench.run.job import Options
from aexad.datasets.category import split
from aexad.methods import tiled
from aexad.methods.base import Context
from aexad.methods.weights import Weights


@dataclass(frozen=True)
class Tested:
    """The test images of a fit: ids (N,), images (N, H, W, 3) uint8, masks (N, H, W) bool; with
    tiles each of its own size."""

    ids: np.ndarray
    images: tiled.Images
    masks: tiled.Images

    def only(self, ids: list[str]) -> Tested:
        """The images of these ids, in their order."""
        where = {name: i for i, name in enumerate(self.ids.tolist())}
        rows = [where[name] for name in ids]
        return Tested(self.ids[rows], self.images[rows], self.masks[rows])


def tested(fit: Fit, options: Options, info: dict[str, Any] | None = None) -> Tested:
    """The test images of a stored fit, or of a stored cell, of which `info` is the cell.json.
    UserError where they are not there, or are others."""
    library = options.library
    if library.locate(fit.dataset, fit.category) is None:
        raise UserError(f"{library.expected(fit.dataset, fit.category)}: no images there; a "
                        f"figure of maps needs them beside the stored fits, give --data-root")
    category = library.load(fit.dataset, fit.category, fit.data)
    origin.check(info or _info(fit, options.store), options.store.fit_dir(fit),
                 data=category.digest)
    test = split(category, fit.dataset, fit.seed, fit.scenario, fit.data).test
    return Tested(category.ids[test], category.images[test], category.masks[test])


def method(cell: Cell, options: Options) -> Any:
    """The cell's method as it was when it explained the test set. UserError without the
    pre-trained weights that it needs, or with others."""
    options = options.with_device()
    task.prepare_process(options)
    ctx = Context(options.device, cell.fit.seed, Weights(options.weights))
    return task.stored_method(cell, _info(cell.fit, options.store), options.store, ctx)


def heatmaps(cell: Cell, options: Options, tested: Tested) -> Sequence[np.ndarray] | None:
    """The heatmaps (H, W) of a stored cell, float32, those made elsewhere also float64; made again
    where they were not kept, None where they were made elsewhere."""
    kept = kept_heatmaps(cell, options, tested)
    if kept is not None or cell.skip:  # made elsewhere
        return kept
    return tiled.explain(method(cell, options), tested.images).heatmaps


def kept_heatmaps(cell: Cell, options: Options, tested: Tested) -> Sequence[np.ndarray] | None:
    """The same where they were kept, else None. UserError where they are damaged."""
    path = options.store.cell_dir(cell) / HEATMAPS
    shapes = [mask.shape for mask in tested.masks]
    try:
        maps = read_npy(path)
        if maps.dtype in (np.float32, np.float64):
            if len(set(shapes)) > 1 and maps.ndim == 1:
                return mapped.apart(maps, shapes)
            if [m.shape for m in maps] == shapes:
                return maps
        reason = f"{maps.dtype} {maps.shape}"
    except FileNotFoundError:
        return None
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{path}: damaged ({reason}); delete its folder and run the same command again")


def _info(fit: Fit, store: Store) -> dict[str, Any]:
    info = store.fit_info(fit)
    if info is None:
        raise UserError(f"{store.fit_dir(fit)}: no model there, although cells made from "
                        f"it are stored; copy it there, or delete those cells")
    return info

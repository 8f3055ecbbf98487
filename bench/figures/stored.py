"""Fits opened again: their test images, and the methods with what they learned. No training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aexad.bench.base.errors import UserError
from aexad.bench.plan.cells import Cell, Fit
from aexad.bench.run import task
from aexad.bench.run.runner import Runner
from aexad.datasets.category import split
from aexad.methods.base import Context
from aexad.methods.weights import Weights


@dataclass(frozen=True)
class Tested:
    """The test images of a fit: ids (N,), images (N, H, W, 3) uint8, masks (N, H, W) bool."""

    ids: np.ndarray
    images: np.ndarray
    masks: np.ndarray

    def only(self, ids: list[str]) -> Tested:
        """The images of these ids, in their order."""
        where = {name: i for i, name in enumerate(self.ids.tolist())}
        rows = [where[name] for name in ids]
        return Tested(self.ids[rows], self.images[rows], self.masks[rows])


def tested(fit: Fit, runner: Runner) -> Tested:
    """The test images of a stored fit. UserError where they are not there, or are others."""
    library = runner.library
    if library.locate(fit.dataset, fit.category) is None:
        raise UserError(f"{library.expected(fit.dataset, fit.category)}: no images there; a "
                        f"figure of maps needs them beside the stored fits, give --data-root")
    category = library.load(fit.dataset, fit.category, fit.data)
    task.check_origin(_info(fit, runner), runner.store.fit_dir(fit), data=category.digest)
    test = split(category, fit.dataset, fit.seed, fit.scenario, fit.data).test
    return Tested(category.ids[test], category.images[test], category.masks[test])


def method(cell: Cell, runner: Runner) -> Any:
    """The cell's method as it was when it explained the test set. UserError without the
    pre-trained weights that it needs, or with others."""
    task.prepare_process(runner.options)
    ctx = Context(runner.options.device, cell.fit.seed, Weights(runner.options.weights))
    return task.stored_method(cell, _info(cell.fit, runner), runner.store, ctx)


def _info(fit: Fit, runner: Runner) -> dict[str, Any]:
    info = runner.store.fit_info(fit)
    if info is None:
        raise UserError(f"{runner.store.fit_dir(fit)}: no model there, although cells made from "
                        f"it are stored; copy it there, or delete those cells")
    return info

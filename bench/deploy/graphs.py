"""The whole explanation of a trained method as one module, and as torch.export takes it down."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from aexad.bench.base.errors import UserError
from aexad.bench.deploy.resizing import Resize
from aexad.bench.results.model import Model
from aexad.methods.base import NoGraph
from aexad.methods.map_graphs import threshold

INPUT, OUTPUTS = "images", ("heatmap", "mask", "score")  # and what a method adds, as k


class Whole(nn.Module):
    """Images (N, H, W, 3) uint8, RGB, of any size -> by name, of the working size S: heatmap
    (N, S, S) float32; mask (N, S, S) bool, above mean + a*std (Section 4.3); score (N,) float64;
    and the method's extras (N,), as the radius k."""

    def __init__(self, method: Any, known: Model) -> None:
        super().__init__()
        data = known.data
        self.resize = Resize(data.size, data.image_interp)
        self.tensor, self.a = method.ctx.tensor, known.a
        self.explained = method.graph(data.size)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        heatmaps, scores, extras = self.explained(self.tensor(self.resize(images)))
        return {"heatmap": heatmaps, "mask": heatmaps > threshold(heatmaps, self.a),
                "score": scores, **extras}


def whole(method: Any, known: Model) -> Whole:
    """UserError where the method, or an option of it, can't be in a graph; `method`: on the CPU."""
    if not hasattr(method, "graph"):
        raise UserError(f"{known.method}: can't be exported, it has no function `graph` "
                        f"(aexad/methods/base.py says what that is)")
    try:
        return Whole(method, known).eval().requires_grad_(False)
    except NoGraph as reason:
        raise UserError(f"{known.method}: can't be exported: {reason}") from None


def taken_down(graph: Whole) -> ExportedProgram:
    """The operations of the graph, free in the number of images and their size."""
    example = torch.zeros((2, 40, 48, 3), dtype=torch.uint8)  # no two numbers alike
    free = {0: Dim("images", min=1), 1: Dim("height", min=1), 2: Dim("width", min=1)}
    with torch.no_grad(), quiet():
        return torch.export.export(graph, (example,), dynamic_shapes=(free,))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the remarks of torch's exporters, which are about their own ways."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)

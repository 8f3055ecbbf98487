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
from aexad.datasets.images import LARGEST
from aexad.methods.base import NoGraph
from aexad.methods.map_graphs import threshold
from aexad.methods.tiled_graph import Tiled

INPUT, OUTPUTS = "images", ("heatmap", "mask", "score")  # and what a method adds, as k


Size = tuple[int, int]  # width and height of images


class Whole(nn.Module):
    """Images (N, H, W, 3) uint8, RGB -> by name, of the working size (h, w): heatmap (N, h, w)
    float32; mask (N, h, w) bool, above mean + a*std (Section 4.3); score (N,) float64; and the
    method's extras (N,), as the radius k. size: of the images, where they are cut into tiles; else
    they may have any."""

    def __init__(self, method: Any, known: Model, size: Size | None) -> None:
        super().__init__()
        data = known.data
        shape = working_shape(known, size)
        self.resize = Resize(shape, data.image_interp)
        self.tensor, self.a = method.ctx.tensor, known.a
        explained = method.graph(shape)
        self.explained = Tiled(explained, shape, data.tiling) if data.tiling else explained

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        heatmaps, scores, extras = self.explained(self.tensor(self.resize(images)))
        return {"heatmap": heatmaps, "mask": heatmaps > threshold(heatmaps, self.a),
                "score": scores, **extras}


def working_shape(known: Model, size: Size | None) -> tuple[int, int]:
    """Height and width of the maps. UserError where the size of the images is to be given and is
    not, or the other way round, or where no image can have it."""
    tile = known.data.tile
    if size is None and tile:
        raise UserError(f"data.tile={tile}: this model cuts images into tiles, of which a graph "
                        f"has a fixed number: give the images' size, --image-size WxH (in Python "
                        f"image_size=(W, H))")
    width, height = size or (1, 1)
    if size and not tile:
        raise UserError(f"image size {width}x{height}: this model cuts no tiles and takes images "
                        f"of any size; leave it out")
    if min(width, height) < 1 or width * height > LARGEST:
        raise UserError(f"image size {width}x{height}: expected at least 1x1 and at most "
                        f"{LARGEST:,} pixels")
    width, height = known.data.working(width, height)
    return height, width


def whole(method: Any, known: Model, size: Size | None = None) -> Whole:
    """size: as in Whole. UserError where the method, or an option of it, can't be in a graph;
    `method`: on the CPU."""
    if not hasattr(method, "graph"):
        raise UserError(f"{known.method}: can't be exported, it has no function `graph` "
                        f"(aexad/methods/base.py says what that is)")
    try:
        return Whole(method, known, size).eval().requires_grad_(False)
    except NoGraph as reason:
        raise UserError(f"{known.method}: can't be exported: {reason}") from None


def taken_down(graph: Whole, size: Size | None = None) -> ExportedProgram:
    """The operations of the graph, free in the number of images, and in their size where none is
    given."""
    width, height = size or (48, 40)
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)  # no two numbers alike
    free = {0: Dim("images", min=1)}
    if size is None:
        free |= {1: Dim("height", min=1), 2: Dim("width", min=1)}
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

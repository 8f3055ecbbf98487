"""The explanation of large images from their tiles (methods/tiled.py) as one module of fixed
operations. Where tiles lie depends on the image's size, so a graph is for images of one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch._higher_order_ops.scan import scan

from aexad.bench.measure.tiles import Tiling
from aexad.methods.base import NoGraph
from aexad.methods.map_graphs import Explained, Shape


class Tiled(nn.Module):
    """Images (N, 3, H, W) in [0, 1], shape (H, W) their working size, to what `graph`, a method's
    for that shape, makes of the joined maps of their tiles.

    A tile of each image at a time goes through the network, in a loop of the graph: memory grows
    with the size of the images by no more than their maps."""

    def __init__(self, graph: nn.Module, shape: Shape, tiling: Tiling) -> None:
        super().__init__()
        if not (hasattr(graph, "raw_maps") and hasattr(graph, "finish")):
            raise NoGraph("data.tile: its graph has not the two steps, raw_maps and finish")
        self.graph = graph
        self.cut = Cut(shape, tiling)
        with torch.no_grad():
            alike = graph.raw_maps(torch.zeros(1, 3, tiling.side, tiling.side))
        self.joins = nn.ModuleList(Joined(shape, tiling, tiling.side // maps.shape[2])
                                   for maps in alike)

    def forward(self, x: torch.Tensor) -> Explained:
        def raw(carried: torch.Tensor, tiles: torch.Tensor
                ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            return carried.clone(), self.graph.raw_maps(tiles)

        _, found = scan(raw, torch.zeros(1), self.cut(x))  # nothing is carried
        explained: Explained = self.graph.finish(*(join(maps) for join, maps
                                                   in zip(self.joins, found, strict=True)))
        return explained


class Cut(nn.Module):
    """`Tiling.cut` of images (N, 3, H, W), shape (H, W) -> (tiles, N, 3, side, side)."""

    def __init__(self, shape: Shape, tiling: Tiling) -> None:
        super().__init__()
        self.side = tiling.side
        for name, length in zip(("rows", "columns"), shape):
            starts = tiling.starts(length)
            beyond = np.pad(np.arange(length), (0, starts[-1] + self.side - length), "symmetric")
            seen = np.concatenate([beyond[start:start + self.side] for start in starts])
            self.register_buffer(name, torch.from_numpy(seen), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = x.index_select(2, self.rows).index_select(3, self.columns)
        tiles = seen.unflatten(3, (-1, self.side)).unflatten(2, (-1, self.side))
        return tiles.permute(2, 4, 0, 1, 3, 5).flatten(0, 1)


class Joined(nn.Module):
    """`tiles.Join` of maps of a stride: (tiles, N, side / stride, side / stride) float32 of images
    of the shape (H, W) -> (N, H / stride, W / stride), rounded up; the same sums in float64.

    Where n tiles at most lie over a place of an axis, there are n numbers for each: which pixel of
    which tile is seen there, and what it counts, 0 where there are fewer."""

    def __init__(self, shape: Shape, tiling: Tiling, stride: int) -> None:
        super().__init__()
        self.across = len(tiling.starts(shape[1]))
        for axis, length in zip(("rows", "columns"), shape):
            seen, counts = layers(tiling, length, stride)
            self.register_buffer(axis, torch.from_numpy(seen), persistent=False)
            self.register_buffer(f"{axis}_count", torch.from_numpy(counts), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        side_by_side = maps.unflatten(0, (-1, self.across)).permute(2, 0, 3, 1, 4)
        wall = side_by_side.flatten(3, 4).flatten(1, 2)  # (N, rows of tiles, columns of tiles)
        total = torch.zeros((), dtype=torch.float64)
        for rows, down in zip(self.rows, self.rows_count):
            strip = wall.index_select(1, rows)
            for columns, across in zip(self.columns, self.columns_count):
                share = down[:, None] * across[None, :]
                total = total + share * strip.index_select(2, columns).double()
        return total.to(maps.dtype)


def layers(tiling: Tiling, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Along an axis of `length` pixels, for a map of that stride: positions (n, places) int64 among
    the pixels of all tiles' maps, one tile after the other, and what each counts, float64."""
    within = tiling.side // stride
    places = -(-length // stride)
    over: list[list[tuple[int, float]]] = [[] for _ in range(places)]
    for i, (start, share) in enumerate(zip(tiling.starts(length), tiling.shares(length, stride))):
        for at in range(min(within, places - start // stride)):
            over[start // stride + at].append((i * within + at, share[at]))
    most = max(map(len, over))
    filled = np.array([each + [(0, 0.0)] * (most - len(each)) for each in over])
    return filled[:, :, 0].T.astype(np.int64), filled[:, :, 1].T.copy()

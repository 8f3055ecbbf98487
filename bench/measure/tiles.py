"""Large images as overlapping tiles, and the maps of tiles joined to one of the image.

Images are at their working scale here, at which a tile has the side that the networks see. Where
tiles lie, and what each of them counts at a place, follows from the size of the image alone: with
maps as tensors, `places` and `shares` are all that another implementation of `join` needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

# Pixels: tiles begin at multiples of it, so that in a map of any stride up to it, as the networks
# have them, they begin at a whole place, too; and what has moved by a tile looks the same to them.
UNIT = 16

Array = NDArray[Any]


@dataclass(frozen=True)
class Tiling:
    """Tiles of side x side pixels, side a multiple of UNIT, of which neighbours share at least the
    part `overlap` of their side (a unit is always new)."""

    side: int
    overlap: float

    @property
    def step(self) -> int:
        """Pixels between neighbours, at most."""
        return max(int(self.side * (1 - self.overlap)) // UNIT, 1) * UNIT

    def starts(self, length: int) -> list[int]:
        """Where the tiles along a side of an image begin, at even distances; the last may reach
        beyond it, by less than a unit where the side has more than one."""
        units = -(-max(length - self.side, 0) // UNIT)
        steps = -(-units * UNIT // self.step)
        return [UNIT * -(-i * units // steps) for i in range(steps + 1)] if steps else [0]

    def places(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """The first row and column of each tile of an image (H, W, …), row by row."""
        return [(y, x) for y in self.starts(shape[0]) for x in self.starts(shape[1])]

    def count(self, shape: Sequence[int]) -> int:
        """How many tiles an image (H, W, …) has."""
        return len(self.starts(shape[0])) * len(self.starts(shape[1]))

    def cut(self, image: Array) -> Iterator[Array]:
        """The tiles (side, side, …) of an image (H, W, …), in the order of `places`. What lies
        beyond the image is its mirror image."""
        beyond = [self.starts(length)[-1] + self.side - length for length in image.shape[:2]]
        if any(beyond):
            sides = [(0, more) for more in beyond] + [(0, 0)] * (image.ndim - 2)
            image = np.pad(image, sides, mode="symmetric")
        for y, x in self.places(image.shape):
            yield image[y:y + self.side, x:x + self.side]

    def shares(self, length: int, stride: int = 1) -> NDArray[np.float64]:
        """What each tile along a side of `length` pixels counts at each of its places in a map of
        that stride, (tiles, side / stride). All shares of a place sum to 1: a raised cosine of
        each tile, which is 0 at its ends, by the sum of all; at the image's border there is one
        tile, which counts in full."""
        within = self.side // stride
        window = np.sin(np.pi * (np.arange(within) + 0.5) / within) ** 2
        starts = [start // stride for start in self.starts(length)]
        total = np.zeros(starts[-1] + within)
        for start in starts:
            total[start:start + within] += window
        return np.stack([window / total[start:start + within] for start in starts])


class Join:
    """The maps of one image's tiles, added one after the other: no more is in memory than the
    image's own maps, in double precision."""

    def __init__(self, shape: Sequence[int], tiling: Tiling) -> None:
        """shape: (H, W) of the image."""
        self.shape, self.tiling = (shape[0], shape[1]), tiling
        self._places = iter(tiling.places(shape))
        self._left = tiling.count(shape)
        self._wholes: list[NDArray[np.float64]] = []
        self._shares: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        self._starts = [tiling.starts(length) for length in self.shape]

    @property
    def full(self) -> bool:
        """Whether all tiles are there."""
        return not self._left

    def add(self, maps: Sequence[Array]) -> None:
        """The next tile's maps, each (side / stride, side / stride), of any strides up to UNIT."""
        if not self._wholes:
            self._begin(maps)
        self._left -= 1
        place = next(self._places)
        row, column = (starts.index(at) for starts, at in zip(self._starts, place))
        for tile, whole, (rows, columns) in zip(maps, self._wholes, self._shares, strict=True):
            within = len(tile)
            y, x = (at * within // self.tiling.side for at in place)
            whole[y:y + within, x:x + within] += np.outer(rows[row], columns[column]) * tile

    def _begin(self, maps: Sequence[Array]) -> None:
        for tile in maps:
            stride = self.tiling.side // len(tile)
            self._shares.append((self.tiling.shares(self.shape[0], stride),
                                 self.tiling.shares(self.shape[1], stride)))
            self._wholes.append(np.zeros([starts[-1] // stride + len(tile)
                                          for starts in self._starts]))

    def maps(self) -> list[NDArray[np.float32]]:
        """The image's maps, float32: of a map of stride d (ceil(H / d), ceil(W / d)). What lies
        beyond the image is cut off."""
        strides = [self.tiling.side // rows.shape[1] for rows, _ in self._shares]
        return [whole[:-(-self.shape[0] // d), :-(-self.shape[1] // d)].astype(np.float32)
                for whole, d in zip(self._wholes, strides)]


def join(maps: Array, shape: Sequence[int], tiling: Tiling) -> NDArray[np.float32]:
    """The map of an image (H, W) from those of its tiles, (tiles, h, h), in their order."""
    made = Join(shape, tiling)
    for tile in maps:
        made.add([tile])
    return made.maps()[0]


class Ragged(Sequence[Array]):
    """Images (H, W, 3) or masks (H, W) of several sizes, to be cut by `tiling`. As of an array of
    images, some of them are those at an array of positions."""

    def __init__(self, arrays: Sequence[Array], tiling: Tiling) -> None:
        self.arrays, self.tiling = list(arrays), tiling

    def __len__(self) -> int:
        return len(self.arrays)

    @overload
    def __getitem__(self, at: int) -> Array: ...

    @overload
    def __getitem__(self, at: slice | Array | list[int]) -> Self: ...

    def __getitem__(self, at: int | slice | Array | list[int]) -> Array | Self:
        if isinstance(at, (int, np.integer)):
            return self.arrays[at]
        chosen = np.arange(len(self.arrays))[at]
        return type(self)([self.arrays[i] for i in chosen], self.tiling)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [array.shape for array in self.arrays]

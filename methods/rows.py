"""Where a training's arrays lie, so that a GPU need not wait for its batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from aexad.bench.base import mapped

SHARE = 0.5  # of a GPU's free memory that an array may take; what is larger stays with the CPU


class Chosen:
    """Rows of large arrays, looked up where they lie and not copied: like an array (N, ...) to
    whoever asks it for rows. Row i is row `at[i]` of the array `which[i]`.

    [int] gives a row, [slice] and [positions (B,)] copies of rows, numpy.asarray a copy of all.
    """

    def __init__(self, arrays: Sequence[np.ndarray], which: np.ndarray, at: np.ndarray) -> None:
        self.arrays, self.which, self.at = list(arrays), which, at
        self.shape: tuple[int, ...] = (len(at), *arrays[0].shape[1:])
        self.dtype, self.ndim = arrays[0].dtype, len(self.shape)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        which, at = self.which[key], self.at[key]
        if np.ndim(at) == 0:
            row: np.ndarray = self.arrays[which][at]
            return row
        rows = np.empty((len(at), *self.shape[1:]), self.dtype)
        for i, array in enumerate(self.arrays):
            here = which == i
            rows[here] = array[at[here]]
        return rows

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


Images = np.ndarray | Chosen  # rows of images or masks


def chosen(array: Any, positions: np.ndarray) -> Any:
    """array[positions], copied where that is not LARGE; that of images of mixed sizes, which are
    looked up in any case. positions: (N,) int64."""
    if not isinstance(array, Images):
        return array[positions]
    if array.nbytes // max(len(array), 1) * len(positions) <= mapped.LARGE:
        return array[positions]
    if isinstance(array, Chosen):
        return Chosen(array.arrays, array.which[positions], array.at[positions])
    return Chosen([array], np.zeros(len(positions), np.int8), positions)


def joined(*parts: Images) -> Images:
    """The rows of `parts` one behind the other, copied where they are not LARGE together."""
    if sum(part.nbytes for part in parts) <= mapped.LARGE:
        return np.concatenate([np.asarray(part) for part in parts])
    arrays: list[np.ndarray] = []
    which, at = [], []
    for part in parts:
        known = part if isinstance(part, Chosen) else Chosen(
            [part], np.zeros(len(part), np.int8), np.arange(len(part)))
        which.append(known.which + len(arrays))
        at.append(known.at)
        arrays += known.arrays
    return Chosen(arrays, np.concatenate(which), np.concatenate(at))


class Rows:
    """An array (N, ...) whose rows are gathered where the training is.

    On a CPU they are read from the array, which may be memory-mapped. On a GPU the whole array lies
    there, where it fits; else rows are gathered into pinned memory and sent, and those announced by
    `ahead` meanwhile, by a thread.
    """

    def __init__(self, array: Images | torch.Tensor, device: str | torch.device = "cpu",
                 resident: bool | None = None) -> None:
        """`resident`: whether it lies on the GPU; None: where it fits."""
        self.device = torch.device(device)
        if not isinstance(array, torch.Tensor) and self.device.type != "cpu" and (
                resident if resident is not None else fits(array.nbytes, self.device)):
            array = torch.from_numpy(np.asarray(array)).to(self.device)
        self.array = array
        self.sent = self.device.type != "cpu" and not self.resident  # a batch at a time
        self._thread: ThreadPoolExecutor | None = None
        self._coming: deque[tuple[np.ndarray, Future[torch.Tensor]]] = deque(maxlen=2)

    @property
    def resident(self) -> bool:
        """Whether gathering rows is work of the device alone."""
        return isinstance(self.array, torch.Tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, positions: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Rows at `positions` (B,) int64 -> (B, ...) on the device."""
        if isinstance(self.array, torch.Tensor):
            return self.array.index_select(0, on_device(positions, self.device))
        if isinstance(positions, torch.Tensor):
            positions = positions.cpu().numpy()
        announced = [rows for known, rows in self._coming if known is positions]
        rows = announced[0].result() if announced else self._gathered(positions)
        return rows.to(self.device, non_blocking=True)

    def ahead(self, positions: np.ndarray) -> None:
        """These (the same object) are asked for soon: a thread gathers them meanwhile. Nothing to
        do where no batch is sent anywhere."""
        if not self.sent:
            return
        self._thread = self._thread or ThreadPoolExecutor(1)
        self._coming.append((positions, self._thread.submit(self._gathered, positions)))

    def _gathered(self, positions: np.ndarray) -> torch.Tensor:
        rows = torch.from_numpy(self.array[positions])
        return rows.pin_memory() if self.device.type == "cuda" else rows

    def flatten(self, first: int) -> Rows:
        """The same memory with the first axes joined: (N, a, b, C), 3 -> (N a b, C)."""
        return Rows(self.array.reshape(-1, *self.array.shape[first:]), self.device, self.resident)


def fits(size: int, device: torch.device) -> bool:
    """Whether `size` bytes may lie on the device for a whole training."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size <= SHARE * free


def on_device(positions: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """There as a tensor; nothing waits until it has arrived."""
    if isinstance(positions, np.ndarray):
        positions = torch.from_numpy(positions)
    if device.type == "cuda" and not positions.is_cuda:
        positions = positions.pin_memory()
    return positions.to(device, non_blocking=True)


@dataclass(frozen=True)
class Pool:
    """What the batches of a training are drawn from, a row an image: images (U, H, W, 3) uint8,
    masks (U, H, W) bool and, where nothing changes it, what a frozen network makes of each image,
    (U, h, w, C) float32."""

    images: Rows
    masks: Rows
    features: Rows | None = None

    def announced(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The batches one by one, each announced (Rows.ahead) while the one before is in work."""
        before = None
        for batch in batches:
            for rows in (self.images, self.masks, self.features):
                if rows is not None:
                    rows.ahead(batch)
            if before is not None:
                yield before
            before = batch
        if before is not None:
            yield before

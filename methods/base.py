"""What a method is: the data it gets, what it returns, and what surrounds it while it trains.

A method is a class with

    fit_params, explain_params     two frozen dataclasses (see bench/base/params.py)
    version: int                   bumped when its results change by more than rounding
    __init__(fit, explain, ctx)    parameters and a Context; loads its pre-trained weights
    fit(train: TrainingSet)        trains; the loop runs over `ctx.epochs(...)`
    explain(images) -> Explanation
    state_dict(), load_state_dict(state)     what training produced, as plain tensors; where
                                   explain measures something over the whole test set, that too,
                                   from its first call on (it is saved with the fit and reused)

and, where it can't do everything, a static `skip(scenario) -> str | None`: the reason, shown in the
table; where something must be known of its numbers, `note(fit) -> str`, which stands below them.

One that can be exported (docs/deploy.md) has `graph((H, W)) -> torch.nn.Module`, whose forward
takes what `ctx.tensor` gives, (N, 3, H, W) float32, and returns tensors: heatmaps (N, H, W)
float32, scores (N,) float64 and the extras, by name. It raises NoGraph where an option stands
against that. One that can explain large images from their tiles (data.tile) has two steps of
`explain`:

    raw_maps(images) -> tuple of (N, h, w) float32: what it makes of tiles, before any rule that
                                   looks beyond a pixel; these are joined
    finish(maps, (H, W)) -> Explanation of images of that size, whose maps these are

and `measure([(maps, (H, W)), ...])`, where `finish` needs something of the whole test set. To be
exported with tiles its graph has the two steps, too (methods/map_graphs.py, ExplainGraph).
Methods know nothing of files, datasets or metrics.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError, say
from aexad.bench.base.mapped import IN_MEMORY
from aexad.methods.rows import Images, Rows, fits
from aexad.methods.weights import Weights

EXPLAIN_BATCH = 16  # images that go through a network at a time, where no step depends on it
Room = Callable[[tuple[int, ...], type], np.ndarray]  # makes an array of a shape and type
Frozen = Callable[[torch.Tensor], Sequence[torch.Tensor]]  # (B, 3, H, W) -> several (B, C, h, w)


@dataclass(frozen=True)
class TrainingSet:
    """Training images of one category.

    images: (N, H, W, 3) uint8. masks: (N, H, W) bool, true on anomalous pixels.
    anomalous: (N,) bool. A normal image has an all-false mask. Of a large set images and masks are
    looked up (methods/rows.py, Chosen): take rows of them, numpy.asarray copies all.
    """

    images: Images
    masks: Images
    anomalous: np.ndarray

    @property
    def normals(self) -> np.ndarray:
        """Positions of the normal images, int64."""
        return np.flatnonzero(~self.anomalous)

    @property
    def anomalies(self) -> np.ndarray:
        """Positions of the anomalous images, int64."""
        return np.flatnonzero(self.anomalous)


@dataclass(frozen=True)
class Explanation:
    """What a method says about N images of H x W pixels.

    heatmaps: (N, H, W) float32, higher = more anomalous; of images that were cut into tiles a list
    of (H, W). scores: (N,) float64, one per image. extras: name -> (N,) array, stored beside the
    metrics (for example the filter radius k).
    """

    heatmaps: np.ndarray | list[np.ndarray]
    scores: np.ndarray
    extras: dict[str, np.ndarray] = field(default_factory=dict)


def finite(explanation: Explanation) -> np.ndarray:
    """(N,) bool: of which images all that is said is numbers."""
    maps = np.array([np.isfinite(heatmap).all() for heatmap in explanation.heatmaps], bool)
    numbers: np.ndarray = maps & np.isfinite(explanation.scores)
    return numbers


class TrainingDiverged(RuntimeError):
    """The loss is not finite any more."""


class NoGraph(Exception):
    """What was asked for can't be a graph of fixed operations. The message names the option, as
    segments=components, and the reason."""


class Context:
    """What surrounds a method: device, seed, weights, and the hooks of its training loop.

    This plain one only watches for NaN; the runner's adds progress and checkpoints.
    """

    def __init__(self, device: str | torch.device = "cpu", seed: int = 40,
                 weights: Weights | None = None, scratch: Path | None = None) -> None:
        self.device = torch.device(device)
        self.seed = seed
        self.weights = weights or Weights()
        self.scratch = scratch  # a folder for large temporary arrays; None: keep them in memory
        self.losses: list[float] = []
        self._arrays = self._held = 0  # arrays in files, bytes in memory

    def array(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An uninitialised array; where there is too much, in a file that is mapped."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self.scratch is None or self._held + size <= IN_MEMORY:
            self._held += size
            return np.empty(shape, dtype)
        if size > (free := shutil.disk_usage(self.scratch).free):
            raise UserError(f"{self.scratch}: {size / 1e9:.1f} GB are needed there while this "
                            f"trains, {free / 1e9:.1f} GB are free; free some, train with fewer "
                            f"images (data.max_train), or with larger tiles if it cuts any")
        say(f"note: {size / 1e9:.1f} GB of what is trained with lie in {self.scratch} meanwhile")
        self._arrays += 1
        path = self.scratch / f"array-{self._arrays}.bin"
        return mapped.new_array(path, shape, dtype)

    def beside(self, array: np.ndarray) -> Room:
        """What makes arrays as large as this one: in files where it lies in one."""
        return self.array if isinstance(array, np.memmap) else np.empty

    @property
    def layout(self) -> torch.memory_format:
        """How networks and their inputs lie in memory. On a GPU convolutions of whole float32
        numbers have their fast kernels for NCHW."""
        return (torch.channels_last if self.device.type == "cpu" else torch.contiguous_format)

    def rows(self, array: Images) -> Rows:
        """Rows of an array, to be gathered on the device."""
        return Rows(array, self.device)

    def tensor(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1] on the device."""
        return self.nchw(torch.as_tensor(images).to(self.device)).float() / 255

    def nchw(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, h, w, C) -> (B, C, h, w), in the layout; nothing is copied for channels_last."""
        return rows.permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def features(self, images: Images, network: Frozen, most_gb: float) -> list[Rows] | Computed:
        """As `extract`; where that would take more than `most_gb` GB, it is computed when it is
        asked for, each time."""
        shapes = self._shapes(images, network)
        if 4 * sum(map(math.prod, shapes)) <= most_gb * 1e9:
            return self._extract(images, network, shapes)
        return Computed(self, images, network)

    def extract(self, images: Images, network: Frozen) -> list[Rows]:
        """What a frozen network makes of every image, once: for each of its outputs (B, C, h, w)
        rows (N, h, w, C) float32. NHWC: a gathered batch is channels_last without a copy."""
        return self._extract(images, network, self._shapes(images, network))

    @torch.no_grad()
    def _shapes(self, images: Images, network: Frozen) -> list[tuple[int, ...]]:
        """Of the rows that `extract` makes."""
        return [(len(images), *out.permute(0, 2, 3, 1).shape[1:])
                for out in network(self.tensor(images[:1]))]

    @torch.no_grad()
    def _extract(self, images: Images, network: Frozen, shapes: list[tuple[int, ...]]
                 ) -> list[Rows]:
        stored = [self._room(shape) for shape in shapes]
        for i in range(0, len(images), EXPLAIN_BATCH):
            for array, out in zip(stored, network(self.tensor(images[i:i + EXPLAIN_BATCH]))):
                rows = out.permute(0, 2, 3, 1)
                if isinstance(array, torch.Tensor):
                    array[i:i + EXPLAIN_BATCH] = rows
                else:
                    array[i:i + EXPLAIN_BATCH] = rows.cpu().numpy()
        return [Rows(array, self.device, isinstance(array, torch.Tensor)) for array in stored]

    def _room(self, shape: tuple[int, ...]) -> np.ndarray | torch.Tensor:
        """For float32: on a GPU where it fits, else as `array`."""
        if self.device.type != "cpu" and fits(4 * math.prod(shape), self.device):
            return torch.empty(shape, device=self.device)
        return self.array(shape, np.float32)

    def epochs(self, total: int, state: dict[str, Any]) -> Iterator[int]:
        """The epochs still to run, 0-based. `state`: objects with state_dict/load_state_dict that
        make up the training's state (model, optimiser); a long fit is continued from them."""
        yield from range(total)

    def report(self, epoch: int, loss: float) -> None:
        """Called once at the end of every epoch with its mean loss; raises TrainingDiverged."""
        if not math.isfinite(loss):
            last = f", last good loss {self.losses[-1]:.6g}" if self.losses else ""
            raise TrainingDiverged(f"loss is {loss} in epoch {epoch + 1}{last}")
        self.losses.append(float(loss))


class Computed:
    """What a frozen network makes of images, computed for the rows that are asked for: nothing of
    it is kept. Up to rounding, as a product of matrices may depend on how many rows it has."""

    def __init__(self, ctx: Context, images: Images, network: Frozen) -> None:
        self.ctx, self.images, self.network = ctx, ctx.rows(images), network

    @torch.no_grad()
    def __call__(self, positions: np.ndarray) -> list[torch.Tensor]:
        """For each output of the network the rows at `positions` (B,): (B, h, w, C) float32."""
        parts = [self.network(self.ctx.tensor(self.images[positions[i:i + EXPLAIN_BATCH]]))
                 for i in range(0, len(positions), EXPLAIN_BATCH)]
        return [torch.cat(outputs).permute(0, 2, 3, 1) for outputs in zip(*parts)]

    def __getitem__(self, positions: np.ndarray) -> torch.Tensor:
        """Those of the first output, as Rows gives stored ones."""
        return self(positions)[0]

    def ahead(self, positions: np.ndarray) -> None:
        """Nothing is to be gathered."""


class Facts(Protocol):
    """What is known of a method without its networks."""

    fit_params: type
    explain_params: type
    version: int


class Method(Facts, Protocol):
    """The interface of an adapter; see the module's docstring."""

    def __init__(self, fit: Any, explain: Any, ctx: Context) -> None: ...
    def fit(self, train: TrainingSet) -> None: ...
    def explain(self, images: Images) -> Explanation: ...
    def state_dict(self) -> dict[str, torch.Tensor]: ...
    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None: ...

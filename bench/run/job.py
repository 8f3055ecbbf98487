"""A job, and how it ended: plain data, for runners and workers alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from aexad.bench.plan.cells import Cell, Fit
from aexad.bench.results.store import Store
from aexad.bench.run.claims import Seen
from aexad.bench.run.gpus import default_device
from aexad.datasets.catalog import Dataset
from aexad.datasets.category import Library


@dataclass(frozen=True)
class Options:
    """How the work is done, as opposed to what is done; none of it is in a key."""

    results: Path
    data_root: Path
    cache: Path
    weights: Path | None
    device: str  # 'auto' until something runs
    threads: int
    country: str
    shared: bool = False
    keep_maps: bool = False
    checkpoint_every: float = 20.0  # seconds
    own: Dataset | None = None  # the user's own images, which a worker process has to be told of
    # (dataset, category) whose images were counted for the user; copies share it
    counted: set[tuple[str, str]] = field(default_factory=set, compare=False)

    @property
    def store(self) -> Store:
        """The results folder."""
        return Store(self.results)

    @property
    def library(self) -> Library:
        """The datasets."""
        return Library(self.data_root, self.cache, self.threads)

    def with_device(self) -> Options:
        """The same with the device that 'auto' stands for, which torch has to be asked for."""
        return replace(self, device=default_device() if self.device == "auto" else self.device)

    def absolute(self) -> Options:
        """The same, for a process that works in another folder."""
        return replace(self, results=self.results.absolute(), data_root=self.data_root.absolute(),
                       cache=self.cache.absolute(),
                       weights=self.weights and self.weights.absolute())


@dataclass(frozen=True)
class Job:
    """A fit with the cells wanted from it; `position` is '3/10'. `expired`: a claim of another
    runner that was seen to stand still, and may be taken over."""

    fit: Fit
    cells: tuple[Cell, ...]
    options: Options
    position: str
    expired: Seen | None = None

    @property
    def label(self) -> str:
        """For messages."""
        return f"[{self.position}] {self.fit.dataset}/{self.fit.category} {self.fit.method}"


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with what failed in it, a line each; or another runner has its fit; or bad
    input ends the whole run; or its worker was lost, with what is known of why. worker: who."""

    job: Job
    failures: tuple[str, ...] = ()
    held: bool = False
    refused: str | None = None
    lost: str | None = None
    worker: str = ""

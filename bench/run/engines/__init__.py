"""Where fits run: in this process, in several of this machine (loky), or on the workers of a dask
or ray cluster. All are pools of workers that do one fit at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from aexad.bench.base.errors import UserError
from aexad.bench.run.job import Job, Options, Outcome

NAMES = ("loky", "dask", "ray")


@dataclass(frozen=True)
class Choice:
    """What the options say: engine, fits at a time (None: as many as there are workers), and the
    address of a cluster."""

    engine: str = "loky"
    jobs: int | None = 1
    address: str | None = None

    @property
    def remote(self) -> bool:
        """Whether the workers may be on other machines."""
        return self.engine != "loky"

    @property
    def side_by_side(self) -> bool:
        """Whether other fits may run on the same machine at the same time."""
        return self.jobs != 1 or self.remote

    def applied(self, options: Options) -> Options:
        """The options of a run so."""
        options = replace(options, shared=self.side_by_side)
        return options.absolute() if self.remote else options

    def __str__(self) -> str:
        return f"--engine {self.engine}" if self.remote else f"--jobs {self.jobs}"


HERE = Choice()


class Pool(Protocol):
    """Workers, each of which does one fit at a time."""

    def free(self) -> bool:
        """Whether a worker waits for a job."""

    def busy(self) -> int:
        """How many jobs are being done."""

    def submit(self, job: Job) -> None:
        """Give a job to a free worker."""

    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended, as soon as anything has, at the latest after `seconds`."""

    def close(self) -> None:
        """Begin nothing any more, and let go of the workers."""


def chosen(engine: str | None, jobs: int | None, scheduler: str | None, address: str | None
           ) -> Choice:
    """The Choice that --engine, --jobs, --scheduler and --address make; UserError where they don't
    fit together."""
    engine = engine or "loky"
    for option, value, owner in (("--scheduler", scheduler, "dask"), ("--address", address, "ray")):
        if value and engine != owner:
            raise UserError(f"{option} {value}: belongs to --engine {owner}")
        if not value and engine == owner:
            raise UserError(f"--engine {owner}: say which cluster with {option}, see "
                            f"docs/machines.md")
    if engine == "dask" and jobs is not None:
        raise UserError(f"--jobs {jobs}: with --engine dask, as many fits run as there are workers")
    return Choice(engine, jobs or (1 if engine == "loky" else None), scheduler or address)


def check_device(choice: Choice, device: str) -> None:
    """UserError for a device that an engine can't give."""
    if choice.engine == "ray" and ":" in device:
        raise UserError(f"--device {device}: ray gives each fit a GPU itself; use --device cuda")


def pool(choice: Choice, options: Options, say: Callable[[str], None]) -> Pool:
    """The workers of a choice. `say` prints a line for the person who waits."""
    if choice == HERE:
        from aexad.bench.run.engines.local import Here

        return Here()
    from aexad.bench.run.engines.workers import Workers

    return Workers(_cluster(choice, options), options, say)


def _cluster(choice: Choice, options: Options):
    """Imported here: each of these libraries takes its time, and ray may not be there."""
    if choice.engine == "dask":
        from aexad.bench.run.engines.dask_cluster import Dask

        return Dask(choice.address)
    if choice.engine == "ray":
        from aexad.bench.run.engines.ray_cluster import Ray

        return Ray(choice.address, choice.jobs, options)
    from aexad.bench.run.engines.local import Loky

    return Loky(choice.jobs)

"""Jobs for the workers of a cluster, of whatever kind: one job each, given to a worker that is free
and was found fit; losing a worker loses the one job that it had."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

from aexad.bench.base.errors import UserError, first_line
from aexad.bench.run.engines import probe
from aexad.bench.run.engines.work import work
from aexad.bench.run.job import Job, Options, Outcome

ATTEMPTS = 3  # probes that a worker may not survive before it is refused


class Cluster(Protocol):
    """What the kinds of clusters differ in. lost: exceptions that mean that a worker is gone."""

    lost: tuple[type[BaseException], ...]
    why_lost: str

    def workers(self) -> dict[str, str | None]:
        """The workers there are now; to those that can't be used, why. UserError when the cluster
        can't be reached."""

    def submit(self, worker: str, function: Callable, *args: Any) -> futures.Future:
        """Let one worker, and no other, call a function."""

    def forget(self, worker: str) -> None:
        """The worker is lost; what is left of it is removed."""

    def close(self) -> None:
        """Let go of the cluster, which stays as it is."""


def _probe_failed(error: BaseException) -> str:
    return (f"can't run this code ({first_line(error)}); start scheduler and workers from "
            f"{sys.prefix}, the runner's environment")


class Workers:
    """A Pool of a cluster's workers. New ones are probed when they are seen."""

    def __init__(self, cluster: Cluster, options: Options, say: Callable[[str], None]) -> None:
        self.cluster, self.options, self.say = cluster, options, say
        self._idle: list[str] = []
        self._running: dict[futures.Future, tuple[str, Job]] = {}
        self._probing: dict[futures.Future, str] = {}
        self._refused: dict[str, str] = {}
        self._unprobed: Counter[str] = Counter()  # how often a worker was lost at its probe
        self._told = False
        self._stack = ExitStack()
        self._stack.callback(cluster.close)
        try:
            self.runner = self._stack.enter_context(probe.surroundings(options))
        except UserError:
            self._stack.close()
            raise

    def free(self) -> bool:
        return bool(self._idle)

    def busy(self) -> int:
        return len(self._running)

    def submit(self, job: Job) -> None:
        worker = self._idle.pop(0)
        self._running[self.cluster.submit(worker, work, job)] = worker, job

    def wait(self, seconds: float) -> list[Outcome]:
        ended = self._look()
        if ended:
            return ended
        pending = [*self._running, *self._probing]
        if not pending:
            self._nobody()
            time.sleep(seconds)
            return []
        done = futures.wait(pending, seconds, futures.FIRST_COMPLETED).done
        ended = [self._ended(future, *self._running.pop(future))
                 for future in pending if future in done and future in self._running]
        for future in [f for f in pending if f in done and f in self._probing]:
            self._admit(self._probing.pop(future), future)
        return ended

    def close(self) -> None:
        for future in [*self._running, *self._probing]:
            future.cancel()
        self._stack.close()

    def _look(self) -> list[Outcome]:
        """Probe who has joined; the jobs of those who have left are lost."""
        there = self.cluster.workers()
        for known in (self._idle, self._refused):
            for worker in [w for w in known if w not in there]:
                known.remove(worker) if known is self._idle else known.pop(worker)
        for future, worker in list(self._probing.items()):
            if worker not in there:
                self._probing.pop(future).cancel()
        gone = [(future, *both) for future, both in self._running.items() if both[0] not in there]
        for future, worker, job in gone:
            future.cancel()
            del self._running[future]
            self.cluster.forget(worker)
        known = {*self._idle, *self._refused, *self._probing.values(),
                 *(worker for worker, _ in self._running.values())}
        for worker, unfit in there.items():
            if worker not in known and unfit:
                self._refuse(worker, unfit)
            elif worker not in known:
                future = self.cluster.submit(worker, probe.objection, self.runner, self.options)
                self._probing[future] = worker
        return [Outcome(job, lost=f"{worker}: {self.cluster.why_lost}") for _, worker, job in gone]

    def _admit(self, worker: str, future: futures.Future) -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, self.cluster.lost):
            self.cluster.forget(worker)  # seen again by _look, if it is there
            self._unprobed[worker] += 1
            if self._unprobed[worker] >= ATTEMPTS:
                self._refuse(worker, self.cluster.why_lost)
        elif unfit := _probe_failed(error) if error else future.result():
            self._refuse(worker, unfit)
        else:
            self._idle.append(worker)
            self._told = False

    def _refuse(self, worker: str, unfit: str) -> None:
        self._refused[worker] = unfit
        self.say(f"worker {worker} refused: {unfit}")

    def _nobody(self) -> None:
        """Nothing runs and nothing can: wait for workers, or give up where all are unfit."""
        if self._idle:
            return
        if self._refused:
            worker, unfit = next(iter(self._refused.items()))
            raise UserError(f"no worker can be used; {worker}: {unfit}")
        if not self._told:
            self.say("no worker there; waiting for one to join, see docs/machines.md")
            self._told = True

    def _ended(self, future: futures.Future, worker: str, job: Job) -> Outcome:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, self.cluster.lost):
            self.cluster.forget(worker)
            return Outcome(job, lost=f"{worker}: {self.cluster.why_lost}")
        self._idle.append(worker)
        return replace(future.result(), worker=worker)

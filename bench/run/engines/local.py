"""This machine: one fit at a time in this process, or several in processes of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from aexad.bench.run.engines.work import work
from aexad.bench.run.job import Job, Outcome


class Here:
    """A pool of one, this process: `submit` returns when the job is done."""

    def __init__(self) -> None:
        self._ended: list[Outcome] = []

    def free(self) -> bool:
        return not self._ended

    def busy(self) -> int:
        return len(self._ended)

    def submit(self, job: Job) -> None:
        self._ended.append(work(job))

    def wait(self, seconds: float) -> list[Outcome]:
        if not self._ended:
            time.sleep(seconds)
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


def end_with(parent: int) -> None:
    """In a process of a pool: end when its parent, the runner, does. One that is killed can't tell
    its processes to; they would go on for half an hour, and hold the memory."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)  # what is half done is what a kill leaves

    threading.Thread(target=watch, daemon=True).start()


class Loky:
    """Processes of this machine. joblib.Parallel ends as a whole when one of its processes is
    killed, and doesn't tell which job did it; one loky executor of one process per worker loses
    that job alone, and knows it."""

    lost = (BrokenProcessPool,)
    why_lost = "its process was killed (out of memory? try fewer --jobs)"

    def __init__(self, jobs: int) -> None:
        self._executors: dict[str, ProcessPoolExecutor | None] = {
            f"process {i}": None for i in range(1, jobs + 1)}

    def workers(self) -> dict[str, str | None]:
        return dict.fromkeys(self._executors)

    def submit(self, worker: str, function: Callable, *args: Any) -> Future:
        executor = self._executors[worker] or ProcessPoolExecutor(
            1, initializer=end_with, initargs=(os.getpid(),))
        self._executors[worker] = executor
        return executor.submit(function, *args)

    def forget(self, worker: str) -> None:
        if executor := self._executors[worker]:
            executor.shutdown(wait=False, kill_workers=True)
        self._executors[worker] = None  # a new process at the next job

    def close(self) -> None:
        for executor in self._executors.values():
            if executor:
                executor.shutdown(kill_workers=True)

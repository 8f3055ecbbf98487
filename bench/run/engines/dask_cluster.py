"""The workers of a dask.distributed scheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import distributed
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from aexad.bench.base.errors import UserError, first_line

TIMEOUT = 10  # seconds for the scheduler's answers


class Dask:
    """Not through joblib's dask backend: that leaves to the scheduler who works on what, so that a
    worker that joins late could not be probed first, and a killed worker's queue would be blamed
    with the job that it ran. Here a job is sent to one worker by name."""

    lost = (KilledWorker,)
    why_lost = "the worker is gone (killed? out of memory? its own log tells)"

    def __init__(self, address: str) -> None:
        self.address = address
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors end in our own lines
        try:
            self._client = distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"--scheduler {address}: cannot be reached ({first_line(error)}); "
                            f"start one with `dask scheduler`, see docs/machines.md") from None

    def workers(self) -> dict[str, str | None]:
        try:
            if self._client.status != "running":
                raise OSError("connection lost")
            found = self._client.nthreads()
        except (OSError, CommClosedError) as error:
            raise UserError(f"--scheduler {self.address}: lost ({first_line(error)}); nothing "
                            f"finished is lost, start it and its workers again and run the same "
                            f"command") from None
        return {worker: None if threads == 1 else
                f"{threads} threads, which share torch's state; start it with --nthreads 1 (and "
                f"--nworkers for several)" for worker, threads in found.items()}

    def submit(self, worker: str, function: Callable, *args: Any) -> Future:
        executor = self._client.get_executor(workers=[worker], allow_other_workers=False,
                                             pure=False, retries=0)
        return executor.submit(function, *args)

    def forget(self, worker: str) -> None:
        pass  # the scheduler has done so

    def close(self) -> None:
        self._client.close(timeout=TIMEOUT)

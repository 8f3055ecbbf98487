"""Workers on a ray cluster: an actor each, placed by ray where CPUs (and a GPU) are free."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aexad.bench.base.errors import UserError, first_line
from aexad.bench.run.job import Options

try:
    import ray
    from ray.exceptions import RayActorError, RaySystemError
except ImportError:
    ray = None

INSTALL = "pip install 'ray==2.60.0'"


class _Worker:
    """What lives in an actor's process."""

    def call(self, function: Callable, *args: Any) -> Any:
        return function(*args)


class Ray:
    """As many actors as --jobs says, else as the cluster has CPUs for (--threads each)."""

    why_lost = "its actor is gone (killed? out of memory? its node lost?)"

    def __init__(self, address: str, jobs: int | None, options: Options) -> None:
        if ray is None:
            raise UserError(f"--engine ray: ray is not installed; into the project's .venv: "
                            f"{INSTALL}")
        self.address, self.lost = address, (RayActorError,)
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError, RaySystemError) as error:
            raise UserError(f"--address {address}: cannot be reached ({first_line(error)})"
                            f"; start one with `ray start --head`, see docs/machines.md") from None
        self._needs = {"num_cpus": options.threads,
                       "num_gpus": int(options.device.startswith("cuda"))}
        fits = [ray.cluster_resources().get(name, 0) // amount for name, amount in
                (("CPU", self._needs["num_cpus"]), ("GPU", self._needs["num_gpus"])) if amount]
        self._actors: dict[str, Any] = {f"actor {i + 1}": None
                                        for i in range(jobs or max(int(min(fits)), 1))}

    def workers(self) -> dict[str, str | None]:
        if not ray.is_initialized():
            raise UserError(f"--address {self.address}: lost; nothing finished is lost, start it "
                            f"again and run the same command")
        return dict.fromkeys(self._actors)

    def submit(self, worker: str, function: Callable, *args: Any) -> Future:
        actor = self._actors[worker] or ray.remote(_Worker).options(**self._needs).remote()
        self._actors[worker] = actor
        return actor.call.remote(function, *args).future()

    def forget(self, worker: str) -> None:
        self._actors[worker] = None  # a new one at the next job, wherever there is room

    def close(self) -> None:
        ray.shutdown()

"""What runs in a worker: one job, under its claim and with a GPU of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aexad.bench.base.errors import UserError
from aexad.bench.base.progress import Progress
from aexad.bench.results.store import Store
from aexad.bench.run import claims, gpus, task
from aexad.bench.run.task import Job


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


def work(job: Job) -> Outcome:
    """Do a job, unless another runner does it."""
    folder = Store(job.options.results).fit_dir(job.fit)
    try:
        with gpus.one(job.options.device, say=Progress(job.label).say) as device:
            with claims.taken(folder, job.expired) as claim:
                mine = replace(job, options=replace(job.options, device=device))
                return Outcome(job, tuple(task.run(mine, claim.check)))
    except (claims.Held, claims.Lost):
        return Outcome(job, held=True)
    except UserError as error:
        return Outcome(job, refused=str(error))

"""What runs in a worker: one job, under its claim and with a GPU of its own."""

from __future__ import annotations

from dataclasses import replace

from aexad.bench.base import streams
from aexad.bench.base.errors import UserError
from aexad.bench.base.progress import Progress
from aexad.bench.run import claims, gpus, task
from aexad.bench.run.job import Job, Outcome


def work(job: Job) -> Outcome:
    """Do a job, unless another runner does it."""
    with streams.guarded():  # of this worker's process, where its progress is shown
        return _work(job)


def _work(job: Job) -> Outcome:
    folder = job.options.store.fit_dir(job.fit)
    try:
        with gpus.one(job.options.device, say=Progress(job.label).say) as device:
            with claims.taken(folder, job.expired) as claim:
                mine = replace(job, options=replace(job.options, device=device))
                return Outcome(job, tuple(task.run(mine, claim.check)))
    except (claims.Held, claims.Lost):
        return Outcome(job, held=True)
    except UserError as error:
        return Outcome(job, refused=str(error))

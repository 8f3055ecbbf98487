"""The jobs of a run: what can be done now, what another runner has, whose workers were lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from aexad.bench.plan.cells import Fit
from aexad.bench.results.store import Store
from aexad.bench.run import claims
from aexad.bench.run.claims import Watch
from aexad.bench.run.job import Job, Outcome

ATTEMPTS = 3  # workers that a job may lose before it counts as failed


class Schedule:
    """First all jobs in their order; then, as they become free, those that another runner had and
    those whose worker was lost."""

    def __init__(self, jobs: Iterable[Job], store: Store, say: Callable[[str], None],
                 watch: Callable[..., Watch] = Watch) -> None:
        self.store, self.say, self._watch = store, say, watch
        self._todo = deque(jobs)
        self._later: dict[Fit, tuple[Job, Watch]] = {}
        self._told: set[Fit] = set()
        self._lost: Counter[Fit] = Counter()

    def left(self) -> bool:
        """Whether anything is still to be done or waited for."""
        return bool(self._todo or self._later)

    def next(self) -> Job | None:
        """A job that can be done now. None: what is left has to be waited for."""
        if self._todo:
            return self._todo.popleft()
        for fit, (job, watch) in list(self._later.items()):
            cells = tuple(c for c in job.cells if self.store.cell_info(c) is None)
            if not cells:
                del self._later[fit]  # another runner did it
            elif watch.free():
                del self._later[fit]
                return replace(job, cells=cells, expired=watch.seen)
            elif fit not in self._told:
                self._told.add(fit)
                self.say(f"{job.label}: waits for {watch.seen}, which works on it")
        return None

    def ended(self, outcome: Outcome) -> list[str]:
        """Take note of how a job ended. Returns what failed, a line each."""
        job = outcome.job
        if outcome.lost:
            self._lost[job.fit] += 1
            if self._lost[job.fit] >= ATTEMPTS:
                return self._give_up(job, outcome.lost)
            self.say(f"{job.label}: {outcome.lost}; it is done again")
        if outcome.lost or outcome.held:
            watch = self._watch(self.store.fit_dir(job.fit))
            self._later[job.fit] = replace(job, expired=None), watch
        return list(outcome.failures)

    def _give_up(self, job: Job, why: str) -> list[str]:
        """Keep that a job loses its workers, unless somebody else has it now."""
        error = f"WorkerLost: {ATTEMPTS} workers lost; {why}"
        fit = job.fit
        try:
            with claims.taken(self.store.fit_dir(fit)):
                failed = [fit] if self.store.fit_info(fit) is None else [
                    c for c in job.cells if self.store.cell_info(c) is None]
                for work in failed:
                    self.store.save_failure(work, {"error": error})
        except claims.Held:  # or the claim of the lost worker, on a machine that can't be asked
            pass
        return [f"{job.label}: {error}"]

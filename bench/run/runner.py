"""Runs what is not stored: skips the rest, and checks beforehand whatever can be checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aexad.bench.base.errors import UserError, say
from aexad.bench.plan.cells import Cell, Fit, by_fit
from aexad.bench.results.records import pending
from aexad.bench.results.store import HEATMAPS, Store
from aexad.bench.run import engines, preflight
from aexad.bench.run.engines import HERE, Choice
from aexad.bench.run.job import Job, Options, Outcome
from aexad.bench.run.schedule import Schedule

POLL = 1.0  # seconds between two looks at workers and at the claims of other runners


@dataclass(frozen=True)
class Ran:
    """How a run ended. failures: a line each; left_out: fits that can't be done here, and why."""

    failures: list[str]
    left_out: dict[Fit, str]


def run(cells: Sequence[Cell], options: Options, choice: Choice = HERE,
        after: Callable[[], None] = lambda: None) -> Ran:
    """Compute what is pending, where `choice` says; call `after` as each fit ends. UserError for
    bad input before anything is trained."""
    options = choice.applied(options)
    store = options.store
    if options.keep_maps:
        _say_without_maps(cells, store)
    todo = by_fit(pending(cells, store, options.library))
    if todo:  # a table of stored results needs nothing to be written, and no device
        store.check_writable()
        options = options.with_device()
    left_out = preflight.check(cells, list(todo), options)
    todo = {fit: group for fit, group in todo.items() if fit not in left_out}
    work = [Job(fit, tuple(group), options, f"{i}/{len(todo)}")
            for i, (fit, group) in enumerate(todo.items(), 1)]
    if not work:
        return Ran([], left_out)
    say(f"{len(work)} fits to do, {sum(len(j.cells) for j in work)} cells; "
        f"{len(cells) - sum(len(j.cells) for j in work)} cells stored, skipped or "
        f"without data")
    return Ran(_do(work, options, choice, after), left_out)


def _do(work: list[Job], options: Options, choice: Choice, after: Callable[[], None]
        ) -> list[str]:
    """Hand the jobs to workers as these become free. Returns what failed, a line each."""
    schedule, failures = Schedule(work, options.store, say), []
    pool = engines.pool(choice, options, say)
    try:
        while schedule.left() or pool.busy():
            while pool.free() and (job := schedule.next()):
                pool.submit(job)
            for outcome in pool.wait(POLL):
                if outcome.refused:
                    raise UserError(outcome.refused)
                failures += schedule.ended(outcome)
                if choice.remote:
                    _tell(outcome)
                after()
    except KeyboardInterrupt:
        if choice.engine == "dask" and pool.busy():
            say(f"{pool.busy()} fits have begun on dask workers: they go on there, and are "
                f"kept")
        raise
    finally:
        pool.close()
    return failures


def _tell(outcome: Outcome) -> None:
    """Progress that a worker on another machine has not shown here itself."""
    if not (outcome.held or outcome.lost):
        told = "; ".join(outcome.failures)
        say(f"{outcome.job.label} {outcome.job.fit.scenario} seed {outcome.job.fit.seed}: "
            f"{f'failed: {told}' if told else f'done by {outcome.worker}'}")


def _say_without_maps(cells: Sequence[Cell], store: Store) -> None:
    """--keep-maps does not reach what is stored."""
    lacking = sum(store.cell_info(c) is not None and not (store.cell_dir(c) / HEATMAPS).exists()
                  for c in cells)
    if lacking:
        say(f"note: {lacking} cells were stored without heatmaps, and stay so; figures "
            f"explain them again, --keep-maps with another --results keeps them")

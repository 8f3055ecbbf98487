"""Skips what is stored, checks whatever can be checked before the first fit, runs the rest."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.base.progress import duration
from aexad.bench.plan.cells import Cell, Fit, by_fit
from aexad.bench.results import external, readings
from aexad.bench.results.store import HEATMAPS, Store
from aexad.bench.run import engines, task
from aexad.bench.run.schedule import Schedule
from aexad.bench.run.task import Job, Options
from aexad.datasets.category import Library, split, vanished_note
from aexad.datasets.folder import GOOD
from aexad.methods.base import Context
from aexad.methods.weights import Weights, WeightsMissing

_MODEL_MB = {"fcdd": 23.0, "bgad": 11.0, "ae_xad_vit_finetuned": 345.0,
             "ae_xad_vit_scratch": 345.0}  # of those far from 2 MB
POLL = 1.0  # seconds between two looks at workers and at the claims of other runners


class Runner:
    """Runs the cells of a plan against one results folder; `choice`: where the fits run."""

    def __init__(self, options: Options, choice: engines.Choice = engines.HERE) -> None:
        options = replace(options, shared=choice.side_by_side)
        self.options, self.choice = options.absolute() if choice.remote else options, choice
        self.store = Store(options.results)
        self.library = Library(options.data_root, options.cache, options.threads)
        self.without_weights: dict[Fit, str] = {}  # fits that can't be done here, and why

    def pending(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells still to compute: not stored, not skipped, their images there."""
        return [c for c in cells if not self.store.cell_info(c) and not c.skip
                and self.library.locate(c.fit.dataset, c.fit.category)]

    def run(self, cells: Sequence[Cell], after: Callable[[], None] = lambda: None) -> list[str]:
        """Compute what is pending; call `after` as each fit ends. Returns what failed, a line each;
        raises UserError for bad input before anything is trained."""
        if self.options.keep_maps:
            lacking = sum(self.store.cell_info(c) is not None
                          and not (self.store.cell_dir(c) / HEATMAPS).exists() for c in cells)
            if lacking:
                _say(f"note: {lacking} cells were stored without heatmaps, and stay so; figures "
                     f"explain them again, --keep-maps with another --results keeps them")
        todo = by_fit(self.pending(cells))
        if todo:  # a table of stored results needs nothing to be written
            self.store.check_writable()
        self.check(cells, list(todo))
        todo = {fit: group for fit, group in todo.items() if fit not in self.without_weights}
        work = [Job(fit, tuple(group), self.options, f"{i}/{len(todo)}")
                for i, (fit, group) in enumerate(todo.items(), 1)]
        if not work:
            return []
        _say(f"{len(work)} fits to do, {sum(len(j.cells) for j in work)} cells; "
             f"{len(cells) - sum(len(j.cells) for j in work)} cells stored, skipped or "
             f"without data")
        return self._do(work, after)

    def _do(self, work: list[Job], after: Callable[[], None]) -> list[str]:
        """Hand the jobs to workers as these become free. Returns what failed, a line each."""
        schedule, failures = Schedule(work, self.store, _say), []
        pool = engines.pool(self.choice, self.options, _say)
        try:
            while schedule.left() or pool.busy():
                while pool.free() and (job := schedule.next()):
                    pool.submit(job)
                for outcome in pool.wait(POLL):
                    if outcome.refused:
                        raise UserError(outcome.refused)
                    failures += schedule.ended(outcome)
                    self._tell(outcome)
                    after()
        except KeyboardInterrupt:
            if self.choice.engine == "dask" and pool.busy():
                _say(f"{pool.busy()} fits have begun on dask workers: they go on there, and are "
                     f"kept")
            raise
        finally:
            pool.close()
        return failures

    def _tell(self, outcome: engines.Outcome) -> None:
        """Progress that a worker on another machine has not shown here itself."""
        if self.choice.remote and not (outcome.held or outcome.lost):
            told = "; ".join(outcome.failures)
            _say(f"{outcome.job.label} {outcome.job.fit.scenario} seed {outcome.job.fit.seed}: "
                 f"{f'failed: {told}' if told else f'done by {outcome.worker}'}")

    def check(self, cells: Sequence[Cell], todo: Sequence[Fit]) -> None:
        """Files, masks, splits and weights of what is to do; origin of what is stored."""
        for fit in todo:
            category = self.library.load(fit.dataset, fit.category, fit.data)
            split(category, fit.dataset, fit.seed, fit.scenario, fit.data)
        used = self._weights(cells, todo)
        for cell in cells:
            info, fit = self.store.cell_info(cell), cell.fit
            if info is None:
                continue
            digest = None
            if self.library.locate(fit.dataset, fit.category):
                digest = self.library.digest(fit.dataset, fit.category, fit.data)
            task.check_origin(info, self.store.cell_dir(cell), digest,
                              used.get((fit.method, fit.params)))

    def _weights(self, cells: Sequence[Cell], todo: Sequence[Fit]) -> dict:
        """Build every network once, so that missing or wrong weights show before training, and
        return what was read. A table of stored results needs no weights: those are looked at only
        where a place for them was given. Fits whose weights can't be had are left out, with the
        reason, as long as there is anything else to show."""
        fits = dict.fromkeys(c.fit for c in cells) if self.options.weights else todo
        used: dict = {}
        for fit in fits:
            kind = (fit.method, fit.params)
            if kind not in used:
                used[kind] = self._weights_of(fit)
            if isinstance(used[kind], WeightsMissing):
                self.without_weights[fit] = str(used[kind])
        stored = any(self.store.cell_info(c) for c in cells)
        if todo and not stored and all(fit in self.without_weights for fit in todo):
            raise UserError(self.without_weights[todo[0]])
        return {k: v for k, v in used.items() if not isinstance(v, WeightsMissing)}

    def _weights_of(self, fit: Fit) -> dict[str, str] | WeightsMissing:
        ctx = Context("cpu", fit.seed, Weights(self.options.weights))
        cls = methods.load(fit.method)
        try:
            cls(fit.params, cls.explain_params(), ctx)
        except WeightsMissing as error:
            return error
        return ctx.weights.used

    def describe(self, cells: Sequence[Cell], names: Mapping[Cell, str] | None = None) -> str:
        """What a run would do: `--dry-run`. names: what cells are called, in place of their
        methods."""
        todo = by_fit(self.pending(cells))
        lines = [f"{len(todo)} fits to do, {sum(map(len, todo.values()))} of {len(cells)} cells"]
        rates = self._rates()
        total, unknown, megabytes, training = 0.0, 0, 0.0, 0
        for fit, group in todo.items():
            seconds = self._estimate(fit, rates)
            trained = "explain only" if self.store.fit_info(fit) else (
                "time unknown" if seconds is None else f"about {duration(seconds)}")
            called = ", ".join((names or {}).get(c, c.method) for c in group)
            lines.append(f"  {fit.name}: {called} ({trained})")
            total, unknown = total + (seconds or 0), unknown + (seconds is None)
            megabytes += self._megabytes(fit, len(group))
            training += seconds != 0
        if unknown:
            lines.append(f"time: no stored fit to estimate {unknown} of them from")
        if todo and unknown < len(todo):
            seconds = total / min(self.choice.jobs or 1, max(1, training))
            lines.append(f"time: about {duration(seconds)}, from stored fits")
        lines.append(f"disk: about {math.ceil(megabytes)} MB under {self.options.results}")
        return "\n".join(lines)

    def _megabytes(self, fit: Fit, cells: int) -> float:
        model = 0.0 if self.store.fit_info(fit) else _MODEL_MB.get(fit.method, 2.0)
        tested = sum(not i.in_train for i in self.library.scan(fit.dataset, fit.category))
        heatmaps = 4e-6 * tested * fit.data.size ** 2 if self.options.keep_maps else 0.0
        return model + cells * (0.1 + heatmaps)

    def _rates(self) -> dict[tuple, float]:
        """Seconds per epoch and training image of stored fits, by method, encoder and size."""
        rates = {}
        for info in self.store.all_fits():
            declared = info["declared"]
            n = sum(info["n_train"].values()) * len(info["losses"])
            if n:
                rates[_kind(declared["method"], declared["params"], declared["data"])] = (
                    info["emissions"]["seconds"] / n)
        return rates

    def _estimate(self, fit: Fit, rates: dict[tuple, float]) -> float | None:
        if self.store.fit_info(fit):
            return 0.0
        rate = rates.get(_kind(fit.method, vars(fit.params), vars(fit.data)))
        if rate is None:
            return None
        items = self.library.scan(fit.dataset, fit.category)
        n = sum(i.in_train and i.kind == GOOD for i in items) * (fit.scenario == "standard")
        n += 3 * len({i.kind for i in items} - {GOOD})
        return rate * min(n, fit.data.max_train or n) * getattr(fit.params, "epochs", 1)

    def records(self, cells: Sequence[Cell]) -> pd.DataFrame:
        """A row per cell: what bench/tables/build.py makes tables from."""
        return pd.DataFrame([self._record(cell) for cell in cells])

    def _record(self, cell: Cell) -> dict:
        fit, info = cell.fit, self.store.cell_info(cell)
        row = {"dataset": fit.dataset, "category": fit.category, "scenario": fit.scenario,
               "method": cell.method, "seed": fit.seed, "status": "done", "reason": "", "note": ""}
        if info is None:
            return row | dict(zip(("status", "reason"), self.why_not(cell)))
        row["note"] = "; ".join(self._notes(fit))
        origin = info["provenance"]
        row |= info["numbers"] | readings.of_cell(cell, self.store).columns() | {
            "device": origin["device"], "threads": origin["threads"],
            "environment": " ".join(f"{k} {v}" for k, v in origin["libraries"].items()),
            "data": info["data_sha256"]}
        return row | external.remarks(info)

    def _notes(self, fit: Fit) -> list[str]:
        """What must be known about a fit's numbers."""
        notes = []
        if getattr(fit.params, "weights", None) == "random":
            notes.append("encoder with random weights")
        vanished = (self.store.fit_info(fit) or {}).get("vanished")  # fits of before have none
        if vanished:
            notes.append(vanished_note(vanished, fit.data.size))
        return notes

    def why_not(self, cell: Cell) -> tuple[str, str]:
        """What is the matter with a cell that isn't stored, in a word or two, and why."""
        fit = cell.fit
        if self.library.locate(fit.dataset, fit.category) is None:
            place = self.library.expected(fit.dataset, fit.category).parent
            return "no data", f"looked in {place}"
        if cell.skip:
            return "missing" if cell.method in external.externals() else "skipped", cell.skip
        if fit in self.without_weights:
            return "skipped", self.without_weights[fit]
        failure = self.store.failure(cell)
        if failure:
            return "failed", failure
        if self.store.checkpoint(fit).exists():
            return "missing", "interrupted; the same command continues it"
        return "missing", "not computed yet"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _kind(method: str, params: dict, data: dict) -> tuple:
    encoder = params.get("encoder") or params.get("backbone")
    return (method, encoder, params.get("freeze"), data["size"])


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"

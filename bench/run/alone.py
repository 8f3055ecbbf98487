"""`--emissions strict`: work whose energy was not its own alone is done again, one fit at a time,
in a store of its own. What is finished stays as it is; only readings are taken from there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

from aexad.bench.base.errors import UserError
from aexad.bench.measure import busy, energy
from aexad.bench.plan.cells import Cell
from aexad.bench.results import readings
from aexad.bench.results.store import FIT, Store, done
from aexad.bench.run import estimate, runner
from aexad.bench.run.engines import Choice
from aexad.bench.run.job import Options

QUIET = 5  # times that the machine is looked at before it counts as busy


def options_for(options: Options, choice: Choice) -> Options:
    """The options of that store. UserError where `choice` would do several fits at a time."""
    if choice.side_by_side:
        raise UserError(f"{choice}: --emissions strict measures one fit at a time; use --jobs "
                        f"1, or run the table so first and then again for strict")
    return replace(options, results=readings.alone_store(options.store).root)


def unsound(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """The finished cells whose emissions are missing, zero, or measured beside other work."""
    return [c for c in cells if store.cell_info(c) and not readings.of_cell(c, store).sound]


def measure(cells: Sequence[Cell], options: Options, choice: Choice) -> list[str]:
    """Do the unsound ones of `cells` again, alone. Returns what failed, a line each."""
    alone, todo = options_for(options, choice), unsound(cells, options.store)
    if todo and (reason := _in_vain(options)):
        return [f"--emissions strict: {reason}"]
    for cell in todo:
        _prepare(cell, options.store, alone.store)
    return runner.run(todo, alone).failures if todo else []


def _in_vain(options: Options) -> str:
    """Why nothing that is measured now would be sound, or ''."""
    if cause := energy.cannot_start(options.country):
        return f"cannot help, CodeCarbon does not start here ({cause})"
    for _ in range(QUIET):
        cpus = busy.by_others()
        if cpus / (cpus + options.threads) <= busy.MOST:
            return ""
    return (f"nothing is measured beside other work, and other programs keep {cpus:.1f} of "
            f"{os.cpu_count()} CPUs busy; run the same command again when they are done")


def describe(cells: Sequence[Cell], options: Options, choice: Choice) -> str:
    """What `measure` would do now, for `--dry-run`."""
    return estimate.describe(unsound(cells, options.store), options_for(options, choice))


def _prepare(cell: Cell, store: Store, alone: Store) -> None:
    """What was measured alone in vain is forgotten; a training that was measured well is taken
    over, so that it is not repeated for the sake of its explanation."""
    shutil.rmtree(alone.cell_dir(cell), ignore_errors=True)
    here, there = store.fit_dir(cell.fit), alone.fit_dir(cell.fit)
    if there.exists() and not _sound_fit(alone, cell) and alone.fit_info(cell.fit):
        shutil.rmtree(there)
    if not there.exists() and store.fit_info(cell.fit) and _sound_fit(store, cell):
        there.mkdir(parents=True)
        for name in ("model.safetensors", FIT):  # the one that says 'done' last
            shutil.copy2(here / name, there / name)


def _sound_fit(store: Store, cell: Cell) -> bool:
    return readings.sound((done(store.fit_dir(cell.fit) / FIT) or {}).get("emissions"))

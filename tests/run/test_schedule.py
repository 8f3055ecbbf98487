"""What is done next: other runners' fits are waited for, lost workers' fits are done again."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from aexad.bench.plan.cells import all_cells, by_fit
from aexad.bench.plan.settings import Settings
from aexad.bench.results.store import Store
from aexad.bench.run import claims
from aexad.bench.run.claims import Watch
from aexad.bench.run.job import Job, Options, Outcome
from aexad.bench.run.schedule import Schedule

from stored import info_of
from test_claims import plant


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def jobs(tmp_path):
    cells = all_cells(Settings("smoke"), ["ae_xad_raw", "ae_xad"], [("mvtec", "bottle")],
                      "standard", [40, 41])
    options = Options(tmp_path, tmp_path, tmp_path, None, "cpu", 1, "ITA")
    groups = by_fit(cells)
    return [Job(fit, tuple(group), options, f"{i}/2") for i, (fit, group) in
            enumerate(groups.items(), 1)]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def schedule(jobs, store, clock, said):
    return Schedule(jobs, store, said.append, lambda folder: Watch(folder, 60, clock))


def done(store: Store, *cells) -> None:
    for cell in cells:
        store.save_cell(cell, pd.DataFrame({"id": ["a"]}), info_of(cell))


def test_what_another_runner_has_comes_last(schedule, jobs, store, said):
    folder = store.fit_dir(jobs[0].fit)
    plant(folder)
    assert schedule.next() is jobs[0] and schedule.ended(Outcome(jobs[0], held=True)) == []
    assert schedule.next() is jobs[1] and schedule.ended(Outcome(jobs[1], ("x",))) == ["x"]
    assert not said  # while there is something to do, nobody waits
    for _ in range(3):
        assert schedule.next() is None and schedule.left()
    assert said == ["[1/2] mvtec/bottle ae_xad: waits for process 1 on elsewhere, which works on "
                    "it"]
    done(store, jobs[0].cells[0])
    (folder / "claim-1").unlink()
    job = schedule.next()  # it did one of the two cells
    assert job.fit == jobs[0].fit and job.cells == jobs[0].cells[1:] and job.expired is None
    assert not schedule.left()


def test_what_another_runner_finished_is_not_done_again(schedule, jobs, store):
    plant(store.fit_dir(jobs[0].fit))
    schedule.next()
    schedule.ended(Outcome(jobs[0], held=True))
    schedule.next()
    done(store, *jobs[0].cells)
    assert schedule.next() is None and not schedule.left()


def test_what_another_machine_let_stand_still_is_taken_over(schedule, jobs, store, clock):
    plant(store.fit_dir(jobs[0].fit))
    schedule.next()
    schedule.ended(Outcome(jobs[0], held=True))
    schedule.next()
    clock.now = 60.0
    assert schedule.next() is None
    clock.now = 61.0
    job = schedule.next()
    assert job.expired == claims.look(store.fit_dir(job.fit))
    claims.take(store.fit_dir(job.fit), job.expired).release()
    schedule.ended(Outcome(job, held=True))  # or another was faster: waited for anew
    assert schedule.next().expired is None


def test_a_job_that_loses_three_workers_has_failed(schedule, jobs, store, said):
    first = schedule.next()
    schedule.next()
    for i in (1, 2):
        assert schedule.ended(Outcome(first, lost=f"process {i}: killed")) == []
        assert said[-1] == (f"[1/2] mvtec/bottle ae_xad: process {i}: killed; it is done again")
        first = schedule.next()
        assert first.fit == jobs[0].fit
    [failure] = schedule.ended(Outcome(first, lost="process 3: killed"))
    assert failure == ("[1/2] mvtec/bottle ae_xad: WorkerLost: 3 workers lost; process 3: killed")
    assert not schedule.left()
    assert store.failure(jobs[0].cells[0]) == "WorkerLost: 3 workers lost; process 3: killed"
    assert store.failure(jobs[1].cells[0]) is None
    assert os.listdir(store.fit_dir(jobs[0].fit)) == ["fit.json"]


def test_a_lost_explanation_does_not_undo_its_finished_fit(schedule, jobs, store):
    fit = jobs[0].fit
    store.save_fit(fit, {}, info_of(fit))
    done(store, jobs[0].cells[0])
    for _ in range(3):
        schedule.ended(Outcome(jobs[0], lost="gone"))
    assert store.fit_info(fit)["status"] == "done"
    assert store.failure(jobs[0].cells[0]) is None
    assert store.failure(jobs[0].cells[1]) == "WorkerLost: 3 workers lost; gone"


def test_no_failure_is_written_over_what_another_runner_does(schedule, jobs, store):
    folder = Path(store.fit_dir(jobs[0].fit))
    plant(folder)
    for _ in range(3):
        failures = schedule.ended(Outcome(jobs[0], lost="gone"))
    assert len(failures) == 1 and os.listdir(folder) == ["claim-1"]

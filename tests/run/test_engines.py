"""Fits on several processes and on a real dask cluster: the same results, whatever dies."""

from __future__ import annotations

import _thread
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from aexad.bench.plan.cells import all_cells, by_fit
from aexad.bench.plan.settings import Settings
from aexad.bench.results.store import Store, read_json
from aexad.bench.run import claims, schedule, task
from aexad.bench.run.claims import look
from aexad.bench.run.engines import work
from aexad.bench.run.job import Job, Options, Outcome
from aexad.bench.run.schedule import Schedule

from conftest import make_category
from running import BOTTLE, TINY, refused, run

TWO = ("--categories", "bottle,pill")
TABLE = "tables/table1-smoke.csv"


@pytest.fixture
def root(category) -> Path:
    make_category(category.parents[1] / "mvtec" / "pill", kinds=("crack",))
    return category.parents[1]


def same_results(a: Path, b: Path) -> int:
    """Asserts the same table and the same images.parquet, bit for bit; how many of these."""
    assert (a / TABLE).read_bytes() == (b / TABLE).read_bytes()
    found = [{str(p.relative_to(r)): pd.read_parquet(p) for p in r.rglob("images.parquet")}
             for r in (a, b)]
    assert found[0].keys() == found[1].keys()
    for name, images in found[0].items():
        pd.testing.assert_frame_equal(images, found[1][name], check_exact=True)
    return len(found[0])


def wait_for(condition: Callable, seconds: float = 300):
    """What the condition gives, as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except FileNotFoundError:  # gone between two looks
            pass
        time.sleep(0.002)
    raise AssertionError(f"not within {seconds} s: {condition}")


def kill_an_owner(results: Path, pattern: str, after: int = 0, pids: tuple = ()) -> int:
    """SIGKILL a process while it certainly owns a fit; its id."""
    def caught() -> int | None:
        if len(list(results.glob("fits/*/fit.json"))) < after:
            return None
        for folder in results.glob(f"fits/{pattern}"):
            seen = look(folder)
            pid = seen.owner.get("pid") if seen else None
            if pid is None or pid == os.getpid() or (pids and pid not in pids) or seen.dead:
                continue
            os.kill(pid, signal.SIGSTOP)  # so that it can't end its fit between look and kill
            again = look(folder)
            if again and again.owner["pid"] == pid:
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda owner=again: owner.dead)
                return pid
            os.kill(pid, signal.SIGCONT)
        return None
    return wait_for(caught)


class Killer(threading.Thread):
    """Does something beside the test, and shows its errors there."""

    def __init__(self, do: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.do, self.error = do, None
        self.start()

    def run(self) -> None:
        try:
            self.do()
        except BaseException as error:  # noqa: BLE001  the test raises it
            self.error = error
            traceback.print_exc()
            _thread.interrupt_main()  # the test would wait for ever for what was to be killed

    def finished(self) -> None:
        self.join(10)
        assert not self.is_alive()
        if self.error:
            raise self.error


# -- processes of this machine --

def test_killed_processes_lose_their_own_fits_alone(root, tmp_path, capfd, monkeypatch):
    """The process of an endless fit is killed whenever it is at it, that of another fit once."""
    monkeypatch.setattr(schedule, "ATTEMPTS", 2)  # of 3, as processes take seconds to start
    results = tmp_path / "r"
    words = (*BOTTLE, "--set", "ae_xad.epochs=300", "--checkpoint-every", "0.05")

    def kill() -> None:
        wait_for(lambda: list(results.glob("fits/*-ae_xad-*/checkpoint.pt")))
        kill_an_owner(results, "*-ae_xad-*")
        assert len({kill_an_owner(results, "*-ae-*") for _ in range(2)}) == 2

    killer = Killer(kill)
    assert run(root, results, *words, "--methods", "ae,ae_xad", "--set", "ae.epochs=1000000",
               "--jobs", "2") == 1
    killer.finished()
    out, err = capfd.readouterr()
    assert err.count("its process was killed (out of memory? try fewer --jobs); it is done") == 2
    assert err.count("continues after epoch") >= 1
    assert "failed [1]" in out and "WorkerLost: 2 workers lost" in out
    assert run(root, tmp_path / "one", *words, "--methods", "ae_xad") == 0
    a, b = (pd.read_parquet(next((tmp_path / name).glob("cells/*/*/*/ae_xad/*/images.parquet")))
            for name in ("r", "one"))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert not list(results.rglob("claim-*")) or look(
        next(results.rglob("claim-*")).parent).dead  # of the last one killed, in nobody's way


def command(root: Path, results: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "aexad.bench", "table1", "--data-root", str(root), "--results",
         str(results), *TINY, *words], cwd=root,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_no_process_outlives_a_killed_runner(root, tmp_path):
    runner = command(root, tmp_path / "r", *TWO, "--methods", "ae", "--set", "ae.epochs=1000000",
                     "--jobs", "2")
    mine = psutil.Process(runner.pid)
    wait_for(lambda: len(list(tmp_path.glob("r/fits/*/claim-*"))) == 2)
    processes = [p for p in mine.children(recursive=True) if "loky" in " ".join(p.cmdline())]
    assert len(processes) >= 2
    runner.kill()
    try:
        assert psutil.wait_procs(processes, timeout=60)[1] == []
    finally:  # they hold the runner's output
        for process in psutil.wait_procs(processes, timeout=0)[1]:
            process.kill()
        runner.communicate()


def test_two_runners_on_one_store_share_the_work(root, tmp_path):
    """The first stops within its first fit; the second does all others, waits for that one, and
    both print the whole table. Nothing is trained twice."""
    results, words = tmp_path / "r", (*TWO, "--set", "ae.epochs=50")
    first = command(root, results, *words)
    wait_for(lambda: [f for f in results.glob("fits/*-ae-*") if look(f)])
    first.send_signal(signal.SIGSTOP)
    second = command(root, results, *words)
    lines = []
    for line in second.stderr:
        lines.append(line)
        if f"waits for process {first.pid} on" in line:
            break
    assert sum("trained in" in line for line in lines) == 3, lines
    first.send_signal(signal.SIGCONT)
    told = [runner.communicate(timeout=300) for runner in (first, second)]
    assert first.returncode == second.returncode == 0, told
    assert told[0][0] == told[1][0] and "AE-XAD" in told[0][0] and "missing" not in told[0][0]
    trained = [line.partition("trained")[0].split("] ")[1]
               for line in [*lines, *told[0][1].splitlines(), *told[1][1].splitlines()]
               if "trained in" in line]
    assert len(trained) == len(set(trained)) == len(list(results.glob("fits/*/fit.json"))) == 4
    assert not list(results.rglob("claim-*"))


@pytest.fixture
def job(root, tmp_path):
    options = Options(tmp_path / "r", root, tmp_path / "cache", None, "cpu", 1, "ITA",
                      checkpoint_every=0.0)
    [(fit, group)] = by_fit(all_cells(Settings("smoke", None, ["data.size=32"]), ["ae_xad"],
                                      [("mvtec", "bottle")], "standard", [40])).items()
    return Job(fit, tuple(group), options, "1/1")


def test_an_owner_that_was_taken_over_writes_nothing(job, monkeypatch):
    folder, thief = Store(job.options.results).fit_dir(job.fit), []
    report = task.RunContext.report

    def suspended(self, epoch, loss):
        thief.append(claims.take(folder, expired=look(folder)))
        report(self, epoch, loss)

    monkeypatch.setattr(task.RunContext, "report", suspended)
    outcome = work.work(job)
    assert outcome.held and not outcome.failures and len(thief) == 1
    assert sorted(os.listdir(folder)) == ["claim-1", "claim-2"]
    thief[0].check()
    thief[0].release()


def test_nothing_is_written_when_the_fit_is_lost_after_its_training(job, monkeypatch):
    folder, thief = Store(job.options.results).fit_dir(job.fit), []
    train = task.train

    def slept(*args):
        info = train(*args)
        thief.append(claims.take(folder, expired=look(folder)))
        return info

    monkeypatch.setattr(task, "train", slept)
    assert work.work(job).held
    assert not {"fit.json", "model.safetensors"} & set(os.listdir(folder))
    thief[0].release()
    monkeypatch.setattr(task, "train", train)
    assert work.work(job) == Outcome(job)
    assert Store(job.options.results).cell_info(job.cells[0])


# -- a dask cluster of two worker processes --

class Cluster:
    """Started by hand, as docs/machines.md says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        file = folder / "scheduler.json"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0",
                                    "--no-dashboard", "--scheduler-file", str(file))
        self.address = json.loads(wait_for(lambda: file.exists() and file.read_text()))["address"]

    def start(self, *words: str) -> subprocess.Popen:
        with open(self.folder / f"{len(self.processes)}.log", "w") as log:
            process = subprocess.Popen([sys.executable, "-m", "dask", *words],
                                       cwd="/", stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def worker(self, threads: int = 1) -> subprocess.Popen:
        return self.start("worker", self.address, "--nthreads", str(threads), "--no-nanny",
                          "--memory-limit", "0", "--no-dashboard")

    def without_workers(self) -> None:
        for process in self.processes[1:]:
            process.terminate()
            process.wait(60)

    def run(self, root: Path, results: Path, *words: str) -> int:
        return run(root, results, "--engine", "dask", "--scheduler", self.address, *words)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        yield cluster
    finally:
        for process in cluster.processes:
            process.kill()
            process.wait()


def test_24_fits_on_dask_one_worker_killed_midway(root, tmp_path, cluster, capsys):
    words = (*TWO, "--seeds", "40,41,42,43,44,45")
    assert run(root, tmp_path / "one", *words) == 0
    workers = [cluster.worker(), cluster.worker()]
    killed = []
    killer = Killer(lambda: killed.append(kill_an_owner(
        tmp_path / "dask", "*", after=8, pids=tuple(w.pid for w in workers))))
    capsys.readouterr()
    assert cluster.run(root, tmp_path / "dask", *words) == 0
    killer.finished()
    assert same_results(tmp_path / "one", tmp_path / "dask") == 48
    assert len(list((tmp_path / "dask").glob("fits/*/fit.json"))) == 24
    [lost] = [w for w in workers if w.pid in killed]
    assert lost.wait(60) == -signal.SIGKILL
    err = capsys.readouterr().err
    told = re.findall(r"^\[(\d+)/24\] .*: done by tcp://", err, re.MULTILINE)
    [again] = re.findall(r"^\[(\d+)/24\] .*; it is done again$", err, re.MULTILINE)
    # each once; but the lost one never where its worker was killed after it had stored all cells
    assert sorted(told + [again] * (again not in told), key=int) == [str(n + 1) for n in range(24)]
    assert not list((tmp_path / "dask").rglob("claim-*"))
    emissions = [read_json(p)["emissions"] for p in (tmp_path / "dask").glob("fits/*/fit.json")]
    assert all(e["shared"] for e in emissions)


def test_ctrl_c_leaves_what_began_to_finish_and_begins_no_more(root, tmp_path, cluster, capsys,
                                                               monkeypatch):
    """One worker is left of the test before."""
    def interrupted(self, outcome):
        raise KeyboardInterrupt

    words = (*TWO, "--seeds", "40,41")
    with monkeypatch.context() as patch:
        patch.setattr(Schedule, "ended", interrupted)
        assert cluster.run(root, tmp_path / "r", *words) == 130
    assert "the same command continues" in capsys.readouterr().err
    begun = len(list((tmp_path / "r").glob("fits/*")))
    time.sleep(1)
    assert begun <= 2 and len(list((tmp_path / "r").glob("fits/*"))) == begun
    assert cluster.run(root, tmp_path / "r", *words) == 0


def test_bad_input_found_by_a_worker_ends_the_run(root, tmp_path, cluster, capsys, monkeypatch):
    monkeypatch.setattr("aexad.bench.run.preflight.check", lambda *args: {})
    [mask] = (root / "mvtec/bottle/ground_truth/dent").glob("000_mask.png")
    mask.write_bytes(b"no image")
    assert cluster.run(root, tmp_path / "r", *BOTTLE) == 2
    assert "error: " + str(mask) in capsys.readouterr().err.splitlines()[-1]


def test_a_worker_of_two_threads_is_refused(root, tmp_path, cluster, capsys):
    cluster.without_workers()
    cluster.worker(threads=2)
    assert cluster.run(root, tmp_path / "r", *BOTTLE) == 2
    line = refused(capsys)
    assert "no worker can be used; tcp://127.0.0.1:" in line and "--nthreads 1" in line


def test_a_scheduler_that_dies_or_is_not_there(root, tmp_path, cluster, capsys, monkeypatch):
    from aexad.bench.run.engines import dask_cluster

    monkeypatch.setattr(dask_cluster, "TIMEOUT", 2)
    cluster.without_workers()  # the run waits for one, until the scheduler is killed
    killer = Killer(lambda: (wait_for(lambda: list(tmp_path.glob("r/.runner-*"))),
                             cluster.scheduler.kill()))
    assert cluster.run(root, tmp_path / "r", *BOTTLE) == 2
    killer.finished()
    line = refused(capsys)
    assert "lost" in line and "nothing finished is lost" in line
    assert cluster.run(root, tmp_path / "r", *BOTTLE) == 2
    line = refused(capsys)
    assert line.startswith(f"error: --scheduler {cluster.address}: cannot be reached (")
    assert not list((tmp_path / "r").rglob(".runner-*"))

"""Which workers are used, and what happens to a job when its worker is lost; on a cluster of
functions, without processes."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from dataclasses import replace

import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.run import engines
from aexad.bench.run.engines import Choice, probe
from aexad.bench.run.engines.work import work
from aexad.bench.run.engines.workers import Workers
from aexad.bench.run.job import Job, Options, Outcome

from conftest import REPOSITORY


class Gone(Exception):
    pass


class Fake:
    """A cluster whose calls end when the test says so; probes at once."""

    lost, why_lost = (Gone,), "the worker is gone"

    def __init__(self, *there: str) -> None:
        self.there: dict[str, str | None] = dict.fromkeys(there)
        self.unfit: dict[str, object] = {}
        self.calls: dict[str, Future] = {}
        self.forgotten: list[str] = []
        self.closed = False

    def workers(self):
        return dict(self.there)

    def submit(self, worker, function, *args):
        future = Future()
        if function is probe.objection:
            found = self.unfit.get(worker, function(*args))
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)
        else:
            assert function is work
            self.calls[worker] = future
        return future

    def forget(self, worker):
        self.forgotten.append(worker)

    def close(self):
        self.closed = True


@pytest.fixture
def options(tmp_path):
    return Options(tmp_path, tmp_path, tmp_path, None, "cpu", 1, "ITA")


@pytest.fixture
def jobs(options):
    cells = all_cells(Settings("smoke"), ["ae_xad"], [("mvtec", "bottle")], "standard", range(3))
    return [Job(cell.fit, (cell,), options, f"{i}/3") for i, cell in enumerate(cells, 1)]


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(options, said):
    made = []

    def workers(*there):
        made.append(Workers(Fake(*there), options, said.append))
        return made[-1], made[-1].cluster

    yield workers
    for one in made:
        one.close()


def test_a_job_each_for_workers_that_were_probed(make, jobs):
    pool, cluster = make("a", "b")
    assert not pool.free()
    pool.wait(0)
    pool.submit(jobs[0])
    pool.submit(jobs[1])
    assert not pool.free() and pool.busy() == 2 and pool.wait(0) == []
    cluster.calls["b"].set_result(Outcome(jobs[1], ("oh",)))
    assert pool.wait(0) == [Outcome(jobs[1], ("oh",), worker="b")]
    assert pool.free() and pool.busy() == 1


def test_a_lost_worker_loses_its_job_and_no_other(make, jobs):
    pool, cluster = make("a", "b", "c")
    pool.wait(0)
    for job in jobs:
        pool.submit(job)
    cluster.calls["a"].set_exception(Gone())
    [lost] = pool.wait(0)
    assert lost == Outcome(jobs[0], lost="a: the worker is gone")
    del cluster.there["b"]  # one that vanishes, without a word
    [lost] = pool.wait(0)
    assert lost == Outcome(jobs[1], lost="b: the worker is gone") and cluster.calls["b"].cancelled()
    assert cluster.forgotten == ["a", "b"] and pool.busy() == 1
    pool.wait(0)
    assert pool.free()  # 'a' is there again, and was probed again


def test_an_error_of_the_machinery_is_not_hidden(make, jobs):
    pool, cluster = make("a")
    pool.wait(0)
    pool.submit(jobs[0])
    cluster.calls["a"].set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        pool.wait(0)


def test_unfit_workers_are_named_and_left_out(make, said, jobs):
    pool, cluster = make("a", "b", "c")
    cluster.unfit = {"a": "other code", "b": ModuleNotFoundError("No module named 'aexad'")}
    pool.wait(0)
    assert said == [
        "worker a refused: other code",
        f"worker b refused: can't run this code (No module named 'aexad'); start scheduler and "
        f"workers from {sys.prefix}, the runner's environment"]
    pool.submit(jobs[0])
    assert not pool.free() and "c" in cluster.calls
    cluster.there["d"] = "2 threads"  # joins later
    cluster.there["e"] = None
    pool.wait(0)
    assert pool.free() and said[-1] == "worker d refused: 2 threads" and len(said) == 3


def test_where_no_worker_is_fit_the_run_ends(make):
    pool, cluster = make("a")
    cluster.unfit["a"] = "other code"
    pool.wait(0)
    with pytest.raises(UserError, match="no worker can be used; a: other code"):
        pool.wait(0)


def test_where_no_worker_is_there_it_waits_for_one(make, said):
    pool, cluster = make()
    for _ in range(3):
        assert pool.wait(0) == []
    assert said == ["no worker there; waiting for one to join, see docs/machines.md"]
    cluster.there["a"] = None
    pool.wait(0)
    assert pool.free()


def test_a_worker_that_dies_of_every_probe_is_refused(make, said):
    pool, cluster = make("a")
    cluster.unfit["a"] = Gone()
    for _ in range(3):
        pool.wait(0)
    assert said == ["worker a refused: the worker is gone"]


def test_nothing_is_left_when_it_closes(options, tmp_path, said, jobs):
    pool = Workers(Fake("a"), options, said.append)
    pool.wait(0)
    assert len(list(tmp_path.glob(".runner-*"))) == 1
    pool.submit(jobs[0])
    pool.close()
    assert pool.cluster.closed and pool.cluster.calls["a"].cancelled()
    assert not list(tmp_path.glob(".runner-*"))


def test_what_makes_a_worker_unfit(options, tmp_path):
    (tmp_path / "weights").mkdir()
    options = replace(options, weights=tmp_path / "weights")
    with probe.surroundings(options) as mine:
        assert probe.objection(mine, options) is None
        for change, why in [
                ({"code": "x", "commit": "abc"}, "the runner's is at abc; start the worker anew"),
                ({"libraries": mine.libraries | {"torch": "1.0"}}, "the runner has 1.0; start"),
                ({"libraries": mine.libraries | {"mine (x:Y)": "1"}}, "mine (x:Y) absent, the"),
                ({"mark": tmp_path / "other" / ".m"}, f"see the runner's store {tmp_path}/other"),
                ({"folders": (tmp_path / "data",)}, f"does not see {tmp_path}/data")]:
            assert why in probe.objection(replace(mine, **change), options)
        assert mine.folders == (tmp_path, tmp_path / "weights")
    assert "does not see the runner's store" in probe.objection(mine, options)


def test_the_digest_of_the_code_changes_with_any_file(tmp_path):
    packages = {"aexad": tmp_path, "aexad.bench": tmp_path / "bench", "aexad.m": tmp_path / "m"}
    seen = set()
    for path, text in [("bench/a.py", "1"), ("bench/a.py", "2"), ("m/x/b.py", "2"),
                       ("bench/t.json", "{}"), ("bench/b.py", ""), ("a.py", "")]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        seen.add(probe.digest_of(packages))
    assert len(seen) == 6
    (tmp_path / "bench/a.pyc").write_text("no source")
    assert probe.digest_of(packages) in seen


def test_the_digest_is_the_same_wherever_a_package_lies(tmp_path):
    for path in ("one/aexad/bench/a.py", "two/aexad/b.py", "two/bench/a.py", "one/aexad/b.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("1")
    one, two = tmp_path / "one", tmp_path / "two"
    assert (probe.digest_of({"aexad": one / "aexad", "aexad.bench": one / "aexad" / "bench"})
            == probe.digest_of({"aexad": two / "aexad", "aexad.bench": two / "bench"}))


def test_all_of_our_code_is_in_the_digest(monkeypatch):
    asked = {}
    monkeypatch.setattr(probe, "digest_of", asked.update)
    probe.code.__wrapped__()
    assert all((REPOSITORY / name.removeprefix("aexad.")).samefile(folder)
               for name, folder in asked.items())
    assert asked.keys() == {"aexad", "aexad.bench", "aexad.methods", "aexad.datasets"}


@pytest.mark.parametrize("words, message", [
    (("dask", None, None, None), "--engine dask: say which cluster with --scheduler"),
    (("ray", None, None, None), "--engine ray: say which cluster with --address"),
    ((None, None, "tcp://x:1", None), "--scheduler tcp://x:1: belongs to --engine dask"),
    (("dask", None, "tcp://x:1", "y"), "--address y: belongs to --engine ray"),
    (("dask", 3, "tcp://x:1", None), "--jobs 3: with --engine dask"),
])
def test_options_that_do_not_fit_together(words, message):
    with pytest.raises(UserError, match=message):
        engines.chosen(*words)


def test_choices():
    assert engines.chosen(None, None, None, None) == engines.HERE
    assert not engines.HERE.side_by_side and not engines.HERE.remote
    several = engines.chosen("loky", 3, None, None)
    assert several == Choice("loky", 3) and several.side_by_side and not several.remote
    far = engines.chosen("ray", None, None, "auto")
    assert far == Choice("ray", None, "auto") and far.remote and far.side_by_side
    with pytest.raises(UserError, match="--device cuda:1: ray gives each fit a GPU itself"):
        engines.check_device(far, "cuda:1")

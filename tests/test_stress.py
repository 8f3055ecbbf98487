"""A share of `stress`: kills, faults and hostile inputs, always the same ones; and that it would
notice."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.stress import faults, fuzz, targets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with targets.workplace() as folder:
        yield Path(folder)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def field(tmp_path_factory, place):
    folder = tmp_path_factory.mktemp("field")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEXAD_CACHE", str(folder / "cache"))
        field = faults.Field(folder, 7, cli.main)
        assert field.first.code == 0, field.first.said()
        yield field


@pytest.mark.slow
def test_every_input_is_accepted_or_refused_in_one_clear_line(place, tmp_path):
    for target in targets.all_targets(place):
        count = fuzz.Count(target.name)
        fixed = len(target.good) + len(target.cases)
        fuzz.run(target, 7, range(fixed + round(120 * target.share)), tmp_path, count, place)
        assert count.failures == []
        assert count.accepted >= len(target.good) and count.refused
        assert count.peak < 1500  # MB


@pytest.mark.slow
@pytest.mark.parametrize("name, rounds", [("SIGKILL", 2), ("disk full", 1), ("clock jumping", 1),
                                          ("read-only results", 1), ("NaN loss", 1),
                                          ("out of memory", 1)])
def test_nothing_is_lost(field, name, rounds):
    outcome = faults.Outcome(name)
    for number in range(rounds):
        faults.one_round(field, name, number, outcome)
    assert outcome.lost == [] and outcome.rounds == rounds
    assert outcome.kills or name != "SIGKILL"


# -- it would notice --


def target(read):
    return targets.Target("test", [b"good", b"also"], [b""], read)


@pytest.mark.parametrize("read, said", [
    (lambda content: 1 / 0, "ZeroDivisionError"),
    (lambda content: (_ for _ in ()).throw(UserError("short")), "no clear message"),
    (lambda content: bytearray(8 << 30), "MemoryError"),
    (lambda content: sys.stderr.write("a warning with\x1b[2J\n"), "no clear message"),
    (lambda content: (_ for _ in ()).throw(SystemExit(3)), "ended with status"),
], ids=["exception", "unclear", "memory", "control characters", "exit"])
def test_a_bad_end_is_a_failure(tmp_path, read, said):
    count = fuzz.Count("test")
    fuzz.run(target(read), 1, range(3), tmp_path, count, tmp_path)
    assert count.inputs == 3 and len(count.failures) == 3
    for path, why in count.failures:
        assert said in why and Path(path).exists()


def test_code_that_was_run_and_inputs_without_end_are_failures(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "HANGS", 0.5)
    for read, said in ((lambda content: (tmp_path / targets.TRACE).touch(), "code of the file"),
                       (lambda content: [None for _ in iter(int, 1)], "no end after")):
        count = fuzz.Count("test")
        fuzz.run(target(read), 1, range(1), tmp_path, count, tmp_path)
        assert [said in why for _, why in count.failures] == [True]


def test_inputs_are_named_by_seed_and_number(place):
    for one in targets.all_targets(place):
        first = [fuzz.input_of(one, 3, i) for i in range(60)]
        assert first == [fuzz.input_of(one, 3, i) for i in range(60)]
        assert first[:len(one.good)] == list(one.good)[:60]


def test_what_differs_from_the_whole_run_is_lost(field, tmp_path):
    results = tmp_path / "r"
    faults.shutil.copytree(field.whole, results)
    assert field.differences(results) == []
    [model, *_] = results.rglob("model.safetensors")
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    (results / "fits" / ".x.tmp").touch()
    next(results.rglob("cell.json")).unlink()
    lost = field.differences(results)
    assert len(lost) == 3 and "left behind" in lost[-1]


def test_a_finished_file_that_is_written_again_is_lost(field, tmp_path):
    results = tmp_path / "r"
    faults.shutil.copytree(field.whole, results)
    before = faults.finished(results)
    assert len(before) == 6 and faults._changed(before) == []
    path = random.Random(1).choice(list(before))
    path.write_bytes(path.read_bytes() + b" ")
    assert len(faults._changed(before)) == 1


def test_the_command_counts_and_repeats(tmp_path, capsys, monkeypatch):
    assert cli.main(["stress", "--only", "model.json,--set", "--inputs", "200"]) == 0
    out = capsys.readouterr().out
    assert "model.json" in out and "anything else" in out and "SIGKILL" not in out
    (tmp_path / "m").write_bytes(b"{}")
    again = ["stress", "--only", "model.json", "--input", str(tmp_path / "m")]
    assert cli.main(again) == 0 and capsys.readouterr().out == "refused\n"
    assert cli.main(["stress", "--only", "nothing"]) == 2
    from aexad.bench.results import model
    monkeypatch.setattr(model, "read", lambda folder: 1 / 0)
    assert cli.main([*again[:3], "--inputs", "20", "--keep", str(tmp_path / "kept")]) == 1
    captured = capsys.readouterr()
    assert "failed: model.json: ZeroDivisionError" in captured.err
    assert "--input" in captured.err and list((tmp_path / "kept").iterdir())

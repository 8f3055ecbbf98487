"""A share of `stress`: kills, faults and hostile inputs, always the same ones; and that it would
notice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.results.store import write_json
from aexad.bench.stress import faults, fuzz, scale, surroundings, targets
from aexad.bench.stress.calls import Call, undisturbed
from aexad.bench.stress.field import Field, Outcome, Untried, changed, finished

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
        field = Field(folder, 7, cli.main)
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
    outcome = Outcome(name)
    for number in range(rounds):
        faults.one_round(field, name, number, outcome)
    assert outcome.lost == [] and outcome.rounds == rounds
    assert outcome.kills or name != "SIGKILL"


@pytest.mark.slow
@pytest.mark.parametrize("name", surroundings.KINDS)
def test_commands_in_odd_surroundings_end_as_they_should(field, name, tmp_path):
    """The first of each kind; `stress --only` tries them all."""
    calls = surroundings.KINDS[name](undisturbed(field), random.Random(1), tmp_path)
    try:
        wrong = [call.run(field) for call in islice(calls, 2)]
    except Untried as reason:
        pytest.skip(f"{name.upper()} NOT TESTED: {reason}")
    finally:
        calls.close()  # gives back what it had taken away
    assert wrong == [[], []]


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


def refusing(*lines: str, status: int = 2):
    def main(words):
        print(*lines, sep="\n", file=sys.stderr)
        return status
    return main


@pytest.mark.parametrize("main, wrong", [
    (refusing("error: a: no permission"), None),
    (refusing("error: a: no permission", "error: b: no permission"), "more than one line"),
    (refusing("error: a: damaged"), "it says error: a: damaged"),
    (refusing("no permission", status=0), "status 0, not 2"),
    (refusing("Traceback (most recent call last):", "error: no permission"), "it says Traceback"),
    (lambda words: 1 / 0, "status 70, not 2"),
    (lambda words: os.kill(os.getpid(), signal.SIGKILL), "status -9, not 2")])
def test_a_refusal_that_is_none_is_lost(tmp_path, main, wrong):
    place = SimpleNamespace(folder=tmp_path, main=main)
    found = Call("a folder", ["x"], status=2, says="no permission").run(place)
    assert [wrong in what and what.startswith("a folder: ") for what in found] == (
        [True] if wrong else [])


def test_what_is_not_written_as_elsewhere_is_lost(field, tmp_path):
    plain = undisturbed(field)
    for command in (plain.run, plain.fit, plain.explain):
        _, check = command(tmp_path / command.__name__)
        for part in ("tables", "figures", "overlays", "model", "explained"):
            shutil.copytree(plain.place / part, tmp_path / command.__name__ / part,
                            dirs_exist_ok=True)
        assert check() == []
        for path in (tmp_path / command.__name__).rglob("*.*"):
            if path.suffix in (".png", ".npy", ".csv", ".safetensors", ".md"):
                path.write_bytes(path.read_bytes() + b" ")
        wrong = check()
        assert wrong and all(what.endswith(" is not as elsewhere") for what in wrong)


@pytest.mark.parametrize("change", [{"grams": 1e-3}, {"kwh": 1.0, "grams": 1.0}, {"mode": "tdp"},
                                    {"country": "FRA"}])
def test_a_reading_of_another_kind_is_lost(tmp_path, change):
    reading = {"kwh": 1e-6, "grams": 3e-4, "seconds": 0.2, "mode": "constant", "country": "ITA"}
    for name, more in (("whole", {}), ("same", {}), ("other", change)):
        write_json(tmp_path / name / "fits/a/fit.json", {"emissions": reading | more})
    assert surroundings._other_power(tmp_path / "same", tmp_path / "whole") == []
    assert len(surroundings._other_power(tmp_path / "other", tmp_path / "whole")) == 1


def test_a_fault_that_can_not_be_made_is_said_and_no_kill_is_waited_for(monkeypatch, capsys):
    def untried(field, rng, results):
        raise Untried("this user is refused nothing")

    monkeypatch.setitem(faults.FAULTS, "home", lambda field, rng, results: (0, ["a table"]))
    monkeypatch.setitem(faults.FAULTS, "no permission", untried)
    assert cli.main(["stress", "--only", "home,no permission", "--kills", "3"]) == 1
    said = capsys.readouterr()
    assert "note: not tried: no permission: this user is refused nothing" in said.err
    assert "lost: home, seed 1, round 0: a table" in said.err
    assert "round 1: 0 kills" in said.err and "round 2" not in said.err


def test_a_campaign_whose_empty_folder_was_tidied_up_ends_as_it_should(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fuzz, "run", lambda target, seed, numbers, keep, count, place: (
        shutil.rmtree(keep, ignore_errors=True), setattr(count, "refused", numbers.stop)))
    assert cli.main(["stress", "--only", "model.json", "--inputs", "20"]) == 0


def test_inputs_are_named_by_seed_and_number(place):
    for one in targets.all_targets(place):
        first = [fuzz.input_of(one, 3, i) for i in range(60)]
        assert first == [fuzz.input_of(one, 3, i) for i in range(60)]
        assert first[:len(one.good)] == list(one.good)[:60]


def test_what_differs_from_the_whole_run_is_lost(field, tmp_path):
    results = tmp_path / "r"
    shutil.copytree(field.whole, results)
    assert field.differences(results) == []
    [model, *_] = results.rglob("model.safetensors")
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    (results / "fits" / ".x.tmp").touch()
    next(results.rglob("cell.json")).unlink()
    lost = field.differences(results)
    assert len(lost) == 3 and "left behind" in lost[-1]


def test_a_finished_file_that_is_written_again_is_lost(field, tmp_path):
    results = tmp_path / "r"
    shutil.copytree(field.whole, results)
    before = finished(results)
    assert len(before) == 6 and changed(before) == []
    path = random.Random(1).choice(list(before))
    path.write_bytes(path.read_bytes() + b" ")
    assert len(changed(before)) == 1


def test_the_command_counts_and_repeats(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.main(["stress", "--only", "model.json,--set", "--inputs", "200"]) == 0
    out = capsys.readouterr().out
    assert "model.json" in out and "anything else" in out and "SIGKILL" not in out
    (tmp_path / "m").write_bytes(b"{}")
    again = ["stress", "--only", "model.json", "--input", str(tmp_path / "m")]
    assert cli.main(again) == 0 and capsys.readouterr().out == "refused\n"
    assert cli.main(["stress", "--only", "nothing"]) == 2
    assert not list(tmp_path.glob("stress-kept-*"))
    from aexad.bench.results import model
    monkeypatch.setattr(model, "read", lambda folder: 1 / 0)
    assert cli.main([*again[:3], "--inputs", "20", "--keep", str(tmp_path / "kept")]) == 1
    captured = capsys.readouterr()
    assert "failed: model.json: ZeroDivisionError" in captured.err
    assert "--input" in captured.err and list((tmp_path / "kept").iterdir())


def test_sizes_of_the_scale_run_are_read(capsys):
    assert scale.sizes("1000x224,50000x64") == [(1000, 224), (50000, 64)]
    for wrong in ("1000", "x", "99x64", "1000x65", "1000x24", "1000x64,"):
        assert cli.main(["stress", "--scale", wrong]) == 2
        assert f"--scale {wrong}: expected IMAGESxPIXELS" in capsys.readouterr().err
    assert cli.main(["stress", "--scale", "--only", "padim"]) == 2
    assert "--only padim" in capsys.readouterr().err


@pytest.mark.slow
def test_the_scale_run_measures_what_its_table_names(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scale, "RESULTS", tmp_path)
    monkeypatch.setattr(mapped, "LARGE", 0)
    monkeypatch.setattr(scale, "STEPS", 3)
    for name in scale.METHODS:
        found = scale.measure(name, 100, 32, tmp_path)
        assert len(found) == len(scale.COLUMNS) - 3 and min(found.values()) > 0
        assert found["disk"] == (3 + 1 + 4) * 100 * 32 * 32 / 1e9  # images, masks, maps
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(scale, "rows", lambda names, asked: [
        [name, *size, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0] for size in asked for name in names])
    assert cli.main(["stress", "--scale", "100x32", "--only", "bgad"]) == 0
    out = capsys.readouterr().out
    assert "bgad" in out and "100" in out and "fcdd" not in out and "peak memory, GiB" in out

"""What `benchmark --startup` says of imports, and when it fails."""

from __future__ import annotations

from aexad.bench.speed import startup

REPORT = """import time: self [us] | cumulative | imported package
import time:     10000 |      10000 |       numpy.core
import time:      5000 |      15000 |     numpy
import time:    200000 |     215000 |   torch
note: something else
import time:       300 |        300 | aexad.bench
"""


def test_the_time_of_an_import_is_that_of_its_packages_own_modules():
    assert startup.imports(REPORT) == [("torch", 0.2), ("numpy", 0.015), ("aexad", 0.0003)]


def test_a_command_that_is_too_slow_is_named_with_its_dearest_import(monkeypatch, capsys):
    times = {"--help": 0.1, "status": 1.5}
    monkeypatch.setattr(startup, "COMMANDS", {("--help",): 0.3, ("status",): 1.0})
    monkeypatch.setattr(startup, "_call", lambda words, place, imports=False: (
        times.get(words[0], 9.0), REPORT if imports else ""))
    assert startup.main() == 1
    shown = capsys.readouterr()
    assert [line.split()[:3] for line in shown.out.splitlines()[2:]] == [
        ["--help", "0.10", "0.3"], ["status", "1.50", "1.0"]]
    assert "failed: status: 1.50 s, 1.0 are enough; its dearest import is torch, 0.20 s" in (
        shown.err)
    times["status"] = 0.9
    assert startup.main() == 0

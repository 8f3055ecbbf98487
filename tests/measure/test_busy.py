"""How much of a machine's busy time was others'."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from aexad.bench.measure import busy, energy
from aexad.bench.measure.busy import Times, others, share
from aexad.bench.measure.energy import Meter

TICKS = os.cpu_count() / os.sysconf("SC_CLK_TCK")
SPIN = "import sys\nprint(flush=True)\nwhile True: pass"


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests see a machine that does nothing else."""
    monkeypatch.setattr(busy, "others", others)


@pytest.mark.parametrize("machine, own, left, part", [
    (10.0, 10.0, 0.0, 0.0), (10.0, 4.0, 6.0, 0.6), (10.0, 0.0, 10.0, 1.0),
    (5.0, 5.5, 0.0, 0.0),  # the clocks do not quite agree
    (0.0, 0.0, 0.0, 0.0), (TICKS, 0.0, 0.0, 0.0)])
def test_what_is_not_ours_is_others(machine, own, left, part):
    after = Times(100 + machine, 7 + own)
    assert others(Times(100, 7), after) == pytest.approx(max(left - TICKS, 0))
    assert share(Times(100, 7), after) == pytest.approx(part, abs=1.01 * TICKS / max(machine, 1))


def spend(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_our_own_work_is_ours_also_a_childs():
    before = Times.now()
    spend(0.3)
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    after = Times.now()
    assert after.own - before.own >= 0.6 - 2 / os.sysconf("SC_CLK_TCK")  # of either process
    assert after.machine - before.machine >= 0.3  # some systems count by looking at each tick


def test_a_program_beside_it_marks_a_reading():
    beside = subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
    try:
        beside.stdout.readline()
        with Meter("ITA") as meter:
            before = Times.now()
            while Times.now().machine - before.machine < 1:  # until it has had its turn
                time.sleep(0.1)
        reading = meter.reading()
        assert reading.shared and busy.MOST < reading.others <= 1
        assert busy.by_others(0.5) > 0
    finally:
        beside.kill()
        beside.communicate()


@pytest.mark.parametrize("part, shared", [(0.0, False), (0.09, False), (0.11, True), (1.0, True)])
def test_a_tenth_is_the_most(monkeypatch, part, shared):
    monkeypatch.setattr(energy.busy, "share", lambda before, after: part)
    with Meter("ITA") as meter:
        pass
    assert (meter.reading().others, meter.reading().shared) == (part, shared)


@pytest.mark.parametrize("known, expected", [({}, 0.0), ({"others": None}, 0.0),
                                             ({"others": 0.08}, 0.08)])
def test_an_earlier_part_counts_by_its_seconds(monkeypatch, known, expected):
    monkeypatch.setattr(energy.busy, "share", lambda before, after: 0.0)
    before = {"kwh": 1.0, "grams": 1.0, "seconds": 1e6, "problem": None, "shared": False, **known}
    with Meter("ITA", before=before) as meter:
        pass
    assert meter.reading().others == pytest.approx(expected, rel=1e-3)

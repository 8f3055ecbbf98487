"""What a person sees while a fit runs."""

from __future__ import annotations

import io

import pytest

from aexad.bench.base import progress
from aexad.bench.base.progress import Progress, duration


@pytest.mark.parametrize("seconds, text", [(0, "0 s"), (89, "89 s"), (100, "2 min"),
                                           (5340, "89 min"), (5400, "1 h 30 min"),
                                           (7500, "2 h 05 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def epochs(moving: bool, monkeypatch) -> str:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    shown = Progress("[2/5] mvtec/bottle ae_xad", stream, moving)
    for done in range(1, 5):
        shown.epoch(done, 4, 100.0 / done)
    shown.say("trained")
    return stream.getvalue()


def test_plain_lines_are_few_and_tell_everything(monkeypatch):
    lines = epochs(False, monkeypatch).splitlines()
    label = "[2/5] mvtec/bottle ae_xad: "
    assert lines == [label + "epoch 1/4, loss 100", label + "epoch 3/4, loss 33.33, 10 s left",
                     label + "epoch 4/4, loss 25, 0 s left", label + "trained"]


def test_where_nobody_says_how_many_epochs_there_are_none_are_shown():
    stream = io.StringIO()
    shown = Progress("x", stream, moving=True)
    for done in (1, 2):
        shown.epoch(done, 0, 3.0)
    assert stream.getvalue() == "\rx: epoch 1, loss 3\rx: epoch 2, loss 3"


def test_on_a_terminal_one_line_moves(monkeypatch):
    text = epochs(True, monkeypatch)
    assert text.count("\n") == 1 and text.count("\r") == 6  # 4 epochs, then cleared
    assert text.endswith("[2/5] mvtec/bottle ae_xad: trained\n")

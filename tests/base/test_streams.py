"""Streams that take everything."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from aexad.bench.base import streams


class Refusing(io.StringIO):
    """One whose file refuses, with this number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("encoding, shown", [("ascii", "g CO?, ??, ?"), ("latin-1", "g CO?, ±?, ?"),
                                             ("utf-8", "g CO₂, ±Δ, ?")])
def test_what_an_encoding_lacks_is_replaced(encoding, shown):
    under = io.BytesIO()
    stream = streams.Stream(io.TextIOWrapper(under, encoding))
    print("g CO₂, ±Δ, \udce9", end="", file=stream, flush=True)
    assert under.getvalue().decode(encoding) == shown and stream.failed is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EAGAIN])
def test_what_is_refused_is_dropped_and_remembered(number):
    stream = streams.Stream(Refusing(number))
    print("a table", file=stream, flush=True)
    assert streams.lost(stream) == os.strerror(number)


def test_a_reader_who_has_gone_has_lost_nothing():
    stream = streams.Stream(Refusing(errno.EPIPE))
    print("a table", file=stream)
    assert stream.failed is not None and streams.lost(stream) is None


def test_streams_are_what_they_were_behind_it(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with streams.guarded() as inside:
        print("seen")
        assert sys.stdout is inside["stdout"] and sys.stdout.getvalue() == "seen\n"
    assert sys.stdout is out


def test_a_closed_stream_is_one_to_nowhere(monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", None)
    with streams.guarded():
        print("nobody sees it", file=sys.stderr)
        assert not sys.stderr.isatty()
    assert capfd.readouterr() == ("", "")

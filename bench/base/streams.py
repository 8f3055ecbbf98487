"""What is printed, and what can't be: nothing computed is lost because a terminal does not know a
character, a disk behind `>` is full, or whoever listened has gone."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TextIO

NAMES = ("stdout", "stderr")


class Stream:
    """A text stream that takes everything: characters its encoding lacks become `?`, and what the
    system refuses is dropped. `failed`: the first error of that kind, or None."""

    def __init__(self, under: TextIO) -> None:
        self.under = under
        self.failed: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)

    def write(self, text: str) -> int:
        try:
            self._write(text)
        except OSError as error:
            self.failed = self.failed or error
        return len(text)

    def flush(self) -> None:
        try:
            self.under.flush()
        except OSError as error:
            self.failed = self.failed or error

    def _write(self, text: str) -> None:
        try:
            self.under.write(text)
        except UnicodeEncodeError:
            encoding = self.under.encoding
            self.under.write(text.encode(encoding, "replace").decode(encoding))

    def give_up(self) -> None:
        """Let go of what could not be written, which the interpreter would try once more at its
        end, with a traceback."""
        with suppress(OSError):  # one without a file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.under.fileno())
            os.close(nowhere)
        self.flush()


@contextmanager
def guarded() -> Iterator[dict[str, Stream]]:
    """sys.stdout and sys.stderr are Streams inside."""
    if sys.stdin is None:
        sys.stdin = _nowhere("r")
    before = {name: getattr(sys, name) for name in NAMES}
    streams = {name: Stream(before[name] or _nowhere("w")) for name in NAMES}
    for name, stream in streams.items():
        setattr(sys, name, stream)
    try:
        yield streams
    finally:
        for name, stream in streams.items():
            stream.flush()
            if stream.failed:
                stream.give_up()
            setattr(sys, name, before[name] or stream)


def _nowhere(mode: Literal["r", "w"]) -> TextIO:
    """In place of a closed stream (`>&-`), whose number the next file would get that is opened here
    or in a worker's process, and with it what is printed."""
    file = open(os.devnull, mode, encoding="utf-8")
    os.set_inheritable(file.fileno(), True)
    return file


def lost(stream: Stream) -> str | None:
    """Why a part of what was printed there has been dropped; None where none has, or where nobody
    wanted more of it (`| head`)."""
    stream.flush()
    if stream.failed is None or stream.failed.errno == errno.EPIPE:
        return None
    return stream.failed.strerror or str(stream.failed)

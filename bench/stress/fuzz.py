"""Inputs by the thousand through the readers, each in a child process that may die of it."""

from __future__ import annotations

import contextlib
import io
import math
import mmap
import os
import random
import resource
import signal
import struct
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.bench.stress.targets import TRACE, Target

HANGS = 30.0  # seconds after which an input counts as one that never ends
MEMORY = 2 << 30  # bytes that an input may ask for: an image of LARGEST pixels needs half of that
LONGEST = 2500  # characters of a message: a file's name, and what is wrong with it
CHUNK = 2000  # inputs of a child
_FIELDS = struct.Struct("<qqqqq")  # index, accepted, refused, failures, peak memory in kB


@dataclass
class Count:
    """What became of a target's inputs. failures: where an input is kept, and what happened."""

    name: str
    accepted: int = 0
    refused: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    peak: float = 0.0  # MB of memory more than before the first input

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + len(self.failures)


def input_of(target: Target, seed: int, index: int) -> bytes:
    """The input of this number: the good ones and the special cases first."""
    fixed = [*target.good, *target.cases]
    if index < len(fixed):
        return fixed[index]
    return target.mutated(random.Random(f"{seed} {target.name} {index}"), target.good)


def run(target: Target, seed: int, numbers: range, keep: Path, count: Count, place: Path
        ) -> None:
    """Take the inputs of these numbers through the target, adding to `count`. What it fails on is
    kept in the folder `keep`; `place`: where its files are."""
    began, start = time.monotonic(), numbers.start
    while start < numbers.stop:
        stop = min(start + CHUNK, numbers.stop)
        start = _child(target, seed, range(start, stop), keep, count, place / TRACE)
    count.seconds += time.monotonic() - began


def _child(target: Target, seed: int, numbers: range, keep: Path, count: Count, trace: Path
           ) -> int:
    """One child's share; returns the first number that it has not done."""
    shared = mmap.mmap(-1, _FIELDS.size)
    shared[:] = _FIELDS.pack(numbers.start, 0, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            _take(target, seed, numbers, keep, shared, trace)
            os._exit(0)
        finally:
            os._exit(70)
    end = _wait(pid, shared)
    index, accepted, refused, failed, peak = _FIELDS.unpack(shared[:])
    count.accepted, count.refused = count.accepted + accepted, count.refused + refused
    count.peak = max(count.peak, peak / 1024)
    for path in sorted(keep.glob(f"{_stem(target)}-{seed}-*.txt"))[-failed:] if failed else ():
        count.failures.append((str(path)[:-4], path.read_text().splitlines()[0]))
    if end is None:
        return numbers.stop
    kept = _keep(target, seed, index, input_of(target, seed, index), end, keep)
    count.failures.append((kept, end))
    return index + 1


def _wait(pid: int, shared: mmap.mmap) -> str | None:
    """Wait for a child; None where it ended as it should, else how it ended."""
    seen, since = None, time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code == 0 else f"the process ended with status {code}"
        now = shared[:8]
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > HANGS:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"no end after {HANGS:.0f} s"
        time.sleep(0.02)


def _take(target: Target, seed: int, numbers: range, keep: Path, shared: mmap.mmap, trace: Path
          ) -> None:
    """In the child: one input after the other."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1), os.dup2(silent, 2)
    before, accepted, refused, failed = _memory(), 0, 0, 0
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    for index in numbers:
        shared[:] = _FIELDS.pack(index, accepted, refused, failed, _memory() - before)
        content = input_of(target, seed, index)
        happened = outcome(target, content)
        if trace.exists():
            trace.unlink()
            happened = "code of the file was run"
        accepted, refused = accepted + (happened == "accepted"), refused + (happened == "refused")
        if happened not in ("accepted", "refused"):
            failed += 1
            _keep(target, seed, index, content, happened, keep)
    shared[:] = _FIELDS.pack(numbers.stop, accepted, refused, failed, _memory() - before)


def outcome(target: Target, content: bytes) -> str:
    """'accepted', 'refused', or what went wrong."""
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            target.read(content)
        lines = said.getvalue().splitlines()
        happened = "accepted"
    except UserError as error:
        lines, happened = [str(error)], "refused"
    except Exception:  # noqa: BLE001  whatever it is: this is what is looked for
        return traceback.format_exc().strip().splitlines()[-1] + "\n" + traceback.format_exc()
    for line in lines:
        if not line.isprintable() or not 10 < len(line) < LONGEST:
            return f"no clear message: {ascii(line)[:300]}"
    return happened


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _stem(target: Target) -> str:
    return target.name.replace(" ", "-").strip("-")


def _keep(target: Target, seed: int, index: int, content: bytes, why: str, keep: Path) -> str:
    path = keep / f"{_stem(target)}-{seed}-{index:07d}"
    path.write_bytes(content)
    Path(f"{path}.txt").write_text(why, "utf-8", "backslashreplace")
    return str(path)


def shares(targets: list[Target], inputs: int) -> Iterator[tuple[Target, int]]:
    """How many of `inputs` each target gets, all of its fixed ones at least."""
    total = sum(t.share for t in targets)
    for target in targets:
        fixed = len(target.good) + len(target.cases)
        yield target, max(fixed, math.ceil(inputs * target.share / total))

"""Who works on a fit: a claim in the fit's folder, so that runners that share a store never train
the same fit twice.

A claim is a file `claim-<n>`; the highest number has the fit. It is made whole and exclusively (a
hard link to a finished file). Its owner counts up in it every few seconds. Another may take the fit
over, with `claim-<n+1>`, when the owner is provably dead (same machine, no such process), or when
the count has stood still for a whole lease on the other's own monotonic clock: no wall clock is
ever compared. Of several who take over one succeeds, as all try to make the same file. An owner
that was suspended finds its claim gone or overtaken, and stops without writing.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from aexad.bench.base.files import alive, neighbour
from aexad.bench.results.store import writing

RENEWED = 10.0  # seconds between two counts of an owner
LEASE = 120.0   # seconds without a count after which its claim may be taken over
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class Seen:
    """A claim as it was read: its number and its text, which changes with every count."""

    number: int
    text: str

    @property
    def owner(self) -> dict:
        """Who made it: host, machine, pid, started, id. Empty when the text is damaged."""
        try:
            content = json.loads(self.text.partition("\n")[0])
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def dead(self) -> bool:
        """Whether its owner provably isn't there any more."""
        owner = self.owner
        return (owner.get("machine") == machine() and isinstance(owner.get("pid"), int)
                and not _same(owner["pid"], owner.get("started")))

    def __str__(self) -> str:
        return f"process {self.owner.get('pid', '?')} on {self.owner.get('host', '?')}"


class Held(Exception):
    """Somebody else works on the fit."""

    def __init__(self, by: Seen | None) -> None:
        super().__init__(str(by))
        self.by = by


class Lost(Exception):
    """The claim was taken over while its owner was suspended: nothing may be written any more."""


class Claim:
    """A claim that this process holds."""

    def __init__(self, path: Path, text: str, file: int) -> None:
        self.path, self.number, self.text, self.count = path, _number(path), text, 0
        self._file = file
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew_for_ever, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise Lost unless the claim still stands."""
        top = look(self.path.parent)
        if top is None or top.number != self.number or not top.text.startswith(self.text):
            raise Lost(f"{self.path.parent}: taken over by {top or 'another runner'}")

    def renew(self) -> None:
        """Count on, in the file that was made: where it is gone, or another stands in its place,
        nothing comes back and nothing of the other's is written over."""
        self.check()
        self.count += 1
        os.pwrite(self._file, _count(self.count), len(self.text))
        os.fsync(self._file)

    def _renew_for_ever(self) -> None:
        while not self._over.wait(RENEWED):
            try:
                self.renew()
            except Lost:
                return
            except OSError:  # a full disk, a file server that is away: the next count may succeed
                continue

    def release(self) -> None:
        """Remove it, with those that it took over; where it is lost, nothing."""
        self._over.set()
        self._thread.join()
        os.close(self._file)
        try:
            self.check()
        except (Lost, OSError):
            return
        # Its own last: as long as that is the highest nobody makes a lower one. Once it is gone
        # those names may be another's claims.
        for number, path in sorted(_claims(self.path.parent)):
            if number <= self.number:
                path.unlink(missing_ok=True)


def look(folder: Path) -> Seen | None:
    """The claim that counts, None where there is none."""
    while found := max(_claims(folder), default=None):
        try:
            return Seen(found[0], found[1].read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            continue  # removed since
    return None


@contextmanager
def taken(folder: Path, expired: Seen | None = None) -> Iterator[Claim]:
    """Hold the claim of a folder; `expired`: what a Watch saw standing still. Raises Held."""
    claim = take(folder, expired)
    try:
        yield claim
    finally:
        claim.release()


def take(folder: Path, expired: Seen | None = None) -> Claim:
    """Claim a folder. Raises Held where somebody else has it, UserError where the disk refuses."""
    text = json.dumps({"host": socket.gethostname(), "machine": machine(), "pid": os.getpid(),
                       "started": _started(os.getpid()), "id": secrets.token_hex(8)}) + "\n"
    while True:
        stale = look(folder)
        if stale and stale != expired and not stale.dead:
            raise Held(stale)
        path = folder / f"claim-{stale.number + 1 if stale else 1}"
        with writing(path):
            file = _make(path, text.encode() + _count(0))
        if file is None:
            continue  # somebody was faster: look again
        if _stands_on(path, stale):
            return Claim(path, text, file)
        # What was taken over was released meanwhile, and perhaps claimed by another.
        path.unlink(missing_ok=True)
        os.close(file)
        time.sleep(secrets.randbelow(50) / 1000)


class Watch:
    """Tells when a claim that somebody else holds is free: gone, its owner dead, or its count
    unchanged for a lease."""

    def __init__(self, folder: Path, lease: float = LEASE,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.lease, self.clock = folder, lease, clock
        self.seen, self.since = look(folder), clock()

    def free(self) -> bool:
        """Whether the claim can be taken now, with `expired=self.seen`."""
        seen, now = look(self.folder), self.clock()
        if seen != self.seen:
            self.seen, self.since = seen, now
        return seen is None or seen.dead or now - self.since > self.lease


def _claims(folder: Path) -> list[tuple[int, Path]]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    paths = [folder / name for name in names if re.fullmatch(r"claim-\d+", name)]
    return [(_number(path), path) for path in paths]


def _number(path: Path) -> int:
    return int(path.name.partition("-")[2])


def _count(count: int) -> bytes:
    return b"%012d\n" % count


def _make(path: Path, content: bytes) -> int | None:
    """Make a file whole unless there is one. Returns it open, or None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = neighbour(path.with_name(f"{path.name}.{secrets.token_hex(8)}"))
    file = _new(building, content)
    try:
        os.link(building, path)
        return file
    except (FileExistsError, FileNotFoundError):  # not found: an owner removes what looks stale
        os.close(file)
        return None
    except OSError as error:
        os.close(file)
        if error.errno not in NO_LINKS:
            raise
    finally:
        building.unlink(missing_ok=True)
    # A file system without hard links: exclusive, but for a moment not whole. A process killed at
    # that moment leaves a claim that must wait for its lease.
    try:
        return _new(path, content)
    except FileExistsError:
        return None


def _new(path: Path, content: bytes) -> int:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(file, content)
    except OSError:  # a full disk: half a claim would pass for a live owner's
        os.close(file)
        path.unlink(missing_ok=True)
        raise
    return file


def _stands_on(path: Path, stale: Seen | None) -> bool:
    """Whether the claim just made is the highest, and what it took over is still as it was."""
    others = {number: other for number, other in _claims(path.parent) if other != path}
    if stale is None:
        return not others
    try:
        return (max(others, default=0) == stale.number
                and others[stale.number].read_text(encoding="utf-8", errors="replace")
                == stale.text)
    except FileNotFoundError:
        return False


# -- is a process still there? --

@cache
def machine() -> str:
    """This boot of this machine, and the space in which its process ids mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def _same(pid: int, started: str | None) -> bool:
    """Whether that very process is there; where it can't be told, it is."""
    if not alive(pid):
        return False
    now = _started(pid)
    return now is None or started is None or now == started


def _started(pid: int) -> str | None:
    """When a process began, in ticks since the boot, which no clock change moves; 'ended' for one
    that is dead and not yet waited for. None where it can't be read."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "ended" if state in "ZX" else fields[18]
    except (OSError, ValueError):
        pass
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return None

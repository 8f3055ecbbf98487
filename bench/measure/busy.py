"""How busy the machine was, and how much of that was not ours: a meter of the whole machine's power
counts the work of others, too."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

MOST = 0.1  # of the busy time may be others' in a reading that counts as ours alone
SAMPLE = 1.0  # seconds that the machine is watched before something is measured alone


@dataclass(frozen=True)
class Times:
    """CPU seconds so far: of the machine, all its CPUs together, and of this process with its
    threads and the children that have ended."""

    machine: float
    own: float

    @classmethod
    def now(cls) -> Times:
        import psutil  # who reads numbers waits for none of it

        t, own = psutil.cpu_times(), os.times()
        idle = t.idle + getattr(t, "iowait", 0.0)
        # a guest's time is in user's, as CodeCarbon counts it
        guests = getattr(t, "guest", 0.0) + getattr(t, "guest_nice", 0.0)
        return cls(sum(t) - idle - guests, sum(own[:4]))


def others(before: Times, after: Times) -> float:
    """CPU seconds between the two that were not ours, beyond what a clock tick per CPU explains."""
    ticks = (os.cpu_count() or 1) / os.sysconf("SC_CLK_TCK")
    return max(after.machine - before.machine - (after.own - before.own) - ticks, 0.0)


def share(before: Times, after: Times) -> float:
    """The part of the machine's busy time between the two that was not ours, 0 to 1."""
    busy = after.machine - before.machine
    return min(others(before, after) / busy, 1.0) if busy > 0 else 0.0


def by_others(seconds: float = SAMPLE) -> float:
    """How many CPUs others keep busy, while this process waits for some seconds."""
    before, began = Times.now(), time.perf_counter()
    time.sleep(seconds)
    return others(before, Times.now()) / (time.perf_counter() - began)

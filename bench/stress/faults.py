"""Faults of the machine under real runs of the command line: what is finished must stay, and the
same command must end with the same results, bit for bit, as if nothing had happened."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from aexad.bench.stress import surroundings
from aexad.bench.stress.field import (
    METHODS,
    OTHERWISE,
    Field,
    Outcome,
    Untried,
    changed,
    finished,
)

# -- each fault: a round, which returns what was lost, and how many kills it took --


def killed(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """SIGKILL at random moments, up to five times, then the same command to its end. A run that was
    over before its first kill says nothing: once more from the start, killed sooner."""
    kills, wanted, latest = 0, rng.randint(1, 5), field.seconds
    while kills < wanted:
        child = field.start(results)
        hit = child.kill_after(rng.uniform(0.02, 1.0) * latest)
        before = finished(results)
        kills += hit
        if not hit:
            if kills:
                break
            shutil.rmtree(results)
            latest /= 2
    lost = field.ended(results)
    return kills, lost + changed(before)


def killed_jobs(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """With --jobs 2: the parent killed, its workers left to themselves; then again to the end."""
    child = field.start(results, "--jobs", "2")
    kills = child.kill_after(rng.uniform(0.5, 3.0) * field.seconds)
    before = finished(results)
    lost = field.ended(results, "--jobs", "2")
    return kills, lost + changed(before)


def killed_worker(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """With --jobs 2: one worker killed. Its fit is done again, and the others go on."""
    child = field.start(results, "--jobs", "2")
    kills, until = 0, time.monotonic() + OTHERWISE
    time.sleep(rng.uniform(0.3, 2.0) * field.seconds)
    while not kills and child.alive() and time.monotonic() < until:
        workers = child.workers()
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                kills = 1
        time.sleep(0.1)
    child.wait(OTHERWISE)
    lost = [] if child.code == 0 else [f"{child.code}: {child.said()}"]
    return kills, lost + field.ended(results)


def full_disk(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """A disk too small, as a file system where that can be mounted, else as a limit on files;
    then with space."""
    size = rng.randrange(150_000, 3_500_000)
    lost = []
    with small_disk(results, size) as (limit, enlarge):
        child = field.run(results, prepare=limit)
        if child.code != 0 and not child.refused():
            lost.append(f"{child.code} on a disk of {size} bytes: {child.said()}")
        lost += [f"{p.name} was left behind" for p in results.rglob("*.tmp")]
        before = finished(results)
        enlarge()
        lost += field.ended(results) + changed(before)
    return 0, lost


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[tuple[Callable[[], None] | None, Callable]]:
    """What limits the child (None: the disk itself does), and what takes the limit away."""
    place.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
                             capture_output=True).returncode == 0 if os.geteuid() == 0 else False
    if not mounted:
        most = size // 8  # of each file
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)), lambda: None
        return
    try:
        yield None, lambda: subprocess.run(
            ["mount", "-o", "remount,size=64m", str(place)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def read_only(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """Results that can only be read: stored tables are printed, computing ends in one line."""
    shutil.copytree(field.whole, results)
    with locked(results) as can_be:
        if not can_be:
            raise Untried("this root may not mount")
        child, more = field.run(results), field.run(results, "--seeds", "41")
        lost = [] if child.code == 0 else [f"stored table: {child.code}: {child.said()}"]
        if child.table() != field.first.table():
            lost.append("another table is printed than was")
        if not more.refused():
            lost.append(f"computing: {more.code}: {more.said()}")
    return 0, lost


@contextlib.contextmanager
def locked(place: Path) -> Iterator[bool]:
    """Whether it could be made unwritable, which root needs a mount for."""
    if os.geteuid():
        folders = [place, *(p for p in place.rglob("*") if p.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield True
        for folder in folders:
            folder.chmod(0o755)
        return
    bound = subprocess.run(["mount", "--bind", str(place), str(place)], capture_output=True)
    if bound.returncode:
        yield False
        return
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield True
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def jumping_clock(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """The wall clock goes back and forth by days, in a run that is also interrupted."""
    state = rng.getrandbits(32)

    def jump() -> None:
        draw, real = random.Random(state), time.time
        time.time = lambda: real() + draw.uniform(-1, 1) * 30 * 86400
        time.time_ns = lambda: int(time.time() * 1e9)

    child = field.start(results, prepare=jump)
    kills = child.kill_after(rng.uniform(0.3, 0.9) * field.seconds)
    before = finished(results)
    child = field.run(results, prepare=jump)
    lost = [] if child.code == 0 else [f"{child.code}: {child.said()}"]
    return kills, lost + field.differences(results) + changed(before)


def nan_loss(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """A learning rate that makes the loss infinite: this fit fails and says where, the others go
    on; nothing of it stands in the way of the right rate."""
    child = field.run(results, "--methods", f"{METHODS},fcdd", "--set", "ae_xad.lr=1e30")
    said = child.text()
    lost = [] if child.code == 1 else [f"status {child.code}, not 1: {child.said()}"]
    if not ("TrainingDiverged: loss is" in said and "in epoch " in said and "last good" in said):
        lost.append("the failure does not say the epoch and the last good loss")
    if len(finished(results)) != 2 + 3:  # two fits, the cells of ae, ae_filtered and fcdd
        lost.append(f"{len(finished(results))} of 5 others are done")
    wrong = [w for w in field.ended(results) if "left behind" not in w]
    return 0, lost + wrong


def no_memory(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
    """The GPU's memory is too small for a batch: AE and AE-XAD go on in parts, to the same numbers
    up to rounding; FCDD fails and says what to do."""
    most = rng.randint(2, 6)

    def small() -> None:
        from aexad.methods.ae_xad import Decoder
        from aexad.methods.fcdd import FCDD
        reconstruct = Decoder.reconstruct

        def limited(self: Decoder, x: object) -> object:
            if self.training and len(x) > most:
                import torch
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return reconstruct(self, x)

        def refuse(*_: object) -> None:
            import torch
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        Decoder.reconstruct, FCDD.step = limited, refuse

    child = field.run(results, "--methods", f"{METHODS},fcdd", prepare=small)
    said = child.text()
    lost = [] if child.code == 1 else [f"status {child.code}, not 1: {child.said()}"]
    if "fcdd does not fit into memory; try --set fcdd.batch_size=" not in said:
        lost.append("FCDD's failure does not say what to do")
    if "their gradients added" not in said:
        lost.append("no step was done in parts")
    for path in field.whole.rglob("heatmaps.npy"):
        other = results / path.relative_to(field.whole)
        if not (other.exists() and np.allclose(np.load(path), np.load(other), rtol=0.02,
                                               atol=5e-3)):
            lost.append(f"{path.parts[-3]}: other heatmaps")
    return 0, lost


FAULTS: dict[str, Callable[[Field, random.Random, Path], tuple[int, list[str]]]] = {
    "SIGKILL": killed, "SIGKILL with --jobs 2": killed_jobs, "a worker killed": killed_worker,
    "disk full": full_disk, "read-only results": read_only, "clock jumping": jumping_clock,
    "NaN loss": nan_loss, "out of memory": no_memory,
    **{name: surroundings.fault(kind) for name, kind in surroundings.KINDS.items()}}
KILLING = ("SIGKILL", "SIGKILL with --jobs 2", "a worker killed", "clock jumping")


def one_round(field: Field, name: str, number: int, outcome: Outcome) -> None:
    """One round of a fault; the seed and the number say what happens in it."""
    results = field.place(number)
    rng = random.Random(f"{field.seed} {name} {number}")
    try:
        kills, lost = FAULTS[name](field, rng, results)
    except Untried as reason:
        outcome.untried = str(reason)
        return
    outcome.rounds, outcome.kills = outcome.rounds + 1, outcome.kills + kills
    outcome.lost += [f"round {number}: {what}" for what in lost]
    if not lost:
        shutil.rmtree(results, ignore_errors=True)


def die_with_parent() -> None:
    """A child of a campaign that is itself killed does not go on."""
    with contextlib.suppress(OSError, AttributeError):  # Linux alone has it
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

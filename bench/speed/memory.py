"""Peak anonymous memory of a training: `python -m aexad.bench.speed.memory METHOD`, in a process of
its own, so that nothing else counts.

Anonymous memory (RssAnon of /proc, Linux) is what a program can't give back when the machine runs
short; pages of a mapped file are not of it. A training's peak is in what comes before its epochs
(augmentation, the frozen network's features) and in its steps, which are all alike: the process
ends once it has been in its epochs for a while.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aexad import methods
from aexad.bench.base.places import RESULTS
from aexad.bench.speed.case import SIZE
from aexad.methods.base import Context, TrainingSet

N_IMAGES, N_ANOMALIES = 2000, 60
LIMIT_GIB = 6.0
IN_EPOCHS = 45.0  # seconds
GIB = 2**30


class Watched(Context):
    """Knows when the epochs began."""

    began: float | None = None

    def epochs(self, total: int, state: dict[str, Any]) -> Iterator[int]:
        self.began = time.monotonic()
        yield from super().epochs(total, state)


def anonymous_bytes() -> int:
    """RssAnon of this process, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/self/status has no RssAnon")


def training_set(n: int, size: int) -> TrainingSet:
    """Noise, with a few anomalies as the protocol has them."""
    rng = np.random.default_rng(0)
    anomalous = np.arange(n) < max(n * N_ANOMALIES // N_IMAGES, 1)
    masks = np.zeros((n, size, size), bool)
    masks[anomalous, size // 4:size // 3, size // 4:size // 2] = True
    return TrainingSet(rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8), masks, anomalous)


def watch(name: str, n: int, size: int, scratch: Path, in_epochs: float) -> dict[str, float]:
    """Train `name` on n images and return the peak, GiB, and how much of it was there before."""
    cls = methods.load(name)
    params = {"weights": "random"} if hasattr(cls.fit_params(), "weights") else {}
    params |= methods.entry(name).fit
    ctx = Watched("cpu", 0, scratch=scratch)
    method = cls(cls.fit_params(**params), cls.explain_params(), ctx)
    data = training_set(n, size)
    at_start = peak = anonymous_bytes()
    trainer = threading.Thread(target=method.fit, args=(data,), daemon=True)
    trainer.start()
    while trainer.is_alive():
        peak = max(peak, anonymous_bytes())
        if ctx.began is not None and time.monotonic() - ctx.began > in_epochs:
            break
        time.sleep(0.02)
    if ctx.began is None:
        raise RuntimeError(f"{name}: the training failed before its first epoch")
    return {"peak_gib": peak / GIB, "start_gib": at_start / GIB}


def peak(name: str, threads: int, n: int = N_IMAGES, size: int = SIZE,
         in_epochs: float = IN_EPOCHS) -> dict[str, float]:
    """`watch` in a process of its own."""
    command = [sys.executable, "-P", "-m", "aexad.bench.speed.memory", name,
               "--threads", str(threads), "--images", str(n), "--size", str(size),
               "--in-epochs", str(in_epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}: measuring its memory failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m aexad.bench.speed.memory")
    p.add_argument("method")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--images", type=int, default=N_IMAGES)
    p.add_argument("--size", type=int, default=SIZE)
    p.add_argument("--in-epochs", type=float, default=IN_EPOCHS)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    # beside the results: /tmp is memory on some machines
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        found = watch(args.method, args.images, args.size, Path(scratch), args.in_epochs)
    print(json.dumps(found), flush=True)
    os._exit(0)  # the training's thread may be in the middle of a step


if __name__ == "__main__":
    main()

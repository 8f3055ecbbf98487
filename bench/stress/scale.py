"""Large sets: `stress --scale`. What does an image cost where there are ten times as many?

Each method in a process of its own, on made-up images in a mapped file, as a large category's are:
trained for a while, then all images explained and measured. `python -m aexad.bench.stress.scale`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aexad import methods
from aexad.bench.base import mapped
from aexad.bench.base.places import RESULTS
from aexad.bench.measure import metrics
from aexad.methods import tiled
from aexad.methods.base import Context, TrainingSet
from aexad.methods.rows import chosen

METHODS = ("ae_xad", "fcdd", "bgad")
SIZES = "1000x224,10000x224,50000x64"
STEPS = 100  # of FCDD and BGAD; AE-XAD trains for an epoch
GIB = 2**30
# CPU time, which what else runs on the machine changes little
COLUMNS = ("method", "images", "px", "before the steps, ms/image", "ms a step",
           "explain, ms/image", "metrics, ms/image", "peak memory, GiB", "disk, GB")


class Enough(Exception):
    """The steps that were wanted are done."""


class Timed(Context):
    """Knows when the epochs began, in CPU seconds, and how much lies in files."""

    began = 0.0
    in_files = 0

    def epochs(self, total: int, state: dict[str, Any]) -> Iterator[int]:
        self.began = time.process_time()
        yield from super().epochs(total, state)

    def array(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        before = self._arrays
        array = super().array(shape, dtype)
        self.in_files += array.nbytes * (self._arrays - before)
        return array


class Peak(threading.Thread):
    """The largest anonymous memory of this process (RssAnon: what can't be given back), GiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0

    def run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            kb = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            self.most = max(self.most, kb / 2**20)
            time.sleep(0.02)


def made_up(folder: Path, n: int, size: int) -> TrainingSet:
    """Noise; of 100 images one is an anomaly and has a marked block."""
    rng = np.random.default_rng(0)
    images = mapped.new_array(folder / "images", (n, size, size, 3), np.uint8)
    masks = mapped.new_array(folder / "masks", (n, size, size), bool)
    for i in range(n):
        images[i] = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    anomalous = np.arange(n) % 100 == 99
    masks[anomalous, size // 4:size // 3, size // 4:size // 2] = True
    everything = np.arange(n)
    return TrainingSet(chosen(images, everything), chosen(masks, everything), anomalous)


def measure(name: str, n: int, size: int, folder: Path) -> dict[str, float]:
    """Times, memory and disk of one method; what COLUMNS name from the fourth on."""
    data, cls = made_up(folder, n, size), methods.load(name)
    params = {"weights": "random", **({"epochs": 1} if name == "ae_xad" else {})}
    ctx = Timed("cpu", 0, scratch=folder)
    method = cls(cls.fit_params(**params), cls.explain_params(), ctx)
    once = "loss" if name == "bgad" else "step"  # what a step calls once
    step, done = getattr(method, once), []

    def counted(*args: Any) -> torch.Tensor:
        if name != "ae_xad" and len(done) == STEPS:
            raise Enough
        done.append(1)
        return step(*args)

    setattr(method, once, counted)
    peak = Peak()
    peak.start()
    started = time.process_time()
    try:
        method.fit(data)
    except Enough:
        pass
    trained = time.process_time()
    delattr(method, once)
    maps = 4 * n * size ** 2
    found = tiled.explain(method, data.images,
                          lambda shape, kind: mapped.new_array(folder / "maps", shape, kind))
    explained = time.process_time()
    masks = np.asarray(data.masks)
    table = metrics.per_image(found.heatmaps, masks, data.anomalous.astype(np.int64))
    metrics.aggregate(table, found.scores)
    metrics.pooled(found.heatmaps, masks)
    measured = time.process_time()
    return {"before": 1e3 * (ctx.began - started) / n, "step": 1e3 * (trained - ctx.began)
            / len(done), "explain": 1e3 * (explained - trained) / n,
            "metrics": 1e3 * (measured - explained) / n, "peak": peak.most,
            "disk": (4 * n * size ** 2 + max(ctx.in_files, maps if maps > mapped.LARGE else 0))
            / 1e9}


def sizes(text: str) -> list[tuple[int, int]]:
    """'1000x224,50000x64' -> (images, pixels) of each; ValueError for what is none."""
    found = []
    for word in text.split(","):
        n, _, size = word.partition("x")
        found.append((int(n), int(size)))
        if found[-1][0] < 100 or found[-1][1] < 32 or found[-1][1] % 8:
            raise ValueError(word)
    return found


def rows(names: Sequence[str], asked: Sequence[tuple[int, int]], threads: int = 1
         ) -> Iterator[list[Any]]:
    """A row of the table, as COLUMNS, for each method and size: in a process of its own."""
    for n, size in asked:
        for name in names:
            command = [sys.executable, "-P", "-m", "aexad.bench.stress.scale", name, str(n),
                       str(size), "--threads", str(threads)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name}, {n} images: {done.stderr.strip()[-500:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            yield [name, n, size, *found.values()]


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m aexad.bench.stress.scale")
    p.add_argument("method")
    p.add_argument("images", type=int)
    p.add_argument("size", type=int)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    RESULTS.mkdir(exist_ok=True)  # /tmp is memory on some machines
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        print(json.dumps(measure(args.method, args.images, args.size, Path(folder))), flush=True)


if __name__ == "__main__":
    main()

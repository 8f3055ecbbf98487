"""Speed, as ratios against naive references measured in the same run (`./reproduce.sh benchmark`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from tabulate import tabulate

from bench import bench_metrics
from bench.naive import NaiveAutoEncoder, naive_loss
from methods.ae_xad import AEXAD, AEExplain, AEXADFit
from methods.augment import Augmented
from methods.base import Context

BATCH, SIZE = 24, 224
ROUNDS = 5


def training_step() -> tuple[float, float]:
    """Median seconds of one AE-XAD step (ResNet-18, batch 24, 224 px): naive, ours.

    Random encoder weights: they don't change the work. The two alternate, so that whatever else
    the machine does hits both.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    masks = np.zeros((BATCH, SIZE, SIZE), bool)
    masks[:BATCH // 3, 50:90, 60:120] = True
    data = Augmented(images, masks, np.arange(BATCH // 3, BATCH), np.arange(BATCH // 3))
    fit = AEXADFit(encoder="resnet18", weights="random", batch_size=BATCH)
    ours, theirs = (AEXAD(fit, AEExplain(), Context("cpu", 0)) for _ in range(2))
    inputs = ours.frozen_features(images)
    ours.net.train()
    optimiser = ours.optimiser()
    # NCHW, and all of it in every step
    network = NaiveAutoEncoder(theirs.net.to(memory_format=torch.contiguous_format).train())
    naive_optimiser = torch.optim.Adam(theirs.net.decoder.parameters(), lr=fit.lr,
                                       weight_decay=fit.weight_decay)
    batch = np.arange(BATCH)

    def naive() -> None:
        x = torch.from_numpy(images[batch]).permute(0, 3, 1, 2).contiguous().float() / 255
        y = torch.from_numpy(masks[batch]).unsqueeze(1).float()
        naive_optimiser.zero_grad()
        naive_loss(x, y, network(x)).backward()
        naive_optimiser.step()

    return _alternate(naive, lambda: ours.step(optimiser, data, batch, inputs))


def _alternate(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS + 1):
        for which, work in enumerate((first, second)):
            began = time.perf_counter()
            work()
            if round_:  # the first round warms up
                times[which].append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


def main(threads: int) -> int:
    """Print the table of ratios."""
    torch.set_num_threads(threads)
    rows = [("AE-XAD training step, ResNet-18, batch 24, 224 px", *training_step()),
            *bench_metrics.run()]
    table = [(name, f"{naive:.4f}", f"{ours:.4f}", f"{naive / ours:.1f}x")
             for name, naive, ours in rows]
    print(f"torch {torch.__version__}, {threads} threads")
    print(tabulate(table, ("what", "naive reference, s", "ours, s", "faster"),
                   colalign=("left", "right", "right", "right")))
    return 0

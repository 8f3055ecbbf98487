"""A training step of a method and the naive one that it is compared with."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from aexad.methods.base import TrainingSet

SIZE = 224
ROUNDS = 3
LOSS_TOLERANCE = 1e-3  # relative; both are float32, summed in another order


@dataclass(frozen=True)
class Case:
    """What is timed. Both steps start from the same weights, do one batch of `images` images, and
    return its loss as a float.

    once: what ours does once a training in place of every step, as (seconds' worth of work,
    images it is for); None where there is nothing. parts: modules whose forward pass is listed by
    itself.
    """

    method: str
    what: str
    images: int
    ours: Callable[[], float]
    naive: Callable[[], float]
    naive_is: str
    once: tuple[Callable[[], object], int] | None = None
    parts: dict[str, nn.Module] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """Median seconds a step of both, seconds of `once` for each image, and the share of ours that
    each part of the work takes."""

    naive: float
    ours: float
    once: float | None
    shares: dict[str, float]


class WrongNumbers(RuntimeError):
    """The two sides don't compute the same: nothing to be timed."""


def measure(case: Case, rounds: int = ROUNDS) -> Timing:
    """Check that the first losses agree, then time both in turn, so that a busy moment of the
    machine hits both."""
    first = case.naive(), case.ours()  # warms up, too
    if not math.isclose(*first, rel_tol=LOSS_TOLERANCE):
        raise WrongNumbers(f"{case.method}: the naive loss is {first[0]:.6g}, ours {first[1]:.6g}")
    pairs = [(seconds(case.naive), seconds(case.ours)) for _ in range(rounds)]
    naive, ours = (statistics.median(side) for side in zip(*pairs))
    once = seconds(case.once[0]) / case.once[1] if case.once else None
    return Timing(naive, ours, once, shares(case))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shares(case: Case) -> dict[str, float]:
    """Where the time of one of our steps goes: forward of its parts, backward, optimiser, and the
    rest (what else is computed forward, numpy, Python)."""
    spent: dict[str, float] = {}
    with _clocked(case.parts, spent):
        total = seconds(case.ours)
    spent["rest"] = total - sum(spent.values())
    return {name: value / total for name, value in spent.items()}


@contextmanager
def _clocked(parts: dict[str, nn.Module], spent: dict[str, float]) -> Iterator[None]:
    """Adds up the seconds of the parts' forward passes, of backward and of optimisers' steps."""
    began: dict[str, float] = {}

    def start(name: str, *_: object) -> None:
        began[name] = time.perf_counter()

    def stop(name: str, *_: object) -> None:
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - began[name]

    hooks = [register_optimizer_step_pre_hook(partial(start, "optimiser")),
             register_optimizer_step_post_hook(partial(stop, "optimiser"))]
    for name, module in parts.items():
        hooks += [module.register_forward_pre_hook(partial(start, name)),
                  module.register_forward_hook(partial(stop, name))]
    backward = torch.Tensor.backward

    def clocked(self: torch.Tensor, *args: object, **more: object) -> None:
        start("backward")
        backward(self, *args, **more)
        stop("backward")

    torch.Tensor.backward = clocked
    try:
        yield
    finally:
        torch.Tensor.backward = backward
        for hook in hooks:
            hook.remove()


def images(n: int, size: int) -> TrainingSet:
    """Noise, every third image with a rectangle that is anomalous: what is in the images makes
    no difference to the speed."""
    rng = np.random.default_rng(0)
    masks = np.zeros((n, size, size), bool)
    masks[::3, size // 4:size // 3, size // 4:size // 2] = True
    return TrainingSet(rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8), masks,
                       masks.any(axis=(1, 2)))


def nchw(module: nn.Module) -> nn.Module:
    return module.to(memory_format=torch.contiguous_format)

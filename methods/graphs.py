"""Training steps of many small operations, on a GPU started as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

import torch

WARM_UP = 3  # steps of a kind that are done one operation at a time before it is recorded

Step = Callable[[torch.Tensor], torch.Tensor]


class Graphs:
    """Steps, recorded as CUDA graphs and replayed: the GPU then waits for no Python.

    Exact: a replay runs the kernels of the step on the memory of the step, and what warms up are
    steps of the training themselves. A step must not wait for the GPU, nor depend on anything but
    its kind and its input, and what it keeps (weights, gradients, the optimiser's state, learning
    rate) must stay in the same memory. Elsewhere than on a GPU steps are just done.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._seen: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, _Recorded] = {}

    def run(self, kind: Hashable, step: Step, rows: torch.Tensor) -> torch.Tensor:
        """step(rows): the loss, detached. Of one kind are steps that differ by `rows`' content."""
        if self.device.type != "cuda":
            return step(rows)
        with torch.cuda.device(self.device):
            if kind not in self._recorded:
                self._seen[kind] += 1
                if self._seen[kind] <= WARM_UP:
                    return self._aside(step, rows)
                self._recorded[kind] = _Recorded(step, rows)
            return self._recorded[kind](rows)

    @staticmethod
    def _aside(step: Step, rows: torch.Tensor) -> torch.Tensor:
        """In a stream of its own, as what is recorded later."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            loss = step(rows)
        here.wait_stream(aside)
        return loss


class _Recorded:
    def __init__(self, step: Step, rows: torch.Tensor) -> None:
        self.rows = rows.clone()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):  # nothing is computed here
            self.loss = step(self.rows)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        self.rows.copy_(rows)
        self.graph.replay()
        return self.loss.clone()

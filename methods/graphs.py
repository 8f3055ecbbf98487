"""Training steps of many small operations, on a GPU started as one, and beside other such work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch

WARM_UP = 3  # steps of a kind that are done one operation at a time before it is recorded

Step = Callable[..., "torch.Tensor | None"]


class Graphs:
    """Steps, recorded as CUDA graphs and replayed: the GPU then waits for no Python.

    Exact: a replay runs the kernels of the step on the memory of the step, and what warms up are
    steps of the training themselves. A step must not wait for the GPU, nor depend on anything but
    its kind and its input, and what it keeps (weights, gradients, the optimiser's state, learning
    rate) must stay in the same memory. Elsewhere than on a GPU steps are just done.

    All of it runs in a stream of its own, in which it is recorded, too: what works on other data
    may run beside it, as no two streams share the memory that cuBLAS works in.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._seen: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, _Recorded] = {}

    @contextmanager
    def beside(self) -> Iterator[None]:
        """What is done within begins when what was asked for before is done; what comes after
        doesn't wait for it until `join`."""
        if self.stream is None:
            yield
            return
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            yield

    def join(self) -> None:
        """What comes after waits for what was done beside it."""
        if self.stream is not None:
            torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)

    def run(self, kind: Hashable, step: Step, *inputs: torch.Tensor
            ) -> torch.Tensor | None:
        """step(*inputs), to be called in `beside`: what it returns, detached. Of one kind are steps
        that differ by the inputs' content."""
        if self.stream is None:
            return step(*inputs)
        if kind not in self._recorded:
            self._seen[kind] += 1
            if self._seen[kind] <= WARM_UP:
                return step(*inputs)
            self._recorded[kind] = _Recorded(self.stream, step, *inputs)
        return self._recorded[kind](*inputs)


class _Recorded:
    def __init__(self, stream: torch.cuda.Stream, step: Step, *inputs: torch.Tensor) -> None:
        self.inputs = [given.clone() for given in inputs]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):  # nothing is computed here
            self.result = step(*self.inputs)

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor | None:
        for mine, given in zip(self.inputs, inputs):
            mine.copy_(given)
        self.graph.replay()
        return None if self.result is None else self.result.clone()

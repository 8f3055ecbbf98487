"""How fast a training step could be on this machine: the limits beside which it is measured.

A step is recorded as the operations of its layers, forward and backward: convolutions, matrix
products, attention and normalisations, each with its shapes and its layout. Each is then done
alone, on random numbers. What a step takes beyond their sum is activations, the loss, the
optimiser, copies and Python.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from aexad.bench.speed.case import seconds
from aexad.methods import batch_norm

ROUNDS = 5
RATED = 0.01  # of a step's arithmetic: a layer with less says nothing about the machine's rate

_aten = torch.ops.aten
_NORMS = (_aten.native_batch_norm, _aten.native_batch_norm_backward, _aten.native_layer_norm,
          _aten.native_layer_norm_backward, *batch_norm.OPERATIONS)
_ATTENTION = _aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = _aten._scaled_dot_product_flash_attention_for_cpu_backward
_LAYERS = {*flop_registry, _aten.addmm_, *_NORMS, _ATTENTION, _ATTENTION_BACKWARD}


def _products(shape: tuple[int, ...], n: int) -> int:
    """FLOPs of n products of queries (B, heads, L, width) with as many keys."""
    return 2 * n * math.prod(shape) * shape[-2]


# torch counts no FLOPs of a product that is added in place, nor of attention on a CPU: forward QK'
# and PV; backward QK' again, and for each of the two products the gradients of both factors
_FLOPS = {_aten.addmm_: lambda _, one, other, *__, **___: 2 * math.prod(one) * other[1],
          _ATTENTION: lambda query, *_, **__: _products(query, 2),
          _ATTENTION_BACKWARD: lambda _, query, *__, **___: _products(query, 5)}


@dataclass(frozen=True)
class _Like:
    """A tensor but for its content."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, x: Any) -> Any:
        return cls(tuple(x.shape), x.stride(), x.dtype) if isinstance(x, torch.Tensor) else x

    @staticmethod
    def made(x: Any) -> Any:
        """Numbers between 0 and 1, which may be variances, too."""
        if not isinstance(x, _Like):
            return x
        size = 1 + sum((n - 1) * step for n, step in zip(x.shape, x.strides))
        memory = torch.zeros(max(size, 1), dtype=x.dtype)
        if x.dtype.is_floating_point:
            memory.uniform_()
        return memory.as_strided(x.shape, x.strides)


class Layers(TorchDispatchMode):
    """While it is entered, counts the operations of layers, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Hashable] = Counter()
        self._kinds: dict[Hashable, tuple[Any, list[Any], Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in _LAYERS:
            leaves, tree = tree_flatten((args, kwargs))
            kind = [_Like.of(leaf) for leaf in leaves]
            key = (func, repr(kind), str(tree))
            self.counts[key] += 1
            self._kinds[key] = func, kind, tree
        return func(*args, **kwargs)

    def alone(self, key: Hashable) -> Callable[[], object]:
        """One operation of a kind, to be done by itself."""
        func, kind, tree = self._kinds[key]
        args, kwargs = tree_unflatten([_Like.made(leaf) for leaf in kind], tree)
        return lambda: func(*args, **kwargs)


@dataclass(frozen=True)
class Limits:
    """Seconds of a step at least: `arithmetic`, its `flops` at `rate` FLOP/s, the best that one of
    its own layers reaches; `layers`, its layers alone one by one."""

    flops: int
    rate: float
    layers: float

    @property
    def arithmetic(self) -> float:
        return self.flops / self.rate


def limits(step: Callable[[], object], rounds: int = ROUNDS) -> Limits:
    """Of a step of a training; of each layer's seconds the least of `rounds`."""
    with Layers() as layers:
        step()
    found = [(count, *_flops_and_seconds(layers.alone(key), rounds))
             for key, count in layers.counts.items()]
    total = sum(count * flops for count, flops, _ in found)
    rate = max(flops / least for count, flops, least in found
               if count * flops >= RATED * total)
    return Limits(total, rate, sum(count * least for count, _, least in found))


@torch.no_grad()
def _flops_and_seconds(layer: Callable[[], object], rounds: int) -> tuple[int, float]:
    with FlopCounterMode(display=False, custom_mapping=_FLOPS) as counter:
        layer()  # warms up, too
    return counter.get_total_flops(), least_seconds(layer, rounds)


def least_seconds(work: Callable[[], object], rounds: int) -> float:
    """The least of `rounds`: other work on the machine can only add to it."""
    return min(seconds(work) for _ in range(rounds))

"""BatchNorm in training on a CPU, as accurate as float32 allows.

PyTorch's CPU kernel for channels_last sums a batch's statistics in one float32 after another: at
224 px the running mean is off by up to 4e-4 of a standard deviation after one batch whose mean is
15 of them (torch 2.13; test_batch_norm.py). Its kernel for NCHW is off by 1e-6, but costs two
copies of a map. So layers that need no gradient, as all of a frozen front with the largest maps,
get their statistics from `statistics` and normalise in channels_last; the others see NCHW.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

BLOCK = 2**18  # numbers that are summed at a time: 1 MiB, which stays in a core's cache


def accurate(net: nn.Module) -> nn.Module:
    """Let every BatchNorm2d of `net` that trains on a CPU be accurate; inputs and results stay
    channels_last. Returns `net`."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.forward = partial(_forward, layer, layer.forward)
    return net


def statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and (biased) variance of each channel of (B, C, H, W), each (C,) of its dtype: of
    blocks, whose sums are short, then of all together in float64."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    means, squares, sizes = [], [], []
    for block in rows.split(max(BLOCK // x.shape[1], 1)):
        about = block.mean(dim=0)
        rest = block - about
        means.append(about.double() + rest.mean(dim=0))
        squares.append(rest.square_().sum(dim=0))
        sizes.append(len(block))
    weights = torch.tensor(sizes, dtype=torch.float64)[:, None] / len(rows)
    each = torch.stack(means)
    mean = (weights * each).sum(dim=0)
    variance = torch.stack(squares).double().sum(dim=0) / len(rows)
    variance += (weights * (each - mean).square()).sum(dim=0)
    return mean.to(x.dtype), variance.to(x.dtype)


def _forward(layer: nn.BatchNorm2d, plain: Callable[[torch.Tensor], torch.Tensor],
             x: torch.Tensor) -> torch.Tensor:
    if not layer.training or x.device.type != "cpu":
        return plain(x)
    if torch.is_grad_enabled() and any(v.requires_grad for v in (x, *layer.parameters())):
        return plain(x.contiguous()).contiguous(memory_format=torch.channels_last)
    mean, variance = statistics(x)
    running = layer.running_mean, layer.running_var
    layer.running_mean, layer.running_var, layer.training = mean, variance, False
    try:
        y = plain(x)  # normalises with what it takes for the running statistics
    finally:
        layer.running_mean, layer.running_var = running
        layer.training = True
    n = x.numel() // x.shape[1]
    layer.running_mean.lerp_(mean, layer.momentum)
    layer.running_var.lerp_(variance * n / (n - 1), layer.momentum)
    layer.num_batches_tracked += 1
    return y

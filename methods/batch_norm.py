"""BatchNorm in training on a CPU, as accurate as float32 allows, with few passes over memory.

PyTorch's CPU kernel for channels_last sums a batch's statistics in one float32 after another: at
224 px the running mean is off by up to 4e-4 of a standard deviation after one batch whose mean is
15 of them (torch 2.13; test_batch_norm.py). Its kernel for NCHW is off by 1e-6, but costs two
copies of a map and, where that is large, several times its own work. So what needs no gradient gets
its statistics from `statistics`; of layers that learn, small maps see NCHW, and large ones stay in
channels_last, a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

BLOCK = 2**18  # numbers that are summed at a time: 1 MiB, which stays in a core's cache
LARGE = 2**22  # numbers of a map that no core's own cache holds


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
    means, squares, sizes = [], [], []
    for block in blocks(x):
        about = block.mean(dim=0)
        rest = block - about
        means.append(about.double() + rest.mean(dim=0))
        squares.append(rest.square_().sum(dim=0))
        sizes.append(len(block))
    n = sum(sizes)
    weights = torch.tensor(sizes, dtype=torch.float64)[:, None] / n
    each = torch.stack(means)
    mean = (weights * each).sum(dim=0)
    variance = torch.stack(squares).double().sum(dim=0) / n
    variance += (weights * (each - mean).square()).sum(dim=0)
    return mean.to(x.dtype), variance.to(x.dtype)


def blocks(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The pixels of (B, C, H, W) in parts (n, C); in channels_last the same memory."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return rows.split(max(BLOCK // x.shape[1], 1))


@torch.library.custom_op("aexad::batch_norm", mutates_args=())
def normalised(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor,
               deviation: torch.Tensor) -> torch.Tensor:
    """(x - mean) / deviation * weight + bias of x (B, C, H, W) in channels_last; all others (C,).
    Mean and deviation must be those of x: its gradient passes through them, too."""
    scale = weight / deviation
    shift = bias - mean * scale
    y = torch.empty_like(x)
    for part, out in zip(blocks(x), blocks(y)):
        torch.addcmul(shift, part, scale, out=out)
    return y


@torch.library.custom_op("aexad::batch_norm_backward", mutates_args=())
def gradients(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, mean: torch.Tensor,
              deviation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of x, weight and bias of `normalised`, given that of its output, in channels_last."""
    of_weight = torch.zeros(x.shape[1], dtype=torch.float64)
    of_bias = torch.zeros_like(of_weight)
    for part, g in zip(blocks(x), blocks(grad)):
        of_weight += (part - mean).div_(deviation).mul_(g).sum(dim=0)
        of_bias += g.sum(dim=0)
    # scale * (g - mean(g) - t * mean(g t)), t = (x - mean) / deviation: a sum of g, x and 1
    scale, n = weight / deviation, x.numel() // x.shape[1]
    of_mean = (scale / deviation * of_weight / n).to(x.dtype)
    constant = of_mean * mean - (scale * of_bias / n).to(x.dtype)
    of_x = torch.empty_like(x)
    for part, g, out in zip(blocks(x), blocks(grad), blocks(of_x)):
        torch.addcmul(constant, part, of_mean, value=-1, out=out).addcmul_(g, scale)
    return of_x, of_weight.to(x.dtype), of_bias.to(x.dtype)


def _setup(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
    x, weight, _, mean, deviation = inputs
    ctx.save_for_backward(x, weight, mean, deviation)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    grad = grad.contiguous(memory_format=torch.channels_last)
    return *gradients(grad, *ctx.saved_tensors), None, None


normalised.register_autograd(_backward, setup_context=_setup)
# operations of their own, as they are among the layers that the benchmark times alone
OPERATIONS = torch.ops.aexad.batch_norm, torch.ops.aexad.batch_norm_backward


def _forward(layer: nn.BatchNorm2d, plain: Callable[[torch.Tensor], torch.Tensor],
             x: torch.Tensor) -> torch.Tensor:
    if not layer.training or x.device.type != "cpu":
        return plain(x)
    learns = torch.is_grad_enabled() and any(v.requires_grad for v in (x, *layer.parameters()))
    # a layer of a class of its own may do more, as timm's, which have an activation
    ours = type(layer) is nn.BatchNorm2d and x.numel() >= LARGE and x.dtype == torch.float32
    if learns and not ours:
        return plain(x.contiguous()).contiguous(memory_format=torch.channels_last)
    mean, variance = statistics(x.detach())
    if learns:
        x = x.contiguous(memory_format=torch.channels_last)
        y = normalised(x, layer.weight, layer.bias, mean, (variance + layer.eps).sqrt())
    else:
        y = _with(layer, plain, x, mean, variance)
    n = x.numel() // x.shape[1]
    layer.running_mean.lerp_(mean, layer.momentum)
    layer.running_var.lerp_(variance * n / (n - 1), layer.momentum)
    layer.num_batches_tracked += 1
    return y


def _with(layer: nn.BatchNorm2d, plain: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor,
          mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """All that the layer makes of x, with these statistics."""
    running = layer.running_mean, layer.running_var
    layer.running_mean, layer.running_var, layer.training = mean, variance, False
    try:
        return plain(x)
    finally:
        layer.running_mean, layer.running_var = running
        layer.training = True

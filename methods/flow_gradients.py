"""A flow's density and its gradient in half the operations, for a GPU, whose time small operations
take one by one: a block's gradient is written out, what all blocks do alike is done once for all.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from aexad.methods.flows import SOFTNESS, Flow, channel_scale

aten = torch.ops.aten


def log_density(flow: Flow, u: torch.Tensor, codes: torch.Tensor, where: torch.Tensor
                ) -> torch.Tensor:
    """As `Flow.log_density`, up to rounding; no gradients of u, codes."""
    condition = codes.flatten(0, 1).index_select(0, where)
    blocks = list(flow.blocks)
    # scale, offset and rotation of a block as one linear layer
    scale = channel_scale(torch.stack([block.scale for block in blocks]))
    rotation = torch.stack([block.rotation for block in blocks])
    offset = torch.stack([block.offset for block in blocks])
    turns = (rotation * scale.unsqueeze(1)).unbind()
    shifts = torch.bmm(rotation, offset.unsqueeze(2)).squeeze(2).unbind()
    logs = []
    for block, turn, shift in zip(blocks, turns, shifts):
        u, s = _Block.apply(u, condition, *block.subnet.parameters(), turn, shift, block.clamp)
        logs.append(s)
    logdet = torch.cat(logs, dim=1).sum(dim=1) + scale.log().sum()
    gauss = -0.5 * u.square().sum(dim=1) - 0.5 * math.log(2 * math.pi) * flow.channels
    return (gauss + logdet) / flow.channels


class _Block(torch.autograd.Function):
    """u (n, C), the condition (n, 128), both layers of the subnet, the turn (C, C) and shift (C,)
    that follow -> the next u, log-scales (n, C // 2)."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, condition: torch.Tensor, w1: torch.Tensor,
                b1: torch.Tensor, w2: torch.Tensor, b2: torch.Tensor, turn: torch.Tensor,
                shift: torch.Tensor, clamp: float) -> tuple[torch.Tensor, torch.Tensor]:
        moved = len(w2) // 2
        kept = u.shape[1] - moved
        x = torch.cat([u[:, :kept], condition], dim=1)
        hidden = F.linear(x, w1, b1).relu_()
        found = F.linear(hidden, w2, b2)
        tanh = (found[:, :moved] * SOFTNESS).tanh_()
        s = tanh * clamp
        factor = s.exp()
        stretched = factor * u[:, kept:]
        coupled = torch.empty_like(u)
        coupled[:, :kept] = u[:, :kept]
        torch.add(stretched, found[:, moved:], alpha=SOFTNESS, out=coupled[:, kept:])
        ctx.save_for_backward(x, hidden, tanh, factor, stretched, coupled, w1, w2, turn)
        ctx.clamp = clamp
        return F.linear(coupled, turn, shift), s

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor, g_s: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, hidden, tanh, factor, stretched, coupled, w1, w2, turn = ctx.saved_tensors
        moved = tanh.shape[1]
        kept = coupled.shape[1] - moved
        g_turn, g_shift = g.t() @ coupled, g.sum(dim=0)
        g = g @ turn
        g_found = g.new_empty(len(g), 2 * moved)
        torch.mul(g[:, kept:], SOFTNESS, out=g_found[:, moved:])
        g_tanh = torch.addcmul(g_s, g[:, kept:], stretched)
        bent = aten.tanh_backward(g_tanh, tanh)
        torch.mul(bent, SOFTNESS * ctx.clamp, out=g_found[:, :moved])
        g_w2, g_b2 = g_found.t() @ hidden, g_found.sum(dim=0)
        g_hidden = aten.threshold_backward(g_found @ w2, hidden, 0)
        g_w1, g_b1 = g_hidden.t() @ x, g_hidden.sum(dim=0)
        g[:, kept:].mul_(factor)
        g[:, :kept].addmm_(g_hidden, w1[:, :kept])
        return g, None, g_w1, g_b1, g_w2, g_b2, g_turn, g_shift, None

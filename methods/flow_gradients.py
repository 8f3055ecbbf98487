"""A flow's density for training: a block's gradient is written out, and what all blocks do alike is
done once for all. A CPU passes over memory less often so, and a GPU has half as many operations,
which it takes one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from aexad.methods.flows import CONDITION, SOFTNESS, Flow, channel_scale, of_normal

aten = torch.ops.aten


def log_density(flow: Flow, u: torch.Tensor, codes: torch.Tensor, where: torch.Tensor
                ) -> torch.Tensor:
    """As `Flow.log_density`, up to rounding; no gradients of u, codes."""
    condition = Gathered.of(codes, where) if u.is_cuda else ByPlace.of(codes, where)
    blocks = list(flow.blocks)
    # scale, offset and rotation of a block as one linear layer
    scale = channel_scale(torch.stack([block.scale for block in blocks]))
    rotation = torch.stack([block.rotation for block in blocks])
    offset = torch.stack([block.offset for block in blocks])
    turns = (rotation * scale.unsqueeze(1)).unbind()
    shifts = torch.bmm(rotation, offset.unsqueeze(2)).squeeze(2).unbind()
    # written over by each block: fresh memory for maps as large as these costs a CPU more than what
    # is done to them
    room = u.new_empty(len(u), len(blocks[0].subnet[0].bias))
    logs = []
    for block, turn, shift in zip(blocks, turns, shifts):
        u, s = _Block.apply(u, condition, room, *block.subnet.parameters(), turn, shift,
                            block.clamp)
        logs.append(s)
    return of_normal(u, torch.cat(logs, dim=1).sum(dim=1) + scale.log().sum())


class Condition(Protocol):
    """The codes of n vectors, beside which a subnet sees the kept channels (n, k)."""

    def layer(self, kept: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
              room: torch.Tensor) -> torch.Tensor:
        """What a linear layer makes of [kept, codes]: (n, outputs); `room` is as large."""

    def gradients(self, g: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of its weight and its bias, given that of what it made."""


@dataclass(frozen=True)
class Gathered:
    """As they are, (n, 128): a few large operations."""

    codes: torch.Tensor

    @classmethod
    def of(cls, codes: torch.Tensor, where: torch.Tensor) -> Gathered:
        return cls(codes.flatten(0, 1).index_select(0, where))

    def layer(self, kept: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
              room: torch.Tensor) -> torch.Tensor:
        return F.linear(torch.cat([kept, self.codes], dim=1), weight, bias)

    def gradients(self, g: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return g.t() @ torch.cat([kept, self.codes], dim=1), g.sum(dim=0)


@dataclass(frozen=True)
class ByPlace:
    """Half a code is the column's, half the row's: their products, once a column (w, 64) and once a
    row (h, 64), are gathered at the vectors' column and row (n,). Less arithmetic, but not for a
    GPU, where the gradient of what was gathered has no fixed order."""

    columns: torch.Tensor
    rows: torch.Tensor
    column: torch.Tensor
    row: torch.Tensor

    @classmethod
    def of(cls, codes: torch.Tensor, where: torch.Tensor) -> ByPlace:
        width = codes.shape[1]
        return cls(codes[0, :, :CONDITION // 2], codes[:, 0, CONDITION // 2:], where % width,
                   where // width)

    def layer(self, kept: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
              room: torch.Tensor) -> torch.Tensor:
        of_kept, of_column, of_row = weight.split(
            [kept.shape[1], CONDITION // 2, CONDITION // 2], dim=1)
        found = F.linear(self.columns, of_column, bias).index_select(0, self.column)
        found.add_(torch.index_select(F.linear(self.rows, of_row), 0, self.row, out=room))
        return found.addmm_(kept, of_kept.t())

    def gradients(self, g: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        by_column = g.new_zeros(len(self.columns), g.shape[1]).index_add_(0, self.column, g)
        by_row = g.new_zeros(len(self.rows), g.shape[1]).index_add_(0, self.row, g)
        return (torch.cat([g.t() @ kept, by_column.t() @ self.columns, by_row.t() @ self.rows],
                          dim=1), by_column.sum(dim=0))


class _Block(torch.autograd.Function):
    """u (n, C), the condition, room for what the subnet hides, its two layers, the turn (C, C) and
    shift (C,) that follow -> the next u, log-scales (n, C // 2)."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, condition: Condition, room: torch.Tensor,
                w1: torch.Tensor, b1: torch.Tensor, w2: torch.Tensor, b2: torch.Tensor,
                turn: torch.Tensor, shift: torch.Tensor, clamp: float
                ) -> tuple[torch.Tensor, torch.Tensor]:
        moved = len(w2) // 2
        kept = u.shape[1] - moved
        hidden = condition.layer(u[:, :kept], w1, b1, room).relu_()
        found = F.linear(hidden, w2, b2)
        tanh = (found[:, :moved] * SOFTNESS).tanh_()
        s = tanh * clamp
        factor = s.exp()
        stretched = factor * u[:, kept:]
        coupled = torch.empty_like(u)
        coupled[:, :kept] = u[:, :kept]
        torch.add(stretched, found[:, moved:], alpha=SOFTNESS, out=coupled[:, kept:])
        ctx.save_for_backward(hidden, tanh, factor, stretched, coupled, w1, w2, turn)
        ctx.condition, ctx.room, ctx.clamp = condition, room, clamp
        return F.linear(coupled, turn, shift), s

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor, g_s: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, tanh, factor, stretched, coupled, w1, w2, turn = ctx.saved_tensors
        moved = tanh.shape[1]
        kept = coupled.shape[1] - moved
        g_turn, g_shift = g.t() @ coupled, g.sum(dim=0)
        g = g @ turn
        g_found = g.new_empty(len(g), 2 * moved)
        torch.mul(g[:, kept:], SOFTNESS, out=g_found[:, moved:])
        bent = aten.tanh_backward(torch.addcmul(g_s, g[:, kept:], stretched), tanh)
        torch.mul(bent, SOFTNESS * ctx.clamp, out=g_found[:, :moved])
        g_w2, g_b2 = g_found.t() @ hidden, g_found.sum(dim=0)
        g_hidden = torch.mm(g_found, w2, out=ctx.room)
        aten.threshold_backward.grad_input(g_hidden, hidden, 0, grad_input=g_hidden)
        g_w1, g_b1 = ctx.condition.gradients(g_hidden, coupled[:, :kept])  # which are u's
        if ctx.needs_input_grad[0]:  # but for the first block
            g[:, kept:].mul_(factor)
            g[:, :kept].addmm_(g_hidden, w1[:, :kept])
        return g, None, None, g_w1, g_b1, g_w2, g_b2, g_turn, g_shift, None

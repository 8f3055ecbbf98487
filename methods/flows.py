"""The conditional normalising flow of BGAD: the density of a feature vector, given its position.

A flow works on single vectors: a row is one position of one image. The condition is the position's
code, the same for all images, so what a layer makes of the codes is computed once a position and
gathered, not once a vector. This is what explains; what trains is in flow_gradients.py.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import special_ortho_group
from torch import nn

CONDITION = 128  # numbers in a position's code
SOFTNESS = 0.1  # factor on the subnet's output and on the global scale, as in FrEIA
_UNIT_SCALE = 2 * math.log(math.expm1(5))  # g for which 0.1 * softplus_0.5(g) = 1


def position_codes(height: int, width: int) -> torch.Tensor:
    """(height, width, 128) float32: 64 numbers for the column, then 64 for the row; of a place p
    sin(p w_i) and cos(p w_i) in turn, w_i = 10000^(-i/64), i = 0, 2, ..., 62."""
    half = CONDITION // 2
    frequencies = torch.exp(torch.arange(0, half, 2) * (-math.log(1e4) / half))

    def code(length: int) -> torch.Tensor:
        angles = torch.arange(length)[:, None] * frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)

    columns = code(width).expand(height, width, half)
    rows = code(height)[:, None].expand(height, width, half)
    return torch.cat([columns, rows], dim=2)


class Block(nn.Module):
    """FrEIA's all-in-one block: an affine coupling that sees the condition, a learned scale and
    offset for each channel, and a fixed random rotation."""

    def __init__(self, channels: int, clamp: float, rotation: np.ndarray) -> None:
        super().__init__()
        self.moved, self.kept, self.clamp = channels // 2, channels - channels // 2, clamp
        inputs = self.kept + CONDITION
        self.subnet = nn.Sequential(nn.Linear(inputs, 2 * inputs), nn.ReLU(),
                                    nn.Linear(2 * inputs, 2 * self.moved))
        self.scale = nn.Parameter(torch.full((channels,), _UNIT_SCALE))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.register_buffer("rotation", torch.from_numpy(rotation).float())

    def forward(self, u: torch.Tensor, codes: torch.Tensor, where: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """u (n, C); codes (h, w, 128); where (n,), positions row by row -> (n, C) and
        log-determinants (n,)."""
        kept, moved = u.split([self.kept, self.moved], dim=1)
        strength, shift = (SOFTNESS * self.coupling(kept, codes, where)).chunk(2, dim=1)
        s = self.clamp * torch.tanh(strength)
        u = torch.cat([kept, moved * s.exp() + shift], dim=1)
        scale = channel_scale(self.scale)
        u = F.linear(u * scale + self.offset, self.rotation)
        return u, s.sum(dim=1) + scale.log().sum()

    def coupling(self, kept: torch.Tensor, codes: torch.Tensor, where: torch.Tensor
                 ) -> torch.Tensor:
        """The subnet of [kept, the codes at `where`]. Its first layer is the sum of a part for
        each."""
        first, _, last = self.subnet
        of_kept, of_code = first.weight.split([self.kept, CONDITION], dim=1)
        hidden = F.linear(codes.flatten(0, 1), of_code, first.bias).index_select(0, where)
        # written over: fresh memory for maps as large as these costs more than the arithmetic
        return last(torch.relu_(hidden.add_(F.linear(kept, of_kept))))


def channel_scale(learned: torch.Tensor) -> torch.Tensor:
    """What a block multiplies its channels by."""
    return SOFTNESS * F.softplus(learned, beta=0.5)


def of_normal(z: torch.Tensor, logdet: torch.Tensor) -> torch.Tensor:
    """Log-density, per dimension, of what a flow turns into z (n, C), a standard normal, with the
    log-determinants (n,): (n,)."""
    channels = z.shape[1]
    gauss = -0.5 * z.square().sum(dim=1) - 0.5 * math.log(2 * math.pi) * channels
    return (gauss + logdet) / channels


class Flow(nn.Module):
    """The blocks in a row. `rng` draws the rotations; weights come from torch's generator."""

    def __init__(self, channels: int, blocks: int, clamp: float, rng: np.random.Generator) -> None:
        super().__init__()
        self.channels = channels
        self.blocks = nn.ModuleList(
            Block(channels, clamp, special_ortho_group.rvs(channels, random_state=rng))
            for _ in range(blocks))

    def forward(self, u: torch.Tensor, codes: torch.Tensor, where: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """As a block's."""
        logdet = torch.zeros((), device=u.device)
        for block in self.blocks:
            u, more = block(u, codes, where)
            logdet = logdet + more
        return u, logdet

    def log_density(self, u: torch.Tensor, codes: torch.Tensor, where: torch.Tensor
                    ) -> torch.Tensor:
        """Log-density under a standard normal of z, per dimension: (n,)."""
        return of_normal(*self(u, codes, where))

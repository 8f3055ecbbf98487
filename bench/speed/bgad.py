"""BGAD's step the plain way: the backbone in every step, position codes built for every position
of the batch and joined to the features, the boundary from a pass of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from aexad.bench.speed.ae_xad import tensors
from aexad.bench.speed.case import SIZE, Case, images, nchw
from aexad.methods.base import Context, TrainingSet
from aexad.methods.bgad import BGAD, boundary, focal_weights
from aexad.methods.bgad_levels import level_masks
from aexad.methods.bgad_params import BGADExplain, BGADFit
from aexad.methods.flows import Block, Flow, position_codes

SEED = 7  # of the positions' order, the same on both sides


def naive_block(block: Block, u: torch.Tensor, codes: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor]:
    """u (n, C), codes (n, 128): a code for every row."""
    kept, moved = u[:, :block.kept], u[:, block.kept:]
    strength, shift = (0.1 * block.subnet(torch.cat([kept, codes], dim=1))).chunk(2, dim=1)
    s = block.clamp * torch.tanh(strength)
    u = torch.cat([kept, moved * torch.exp(s) + shift], dim=1)
    scale = 0.1 * F.softplus(block.scale, beta=0.5)
    return (u * scale + block.offset) @ block.rotation.T, s.sum(dim=1) + torch.log(scale).sum()


def naive_density(flow: Flow, u: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    logdet = torch.zeros(())
    for block in flow.blocks:
        u, more = naive_block(block, u, codes)
        logdet = logdet + more
    gauss = -0.5 * (u ** 2).sum(dim=1) - 0.5 * math.log(2 * math.pi) * flow.channels
    return (gauss + logdet) / flow.channels


def naive_loss(p: BGADFit, logp: torch.Tensor, anomalous: torch.Tensor, b_n: torch.Tensor
               ) -> torch.Tensor:
    """Likelihood and push-pull with the boundary given, by lists of rows."""
    t = logp / p.normalizer
    weights = focal_weights(t.detach(), anomalous)
    total = (weights * -F.logsigmoid(logp))[~anomalous].mean()
    if anomalous.any():
        pulled = (~anomalous & (t <= b_n)).nonzero().squeeze(1)
        pushed = (anomalous & (t >= b_n - p.tau)).nonzero().squeeze(1)
        for rows, distance in ((pulled, b_n - t), (pushed, t - b_n + p.tau)):
            if len(rows):
                total = total + p.push_pull * (weights * distance)[rows].mean()
    return total


def case(what: str, size: int = SIZE, **params: object) -> Case:
    fit = BGADFit(weights="random", **params)
    data = images(fit.batch_size, size)
    ours, theirs = (BGAD(fit, BGADExplain(), Context("cpu", 0)) for _ in range(2))
    levels = [ours.level(features, data.masks)
              for features in ours.ctx.extract(data.images, ours.features)]
    trainings, batch = ours.trainings(), np.arange(fit.batch_size)
    optimiser = torch.optim.Adam(theirs.flows.parameters(), lr=fit.lr)
    nchw(theirs.backbone)

    def step() -> float:
        rng = np.random.default_rng(SEED)
        losses = ours.train_on(trainings, levels, batch, rng, 1, fit.lr)
        return torch.stack(losses).mean().item()

    def naive() -> float:
        rng, losses = np.random.default_rng(SEED), []
        with torch.no_grad():
            levels = theirs.features(tensors(data)[0])
        for flow, level in zip(theirs.flows, levels):
            losses += naive_level(theirs.p, optimiser, flow, level, data, rng)
        return sum(losses) / len(losses)

    return Case("bgad", f"{what}, batch {fit.batch_size}, {size} px", fit.batch_size,
                step, naive, "backbone and position codes in every step, a separate boundary pass, "
                "NCHW",
                once=(lambda: ours.ctx.extract(data.images, ours.features), fit.batch_size))


def naive_level(p: BGADFit, optimiser: torch.optim.Optimizer, flow: Flow, level: torch.Tensor,
                data: TrainingSet, rng: np.random.Generator) -> list[float]:
    """One level of a batch (B, C, h, w)."""
    n, _, h, w = level.shape
    rows = level.permute(0, 2, 3, 1).reshape(n * h * w, -1)
    codes = position_codes(h, w).flatten(0, 1).repeat(n, 1)
    anomalous = torch.from_numpy(level_masks(data.masks, (h, w))).flatten()
    order = torch.from_numpy(rng.permutation(len(rows)))
    losses = []
    size = min(p.n_positions, len(rows))
    for part in order[:len(rows) // size * size].split(size):
        u, code, label = rows[part], codes[part], anomalous[part]
        with torch.no_grad():
            b_n = boundary(naive_density(flow, u, code) / p.normalizer, label, p.beta)
        loss = naive_loss(p, naive_density(flow, u, code), label, b_n)
        optimiser.zero_grad(set_to_none=False)  # the other levels' flows move, too
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def cases() -> Iterator[Case]:
    yield case("EfficientNet-B6")

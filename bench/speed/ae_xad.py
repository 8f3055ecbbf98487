"""AE-XAD, the plain autoencoder and the ViT variant, written straight from the paper.

The encoder runs in every step, all 64 channels are upsampled before tanh and the sum, tensors are
in PyTorch's default NCHW layout.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from aexad.bench.speed.case import SIZE, Case, images, nchw
from aexad.methods.ae_xad import AEXAD, AutoEncoder, Decoder, PlainAE
from aexad.methods.ae_xad_params import AEExplain, AEFit, AEXADFit
from aexad.methods.ae_xad_vit import AEXADViT
from aexad.methods.ae_xad_vit_params import ViTExplain, ViTFit
from aexad.methods.augment import Augmented
from aexad.methods.base import Context, TrainingSet

EVERY_STEP = "encoder in every step, 64 channels upsampled, NCHW"


class NaiveAutoEncoder(nn.Module):
    """The forward pass of Section 5.1 over the layers of `net` (its weights are shared)."""

    def __init__(self, net: AutoEncoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.net.features(x)
        return naive_decoder(self.net.decoder, features)


def naive_decoder(decoder: Decoder, features: torch.Tensor) -> torch.Tensor:
    """The two branches of Section 5.1, in its order."""
    code = decoder.reduce(features)
    b1 = torch.tanh(F.interpolate(code, scale_factor=8, mode="nearest"))
    b1 = torch.stack([b1[:, 8 * g:8 * g + 8].sum(dim=1) for g in range(8)], dim=1)
    b2 = decoder.blocks(code)
    out = decoder.out(F.selu(decoder.refine(b1 * b2 + b2)))
    return torch.sigmoid(out) if decoder.p.out_act == "sigmoid" else F.relu(out)


def naive_loss(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Equations 1 and 2 with F = 2, term by term. x, out: (B, 3, H, W); y: (B, 1, H, W)."""
    total = torch.zeros(())
    for xi, yi, oi in zip(x, y.expand_as(x), out):
        lam = yi.numel() / yi.sum() if yi.sum() > 0 else 1.0
        most = (2 - xi) ** 2
        total = total + ((1 - yi) * (xi - oi) ** 2 / most + lam * yi * (2 - oi) ** 2 / most).sum()
    return total / len(x)


def naive_vit_loss(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """As above with sums over the channels above and below the fraction (row 13)."""
    total = torch.zeros(())
    for xi, yi, oi in zip(x, y, out):
        lam = yi.numel() / yi.sum() if yi.sum() > 0 else 1.0
        most = ((2 - xi) ** 2).sum(dim=0)
        total = total + ((1 - yi[0]) * ((xi - oi) ** 2).sum(dim=0) / most
                         + lam * yi[0] * ((2 - oi) ** 2).sum(dim=0) / most).sum()
    return total / len(x)


def tensors(data: TrainingSet | Augmented) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks as NCHW float."""
    x = torch.from_numpy(data.images).permute(0, 3, 1, 2).contiguous().float() / 255
    return x, torch.from_numpy(data.masks).unsqueeze(1).float()


def frozen(name: str, what: str, method: type[AEXAD], fit: AEFit, size: int = SIZE) -> Case:
    """AE-XAD or AE: the encoder's features are stored."""
    data = images(fit.batch_size, size)
    if method is PlainAE:
        data.masks[:] = False
    all_ = Augmented(data.images, data.masks, data.normals, data.anomalies)
    ours, theirs = (method(fit, AEExplain(), Context("cpu", 0)) for _ in range(2))
    pool = ours.pool(all_)
    ours.net.train()
    optimiser = ours.optimiser()
    network = NaiveAutoEncoder(nchw(theirs.net).train())
    their_optimiser = torch.optim.Adam(theirs.net.decoder.parameters(), lr=fit.lr,
                                       weight_decay=fit.weight_decay)
    batch = np.arange(fit.batch_size)

    def naive() -> float:
        x, y = tensors(data)
        out = network(x)
        loss = ((x - out) ** 2).sum() / len(x) if method is PlainAE else naive_loss(x, y, out)
        their_optimiser.zero_grad()
        loss.backward()
        their_optimiser.step()
        return loss.item()

    return Case(name, f"{what}, batch {fit.batch_size}, {size} px", fit.batch_size,
                lambda: ours.step(optimiser, pool, batch).item(), naive, EVERY_STEP,
                once=(lambda: ours.frozen_features(data.images), fit.batch_size),
                parts={"reduction": ours.net.decoder.reduce, "blocks": ours.net.decoder.blocks})


def vit(size: int = SIZE) -> Case:
    """The frozen recipe with ViT-Tiny. Its stem trains before the transformer, so that gradients
    pass through it and nothing can be stored."""
    fit = ViTFit(encoder="vit_tiny", weights="random")
    data = images(fit.batch_size, size)
    all_ = Augmented(data.images, data.masks, data.normals, data.anomalies)
    ours, theirs = (AEXADViT(fit, ViTExplain(), Context("cpu", 0)) for _ in range(2))
    pool = ours.pool(all_)
    ours.net.train()
    optimiser = ours.optimiser()
    network = nchw(theirs.net).train()
    network.requires_grad_(True)  # frozen by not being given to the optimiser
    trained = [*network.encoder.stem.parameters(), *network.decoder.parameters()]
    their_optimiser = torch.optim.AdamW(trained, lr=fit.lr, weight_decay=fit.weight_decay)
    batch = np.arange(fit.batch_size)

    def naive() -> float:
        x, y = tensors(data)
        loss = naive_vit_loss(x, y, naive_decoder(network.decoder, network.features(x)))
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, fit.clip)
        their_optimiser.step()
        return loss.item()

    return Case("ae_xad_vit", f"ViT-Tiny, frozen, batch {fit.batch_size}, {size} px",
                fit.batch_size, lambda: ours.step(optimiser, pool, batch).item(), naive,
                "gradients of the frozen weights, 64 channels upsampled, NCHW",
                parts={"stem": ours.net.encoder.stem, "transformer": ours.net.encoder.tokens,
                       "reduction": ours.net.decoder.reduce, "blocks": ours.net.decoder.blocks})


def cases() -> Iterator[Case]:
    yield frozen("ae_xad", "ResNet-50", AEXAD, AEXADFit(weights="random"))
    yield frozen("ae_xad", "ResNet-18", AEXAD,
                 AEXADFit(encoder="resnet18", weights="random", batch_size=24))
    yield frozen("ae", "ResNet-50", PlainAE, AEFit(weights="random"))
    yield vit()

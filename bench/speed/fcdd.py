"""FCDD's step as its formulas are usually written: in NCHW, the upsampling a transposed
convolution with the whole Gaussian kernel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from aexad.bench.speed.ae_xad import tensors
from aexad.bench.speed.case import SIZE, Case, images, nchw
from aexad.methods.base import Context, TrainingSet
from aexad.methods.fcdd import FCDD, add_noise, crop, jitter
from aexad.methods.fcdd_params import FCDDExplain, FCDDFit
from aexad.methods.receptive import fields, gaussian_window
from aexad.methods.rows import Pool, Rows

SEED = 7  # of the augmentation, the same on both sides


class NaiveUpsampling:
    """A' of A by conv_transpose2d: the kernel's centre falls on what a unit sees."""

    def __init__(self, method: FCDD, size: int) -> None:
        field = fields(method.net, size)[-1]
        window = gaussian_window(field.r, method.p.gauss_std).float()
        self.kernel = torch.outer(window, window).view(1, 1, field.r, field.r)
        self.cropped = (field.r - 1) // 2 - int(field.shift)
        self.jump, self.size = field.jump, size

    def __call__(self, a: torch.Tensor) -> torch.Tensor:
        up = F.conv_transpose2d(a.unsqueeze(1), self.kernel, stride=self.jump).squeeze(1)
        inside = slice(self.cropped, self.cropped + self.size)
        return up[:, inside, inside]


def naive_loss(up: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The pixel-wise objective, image by image. up, y: (B, H, W)."""
    total = torch.zeros(())
    for a, mask in zip(up, y):
        total = total + ((1 - mask) * a).mean()
        if mask.any():
            total = total - torch.log(1 - torch.exp(-(mask * a).mean()) + 1e-31)
    return total / len(up)


def case(what: str, size: int = SIZE, **params: object) -> Case:
    fit = FCDDFit(weights="random", **params)
    data = images(fit.batch_size, size)
    ours, theirs = (FCDD(fit, FCDDExplain(), Context("cpu", 0)) for _ in range(2))
    for method in (ours, theirs):
        method.measure_range(data)
    pool = Pool(Rows(data.images), Rows(data.masks),
                None if fit.augment else ours.frozen_features(data.images))
    ours.net.train()
    nchw(theirs.net).train()
    optimisers = [torch.optim.SGD([w for w in m.net.parameters() if w.requires_grad], fit.lr,
                                  fit.momentum, weight_decay=fit.weight_decay, nesterov=True)
                  for m in (ours, theirs)]
    upsample = NaiveUpsampling(theirs, size)
    batch = np.arange(fit.batch_size)

    def step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> float:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    def naive() -> float:
        rng, masks, pixels = np.random.default_rng(SEED), data.masks, data.images
        if fit.augment:
            seen = crop(rng, *masks.shape)
            pixels, masks = pixels[seen], masks[seen]
        x, y = tensors(TrainingSet(pixels, masks, data.anomalous))
        if fit.augment:
            x = add_noise(rng, jitter(rng, x)).contiguous()
        return step(optimisers[1], naive_loss(upsample(theirs.net(x)), y.squeeze(1)))

    return Case("fcdd", f"{what}, batch {fit.batch_size}, {size} px", fit.batch_size,
                lambda: step(optimisers[0], ours.step(np.random.default_rng(SEED), pool, batch)),
                naive, "transposed convolution with the whole kernel, frozen part in every step, "
                "NCHW",
                once=None if fit.augment else (lambda: ours.frozen_features(data.images),
                                               fit.batch_size),
                parts={"frozen front": ours.net.front, "trained part": ours.net.rest})


def cases() -> Iterator[Case]:
    yield case("VGG-11-BN")
    yield case("VGG-11-BN, no augmentation, frozen statistics", augment=False,
               freeze_bn_stats=True)

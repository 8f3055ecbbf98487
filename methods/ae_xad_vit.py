"""AE-XAD with a Vision Transformer as encoder, after the ViT re-implementation of AE-XAD
(VincenzoPresta/ViT-AE-XAD_ML-Project: its code and its report; 'row N': docs/open_points.md).

Three recipes. `frozen`: the pre-trained transformer is fixed; the stem before it, the adapter
behind it and the decoder train. `finetuned`: the pre-trained transformer trains, too, as the
report says of its second column. `scratch`: the same without pre-training, as the code behind
that column does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from aexad.methods.ae_xad import AEXAD, CODE, UNSCALED, AutoEncoder, Decoder
from aexad.methods.ae_xad_vit_params import ViTFacts
from aexad.methods.augment import Augmented
from aexad.methods.base import TrainingSet
from aexad.methods.rows import chosen, joined
from aexad.methods.vision import timm, torchvision
from aexad.methods.weights import load_matching

PATCH = 16
_TIMM = "https://huggingface.co/timm/{0}/resolve/main/model.safetensors#{0}.safetensors"
_TINY = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"


class _Tokens(nn.Module):
    """A transformer as a map of features: (B, 3, H, W) -> (B, width, H/16, W/16). The position
    embedding, learned at 224 px, is interpolated at other sizes."""

    def __init__(self, vit: nn.Module, width: int) -> None:
        super().__init__()
        self.vit, self.width = vit, width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(x)[:, 1:]  # without the class token
        shape = (x.shape[2] // PATCH, x.shape[3] // PATCH)
        return tokens.transpose(1, 2).unflatten(2, shape)


class _Tiny(_Tokens):
    def __init__(self) -> None:
        super().__init__(timm.create_model(_TINY, pretrained=False, num_classes=0,
                                           dynamic_img_size=True), 192)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return self.vit.forward_features(x)


class _Base(_Tokens):
    def __init__(self) -> None:
        vit = torchvision.models.vit_b_16(weights=None)
        vit.heads = nn.Identity()
        super().__init__(vit, 768)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.vit.conv_proj(x)
        shape = patches.shape[2:]
        tokens = torch.cat([self.vit.class_token.expand(len(x), -1, -1),
                            patches.flatten(2).transpose(1, 2)], dim=1)
        return self.vit.encoder.ln(self.vit.encoder.layers(tokens + self.positions(shape)))

    def positions(self, shape: torch.Size) -> torch.Tensor:
        stored = self.vit.encoder.pos_embedding
        side = math.isqrt(stored.shape[1] - 1)
        if tuple(shape) == (side, side):
            return stored
        grid = stored[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        grid = F.interpolate(grid, size=shape, mode="bicubic", antialias=True)
        return torch.cat([stored[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


TRANSFORMERS: dict[str, tuple[Callable[[], _Tokens], str]] = {
    "vit_b_16": (_Base, "https://download.pytorch.org/models/vit_b_16-c867db91.pth"),
    "vit_tiny": (_Tiny, _TIMM.format(_TINY)),
}


class StemmedViT(nn.Module):
    """The trained stem, 3 -> 64 -> 3 channels, then the transformer."""

    def __init__(self, tokens: _Tokens) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
            nn.Conv2d(64, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU())
        self.tokens = tokens

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tokens(self.stem(x))


def adapter(width: int) -> nn.Module:
    """(B, width, H/16, W/16) -> the code (B, 64, H/8, W/8)."""
    return nn.Sequential(
        nn.Conv2d(width, 256, 1), nn.SELU(), nn.Conv2d(256, 128, 3, padding=1), nn.SELU(),
        nn.ConvTranspose2d(128, CODE, 2, 2), nn.SELU(),
        nn.Conv2d(CODE, CODE, 3, padding=1), nn.SELU(),
        nn.Conv2d(CODE, CODE, 3, padding=1), nn.SELU())


class AEXADViT(ViTFacts, AEXAD):
    """AE-XAD with a Vision Transformer as encoder."""

    encoder_fixed = False  # gradients pass through a frozen transformer to the stem before it

    def build(self) -> AutoEncoder:
        p = self.p
        make, official = TRANSFORMERS[p.encoder]
        tokens = make()
        if p.recipe != "scratch" and p.weights == "imagenet":
            found = self.ctx.weights.load(p.encoder, official)
            load_matching(tokens.vit, found["state"], found["path"], p.encoder)
        tokens.requires_grad_(p.recipe != "frozen")
        norm = ((0.5,) * 3, (0.5,) * 3) if p.input_norm == "imagenet" else UNSCALED
        self.clip = p.clip or None
        return AutoEncoder(StemmedViT(tokens), Decoder(adapter(tokens.width), p), norm, False)

    def prepare(self, train: TrainingSet) -> tuple[Augmented, int]:
        """Every copy of an anomaly, raw or pasted, gets noise of its own and is stored as a whole
        number, rounded down; an epoch is over when the normals are used up (row 26)."""
        data, _ = super().prepare(train)
        copies, n = data.images[data.anomalies], len(data.normals)
        rng = np.random.default_rng([self.ctx.seed, 3])
        for image in copies:
            noise = rng.normal(0, self.p.noise * 255, image.shape)
            image[:] = np.clip(image + noise, 0, 255)  # the fraction is cut off
        batch = self.p.batch_size
        n_anomalies = math.floor(batch * self.p.anom_frac + 1e-9)
        drawn = (n, batch - n_anomalies) if n else (len(train.images), batch)
        # a raw copy was a repeated position of one image; now each is an image
        return (Augmented(joined(chosen(data.images, data.normals), copies),
                          joined(chosen(data.masks, data.normals), data.masks[data.anomalies]),
                          np.arange(n), n + np.arange(len(copies))),
                math.ceil(drawn[0] / drawn[1]))

    def loss(self, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Equation 1 with sums over the channels above and below the fraction (row 13)."""
        if self.p.denominator == "element":
            return super().loss(x, y, out)
        target = self.transform(x)
        most = self.largest_error(x, target).sum(dim=1, keepdim=True)
        normal = (x - out).square().sum(dim=1, keepdim=True)
        anomalous = (target - out).square().sum(dim=1, keepdim=True)
        n_anomalous = y.sum(dim=(1, 2, 3), keepdim=True)
        lam = torch.where(n_anomalous > 0, y[0].numel() / n_anomalous.clamp_min(1), 1.0)
        return (torch.where(y > 0, lam * anomalous, normal) / most).sum() / len(x)

    def optimiser(self) -> torch.optim.Optimizer:
        rest = [*self.net.encoder.stem.parameters(), *self.net.decoder.parameters()]
        groups = [{"params": rest}]
        if self.p.recipe != "frozen":
            groups.append({"params": self.net.encoder.tokens.parameters()})
        return torch.optim.AdamW(groups, lr=self.p.lr, weight_decay=self.p.weight_decay)

    def rates(self, epoch: int) -> tuple[float, float]:
        """A cosine from the learning rates to lr_min over all epochs, constant within one."""
        p, low = self.p, self.p.lr_min
        share = (1 + math.cos(math.pi * epoch / p.epochs)) / 2
        return low + (p.lr - low) * share, low + (p.encoder_lr - low) * share

    def state_dict(self) -> dict[str, torch.Tensor]:
        published = self.p.recipe == "frozen" and self.p.weights == "imagenet"
        fixed = "encoder.tokens." if published else "\0"
        return {k: v for k, v in self.net.state_dict().items() if not k.startswith(fixed)}

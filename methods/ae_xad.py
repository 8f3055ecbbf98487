"""AE-XAD (paper, Section 4) and the plain autoencoder of its ablation.

Where the paper is silent, the parameter's doc names the choice; 'row N' is the table of open
points in docs/open_points.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from aexad.bench.measure import maps
from aexad.methods.ae_xad_graph import AEXADGraph
from aexad.methods.ae_xad_params import (
    AEExplain,
    AEFit,
    AEXADFacts,
    AEXADFit,
    GreenFacts,
    PlainAEFacts,
)
from aexad.methods.augment import Augmented, augment, draw_batches, draw_weighted
from aexad.methods.base import EXPLAIN_BATCH, Computed, Context, Explanation, TrainingSet
from aexad.methods.batch_norm import accurate
from aexad.methods.encoders import ENCODERS, build_encoder
from aexad.methods.fused import Masked, Squares
from aexad.methods.map_graphs import ExplainGraph
from aexad.methods.memory import Steps
from aexad.methods.rows import Images, Pool, Rows, chosen

CODE = 64  # channels of the code, 28 x 28 x 64 at 224 px (Section 5.1)
DECODED = 8  # channels of the decoder's last maps
AT_ONCE = 2**22  # numbers of such a map that a CPU decodes at once
DENOMINATOR_MIN = 1e-6  # row 12: exact for F = 2, keeps F(x) = 1 - x finite at x = 0.5
UNSCALED = ((0.0,) * 3, (1.0,) * 3)  # mean and std that leave the input as it is


class Decoder(nn.Module):
    """Reduction of the encoder's output to the code (B, 64, h, w), then the two branches of
    Section 5.1 -> (B, 3, 8h, 8w)."""

    def __init__(self, reduce: nn.Module, p: AEFit) -> None:
        super().__init__()
        self.p = p
        self.reduce = reduce
        widths = (CODE, 32, 16, DECODED)
        self.blocks = nn.Sequential(*(_block(a, b, p) for a, b in zip(widths, widths[1:])))
        self.refine = nn.Conv2d(DECODED, DECODED, 3, padding=1)
        self.out = nn.Conv2d(DECODED, 3, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.reconstruct(self.reduce(features))

    def reconstruct(self, code: torch.Tensor) -> torch.Tensor:
        """Both branches and what joins them: (B, 64, h, w) -> (B, 3, 8h, 8w)."""
        b2, mask = self.blocks(code), self.soft_mask(code)
        if (b2.requires_grad and b2.dtype == mask.dtype
                and b2.is_contiguous(memory_format=torch.channels_last)):
            x = Masked.apply(b2, mask)
        else:
            x = b2 + F.interpolate(mask, scale_factor=8, mode="nearest") * b2
        x = self.out(F.selu(self.refine(x)))
        return {"relu": F.relu_, "sigmoid": torch.sigmoid, "none": lambda t: t}[self.p.out_act](x)

    def soft_mask(self, code: torch.Tensor) -> torch.Tensor:
        """Branch 1, before its nearest upsampling, which copies values and so commutes with tanh
        and with the sum: (B, 64, h, w) -> (B, 8, h, w), or of one channel."""
        t = torch.tanh(code)
        if self.p.mask == "square_sum":
            return t.square().sum(dim=1, keepdim=True)
        if self.p.mask_layout == "consecutive":
            return t.unflatten(1, (DECODED, CODE // DECODED)).sum(dim=2)
        return t.unflatten(1, (CODE // DECODED, DECODED)).sum(dim=1)


def reduction(channels: int, p: AEFit) -> nn.Module:
    """The "extra convolutional layer" of Section 5.1: (B, channels, h, w) -> (B, 64, h, w)."""
    widths = {"conv3x3": (channels, CODE), "conv1x1": (channels, CODE),
              "three_conv": (channels, 256, 128, CODE)}[p.reduce]
    kernel = 1 if p.reduce == "conv1x1" else 3
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:]):
        layers.append(nn.Conv2d(a, b, kernel, padding=kernel // 2))
        if p.reduce_bn:
            layers.append(nn.BatchNorm2d(b))
        if b != CODE:  # the code itself is signed
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _block(a: int, b: int, p: AEFit) -> nn.Module:
    padding = (p.tconv_kernel - 2) // 2
    first = (nn.Conv2d(a, b, 3, padding=1), nn.ConvTranspose2d(b, b, p.tconv_kernel, 2, padding))
    last = (nn.ConvTranspose2d(a, b, p.tconv_kernel, 2, padding), nn.Conv2d(b, b, 3, padding=1))
    one, two = first if p.block == "conv_tconv" else last
    return nn.Sequential(one, nn.SELU(), two, nn.SELU())


class AutoEncoder(nn.Module):
    """Images (B, 3, H, W) in [0, 1], H and W multiples of 8 -> reconstructions, the same shape."""

    def __init__(self, encoder: nn.Module, decoder: Decoder,
                 norm: tuple[tuple[float, ...], tuple[float, ...]], bn_eval: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.bn_eval = encoder, decoder, bn_eval
        mean, std = norm
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> AutoEncoder:
        super().train(mode)
        if self.bn_eval:
            self.encoder.eval()
        return self

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder((x - self.mean) / self.std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.features(x))


class AEXAD(AEXADFacts):
    """AE-XAD. One training serves two cells: with and without the Gaussian filter."""

    clip: float | None = None  # largest norm of the gradient; the paper names none

    def __init__(self, fit: AEXADFit, explain: AEExplain, ctx: Context) -> None:
        self.p, self.q, self.ctx = fit, explain, ctx
        torch.manual_seed(ctx.seed)  # the decoder's initial weights
        self.net = accurate(self.build()).to(ctx.device, memory_format=ctx.layout)
        self.steps = Steps(self.net)

    def build(self) -> AutoEncoder:
        p, spec = self.p, ENCODERS[self.p.encoder]
        encoder = build_encoder(p.encoder, p.weights == "imagenet", self.ctx.weights)
        encoder.requires_grad_(not p.freeze)
        norm = spec.norm if p.input_norm == "imagenet" else UNSCALED
        return AutoEncoder(encoder, Decoder(reduction(spec.channels, p), p), norm, p.bn_eval)

    @property
    def encoder_fixed(self) -> bool:
        """Nothing of the encoder changes in training, not even BatchNorm's statistics."""
        return self.p.freeze and self.p.bn_eval

    # -- training (Sections 4.1 and 4.2) --

    def prepare(self, train: TrainingSet) -> tuple[Augmented, int]:
        """The images to draw from and the number of steps in an epoch.

        An epoch is as many images as the training set has before augmentation: the emissions that
        the paper prints grow with that number, not with 15 copies an anomaly (row 26)."""
        p = self.p
        data = augment(train, np.random.default_rng([self.ctx.seed, 1]), **p.copies(),
                       room=self.ctx.beside(train.images))
        return data, math.ceil(len(train.images) / p.batch_size)

    def loss(self, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Equations 1 and 2. x, out: (B, 3, H, W); y: (B, 1, H, W) in {0, 1}."""
        target = self.transform(x)
        n_anomalous = y.sum(dim=(1, 2, 3), keepdim=True)
        lam = torch.where(n_anomalous > 0, y[0].numel() / n_anomalous.clamp_min(1), 1.0)
        # whole, as numbers that are spread over the channels while they are read cost more
        anomalous = (y > 0).expand_as(x).contiguous(memory_format=self.ctx.layout)
        want, lam = torch.where(anomalous, target, x), torch.where(anomalous, lam, 1.0)
        return Squares.apply(out, want, lam, self.largest_error(x, target)) / len(x)

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """F of Section 4.1, element-wise."""
        if self.p.F == "const":
            return torch.full_like(x, self.p.F_value)
        return 1 - x if self.p.F == "neg" else (x < 0.5).to(x.dtype)

    @staticmethod
    def largest_error(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """(F(x) - x)^2, the denominator of Equations 1 and 3, for each element (row 13)."""
        return (target - x).square_().clamp_min_(DENOMINATOR_MIN)

    def fit(self, train: TrainingSet) -> None:
        p = self.p
        data, steps = self.prepare(train)
        steps = p.steps or steps
        batches = self.draw(data, p.epochs * steps)
        pool = self.pool(data)
        optimiser = self.optimiser()
        self.net.train()
        for epoch in self.ctx.epochs(p.epochs, {"net": self.net, "optimiser": optimiser}):
            for group, rate in zip(optimiser.param_groups, self.rates(epoch)):
                group["lr"] = rate
            total = torch.zeros((), device=self.ctx.device)
            for batch in pool.announced(batches[epoch * steps:(epoch + 1) * steps]):
                total += self.step(optimiser, pool, batch)
            self.ctx.report(epoch, total.item() / steps)

    def draw(self, data: Augmented, steps: int) -> np.ndarray:
        """The batches of the whole training, positions (steps, batch_size) (Section 4.2)."""
        p, rng = self.p, np.random.default_rng([self.ctx.seed, 2])
        drawn = {"steps": steps, "batch_size": p.batch_size}
        if p.sampler == "weighted":
            copies = p.n_raw + (p.n_paste if len(data.normals) else 0)
            return draw_weighted(rng, data.normals, data.anomalies, weight=p.anom_weight,
                                 copies=copies, **drawn)
        return draw_batches(rng, data.normals, data.anomalies, anomaly_share=p.anom_frac,
                            rounding=p.round, **drawn)

    def optimiser(self) -> torch.optim.Optimizer:
        groups = [{"params": self.net.decoder.parameters()}]
        if not self.p.freeze:
            groups.append({"params": self.net.encoder.parameters()})
        return torch.optim.Adam(groups, lr=self.p.lr, weight_decay=self.p.weight_decay)

    def rates(self, epoch: int) -> tuple[float, float]:
        """Learning rates of an epoch: of the decoder and of an encoder that is trained."""
        p = self.p
        decay = (p.lr_gamma ** epoch if p.schedule == "exponential"
                 else (1 + math.cos(math.pi * epoch / p.epochs)) / 2)
        return p.lr * decay, p.encoder_lr * decay

    def pool(self, data: Augmented) -> Pool:
        """What batches are drawn from, with the frozen encoder's output where nothing changes it:
        the augmented set is fixed before training, so each image goes through the encoder once."""
        return Pool(self.ctx.rows(data.images), self.ctx.rows(data.masks),
                    self.frozen_features(data.images) if self.encoder_fixed else None)

    def step(self, optimiser: torch.optim.Optimizer, pool: Pool, batch: np.ndarray
             ) -> torch.Tensor:
        """One optimiser step on the images at the positions `batch` (B,); returns its loss."""
        optimiser.zero_grad(set_to_none=True)
        loss = self.steps.backward(lambda part: self.code(pool, part),
                                   lambda code, part: self.code_loss(pool, part, code), batch,
                                   self.at_once(pool))
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        optimiser.step()
        return loss

    def at_once(self, pool: Pool) -> int | None:
        """How many images the decoder takes at once on a CPU: fresh memory for larger maps costs
        more than the arithmetic. By their size alone, as another number gives other last bits."""
        if self.ctx.device.type != "cpu":
            return None
        height, width = pool.images.shape[1:3]
        return max(AT_ONCE // (DECODED * height * width), 1)

    def code(self, pool: Pool, batch: np.ndarray) -> torch.Tensor:
        """The code (B, 64, h, w) of the images at the positions `batch` (B,)."""
        with self.autocast():
            if pool.features is None:
                features = self.net.features(self.ctx.tensor(pool.images[batch]))
            else:
                features = self.ctx.nchw(pool.features[batch])
            return self.net.decoder.reduce(features)

    def code_loss(self, pool: Pool, batch: np.ndarray, code: torch.Tensor) -> torch.Tensor:
        """The loss of these images, given their code; a mean over them."""
        x = self.ctx.tensor(pool.images[batch])
        y = pool.masks[batch].unsqueeze(1).to(x.dtype)
        with self.autocast():
            out = self.net.decoder.reconstruct(code)
        loss = self.loss(x, y, out.float())
        return loss if self.p.reduction == "sum" else loss / x[0].numel()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.ctx.device.type, torch.bfloat16, enabled=self.p.amp)

    def frozen_features(self, images: Images) -> Rows | Computed:
        """The frozen encoder's output for every image, (U, h, w, channels) float32."""
        self.net.eval()
        found = self.ctx.features(images, self.frozen, self.p.feature_gb)
        return found if isinstance(found, Computed) else found[0]

    def frozen(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The frozen encoder's output, in float32 also where training is in mixed precision."""
        with torch.autocast(self.ctx.device.type, enabled=False):
            return [self.net.features(x)]

    # -- explanation (Section 4.3) --

    @torch.no_grad()
    def error_maps(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(e, the map that the heatmap is made of), (N, H, W) float32 each, of uint8 images. e is
        the mean over the channels of (t - t~)^2; Equation 3 divides each channel by its largest
        possible error before the mean (row 28), clipped at 1 (row 29). With error=plain the map is
        e, cut at 1 where it is to be filtered (Section 5.2.1)."""
        self.net.eval()
        parts = [self.errors(self.ctx.tensor(images[i:i + EXPLAIN_BATCH]))
                 for i in range(0, len(images), EXPLAIN_BATCH)]
        e, shown = (torch.cat([part.cpu() for part in side]).numpy() for side in zip(*parts))
        return e, shown

    def errors(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`error_maps` of images (B, 3, H, W) in [0, 1]."""
        error = (x - self.net(x)).square()
        e = error.mean(dim=1)
        if self.q.error == "normalised":
            ratio = error / self.largest_error(x, self.transform(x))
            return e, ratio.mean(dim=1).clamp_max(1.0)
        return e, e.clamp_max(1.0) if self.q.filter else e

    @torch.no_grad()
    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) float32 of uint8 images; 1 is white, what F sets lies above. For figures."""
        self.net.eval()
        parts = [self.net(self.ctx.tensor(images[i:i + EXPLAIN_BATCH])).cpu()
                 for i in range(0, len(images), EXPLAIN_BATCH)]
        return torch.cat(parts).permute(0, 2, 3, 1).numpy()

    def explain(self, images: np.ndarray) -> Explanation:
        return self.finish(self.raw_maps(images), images.shape[1:3])

    def raw_maps(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of tiles it is the error maps that are joined."""
        return self.error_maps(images)

    def finish(self, found: Sequence[np.ndarray], shape: tuple[int, int]) -> Explanation:
        """From error maps, as `error_maps` makes them, to the heatmaps and scores."""
        q = self.q
        e, errors = found
        heatmaps, weighted = errors, e
        radius = np.zeros(len(e), np.int64)
        if q.filter:
            radius = np.array([self.radius(m) for m in errors])
            heatmaps = self.smooth(errors, radius)
            # Equation 4: the un-normalised e, the radius of the normalised one (row 43)
            if q.score != "plain":
                weighted = e * self.smooth(e, radius) if q.score == "e" else errors * heatmaps
        weighted = weighted.astype(np.float64)
        scores = (np.abs(weighted).sum(axis=(1, 2)) if q.norm == "l1"
                  else np.sqrt(np.square(weighted).sum(axis=(1, 2))))
        return Explanation(heatmaps.astype(np.float32), scores, {"k": radius})

    def smooth(self, errors: np.ndarray, radius: np.ndarray) -> np.ndarray:
        """F_k of every map: (N, H, W) float32 and (N,) -> (N, H, W) float32."""
        q = self.q
        return np.stack([maps.gaussian_filter(m, k, divisor=q.sigma_div, sigma_min=q.sigma_min,
                                              truncate=q.truncate, border=q.border)
                         for m, k in zip(errors, radius.tolist())])

    def radius(self, e_norm: np.ndarray) -> float:
        q = self.q
        if q.k is not None:
            return q.k
        return maps.filter_radius(e_norm, threshold=q.thr, threshold_value=q.thr_value,
                                  segments=q.segments, min_run=q.min_run, aggregate=q.agg,
                                  rounding=q.k_round, k_min=q.k_min, k_max=q.k_max)

    def graph(self, shape: tuple[int, int]) -> ExplainGraph:
        return AEXADGraph(self.net, self.errors, self.q, shape)

    # -- what training produced --

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The trained tensors: without an encoder that is as published."""
        fixed = "encoder." if self.encoder_fixed and self.p.weights == "imagenet" else "\0"
        return {k: v for k, v in self.net.state_dict().items() if not k.startswith(fixed)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.net.load_state_dict({**self.net.state_dict(), **state})


class AEXADGreen(GreenFacts, AEXAD):
    """AE-XAD, trained as briefly as keeps its quality (docs/green.md): other defaults, no more."""


class PlainAE(PlainAEFacts, AEXAD):
    """The ablation's standard autoencoder: the same network, trained with the mean squared error
    to reconstruct normal images. The paper's own is below chance in 10 of 15 categories, as one
    is that was trained for a single epoch (docs/fidelity.md); this one is trained for all of them.
    Its heatmap is the mean over the channels of (t - t~)^2, its score the norm of that."""

    def prepare(self, train: TrainingSet) -> tuple[Augmented, int]:
        normals = train.normals
        data = Augmented(chosen(train.images, normals), chosen(train.masks, normals),
                         np.arange(len(normals)), np.empty(0, np.int64))
        return data, math.ceil(len(normals) / self.p.batch_size)

    def draw(self, data: Augmented, steps: int) -> np.ndarray:
        return draw_batches(np.random.default_rng([self.ctx.seed, 2]), data.normals,
                            data.anomalies, steps=steps, batch_size=self.p.batch_size,
                            anomaly_share=0.0, rounding="ceil")

    def loss(self, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Squared error, summed over an image's elements as in Equation 2, batch mean."""
        return Squares.apply(out, x, None, None) / len(x)

"""FCDD (Liznerski et al., ICLR 2021), the semi-supervised form that the paper compares with.

A pre-trained network, its front frozen, ends in a 1x1 convolution whose pseudo-Huber map A is
small on what is normal and large on what isn't; each unit of A, spread over what it sees by a
Gaussian, gives the heatmap. Written from the publication and from descriptions of two programs:
'official' is FCDD's own; 'S' the one with which the authors of the paper ran it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from aexad.bench.base.params import param
from aexad.methods.base import EXPLAIN_BATCH, Context, Explanation, TrainingSet
from aexad.methods.batch_norm import accurate
from aexad.methods.encoders import ENCODERS, build_encoder
from aexad.methods.receptive import fields, gaussian_matrix

# The last frozen module of each network: all through the third pool (what is at stride 8 is
# trained); of EfficientNet-Lite0 (stem, its BatchNorm, three groups of blocks) all but the last.
FROZEN = {"vgg11bn": 14, "vgg16": 16, "efficientnet_lite0": 3}

# Official min-max constants of MVTec: (minima, maxima) of the three channels after LCN.
MINMAX = {
    "bottle": ((-1.3337, -1.3108, -1.2446), (1.3780,) * 3),
    "cable": ((-2.2405, -2.3388, -2.2896), (4.5734,) * 3),
    "capsule": ((-3.1846, -3.1642, -3.1393), (1.6995, 1.6012, 1.5209)),
    "carpet": ((-3.0335, -2.9582, -2.7701), (6.5031, 5.8751, 5.8142)),
    "grid": ((-3.1008,) * 3, (4.2789,) * 3),
    "hazelnut": ((-3.6565, -3.5077, -2.7635), (18.9668, 21.6459, 26.4087)),
    "leather": ((-1.5193, -2.2068, -2.3948), (11.5647, 10.9765, 10.3787)),
    "metal_nut": ((-1.3208, -1.2889, -1.1484), (6.8549,) * 3),
    "pill": ((-0.9883, -0.9822, -0.9289), (2.2906, 2.4008, 2.3044)),
    "screw": ((-7.2362,) * 3, (3.3777,) * 3),
    "tile": ((-3.2037, -3.2210, -3.3055), (7.0225, 6.1156, 6.3109)),
    "toothbrush": ((-0.8916, -0.8669, -0.8002), (4.4256, 4.6423, 4.3057)),
    "transistor": ((-1.9087, -2.0004, -1.9293), (5.4631,) * 3),
    "wood": ((-2.9547, -3.1754, -3.1439), (5.3055, 4.5350, 3.3618)),
    "zipper": ((-1.2907,) * 3, (2.5151,) * 3),
}

STORED, CROPPED = 240, 224  # official: crops of 224 from images of 240; any size in proportion
JITTER = ((0.04, 0.04, 0.04, 0.04), (0.005, 0.0005, 0.0005, 0.0005))  # official, drawn evenly
NOISE = 0.1  # standard deviation of the added noise, of the image's (official)
TINY = 1e-31  # official, in the logarithm
BLUR_RADIUS = 30  # of S's second blur: 61 x 61


@dataclass(frozen=True)
class FCDDFit:
    """The network, its data pipeline and its optimisation."""

    net: str = param("vgg11bn", "pre-trained network, cut at stride 8 (official: VGG-11-BN)",
                     choices=tuple(FROZEN))
    weights: str = param("imagenet", "weights of the network", choices=("imagenet", "random"))
    freeze_until: int | None = param(None, "last frozen module; none: through the third pool "
                                     "(official: 14 of VGG-11-BN); -1: nothing frozen",
                                     low=-1, high=1000)
    freeze_bn_stats: bool = param(False, "BatchNorm of the frozen part uses and keeps its stored "
                                  "statistics (official: they move, only gradients are stopped)")
    gauss_std: float | None = param(12.0, "standard deviation of the upsampling's Gaussian, pixels "
                                    "of the working size, not scaled with it (official for MVTec "
                                    "at 224); none: from the receptive field", low=0.1)
    objective: str = param("pixel", "loss of each pixel by its mask, or of each image by its label "
                           "(official with masks: pixel)", choices=("pixel", "image"))
    augment: bool = param(True, "crops, colour jitter and noise, anew each epoch (official)")
    minmax: str = param("train", "constants of the min-max scaling: of the training normals "
                        "(official for new data), or the published ones of an MVTec category (S: "
                        "bottle's for all data)", choices=("train", *MINMAX))
    anomaly_prob: float | None = param(0.5, "probability that a normal is replaced by an anomaly "
                                       "(official); none: each image once, as it comes (S)",
                                       low=0.0, high=1.0)
    repeat: int = param(1, "passes over the normals in an epoch (S; official 10)",
                        low=1, high=10_000)
    epochs: int = param(200, "epochs (official, S)", low=1, high=1_000_000)
    batch_size: int = param(16, "images a step (S; official 8 x 16, concatenated)",
                            low=2, high=100_000)
    lr: float = param(1e-3, "learning rate of SGD (official, S)", low=0.0)
    lr_gamma: float = param(0.985, "factor on the learning rate after each epoch (official, S)",
                            low=0.0, high=1.0)
    momentum: float = param(0.9, "momentum of SGD (official)", low=0.0, high=1.0)
    nesterov: bool = param(True, "Nesterov's form of the momentum (official)")
    weight_decay: float = param(1e-4, "SGD's L2 term (official for MVTec, S)", low=0.0)


@dataclass(frozen=True)
class FCDDExplain:
    """From the map A to the heatmap."""

    extra_blur: bool = param(False, "blur the heatmap once more, 61 x 61 pixels, standard "
                             "deviation 12 (S)")


# -- preprocessing and augmentation (official pipeline 'lcnaug1') --

def lcn(x: torch.Tensor) -> torch.Tensor:
    """Each image (B, 3, H, W) less its mean, by its mean absolute value: one number of each for
    all pixels and channels."""
    x = x - x.mean(dim=(1, 2, 3), keepdim=True)
    scale = x.abs().mean(dim=(1, 2, 3), keepdim=True)
    return x / torch.where(scale > 0, scale, 1.0)


def crop(rng: np.random.Generator, images: np.ndarray, masks: np.ndarray
         ) -> tuple[np.ndarray, np.ndarray]:
    """Half of the images and their masks cropped to 14/15 of the side at a random place and
    zoomed back, by nearest neighbour: the official crop of 224 out of 240."""
    n, *sides = masks.shape
    cropped = rng.random(n) < 0.5
    places = []
    for side in sides:
        enlarged = round(side * STORED / CROPPED)
        first = rng.integers(0, enlarged - side + 1, n)
        inside = (first[:, None] + np.arange(side)) * side // enlarged
        places.append(np.where(cropped[:, None], inside, np.arange(side)))
    pixels = np.arange(n)[:, None, None], places[0][:, :, None], places[1][:, None, :]
    return images[pixels], masks[pixels]


def jitter(rng: np.random.Generator, x: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast, saturation and hue of each image (B, 3, H, W) in [0, 1] changed by
    random amounts; for half of them hardly at all. The order is drawn for the batch."""
    strength = np.where(rng.random(len(x))[:, None] < 0.5, *JITTER)
    amounts = torch.from_numpy(strength * rng.uniform(-1, 1, strength.shape)).to(x)
    for i in rng.permutation(4):
        amount = amounts[:, i].view(-1, 1, 1, 1)
        if i == 3:
            x = turn_hue(x, amount)
            continue
        grey = (x * x.new_tensor((0.2989, 0.587, 0.114)).view(3, 1, 1)).sum(dim=1, keepdim=True)
        other = (0.0, grey.mean(dim=(1, 2, 3), keepdim=True), grey)[i]  # black, flat, colourless
        x = torch.clamp(x + amount * (x - other), 0, 1)
    return x


def turn_hue(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """The hue of RGB images (B, 3, H, W) turned by a part of the colour circle, (B, 1, 1, 1)."""
    red, green, blue = x.split(1, dim=1)
    value = x.amax(dim=1, keepdim=True)
    chroma = value - x.amin(dim=1, keepdim=True)
    c = torch.where(chroma > 0, chroma, 1.0)
    sixths = torch.where(value == red, (green - blue) / c, torch.where(
        value == green, 2 + (blue - red) / c, 4 + (red - green) / c)) + 6 * turns
    k = (x.new_tensor((5.0, 3.0, 1.0)).view(3, 1, 1) + sixths) % 6
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def add_noise(rng: np.random.Generator, x: torch.Tensor) -> torch.Tensor:
    """Gaussian noise on half of the images (B, 3, H, W), by their own standard deviation."""
    generator = torch.Generator(x.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    noisy = torch.from_numpy(rng.random(len(x)) < 0.5).to(x)
    scale = NOISE * noisy * x.std(dim=(1, 2, 3))
    return torch.clamp(x + scale.view(-1, 1, 1, 1) * noise, 0, 1)


# -- the method --

class Network(nn.Module):
    """Images (B, 3, H, W) in [0, 1], sides multiples of 8 -> A, (B, H/8, W/8), not negative."""

    def __init__(self, p: FCDDFit, ctx: Context) -> None:
        super().__init__()
        encoder = build_encoder(p.net, p.weights == "imagenet", ctx.weights)
        layers = [layer for part in encoder.children()
                  for layer in (part if isinstance(part, nn.Sequential) else (part,))]
        cut = 1 + (FROZEN[p.net] if p.freeze_until is None else p.freeze_until)
        self.front = nn.Sequential(*layers[:cut]).requires_grad_(False)
        self.rest = nn.Sequential(*layers[cut:])
        self.head = nn.Conv2d(ENCODERS[p.net].channels, 1, 1)
        low, high = MINMAX.get(p.minmax, ((0.0,) * 3, (1.0,) * 3))
        self.register_buffer("low", torch.tensor(low).view(1, 3, 1, 1))
        self.register_buffer("high", torch.tensor(high).view(1, 3, 1, 1))
        self.freeze_bn_stats = p.freeze_bn_stats

    def train(self, mode: bool = True) -> Network:
        # Officially all of the network trains but for the gradients: the frozen BatchNorm layers
        # normalise with the batch's statistics, and their running ones move.
        super().train(mode)
        if self.freeze_bn_stats:
            self.front.eval()
        return self

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the frozen front. Not clipped: test images may leave the training's range."""
        span = self.high - self.low
        return self.front((lcn(x) - self.low) / torch.where(span > 0, span, 1.0))

    def map(self, features: torch.Tensor) -> torch.Tensor:
        # No activation before the pseudo-Huber function, and no centre: that is the head's bias.
        phi = self.head(self.rest(features)).squeeze(1)
        return torch.sqrt(phi.square() + 1) - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map(self.features(x))


class FCDD:
    """FCDD: a fully convolutional one-class network, here with a few annotated anomalies."""

    fit_params = FCDDFit
    explain_params = FCDDExplain
    version = 2

    def __init__(self, fit: FCDDFit, explain: FCDDExplain, ctx: Context) -> None:
        self.p, self.q, self.ctx = fit, explain, ctx
        torch.manual_seed(ctx.seed)  # the head's initial weights
        net = accurate(Network(fit, ctx))
        self.net = net.to(ctx.device, memory_format=torch.channels_last)
        self._matrices: dict[int, torch.Tensor] = {}

    def upsample(self, a: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """A' (B, height, width) of A (B, height/8, width/8): a Gaussian of A's height for each
        unit, as wide as its receptive field. Not normalised: values grow 3.7-fold at 224 px, which
        the pixel-wise loss depends on."""
        for side in {height, width} - set(self._matrices):
            matrix = gaussian_matrix(fields(self.net, side)[-1], side, self.p.gauss_std)
            self._matrices[side] = matrix.to(a.device)
        return self._matrices[height] @ a @ self._matrices[width].T

    def loss(self, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Batch mean of the objective. a: A (B, h, w); y: (B, H, W) in {0, 1}."""
        if self.p.objective == "image":
            found = a.mean(dim=(1, 2))
            return torch.where(y.flatten(1).any(dim=1), _far(found), found).mean()
        up = self.upsample(a, *y.shape[1:])
        # Both sums are divided by all pixels, not by those that they are over.
        normal, anomalous = ((1 - y) * up).mean(dim=(1, 2)), (y * up).mean(dim=(1, 2))
        return (normal + torch.where(y.flatten(1).any(dim=1), _far(anomalous), 0.0)).mean()

    # -- training --

    def fit(self, train: TrainingSet) -> None:
        p = self.p
        if p.minmax == "train":
            self.measure_range(train)
        # Augmentation is online, so the frozen part sees new images in each epoch and can't be
        # stored; nor can it where its BatchNorm uses the batch. Without both, it runs once.
        moves = not p.freeze_bn_stats and has_batch_norm(self.net.front)
        stored = None if p.augment or moves else self.frozen_features(train.images)
        optimiser = torch.optim.SGD([w for w in self.net.parameters() if w.requires_grad], p.lr,
                                    p.momentum, weight_decay=p.weight_decay,
                                    nesterov=p.nesterov and p.momentum > 0)
        self.net.train()
        for epoch in self.ctx.epochs(p.epochs, {"net": self.net, "optimiser": optimiser}):
            rng = np.random.default_rng([self.ctx.seed, 1, epoch])
            for group in optimiser.param_groups:
                group["lr"] = p.lr * p.lr_gamma ** epoch
            total, count = torch.zeros((), device=self.ctx.device), 0
            for batch in self.batches(rng, train):
                loss = self.step(rng, train, batch, stored)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                total += loss.detach() * len(batch)
                count += len(batch)
            self.ctx.report(epoch, total.item() / count)

    def batches(self, rng: np.random.Generator, train: TrainingSet) -> Iterator[np.ndarray]:
        """Positions in the training set, an epoch in shuffled batches. Without normals every item
        is an anomaly, whose mask says which of its pixels are normal."""
        p, normals, anomalies = self.p, train.normals, train.anomalies
        if p.anomaly_prob is None or not len(normals):
            items = np.tile(np.concatenate([normals, anomalies]), p.repeat)
        else:
            items = np.tile(normals, p.repeat)
            if len(anomalies):  # in turn, so that none is left out by chance
                replaced = np.flatnonzero(rng.random(len(items)) < p.anomaly_prob)
                items[replaced] = np.resize(rng.permutation(anomalies), len(replaced))
        items = rng.permutation(items)
        yield from (items[i:i + p.batch_size] for i in range(0, len(items), p.batch_size))

    def step(self, rng: np.random.Generator, train: TrainingSet, batch: np.ndarray,
             stored: np.ndarray | None) -> torch.Tensor:
        """The loss of a batch. `stored`: the frozen part's output for all images, or None."""
        images, masks = train.images[batch], train.masks[batch]
        if stored is not None:
            features = torch.from_numpy(stored[batch]).to(self.ctx.device).permute(0, 3, 1, 2)
        elif self.p.augment:
            images, masks = crop(rng, images, masks)
            features = self.net.features(add_noise(rng, jitter(rng, self.ctx.tensor(images))))
        else:
            features = self.net.features(self.ctx.tensor(images))
        y = torch.from_numpy(masks).to(self.ctx.device, torch.float32)
        return self.loss(self.net.map(features), y)

    def measure_range(self, train: TrainingSet) -> None:
        """Minimum and maximum of each channel of the training normals after LCN; of all training
        images where there are no normals."""
        chosen = train.normals if len(train.normals) else train.anomalies
        scaled = [lcn(self.ctx.tensor(train.images[i:i + 1])) for i in chosen]
        self.net.low = torch.stack([x.amin(dim=(0, 2, 3), keepdim=True) for x in scaled]).amin(0)
        self.net.high = torch.stack([x.amax(dim=(0, 2, 3), keepdim=True) for x in scaled]).amax(0)

    def frozen_features(self, images: np.ndarray) -> np.ndarray:
        """The front's output for every image, (N, h, w, channels) float32."""
        self.net.eval()
        return self.ctx.extract(images, lambda x: [self.net.features(x)])[0]

    # -- explanation --

    @torch.no_grad()
    def explain(self, images: np.ndarray) -> Explanation:
        self.net.eval()
        heatmaps, scores = np.empty(images.shape[:3], np.float32), np.empty(len(images))
        for i in range(0, len(images), EXPLAIN_BATCH):
            a = self.net(self.ctx.tensor(images[i:i + EXPLAIN_BATCH]))
            scores[i:i + len(a)] = a.double().mean(dim=(1, 2)).cpu().numpy()
            heatmaps[i:i + len(a)] = self.upsample(a, *images.shape[1:3]).cpu().numpy()
        if self.q.extra_blur:
            heatmaps = ndimage.gaussian_filter(heatmaps, 12.0, axes=(1, 2), radius=BLUR_RADIUS)
        return Explanation(heatmaps, scores)

    # -- what training produced --

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What was trained or has moved, and the min-max constants: a frozen part as published has
        only its BatchNorm's statistics there, if any."""
        if self.p.weights == "random":
            return dict(self.net.state_dict())
        frozen = {f"front.{name}" for name, _ in self.net.front.named_parameters()}
        if self.p.freeze_bn_stats:
            frozen |= {f"front.{name}" for name, _ in self.net.front.named_buffers()}
        return {k: v for k, v in self.net.state_dict().items() if k not in frozen}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.net.load_state_dict({**self.net.state_dict(), **state})


def _far(distance: torch.Tensor) -> torch.Tensor:
    """-log(1 - exp(-d)): small for a large d >= 0, without its cancellation for a small one."""
    return -torch.log(-torch.expm1(-distance) + TINY)


def has_batch_norm(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())

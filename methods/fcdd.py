"""FCDD (Liznerski et al., ICLR 2021), the semi-supervised form that the paper compares with.

A pre-trained network, its front frozen, ends in a 1x1 convolution whose pseudo-Huber map A is
small on what is normal and large on what isn't; each unit of A, spread over what it sees by a
Gaussian, gives the heatmap. Written from the publication and from descriptions of two programs:
'official' is FCDD's own; 'S' the one with which the authors of the paper ran it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from aexad.methods.base import EXPLAIN_BATCH, Computed, Context, Explanation, TrainingSet
from aexad.methods.batch_norm import accurate
from aexad.methods.encoders import ENCODERS, build_encoder
from aexad.methods.fcdd_params import FROZEN, MINMAX, FCDDExplain, FCDDFacts, FCDDFit
from aexad.methods.map_graphs import Explained, ExplainGraph, GaussianFilter
from aexad.methods.receptive import fields, gaussian_matrix
from aexad.methods.rows import Images, Pool, Rows

STORED, CROPPED = 240, 224  # official: crops of 224 from images of 240; any size in proportion
JITTER = ((0.04, 0.04, 0.04, 0.04), (0.005, 0.0005, 0.0005, 0.0005))  # official, drawn evenly
NOISE = 0.1  # standard deviation of the added noise, of the image's (official)
TINY = 1e-31  # official, in the logarithm
BLUR_SIGMA, BLUR_RADIUS = 12.0, 30  # of S's second blur: 61 x 61


# -- preprocessing and augmentation (official pipeline 'lcnaug1') --

def lcn(x: torch.Tensor) -> torch.Tensor:
    """Each image (B, 3, H, W) less its mean, by its mean absolute value: one number of each for
    all pixels and channels."""
    x = x - x.mean(dim=(1, 2, 3), keepdim=True)
    scale = x.abs().mean(dim=(1, 2, 3), keepdim=True)
    return x / torch.where(scale > 0, scale, 1.0)


def crop(rng: np.random.Generator, n: int, *sides: int
         ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pixels of n images, and of their masks, are seen: half of them are cropped to 14/15 of
    the side at a random place and zoomed back, by nearest neighbour: the official crop of 224 out
    of 240. An index of arrays (n, H, W, ...): positions (n, 1, 1), rows (n, H, 1), columns
    (n, 1, W)."""
    cropped = rng.random(n) < 0.5
    places = []
    for side in sides:
        enlarged = round(side * STORED / CROPPED)
        first = rng.integers(0, enlarged - side + 1, n)
        inside = (first[:, None] + np.arange(side)) * side // enlarged
        places.append(np.where(cropped[:, None], inside, np.arange(side)))
    return np.arange(n)[:, None, None], places[0][:, :, None], places[1][:, None, :]


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


class FCDD(FCDDFacts):
    """FCDD: a fully convolutional one-class network, here with a few annotated anomalies."""

    def __init__(self, fit: FCDDFit, explain: FCDDExplain, ctx: Context) -> None:
        self.p, self.q, self.ctx = fit, explain, ctx
        torch.manual_seed(ctx.seed)  # the head's initial weights
        net = accurate(Network(fit, ctx))
        self.net = net.to(ctx.device, memory_format=ctx.layout)
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
        pool = Pool(self.ctx.rows(train.images), self.ctx.rows(train.masks), stored)
        optimiser = torch.optim.SGD([w for w in self.net.parameters() if w.requires_grad], p.lr,
                                    p.momentum, weight_decay=p.weight_decay,
                                    nesterov=p.nesterov and p.momentum > 0)
        self.net.train()
        for epoch in self.ctx.epochs(p.epochs, {"net": self.net, "optimiser": optimiser}):
            rng = np.random.default_rng([self.ctx.seed, 1, epoch])
            for group in optimiser.param_groups:
                group["lr"] = p.lr * p.lr_gamma ** epoch
            total, count = torch.zeros((), device=self.ctx.device), 0
            for batch in pool.announced(self.batches(rng, train)):
                loss = self.step(rng, pool, batch)
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

    def step(self, rng: np.random.Generator, pool: Pool, batch: np.ndarray) -> torch.Tensor:
        """The loss of the images at the positions `batch` (B,)."""
        masks = pool.masks[batch]
        if pool.features is not None:
            features = self.ctx.nchw(pool.features[batch])
        elif self.p.augment:
            pixels = tuple(torch.from_numpy(part).to(masks.device, non_blocking=True)
                           for part in crop(rng, *masks.shape))
            masks, x = masks[pixels], self.ctx.tensor(pool.images[batch][pixels])
            features = self.net.features(add_noise(rng, jitter(rng, x)))
        else:
            features = self.net.features(self.ctx.tensor(pool.images[batch]))
        return self.loss(self.net.map(features), masks.float())

    def measure_range(self, train: TrainingSet) -> None:
        """Minimum and maximum of each channel of the training normals after LCN; of all training
        images where there are no normals."""
        chosen = train.normals if len(train.normals) else train.anomalies
        low = torch.full((1, 3, 1, 1), math.inf, device=self.ctx.device)
        high = -low
        # one at a time, into the same numbers: of a large set all would not fit into memory, and
        # small results that stay would keep the memory between them from being used again
        for i in chosen:
            x = lcn(self.ctx.tensor(train.images[i:i + 1]))
            torch.minimum(low, x.amin(dim=(0, 2, 3), keepdim=True), out=low)
            torch.maximum(high, x.amax(dim=(0, 2, 3), keepdim=True), out=high)
        self.net.low, self.net.high = low, high

    def frozen_features(self, images: Images) -> Rows | Computed:
        """The front's output for every image, (N, h, w, channels) float32."""
        self.net.eval()
        found = self.ctx.features(images, lambda x: [self.net.features(x)], self.p.feature_gb)
        return found if isinstance(found, Computed) else found[0]

    # -- explanation --

    def explain(self, images: np.ndarray) -> Explanation:
        return self.finish(self.raw_maps(images), images.shape[1:3])

    @torch.no_grad()
    def raw_maps(self, images: np.ndarray) -> tuple[np.ndarray]:
        """A, (N, H/8, W/8) float32."""
        self.net.eval()
        found = [self.net(self.ctx.tensor(images[i:i + EXPLAIN_BATCH])).cpu()
                 for i in range(0, len(images), EXPLAIN_BATCH)]
        return (torch.cat(found).numpy(),)

    @torch.no_grad()
    def finish(self, found: Sequence[np.ndarray], shape: tuple[int, int]) -> Explanation:
        """A' of A, and its mean; shape: (H, W) of the images."""
        [maps] = found
        heatmaps, scores = np.empty((len(maps), *shape), np.float32), np.empty(len(maps))
        height, width = (8 * units for units in maps.shape[1:])  # the last unit may reach beyond
        for i in range(0, len(maps), EXPLAIN_BATCH):
            a = torch.from_numpy(maps[i:i + EXPLAIN_BATCH]).to(self.ctx.device)
            scores[i:i + len(a)] = a.double().mean(dim=(1, 2)).cpu().numpy()
            spread = self.upsample(a, height, width)[:, :shape[0], :shape[1]]
            heatmaps[i:i + len(a)] = spread.cpu().numpy()
        if self.q.extra_blur:
            heatmaps = ndimage.gaussian_filter(heatmaps, BLUR_SIGMA, axes=(1, 2),
                                               radius=BLUR_RADIUS)
        return Explanation(heatmaps, scores)

    def graph(self, shape: tuple[int, int]) -> ExplainGraph:
        return _Graph(self, shape)

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


class _Graph(ExplainGraph):
    """`FCDD.explain`, all its operations fixed."""

    def __init__(self, method: FCDD, shape: tuple[int, int]) -> None:
        super().__init__()
        self.net = method.net.eval()
        for axis, length in zip(("down", "across"), shape):
            side = -(-length // 8) * 8  # the last unit may reach beyond
            matrix = gaussian_matrix(fields(self.net, side)[-1], side, method.p.gauss_std)
            self.register_buffer(axis, matrix[:length], persistent=False)
        self.blur = GaussianFilter(shape, BLUR_RADIUS) if method.q.extra_blur else None

    def raw_maps(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.net(x),)

    def finish(self, *maps: torch.Tensor) -> Explained:
        [a] = maps
        heatmaps, scores = self.down @ a @ self.across.T, a.double().mean(dim=(1, 2))
        if self.blur is not None:
            alike = torch.ones_like(scores)
            heatmaps = self.blur(heatmaps, BLUR_SIGMA * alike, BLUR_RADIUS * alike)
        return heatmaps, scores, {}


def _far(distance: torch.Tensor) -> torch.Tensor:
    """-log(1 - exp(-d)): small for a large d >= 0, without its cancellation for a small one."""
    return -torch.log(-torch.expm1(-distance) + TINY)


def has_batch_norm(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())

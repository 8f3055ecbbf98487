"""BGAD with few anomalies (Yao et al., CVPR 2023), as the paper compares with it.

The density of a frozen network's features at three levels, by conditional flows; a boundary in it
that pushes anomalies out. What its published code (xcyao00/BGAD, 'its own' below) does is the
default but where a comment says otherwise; docs/open_points.md lists what differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from aexad.methods.augment import Augmented, augment, draw_batches
from aexad.methods.base import EXPLAIN_BATCH, Computed, Context, Explanation, NoGraph, TrainingSet
from aexad.methods.bgad_levels import FlowTraining, Level, Trainings, level_masks
from aexad.methods.bgad_params import BGADExplain, BGADFacts, BGADFit
from aexad.methods.encoders import PYRAMIDS, build_encoder
from aexad.methods.flows import Flow, position_codes
from aexad.methods.map_graphs import Explained, ExplainGraph
from aexad.methods.rows import Images, Rows, on_device

BACKBONE = "backbone."  # prefix of its tensors, where they are stored
ANOMALOUS_SHARE = 1 / 3  # of a batch of sampler=balanced, rounded up: 21 + 11 of 32


def learning_rate(p: BGADFit, epoch: int, done: float = 0.0) -> float:
    """In meta-epoch `epoch`, of which the share `done` is over. Cosine, constant in a meta-epoch;
    warm-up by the number of batches there are (BGAD's own divides by 2 whatever their number)."""
    def cosine(e: int) -> float:
        low = p.lr * 1e-3
        return low + (p.lr - low) * (1 + math.cos(math.pi * e / p.meta_epochs)) / 2

    if epoch >= p.warm_epochs:
        return cosine(epoch)
    start = p.lr / 10
    return start + (cosine(p.warm_epochs) - start) * (epoch + done) / p.warm_epochs


def focal_weights(t: torch.Tensor, anomalous: torch.Tensor) -> torch.Tensor:
    """More for normals of low and anomalies of high density, from t = logp / normalizer. The
    constants make both nearly continuous."""
    size = t.abs().clamp_min(1e-6)  # 1/|t| at t = 0
    normal = torch.where(t > -0.2, 1.0, 11.7 * (1 - t.clamp_max(0).exp()).sqrt() * size)
    other = torch.where(t <= -1, 1.0, 0.53 * (1 + t.exp()).square() / size)
    return torch.where(anomalous, other, normal)


def boundary(t: torch.Tensor, anomalous: torch.Tensor, beta: float) -> torch.Tensor:
    """b_n: of the normals' t, ascending, the one at index floor(beta * n); inf without any.
    Nothing here waits for a GPU: sets are masks, not lists."""
    normals = torch.where(anomalous, math.inf, t).sort().values
    index = ((~anomalous).sum().double() * beta).floor().long()
    return normals.index_select(0, index.view(1)).squeeze(0)


def mean_over(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen values, 0 without any (BGAD's own prints NaN there)."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp_min(1)


class BGAD(BGADFacts):
    """BGAD (few anomaly samples): boundary-guided densities of a frozen network's features."""

    def __init__(self, fit: BGADFit, explain: BGADExplain, ctx: Context) -> None:
        self.p, self.q, self.ctx = fit, explain, ctx
        spec = PYRAMIDS[fit.backbone]
        torch.manual_seed(ctx.seed)
        backbone = build_encoder(fit.backbone, fit.weights == "imagenet", ctx.weights, PYRAMIDS)
        for name, value in zip(("input_mean", "input_std"), spec.norm):
            backbone.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)
        self.backbone = backbone.eval().requires_grad_(False).to(
            ctx.device, memory_format=ctx.layout)
        torch.manual_seed(ctx.seed)  # the flows' initial weights, whatever the backbone drew
        rng = np.random.default_rng([ctx.seed, 3])
        self.flows = nn.ModuleList(Flow(c, fit.blocks, fit.clamp, rng) for c in spec.channels)
        self.flows.to(ctx.device)
        self.maxima: torch.Tensor | None = None

    # -- features --

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) in [0, 1] -> for each level (B, C, h, w)."""
        return self.backbone((x - self.backbone.input_mean) / self.backbone.input_std)

    # -- losses --

    def loss(self, logp: torch.Tensor, anomalous: torch.Tensor, epoch: int) -> torch.Tensor:
        """In meta-epoch 0 the plain mean of -log sigmoid(logp) over the normals; later that with
        focal weights and, where there are anomalous positions, push-pull. logp (n,): log-densities
        per dimension; anomalous (n,) bool."""
        p = self.p
        if epoch == 0:
            return mean_over(-F.logsigmoid(logp), ~anomalous)
        t = logp / p.normalizer
        fixed = t.detach()
        weights = focal_weights(fixed, anomalous) if p.focal else torch.ones_like(fixed)
        likelihood = mean_over(-weights * F.logsigmoid(logp), ~anomalous)
        b_n = boundary(fixed, anomalous, p.beta)
        b_a = b_n - p.tau
        pull = mean_over(weights * (b_n - t), ~anomalous & (fixed <= b_n))
        push = mean_over(weights * (t - b_a), anomalous & (fixed >= b_a))
        return likelihood + p.push_pull * anomalous.any() * (pull + push)

    # -- training --

    def fit(self, train: TrainingSet) -> None:
        p = self.p
        self.maxima = None
        data = augment(train, np.random.default_rng([self.ctx.seed, 1]), **p.copies(),
                       room=self.ctx.beside(train.images))
        # the augmented set is fixed: each image goes through the frozen network once
        features = self.ctx.features(data.images, self.features, p.feature_gb)
        kept = None if isinstance(features, Computed) else [
            self.level(rows, data.masks) for rows in features]
        trainings = self.trainings()
        for index in self.ctx.epochs(p.epochs, {"flows": self.flows, "optimisers": trainings}):
            epoch, sub = divmod(index, p.sub_epochs)
            # its own generator: a training that was interrupted continues as it would have
            rng = np.random.default_rng([self.ctx.seed, 2, index])
            batches = self.batches(rng, data, epoch)
            losses = []
            for i, batch in enumerate(batches):
                lr = learning_rate(p, epoch, (sub + i / len(batches)) / p.sub_epochs)
                levels, places = kept, batch
                if levels is None:
                    levels, places = self.levels_of(features, data.masks, batch)
                losses += self.train_on(trainings, levels, places, rng, epoch, lr)
            self.ctx.report(index, torch.stack(losses).mean().item())

    def level(self, features: Rows, masks: Images, kept: bool = True) -> Level:
        """Of features (U, h, w, C) of images with these masks (U, H, W) bool."""
        shape = features.shape[1:3]
        return Level(features.flatten(3), self.ctx.rows(level_masks(masks, shape)).flatten(3),
                     position_codes(*shape).to(self.ctx.device), kept)

    def levels_of(self, features: Computed, masks: Images, batch: np.ndarray
                  ) -> tuple[list[Level], np.ndarray]:
        """Those of the images of a batch alone, computed now, and their positions in them."""
        levels = [self.level(Rows(array, self.ctx.device), masks[batch], kept=False)
                  for array in features(batch)]
        return levels, np.arange(len(batch))

    def trainings(self) -> Trainings:
        """Of the flow of each level, at its beginning."""
        return Trainings(FlowTraining(flow, self.p, self.loss, self.ctx.device)
                         for flow in self.flows)

    def batches(self, rng: np.random.Generator, data: Augmented, epoch: int) -> np.ndarray:
        """One pass: positions (batches, images). Meta-epoch 0 has the normals alone. Where there
        are none (anomalies only), the raw copies and of them the normal pixels."""
        p = self.p
        both = epoch > 0 and len(data.normals) and len(data.anomalies)
        if both and p.sampler == "balanced":
            return draw_batches(rng, data.normals, data.anomalies, steps=p.steps,
                                batch_size=p.batch_size, anomaly_share=ANOMALOUS_SHARE,
                                rounding="ceil")
        pool = data.normals if len(data.normals) else data.anomalies
        if both:
            pool = np.concatenate([data.normals, data.anomalies])
        size = min(p.batch_size, len(pool))
        n = len(pool) // size
        return rng.permutation(pool)[:n * size].reshape(n, size)

    def train_on(self, trainings: Trainings, levels: Sequence[Level], batch: np.ndarray,
                 rng: np.random.Generator, epoch: int, lr: float) -> list[torch.Tensor]:
        """A batch: the positions of each level shuffled and cut into steps of n_positions (fewer,
        where there are fewer); returns the losses."""
        steps = []
        for level in levels:
            places, size = level.positions, self.p.n_positions
            rows = (batch[:, None] * places + np.arange(places)).ravel()
            rows = rows[rng.permutation(len(rows))]
            used = rows[:max(len(rows) // size * size, min(size, len(rows)))]
            steps.append(on_device(used, self.ctx.device).split(size))
        return trainings.run(levels, steps, epoch, lr)

    # -- explanation --

    @torch.no_grad()
    def log_densities(self, images: np.ndarray) -> list[torch.Tensor]:
        """logp of every position: for each level (N, h, w) float32."""
        parts = []
        for i in range(0, len(images), EXPLAIN_BATCH):
            found = self.densities(self.ctx.tensor(images[i:i + EXPLAIN_BATCH]))
            parts.append([logp.cpu() for logp in found])
        return [torch.cat(level) for level in zip(*parts)]

    def densities(self, x: torch.Tensor) -> list[torch.Tensor]:
        """`log_densities` of images (B, 3, H, W) in [0, 1]."""
        found = []
        for flow, level in zip(self.flows, self.features(x)):
            level = level.permute(0, 2, 3, 1)
            n, h, w, _ = level.shape
            codes = position_codes(h, w).to(x.device)
            where = torch.arange(h * w, device=x.device).repeat(n)
            logp = flow.log_density(level.flatten(0, 2), codes, where)
            found.append(logp.view(n, h, w))
        return found

    def explain(self, images: np.ndarray) -> Explanation:
        """The first call's images are the test set: the maxima over it stay (state_dict)."""
        found, shape = self.raw_maps(images), images.shape[1:3]
        self.measure([(found, shape)])
        return self.finish(found, shape)

    def raw_maps(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """logp of each level, (N, h, w) float32."""
        return tuple(level.numpy() for level in self.log_densities(images))

    def measure(self, test: Sequence[tuple[Sequence[np.ndarray], tuple[int, int]]]) -> None:
        """The maxima over the test set, if it is the first: of its logp, in parts of images of one
        size, and that size."""
        if self.q.score_map == "neg_logp" or self.maxima is not None:
            return
        tops = torch.stack([torch.stack([torch.from_numpy(part).max() for part in level]).max()
                            for level in zip(*(found for found, _ in test))])
        most = torch.stack([probabilities(tensors(found), tops, shape).max()
                            for found, shape in test])
        self.maxima = torch.cat([tops, most.max().view(1)])

    def finish(self, found: Sequence[np.ndarray], shape: tuple[int, int]) -> Explanation:
        """From logp to the heatmaps, and their largest values."""
        heatmaps, scores = self.explained(tensors(found), shape)
        return Explanation(heatmaps.numpy(), scores.numpy())

    def explained(self, levels: list[torch.Tensor], shape: tuple[int, int]
                  ) -> tuple[torch.Tensor, torch.Tensor]:
        """Heatmaps (N, *shape) and scores (N,) of log-densities, the maxima known."""
        if self.q.score_map == "neg_logp":
            heatmaps = sum(upsampled(-logp, shape) for logp in levels)
        else:
            heatmaps = self.maxima[-1] - probabilities(levels, self.maxima[:-1], shape)
        return heatmaps, heatmaps.amax(dim=(1, 2)).double()

    def graph(self, shape: tuple[int, int]) -> ExplainGraph:
        return _Graph(self, shape)

    # -- what training produced --

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The flows, and once the test set was explained the maxima over it: of logp at
        each level, and of the sum of the three."""
        found = {} if self.maxima is None else {"maxima": self.maxima}
        if self.p.weights == "random":  # nowhere else to be found
            found |= {BACKBONE + k: v for k, v in self.backbone.state_dict().items()}
        return {**self.flows.state_dict(), **found}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.maxima = state["maxima"].cpu() if "maxima" in state else None
        backbone = {k.removeprefix(BACKBONE): v for k, v in state.items()
                    if k.startswith(BACKBONE)}
        if backbone:
            self.backbone.load_state_dict(backbone)
        self.flows.load_state_dict({k: v for k, v in state.items()
                                    if k != "maxima" and not k.startswith(BACKBONE)})


class _Graph(ExplainGraph):
    """`BGAD.explain`, all its operations fixed."""

    def __init__(self, method: BGAD, shape: tuple[int, int]) -> None:
        super().__init__()
        if method.q.score_map == "prob_sum" and method.maxima is None:
            raise NoGraph("score_map=prob_sum: its maps are on the scale of a test set, and this "
                          "model has explained none")
        self.method, self.shape = method, shape
        self.backbone, self.flows = method.backbone, method.flows

    def raw_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.method.densities(x))

    def finish(self, *maps: torch.Tensor) -> Explained:
        return *self.method.explained(list(maps), self.shape), {}


def tensors(found: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """The same memory."""
    return [torch.from_numpy(logp) for logp in found]


def probabilities(levels: list[torch.Tensor], tops: torch.Tensor, shape: tuple[int, int]
                  ) -> torch.Tensor:
    """The sum of exp(logp - top) over the levels, each at the size `shape`: (N, *shape)."""
    return sum(upsampled((logp - top).exp(), shape) for logp, top in zip(levels, tops))


def upsampled(maps: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """(N, h, w) -> (N, H, W), bilinear with aligned corners."""
    return F.interpolate(maps.unsqueeze(1), shape, mode="bilinear",
                         align_corners=True).squeeze(1)

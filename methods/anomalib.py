"""Any model of anomalib as a method: `padim`, `patchcore`, `supersimplenet`, `anomalib:Model`.

The model is made by anomalib with its own defaults, trains by Lightning as anomalib trains it and
makes its own map and score; images, masks, seeds, weights, progress and what is stored are this
bench's. What anomalib has beside that is off: thresholds, metrics, pictures, logs, checkpoints.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from aexad.bench.base.errors import UserError, first_line
from aexad.methods import anomalib_params as params
from aexad.methods.anomalib_training import Data, Quiet, seeded, train_with_lightning
from aexad.methods.base import EXPLAIN_BATCH, Context, Explanation, TrainingSet
from aexad.methods.timm_weights import weights_from
from aexad.methods.weights import WeightsMissing

PREPARED = ("pre_processor", "post_processor", "evaluator", "visualizer")
SIZE = "working_size"  # in the state, beside the model's tensors
# How models call the size of their images, where they have to be told.
SIZES = ("image_size", "input_shape")
COARSEST = 16  # side of the features, doubled, below which anomalib's Perlin noise fails
PUBLISHED = 256  # side of anomalib's images, until the working size is known


class Model(params.ModelFacts):
    """A model of anomalib; `model` is its class in anomalib.models."""

    def __init__(self, fit: Any, explain: params.NoExplain, ctx: Context) -> None:
        self.p, self.ctx = fit, ctx
        self.build((PUBLISHED, PUBLISHED))

    @property
    def name(self) -> str:
        return f"anomalib:{self.model}"

    def build(self, size: tuple[int, int]) -> None:
        """The untrained model for images of this size, with its published weights."""
        cls, p = params.model_class(self.model), self.p
        with seeded(self.ctx.seed, 0), Quiet() as quiet, \
                weights_from(self.ctx.weights, p.weights == "imagenet") as made:
            try:
                self.net = cls(**self.arguments(size), **dict.fromkeys(PREPARED[1:], False),
                               pre_processor=pre_processor(cls, size))
            except (URLError, ConnectionError, TimeoutError) as error:
                raise WeightsMissing(f"{self.name}: cannot fetch what it needs "
                                     f"({first_line(error)})") from None
            except (ValueError, TypeError, KeyError, IndexError, RuntimeError, OSError,
                    ImportError) as error:
                raise UserError(f"{self.name}: {first_line(error)}; `methods {self.name}` lists "
                                f"what it takes") from None
        for line in quiet.lines:  # a layer that there is not is left out with a warning
            if line.startswith("Layer ") and " not found in model " in line:
                raise UserError(f"{self.name}: {line}")
        self.size = size
        self.published = {f"{prefix}.{key}": tensor for prefix, part in self.net.named_modules()
                          for net, tensors in made if part is net
                          for key, tensor in tensors.items()}

    def arguments(self, size: tuple[int, int]) -> dict[str, Any]:
        """What the constructor takes; a size of images that was not set is the working size."""
        sizes = {name: size for name in SIZES if hasattr(self.p, name)}
        return {**sizes, **params.arguments(self.model, self.p)}

    # -- training --

    def fit(self, train: TrainingSet) -> None:
        """UserError where a model that needs normal images has none."""
        supervised = getattr(self.p, "supervised", False)
        if not supervised and not len(train.normals):
            raise UserError(f"{self.name}: {params.OF_NORMALS}")
        self.build(train.images.shape[1:3])
        chosen = np.arange(len(train.images)) if supervised else train.normals
        data = Data(self.ctx, train, chosen, self.p.batch_size,
                    getattr(self.p, "anomaly_share", None) if supervised else None)
        train_with_lightning(self.net, data, self.ctx, getattr(self.p, "epochs", 1),
                             getattr(self.p, "lr_factor", 1.0))
        for name, tensor in self.net.state_dict().items():
            if not tensor.is_contiguous():  # as it will be read: sums depend on the layout
                put(self.net, name, tensor)

    # -- explanation --

    @torch.no_grad()
    def explain(self, images: np.ndarray) -> Explanation:
        net = self.net.to(self.ctx.device).eval()
        heatmaps, scores = np.empty(images.shape[:3], np.float32), np.empty(len(images))
        for i in range(0, len(images), EXPLAIN_BATCH):
            # contiguous: models take views of the usual layout
            x = self.ctx.tensor(images[i:i + EXPLAIN_BATCH]).contiguous()
            with Quiet():
                found = net.model(net.pre_processor.transform(x))
            maps = getattr(found, "anomaly_map", None)
            if maps is None:
                raise UserError(f"{self.name}: says which image is anomalous, not where; it makes "
                                f"no anomaly map")
            maps = maps.reshape(len(x), 1, *maps.shape[-2:]).float()
            if maps.shape[2:] != images.shape[1:3]:
                maps = F.interpolate(maps, images.shape[1:3], mode="bilinear")
            heatmaps[i:i + len(x)] = maps.squeeze(1).cpu().numpy()
            score = found.pred_score
            score = maps.amax(dim=(1, 2, 3)) if score is None else score.reshape(len(x))
            scores[i:i + len(x)] = score.double().cpu().numpy()
        return Explanation(heatmaps, scores)

    # -- what training produced --

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All tensors that are not as published, and the size of the training images."""
        own = {name: tensor.detach().cpu() for name, tensor in self.net.state_dict().items()
               if isinstance(tensor, torch.Tensor)}
        changed = {name: tensor for name, tensor in own.items() if name not in self.published
                   or not torch.equal(tensor, self.published[name])}
        return {**changed, SIZE: torch.tensor(self.size)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Buffers such as a memory bank take the size that they have in `state`."""
        self.build(tuple(state[SIZE].tolist()))
        own = self.net.state_dict()
        missing = own.keys() - state.keys() - self.published.keys()
        unknown = state.keys() - own.keys() - {SIZE}
        if missing or unknown:
            raise KeyError(f"missing: {sorted(missing)[:3]}, unknown: {sorted(unknown)[:3]}")
        for name, tensor in state.items():
            if name != SIZE:
                put(self.net, name, tensor)


def put(net: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Give a module the tensor of this name; a buffer may have had another size."""
    place, _, leaf = name.rpartition(".")
    owner = net.get_submodule(place)
    if leaf in owner._buffers:
        owner._buffers[leaf] = tensor.clone(memory_format=torch.contiguous_format)
    else:
        with torch.no_grad():
            getattr(owner, leaf).copy_(tensor)


def pre_processor(cls: Any, size: tuple[int, int]) -> nn.Module:
    """The model's own scaling of images of this size; of a model that wants another size, with its
    own resizing."""
    try:
        return cls.configure_pre_processor(image_size=size)
    except ValueError:
        return cls.configure_pre_processor()


class NamedPadim(params.NamedPadim, Model):
    """PaDiM (Defard et al. 2021): a Gaussian of pre-trained features at each position."""


class NamedPatchcore(params.NamedPatchcore, Model):
    """PatchCore (Roth et al. 2022): the distance to the nearest of the normal patches kept."""


class NamedSupersimplenet(params.NamedSupersimplenet, Model):
    """SuperSimpleNet (Rolih et al. 2025): segmentation of features, noise on them as anomalies."""

    def fit(self, train: TrainingSet) -> None:
        """UserError where the features are too coarse for the noise."""
        extractor = self.net.model.feature_extractor.feature_extractor
        side = 2 * min(train.images.shape[1:3]) // extractor.reductions[0]
        if side <= COARSEST:
            raise UserError(f"supersimplenet: features of {side} x {side} are too coarse for its "
                            f"noise, which needs more than {COARSEST}; take an earlier layer first "
                            f"or a larger data.size")
        super().fit(train)


@cache
def _model(name: str) -> type[Model]:
    return type(params.ANY + name, (params.facts(name), Model), {"__module__": __name__})


def __getattr__(name: str) -> Any:
    if not name.startswith(params.ANY):
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return _model(name.removeprefix(params.ANY))


params.library()  # without anomalib there is no use in going on

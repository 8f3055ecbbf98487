"""The methods from Python: train on arrays, explain arrays, save, load.

    model = aexad.AEXAD(protocol="mini").fit(images, masks)
    heatmaps, scores, found = model.explain(new_images)
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from tqdm.auto import tqdm

from aexad import methods
from aexad.arrays import Picture, Place, path_of, read_images, read_masks
from aexad.bench.base import provenance
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.commands.request import device as chosen_device
from aexad.bench.deploy import formats
from aexad.bench.figures.overlays import at_size, mask_at_size
from aexad.bench.measure import maps
from aexad.bench.plan.cells import SCENARIOS
from aexad.bench.plan.settings import Settings
from aexad.bench.results import model as models
from aexad.bench.results.store import as_bytes
from aexad.bench.run.task import repeatable
from aexad.datasets.data_params import DataParams
from aexad.methods import memory, tiled
from aexad.methods.base import Context, TrainingSet, finite
from aexad.methods.weights import Weights

READING = ("size", "image_interp", "mask_threshold", "grey_masks", "bits", "tile",
           "tile_overlap")  # of DataParams
SPLITTING = {f.name for f in dataclasses.fields(DataParams)} - {*READING}  # what is given, trains


class Explained(NamedTuple):
    """What a method says of N images.

    heatmaps: (N, H, W) float32, higher is more anomalous. scores: (N,) float64, one an image.
    masks: (N, H, W) bool, where the heatmap is above mean + a * std of itself (Section 4.3), at
    the working size and then enlarged by the nearest pixel. Heatmaps are enlarged bilinearly.
    Of images that were given as a list, heatmaps and masks are lists of (H, W), of any size.
    """

    heatmaps: np.ndarray | list[np.ndarray]
    scores: np.ndarray
    masks: np.ndarray | list[np.ndarray]


class Detector:
    """A method by its name in the registry (`aexad.methods.entries()`): ours and plug-ins'.

    protocol: "paper", "authors", "brief", "mini" or "smoke", which the parameters come from; every
    parameter of the method, of how images are read (size, image_interp, mask_threshold,
    grey_masks, bits; tile, tile_overlap: large images are cut, docs/large_images.md) and `a` (see
    Explained) can be given by its name. weights: a folder or file
    of pre-trained weights, looked into first; else they are downloaded. device: "auto", "cpu",
    "cuda", "cuda:1". threads: of this training or explanation; None: as torch is set. verbose:
    show progress. The same arguments and images give the same model.

    What is wrong with arguments, images or files is a UserError in one line.
    """

    def __init__(self, method: str, *, protocol: str = "paper", seed: int = 40,
                 weights: Place | None = None, device: str = "auto", threads: int | None = None,
                 verbose: bool = False, **parameters: Any) -> None:
        self._options: dict[str, Any] = {
            "method": method, "protocol": protocol, "seed": seed, "weights": weights,
            "device": device, "threads": threads, "verbose": verbose}
        self._parameters = parameters
        self.method = method
        self.settings = _settings(method, protocol, parameters)
        self._trained: Any = None  # the method, with what it learned
        self._model: models.Model | None = None

    # -- parameters, as scikit-learn's estimators have them --

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that this was made with; those that are as the protocol has them are not
        among them. deep: of no meaning here."""
        return {**self._options, **self._parameters}

    def set_params(self, **params: Any) -> Self:
        """Change arguments, for the next fit. UserError for what is none."""
        changed = {**self.get_params(), **params}
        others = {k: v for k, v in changed.items() if k not in self._options}
        self.settings = _settings(changed["method"], changed["protocol"], others)
        self._options = {k: changed[k] for k in self._options}
        self._parameters, self.method = others, changed["method"]
        return self

    def __repr__(self) -> str:
        default = {"protocol": "paper", "seed": 40, "weights": None, "device": "auto",
                   "threads": None, "verbose": False}
        given = {k: v for k, v in self.get_params().items() if default.get(k, self) != v}
        if type(self) is not Detector:
            given.pop("method")
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"

    # -- the three calls --

    def fit(self, images: np.ndarray | Sequence[Picture],
            masks: np.ndarray | Sequence[Picture | None] | None = None) -> Self:
        """Train. images: (N, H, W, 3) uint8, or a list of arrays, Pillow's pictures and paths of
        any size. masks: (N, H, W) bool, true on anomalous pixels, or a list of arrays, pictures and
        paths, None or all false for a normal image; None: all are normal.

        UserError for bad input, TrainingDiverged and OutOfMemory (RuntimeErrors) where the
        training fails; the detector then is as it was before.
        """
        data, cls = self.settings.data, methods.load(self.method)
        if data.tile:
            tiled.check(self.method, cls)
        pixels, shapes = read_images(images, data)
        marked, anomalous = read_masks(masks, shapes, data)
        self._check(marked, anomalous)
        train = tiled.training_set(pixels, marked, anomalous)
        with _apart(self._options) as (device, threads):
            ctx = _Training(device, self._options["seed"],
                            Weights(_path(self._options["weights"])), self._options["verbose"])
            fit, explain = self.settings.fit(self.method), self.settings.explain(self.method)
            with memory.said(self.method, fit):
                method = cls(fit, explain, ctx)
                method.fit(train)
            self._trained = method
            self._model = models.Model(
                self.method, methods.facts(self.method).version, fit, explain, data,
                self._options["seed"], self.settings.metrics.a, "", dict(ctx.weights.used),
                {"trained_on": {"images": {"normal": int((~anomalous).sum()),
                                           "anomalous": int(anomalous.sum())},
                                "data_sha256": _digest(train)},
                 "last_loss": ctx.losses[-1] if ctx.losses else None,
                 "provenance": provenance.collect(
                     device, threads, methods.entry(self.method).libraries)})
        return self

    @property
    def losses_(self) -> list[float]:
        """The mean loss of each epoch of the training; empty for a model that was loaded."""
        return list(self._fitted()[0].ctx.losses)

    def explain(self, images: np.ndarray | Sequence[Picture]) -> Explained:
        """What is anomalous in images of any size, and how much: see Explained. A method that
        measures something over a test set (BGAD) takes the first call's images for it."""
        method, known = self._fitted()
        pixels, shapes = read_images(images, known.data)
        with _apart(self._options):
            made = models.explain(method, pixels, "images[0]")
        if not (numbers := finite(made)).all():
            raise UserError(f"images[{np.argmin(numbers)}]: the model gives values that are no "
                            f"numbers; train it again")
        heatmaps = [at_size(h, shape) for h, shape in zip(made.heatmaps, shapes)]
        masks = [mask_at_size(maps.binarize(h, known.a), shape)
                 for h, shape in zip(made.heatmaps, shapes)]
        if isinstance(images, np.ndarray):
            return Explained(np.stack(heatmaps), made.scores, np.stack(masks))
        return Explained(heatmaps, made.scores, masks)

    def save(self, folder: Place) -> None:
        """Write the model as a folder, as `fit --out` does: what it learned (safetensors) and all
        else (JSON). `load_model` and the command `explain` take it."""
        method, known = self._fitted()
        content = as_bytes(method.state_dict())
        models.save(_with_digest(known, content), content, path_of(folder))

    def export(self, file: Place, format: str | None = None,  # noqa: A002
               image_size: tuple[int, int] | None = None) -> None:
        """Write the whole explanation as one graph that runs without this package: "onnx" or
        "torch" (torch.export's .pt2), by the file's ending where `format` is not given. Input:
        images (N, H, W, 3) uint8; outputs: heatmap, mask and score at the working size, and what
        the method adds (docs/deploy.md). image_size: width and height of the images, for a model
        that cuts them into tiles; others take any. UserError where the method or an option of it
        can't be in a graph, or a package is missing."""
        method, known = self._fitted()
        known = _with_digest(known, as_bytes(method.state_dict()))
        with _apart({**self._options, "device": "cpu"}):
            alike = formats.make_method(known, method.state_dict(),
                                        Weights(_path(self._options["weights"])))
            formats.export(alike, known, path_of(file), format, image_size)

    # -- inside --

    def _fitted(self) -> tuple[Any, models.Model]:
        if self._model is None:
            raise UserError(f"{self!r} is not trained; call fit, or load_model")
        return self._trained, self._model

    def _check(self, marked: tiled.Images, anomalous: np.ndarray) -> None:
        """UserError for what would teach the wrong thing, or nothing."""
        visible = np.array([mask.any() for mask in marked])
        vanished = np.flatnonzero(anomalous & ~visible)
        if len(vanished):
            few = ", ".join(f"masks[{i}]" for i in vanished[:5])
            raise UserError(f"{few}{' …' if len(vanished) > 5 else ''}: nothing is marked at the "
                            f"working size of {self.settings.data.scale}; leave the image out, or "
                            f"raise size")
        skip = getattr(methods.facts(self.method), "skip", None)
        scenario = SCENARIOS[0] if (~anomalous).any() else SCENARIOS[1]
        if skip and (reason := skip(scenario)):
            raise UserError(f"{self.method}: {reason}")


class _Named(Detector):
    """A detector of one method."""

    name: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"method": self.name, **options})


class AE(_Named):
    """The plain autoencoder of the paper's ablation."""

    name = "ae"


class AEXAD(_Named):
    """AE-XAD (Section 4)."""

    name = "ae_xad"


class FCDD(_Named):
    """FCDD, the semi-supervised form that the paper compares with."""

    name = "fcdd"


class BGAD(_Named):
    """BGAD with few anomalies, as the paper compares with it."""

    name = "bgad"


CLASSES: dict[str, type[Detector]] = {kind.name: kind for kind in (AE, AEXAD, FCDD, BGAD)}


def load_model(folder: Place, *, weights: Place | None = None, device: str = "auto",
               threads: int | None = None) -> Detector:
    """A model folder, of `save` or of the command `fit`. weights: as in training, where the method
    starts from pre-trained ones. UserError where a file is damaged or of another version."""
    place = path_of(folder)
    known = models.read(place)
    options: dict[str, Any] = {"seed": known.seed, "weights": weights, "device": device,
                               "threads": threads}
    detector = CLASSES.get(known.method, Detector)(
        method=known.method, **options, **_differing(known))
    with _apart(options) as (where, _):
        detector._trained = models.open_method(place, known, _path(weights), str(where))
    detector._model = known
    return detector


def _path(place: Place | None) -> Path | None:
    return None if place is None else path_of(place)


def _settings(method: str, protocol: str, parameters: dict[str, Any]) -> Settings:
    """UserError with the nearest name for a parameter that the method has not."""
    facts, trained = methods.facts(method), methods.trained_as(method)
    owners = {**dict.fromkeys(READING, "data"), "a": "metrics",
              **{f.name: trained for f in
                 dataclasses.fields(methods.facts(trained).fit_params)},
              **{f.name: method for f in dataclasses.fields(facts.explain_params)}}
    for name in parameters:
        if name in SPLITTING:
            raise UserError(f"{name}: all images that are given train; choose among them before")
        if name not in owners:
            raise UserError(f"{method} has no parameter '{name}'{nearest(name, owners)}")
    return Settings(protocol, sets=[f"{owners[name]}.{name}={value}"
                                    for name, value in parameters.items()])


def _with_digest(known: models.Model, content: bytes) -> models.Model:
    """`known` of these tensors."""
    return dataclasses.replace(known, sha256=hashlib.sha256(content).hexdigest())


def _differing(known: models.Model) -> dict[str, Any]:
    """The parameters of a model in which it is not as the paper's protocol."""
    paper = Settings("paper")
    pairs = ((known.fit, paper.fit(known.method)), (known.explain, paper.explain(known.method)),
             (known.data, paper.data))
    found = {name: value for mine, theirs in pairs
             for name, value in dataclasses.asdict(mine).items()
             if value != getattr(theirs, name) and name not in SPLITTING}
    return found | ({} if known.a == paper.metrics.a else {"a": known.a})


class _Training(Context):
    """Shows progress, where it is asked for."""

    def __init__(self, device: torch.device, seed: int, weights: Weights, verbose: bool) -> None:
        super().__init__(device, seed, weights)
        self.verbose = verbose
        self._bar: Any = None

    def epochs(self, total: int, state: dict[str, Any]) -> Iterator[int]:
        with tqdm(total=total, unit="epoch", disable=not self.verbose) as self._bar:
            yield from super().epochs(total, state)

    def report(self, epoch: int, loss: float) -> None:
        super().report(epoch, loss)
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            self._bar.update()


@contextmanager
def _apart(options: dict[str, Any]) -> Iterator[tuple[torch.device, int]]:
    """The device and the number of threads; what torch keeps for the whole process (generators,
    threads, deterministic algorithms) is afterwards as it was."""
    if options["threads"] is not None and options["threads"] < 1:
        raise UserError(f"threads={options['threads']}: must be at least 1")
    device = torch.device(chosen_device(options["device"]))
    before = torch.get_num_threads()
    threads = options["threads"] or before
    strict, warns = (torch.are_deterministic_algorithms_enabled(),
                     torch.is_deterministic_algorithms_warn_only_enabled())
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # a property of the module, which its type lacks
    filled = memory.fill_uninitialized_memory
    kept = cudnn.benchmark, cudnn.allow_tf32, os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    with torch.random.fork_rng(range(torch.cuda.device_count()) if device.type == "cuda" else []):
        try:
            repeatable(str(device), threads)
            yield device, threads
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(strict, warn_only=warns)
            cudnn.benchmark, cudnn.allow_tf32 = kept[:2]
            memory.fill_uninitialized_memory = filled
            if kept[2] is None:
                os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def _digest(train: TrainingSet) -> str:
    digest = hashlib.sha256()
    for array in (train.images, train.masks):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

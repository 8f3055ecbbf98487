"""What is known of anomalib's models without their networks: parameters, version.

Three have a name of their own in the registry. Any other is `anomalib:Model`, whose parameters are
what its constructor takes, with the library's defaults: they are read from anomalib when they are
first asked for. As attributes of this module they are found by their names, by pickle as well:
`Model_Dfm` is what is known of Dfm, `Model_DfmFit` its parameters; `NamedPadim` is the registry's
padim.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import types
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from aexad.bench.base.errors import UserError, nearest
from aexad.bench.base.params import param
from aexad.methods import torchvision_cure

ANY = "Model_"  # before the names of anomalib's models, so that they can't be others of ours
NAMED = ("padim", "patchcore", "supersimplenet")
SCALARS = (bool, int, float, str)
# Arguments that are not to be set: parts of anomalib that are of no use here, and what `weights`
# says.
NOT_SET = ("pre_processor", "post_processor", "evaluator", "visualizer", "pre_trained")
OF_NORMALS = ("unsupervised: it trains on normal images alone, and there are none when training on "
              "anomalies only")


@dataclass(frozen=True)
class ModelFit:
    """What every model of anomalib has."""

    weights: str = param("imagenet", "pre-trained weights of its networks", choices=("imagenet",
                                                                                     "random"))
    batch_size: int = param(32, "images a step (anomalib)", low=1, high=100_000)


@dataclass(frozen=True)
class TrainedFit(ModelFit):
    """What those have that train in epochs."""

    epochs: int = param(100, "epochs, where the model does not say itself how many (anomalib "
                        "leaves them to its user)", low=1, high=1_000_000)
    lr_factor: float = param(1.0, "factor on the model's learning rates", low=0.0)


@dataclass(frozen=True)
class NoExplain:
    """Its maps are as the model makes them."""


class ModelFacts:
    """A model of anomalib."""

    explain_params, version = NoExplain, 1
    model: str  # its class in anomalib.models

    @staticmethod
    def skip(scenario: str) -> str | None:
        return OF_NORMALS if scenario == "anomalies_only" else None

    @classmethod
    def note(cls, params: Any) -> str:
        """What must be known of its numbers: what it saw, and which network it is."""
        seen = ("supervised, trained with the anomalies and their masks"
                if getattr(params, "supervised", False)
                else "unsupervised, trained on the normal images alone")
        named = ("backbone", "encoder_name", "layers", "layer")
        network = [str(value) for name in named if (value := getattr(params, name, None))]
        return f"{seen}; anomalib's {cls.model}" + (f", {' '.join(network)}" if network else "")


@dataclass(frozen=True)
class NamedPadimFit(ModelFit):
    """PaDiM. The defaults are anomalib's."""

    backbone: str = param("resnet18", "network, by timm's name")
    layers: str = param("layer1,layer2,layer3", "its layers whose features are used")
    n_features: int | None = param(None, "features kept of each position, drawn at random; none: "
                                   "100 of resnet18, 550 of wide_resnet50_2", low=1, high=100_000)


class NamedPadim(ModelFacts):
    """PaDiM (Defard et al. 2021): a Gaussian of pre-trained features at each position."""

    fit_params, model = NamedPadimFit, "Padim"


@dataclass(frozen=True)
class NamedPatchcoreFit(ModelFit):
    """PatchCore. The defaults are anomalib's."""

    backbone: str = param("wide_resnet50_2", "network, by timm's name")
    layers: str = param("layer2,layer3", "its layers whose features are used")
    coreset_sampling_ratio: float = param(0.1, "share of the patches that is kept", low=0.0,
                                          high=1.0)
    num_neighbors: int = param(9, "neighbours in the score's weight", low=1, high=100_000)


class NamedPatchcore(ModelFacts):
    """PatchCore (Roth et al. 2022): the distance to the nearest of the normal patches kept."""

    fit_params, model = NamedPatchcoreFit, "Patchcore"


@dataclass(frozen=True)
class NamedSupersimplenetFit(TrainedFit):
    """SuperSimpleNet. The defaults are anomalib's, but for what says otherwise."""

    backbone: str = param("wide_resnet50_2.tv_in1k", "network, by timm's name: one with "
                          "torchvision's first weights, .tv_in1k")
    layers: str = param("layer2,layer3", "its layers whose features are used")
    supervised: bool = param(True, "trains with the anomalies and their masks, or on normal images "
                             "alone (anomalib's default)")
    anomaly_share: float | None = param(0.5, "share of the annotated anomalies among the images of "
                                        "an epoch, drawn in turn; none: each image once", low=0.01,
                                        high=0.99)
    perlin_threshold: float = param(0.2, "threshold of the noise that makes synthetic anomalies")
    adapt_cls_features: bool = param(False, "the score is made of adapted features, too (of 2024; "
                                     "2025: not)")
    epochs: int = param(300, "epochs (published)", low=1, high=1_000_000)


class NamedSupersimplenet(ModelFacts):
    """SuperSimpleNet (Rolih et al. 2025): segmentation of features, noise on them as anomalies."""

    fit_params, model = NamedSupersimplenetFit, "Supersimplenet"

    @staticmethod
    def skip(scenario: str) -> None:
        """Of an anomaly's image its mask says what is normal."""


# -- any other model --

class _FitParams:
    """The parameters of a model, read when they are asked for."""

    def __get__(self, instance: object, owner: type[ModelFacts]) -> type:
        return parameters(owner.model)


def __getattr__(name: str) -> Any:
    if not name.startswith(ANY):
        raise AttributeError(f"module {__name__} has no attribute {name}")
    model = name.removeprefix(ANY)
    return parameters(model.removesuffix("Fit")) if model.endswith("Fit") else facts(model)


@cache
def facts(model: str) -> type[ModelFacts]:
    return type(f"{ANY}{model}", (ModelFacts,), {
        "model": model, "fit_params": _FitParams(), "__doc__": f"{model} of anomalib.",
        "__module__": __name__})


def library() -> Any:
    """anomalib.models; UserError where anomalib is not installed."""
    torchvision_cure.install()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own deprecated parts
            return importlib.import_module("anomalib.models")
    except ModuleNotFoundError as error:
        if error.name not in ("anomalib", "anomalib.models"):
            raise
        raise UserError(f"{', '.join(NAMED)} and anomalib:… need anomalib, which is not installed "
                        f"here: AEXAD_EXTRAS=anomalib ./reproduce.sh …, or pip install "
                        f"'.[anomalib]'") from None


def model_class(model: str) -> Any:
    """The class of this name in anomalib.models; UserError with the nearest where there is none."""
    models = library()
    if model not in models.__all__:
        known = [f"anomalib:{name}" for name in models.__all__]
        raise UserError(f"unknown method 'anomalib:{model}'{nearest(f'anomalib:{model}', known)}")
    return getattr(models, model)


@cache
def parameters(model: str) -> type:
    """A parameter class of what the model's constructor takes."""
    cls = model_class(model)
    import docstring_parser  # which anomalib requires

    docs = {p.arg_name: p.description for p in docstring_parser.parse(cls.__doc__ or "").params}
    hints = _hints(cls.__init__)
    fields: dict[str, tuple[str, type, Any]] = {}
    for name, argument in inspect.signature(cls.__init__).parameters.items():
        hint, default = hints.get(name, Any), argument.default
        kind = _kind(hint, default)
        if name not in NOT_SET and kind:
            doc = " ".join((docs.get(name) or f"{model}'s {name}").split())
            field = param(_text(default), doc)
            convert = _converter(hint, default)
            fields[name] = (name, kind, dataclasses.field(
                default=field.default, metadata={**field.metadata, "convert": convert}))
    made = dataclasses.make_dataclass(f"{ANY}{model}Fit", fields.values(), bases=(TrainedFit,),
                                      frozen=True, namespace={"__doc__": f"Arguments of {model}."})
    made.__module__ = __name__
    return made


def arguments(model: str, params: Any) -> dict[str, Any]:
    """What of the parameters is not as the constructor of the model has it, as it takes it."""
    found = {}
    for field in dataclasses.fields(parameters(model)):
        convert = field.metadata.get("convert")
        value = getattr(params, field.name, field.default)
        if convert and value != field.default:
            found[field.name] = None if value is None else convert(value)
    return found


def _hints(function: Callable) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # of a module that is imported for type checkers alone
        return {}


def _parts(hint: Any) -> tuple[Any, ...]:
    """int | None -> int, None"""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) or (
        typing.get_origin(hint) is typing.Union) else (hint,)


def _item(hint: Any, default: Any) -> type | None:
    """Of which type the items of a list are; None where it is no list of such."""
    if isinstance(default, (list, tuple)):
        found = {type(item) for item in default}
    else:
        found = {item for part in _parts(hint) if isinstance(typing.get_origin(part), type)
                 and issubclass(typing.get_origin(part), Sequence) for item in typing.get_args(part)
                 if item is not Ellipsis}
    return next(iter(found)) if len(found) == 1 and found <= {*SCALARS} else None


def _kind(hint: Any, default: Any) -> Any:
    """The type of a field; None where an argument can't be written as text."""
    optional = default is None or type(None) in _parts(hint)
    if default is inspect.Parameter.empty:
        return None
    if isinstance(default, enum.Enum) or _item(hint, default):
        kind: Any = str
    elif type(default) in SCALARS:
        kind = type(default)
    else:
        known = [part for part in _parts(hint) if part in SCALARS]
        kind = known[0] if known else None
    return kind | None if kind and optional else kind


def _text(default: Any) -> Any:
    """A default as a field has it."""
    if isinstance(default, enum.Enum):
        return str(default.value)
    return ",".join(map(str, default)) if isinstance(default, (list, tuple)) else default


def _converter(hint: Any, default: Any) -> Callable[[Any], Any]:
    """From a field's value to the argument."""
    if isinstance(default, enum.Enum):
        return type(default)
    if item := _item(hint, default):
        return lambda text: (tuple if isinstance(default, tuple) else list)(
            item(word.strip()) for word in text.split(","))
    return lambda value: value

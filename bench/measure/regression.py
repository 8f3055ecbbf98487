"""Have the metrics changed? Entries of a baseline against the same cells now: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Entry = dict[str, Any]  # as bench/results/baseline.py writes them

WATCHED = ("auc", "f1_a1.0", "iou_a1.0", "detection_auc")
# What is compared where a baseline says nothing of its tolerances, and their least: other
# processors round differently.
LEAST = {"auc": 0.002, "f1_a1.0": 0.01, "iou_a1.0": 0.01, "detection_auc": 0.01}
FACTOR = 3.0  # times the range over runs that should be equal
# What must be equal for two numbers to be comparable, beside what is declared.
SAME = ("data_sha256", "test_sha256", "weights_sha256", "n_train")


@dataclass(frozen=True)
class Change:
    """A metric of a cell, in the baseline and now. It fell when now < before - tolerance."""

    method: str
    place: str
    metric: str
    before: float
    now: float
    tolerance: float

    @property
    def difference(self) -> float:
        return self.now - self.before

    @property
    def fell(self) -> bool:
        return not self.difference >= -self.tolerance  # NaN is a fall

    @property
    def rose(self) -> bool:
        return self.difference > self.tolerance

    @property
    def verdict(self) -> str:
        return "fell" if self.fell else "rose" if self.rose else "within"


def name(entry: Entry) -> str:
    """'embedded/fabric standard ae_xad seed 40'."""
    fit = entry["fit"]
    return (f"{fit['dataset']}/{fit['category']} {fit['scenario']} {entry['method']} "
            f"seed {fit['seed']}")


def changes(before: Entry, now: Entry) -> list[Change]:
    """The watched metrics of one cell, those that the baseline has: one that was undefined can't
    fall."""
    fit = before["fit"]
    place = f"{fit['dataset']}/{fit['category']}"
    tolerances = {**LEAST, **(before.get("tolerance") or {})}
    return [Change(before["method"], place, metric, before["numbers"][metric],
                   _number(now, metric), tolerances[metric])
            for metric in WATCHED if not math.isnan(_number(before, metric))]


def _number(entry: Entry, metric: str) -> float:
    """NaN where the metric is undefined or not there."""
    value = entry["numbers"].get(metric)
    return math.nan if value is None else float(value)


def differences(before: Entry, now: Entry) -> list[str]:
    """Why the two can't be compared: 'fit.params.lr: 0.001, now 0.01'. Empty when they can."""
    found = []
    for part in ("fit", "declared"):
        old, new = _flat(before[part]), _flat(now[part])
        found += [f"{part}.{key}: {old.get(key, 'absent')}, now {new.get(key, 'absent')}"
                  for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    # the fit's key differs whenever something of the fit does, which is said already
    found = [text for text in found if not text.startswith("declared.fit:")]
    found += [f"{key.removesuffix('_sha256')} differs" for key in SAME
              if before.get(key) is not None and before[key] != now.get(key)]
    return found


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {
            prefix + key: value}
    return flat


def tolerances(runs: Sequence[Entry]) -> dict[str, float]:
    """From the same cell in several runs that should be equal: FACTOR times each metric's range,
    at least LEAST."""
    found = {}
    for metric in WATCHED:
        values = [v for run in runs if not math.isnan(v := _number(run, metric))]
        if values:
            found[metric] = max(LEAST[metric], FACTOR * (max(values) - min(values)))
    return found

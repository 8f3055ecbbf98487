"""What has to be done for a table: cells, and the fits that they share. Plain data, with keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aexad import methods
from aexad.bench.base.params import declared
from aexad.bench.measure.names import VERSION as METRICS_VERSION
from aexad.bench.plan.settings import Settings
from aexad.datasets import suite
from aexad.datasets.data_params import DataParams

ANOMALIES_ONLY = "anomalies_only"
SCENARIOS = ("standard", ANOMALIES_ONLY)


@dataclass(frozen=True)
class Fit:
    """One training. Its key is a hash of everything that is declared and changes the result."""

    method: str
    dataset: str
    category: str
    scenario: str
    seed: int
    params: Any
    data: DataParams

    def declared(self) -> dict[str, Any]:
        """What the key is a hash of."""
        facts = {"method": self.method, "version": methods.facts(self.method).version,
                 "dataset": self.dataset, "category": self.category, "scenario": self.scenario,
                 "seed": self.seed, "params": declared(self.params), "data": declared(self.data)}
        if self.dataset == "embedded":
            facts["generator"] = suite.VERSION
        return facts

    @property
    def key(self) -> str:
        return _hash(self.declared())

    @property
    def name(self) -> str:
        """Readable, not unique: for folders and messages."""
        method = self.method.replace(":", "-")  # not every file system takes it
        return f"{self.dataset}-{self.category}-{self.scenario}-{method}-seed{self.seed}"


@dataclass(frozen=True)
class Cell:
    """One method's explanation of one test set, from a fit."""

    fit: Fit
    method: str
    params: Any

    def declared(self) -> dict[str, Any]:
        facts = {"fit": self.fit.key, "method": self.method, "params": declared(self.params),
                 "metrics": METRICS_VERSION}
        # the images behind the test set's threshold, where those are not all (results/measured.py)
        return facts | ({"set": "anomalous"} if self.fit.scenario == ANOMALIES_ONLY else {})

    @property
    def key(self) -> str:
        return _hash(self.declared())

    @property
    def skip(self) -> str | None:
        """Why the method can't do this scenario, or None."""
        reason = getattr(methods.facts(self.method), "skip", None)
        return reason(self.fit.scenario) if reason else None


def all_cells(settings: Settings, names: Iterable[str], rows: Iterable[tuple[str, str]],
              scenario: str, seeds: Iterable[int]) -> list[Cell]:
    """All cells of a table: methods x (dataset, category) x seeds."""
    names = list(names)
    return [Cell(Fit(methods.trained_as(name), dataset, category, scenario, seed,
                     settings.fit(name), settings.data), name, settings.explain(name))
            for dataset, category in rows for seed in seeds for name in names]


def by_fit(wanted: Iterable[Cell]) -> dict[Fit, list[Cell]]:
    """The cells grouped by the training they share, in their order, each once."""
    groups: dict[Fit, list[Cell]] = {}
    for cell in dict.fromkeys(wanted):
        groups.setdefault(cell.fit, []).append(cell)
    return groups


def _hash(declared: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]

"""Under which conditions a stored cell was computed, by what is stored of it: its parameters beside
those of the protocol `paper`, its images beside the paper's and the public counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

from aexad import methods
from aexad.bench.base.params import declared
from aexad.bench.paper.audit.printed import facts
from aexad.bench.plan.cells import ANOMALIES_ONLY
from aexad.bench.plan.settings import Settings
from aexad.bench.results.evidence import Evidence

AS_PUBLISHED = "as published"
NETWORK, BUDGET, IMAGES = "other network", "reduced budget", "other images"
FEW_NORMALS = "too few normals"
PARAMETERS, VERSION = "other parameters", "older version"
# The worst first: of several configurations the one with the best of these is shown.
WORDS = (VERSION, PARAMETERS, BUDGET, NETWORK, IMAGES, FEW_NORMALS)
EXPLAINED = (
    f"{AS_PUBLISHED}: the protocol `paper` (the text; where it is silent, docs/open_points.md)",
    f"{NETWORK}: another pre-trained network than the published one",
    f"{BUDGET}: fewer passes than published",
    f"{IMAGES}: counts of images that are not those of the paper or of the public dataset, or of "
    "Table 3 not all categories",
    f"{FEW_NORMALS}: fewer normal test images than the public dataset has, where they count",
    f"{PARAMETERS}: anything else differs from `paper`",
    f"{VERSION}: stored by an older version of the method, whose numbers were others",
)

_PASSES = ("fit.epochs", "fit.meta_epochs", "fit.sub_epochs")
# What a shorter training changes with its passes, such as how fast the learning rate falls.
_WITH_PASSES = (*_PASSES, "fit.lr", "fit.lr_gamma", "fit.schedule", "fit.warm_epochs")
_NETWORKS = ("fit.encoder", "fit.net", "fit.backbone", "fit.weights")
_FEWER_IMAGES = ("data.max_train", "data.per_type")


@cache
def published_parameters(method: str) -> dict[str, Any]:
    """What a cell of `method` declares under the protocol `paper`, as Evidence.parameters."""
    settings = Settings("paper")
    parts = {"fit": settings.fit(method), "data": settings.data,
             "explain": settings.explain(method)}
    return {f"{part}.{name}": value for part, values in parts.items()
            for name, value in declared(values).items()}


def differing(evidence: Evidence) -> set[str]:
    """The parameters that are not those of the protocol `paper`."""
    ours, paper = evidence.parameters, published_parameters(evidence.method)
    return {name for name in {*ours, *paper} if ours.get(name) != paper.get(name)}


def of_cell(evidence: Evidence) -> tuple[str, ...]:
    """What is not as published, whatever the metric; the words in the order of WORDS."""
    names, found = differing(evidence), set()
    if evidence.version != methods.facts(evidence.method).version:
        found.add(VERSION)
    if passes(evidence.parameters) < passes(published_parameters(evidence.method)):
        found.add(BUDGET)
        names -= set(_WITH_PASSES)
    if names & set(_NETWORKS):
        found.add(NETWORK)
    if names & set(_FEWER_IMAGES) or _other_counts(evidence):
        found.add(IMAGES)
    if names - {*_NETWORKS, *_FEWER_IMAGES}:
        found.add(PARAMETERS)
    return ordered(found)


def of_number(evidence: Evidence, metric: str) -> tuple[str, ...]:
    """The same, with what matters to this metric alone."""
    found = set(of_cell(evidence))
    if metric == "detection_auc":
        public = facts()["images"].get("/".join(evidence.place))
        if public and evidence.entry["numbers"]["n_normal"] < public["test_normals"]:
            found.add(FEW_NORMALS)
    return ordered(found)


def ordered(words: set[str] | Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in WORDS if word in words)


def in_words(conditions: Sequence[str]) -> str:
    """Without any it is as published."""
    return ", ".join(conditions) or AS_PUBLISHED


def passes(parameters: dict[str, Any]) -> int:
    """Over the training images."""
    return prod(parameters[name] for name in _PASSES if name in parameters)


def _other_counts(evidence: Evidence) -> bool:
    """Whether the images can't be the paper's, as there are more or fewer. Fewer normal test images
    are not counted here: they matter to the detection AUC alone."""
    trained, numbers = evidence.entry.get("n_train"), evidence.entry["numbers"]
    row, standard = "/".join(evidence.place), evidence.scenario != ANOMALIES_ONLY
    if not trained:
        return False
    anomalies = trained["anomalous"] + numbers["n_anomalous"]
    public, stated = facts()["images"].get(row), facts()["stated"].get(row)
    if public:
        return (anomalies != public["anomalies"] or numbers["n_normal"] > public["test_normals"]
                or standard and trained["normal"] != public["train_normals"])
    if stated:
        return (anomalies != stated["anomalies"]
                or standard and trained["normal"] + numbers["n_normal"] != stated["normals"])
    return False

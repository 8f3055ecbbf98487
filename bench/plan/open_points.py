"""What the paper leaves open, of which `study` changes one at a time (docs/open_points.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# A method that has open points -> what explains its fits and is shown.
SHOWN = {"ae_xad": ("ae_xad",), "ae": ("ae", "ae_filtered")}
METHOD = "ae_xad"  # where none is named


@dataclass(frozen=True)
class Choice:
    """One way to settle an open point. sets: as for --set, without the method; other_split: which
    other split than the base's (its seed, plus this)."""

    label: str
    sets: tuple[str, ...] = ()
    other_split: int = 0


@dataclass(frozen=True)
class Point:
    """An open point; row: of docs/open_points.md; of_normals: nothing to choose where anomalies
    alone train; method: whose it is, and whose base is changed."""

    name: str
    row: str
    choices: tuple[Choice, ...]
    of_normals: bool = False
    method: str = METHOD

    def sets(self, choice: Choice) -> list[str]:
        """A choice's assignments, as for --set."""
        return [s if s.startswith("metrics.") else f"{self.method}.{s}" for s in choice.sets]


def _point(name: str, row: str, choices: dict[str, str], **more: Any) -> Point:
    """Choices: label -> its assignments, separated by spaces."""
    return Point(name, row, tuple(Choice(label, tuple(sets.split()))
                                  for label, sets in choices.items()), **more)


# Every choice is spelled out, so that it can be taken from any base; those that the base has
# already are left out.
POINTS: tuple[Point, ...] = (
    _point("reduction", "3", {"one 3×3": "reduce=conv3x3 reduce_bn=false",
                              "one 3×3, BN": "reduce=conv3x3 reduce_bn=true",
                              "one 1×1": "reduce=conv1x1 reduce_bn=false",
                              "three 3×3": "reduce=three_conv reduce_bn=false",
                              "three 3×3, BN": "reduce=three_conv reduce_bn=true"}),
    _point("encoder", "2", {"frozen": "freeze=true bn_eval=true",
                            "trained": "freeze=false bn_eval=false",
                            "trained, stored BN": "freeze=false bn_eval=true"}),
    _point("decay", "18", {"×0.985 an epoch": "lr_gamma=0.985", "none": "lr_gamma=1"}),
    _point("output", "10", {"ReLU": "out_act=relu", "none": "out_act=none",
                            "sigmoid": "out_act=sigmoid"}),
    _point("branch 1", "6", {"group sums of tanh": "mask=group_sum",
                             "one sum of tanh²": "mask=square_sum"}),
    _point("block", "8", {"conv, tconv": "block=conv_tconv", "tconv, conv": "block=tconv_conv"}),
    _point("augmentation", "22", {"5 raw, 10 pasted": "n_raw=5 n_paste=10",
                                  "raw only": "n_paste=0"}, of_normals=True),
    _point("pasted", "23", {"anywhere": "position=uniform", "in place": "position=same",
                            "near its place": "position=jitter"}, of_normals=True),
    _point("batches", "25", {"a third anomalies": "sampler=share",
                             "weights 0.8, 0.2": "sampler=weighted"}, of_normals=True),
    # Fewer updates: as many passes in larger batches, or fewer passes, whose learning rate ends
    # where 200 x 0.985 end. Fewer steps an epoch are fewer passes, too: no choice of their own.
    _point("updates", "17, 26", {
        "16 an update, 200 epochs": "batch_size=16 epochs=200 lr_gamma=0.985",
        "32 an update": "batch_size=32", "64 an update": "batch_size=64",
        "40 epochs": "epochs=40 lr_gamma=0.927", "80 epochs": "epochs=80 lr_gamma=0.963",
        "120 epochs": "epochs=120 lr_gamma=0.975"}),
    Point("split", "44", (Choice("next seed", other_split=1),
                          Choice("the one after", other_split=2))),
    _point("threshold", "30", {"µ+σ": "thr=mean_std", "0.3": "thr=fixed"}),
    _point("segments", "31", {"runs": "segments=runs min_run=1",
                              "runs over 3 px": "segments=runs min_run=4",
                              "components": "segments=components"}),
    _point("direction", "32", {"larger": "agg=max", "smaller": "agg=min",
                               "smaller, as with NaN": "agg=min_nan"}),
    _point("radius", "33", {"estimated": "k=none", "5": "k=5", "15": "k=15", "30": "k=30"}),
    _point("filter", "–", {"Gaussian": "filter=true", "none": "filter=false"}),
    _point("sigma", "35", {"k/3, to 3σ": "sigma_div=3 sigma_min=0 truncate=3",
                           "k/2, at least 1, to 4σ": "sigma_div=2 sigma_min=1 truncate=4"}),
    _point("border", "36", {"mirrored": "border=reflect", "zero": "border=zero"}),
    _point("score", "42, 43", {"‖e·F(e)‖₁": "norm=l1 score=e", "‖e·F(e)‖₂": "norm=l2 score=e",
                               "‖ẽ·F(ẽ)‖₁": "norm=l1 score=e_norm",
                               "‖e‖₁": "norm=l1 score=plain"}),
    _point("binarize", "37", {"each map's µ+σ": "metrics.binarize=image",
                              "the test set's": "metrics.binarize=dataset"}),
    # The authors' script for MVTec stops after one epoch of the same schedule.
    _point("epochs", "–", {"one": "epochs=1", "5": "epochs=5", "20": "epochs=20",
                           "all 200": "epochs=200"}, method="ae"),
    _point("loss", "15", {"sum over elements": "reduction=sum",
                          "mean over elements": "reduction=mean"}, method="ae"),
)


def points(method: str) -> dict[str, Point]:
    """The open points of a method, by name."""
    return {point.name: point for point in POINTS if point.method == method}

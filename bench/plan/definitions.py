"""The paper's tables and figures as data: what each shows, of which methods and data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from aexad.datasets.catalog import PAPER

Scenario = Literal["standard", "anomalies_only"]


@dataclass(frozen=True)
class TableDef:
    """What a table of the paper shows. `methods` and `metrics` are in the order of its columns.

    shows: the metrics themselves, emissions, trade-offs of the metrics against emissions, or the
    win rates of pairs of methods. decimals: as the paper prints; digits: most digits in all, where
    it prints large numbers with fewer decimals. printed_in: the table of the paper whose numbers
    stand beside ours; None is `name`, '' none. about_printed: methods, and what must be known of
    the numbers that the paper prints of them.
    """

    name: str
    title: str
    scenario: Scenario
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    datasets: tuple[str, ...]
    decimals: int = 3
    higher_is_better: bool = True
    digits: int | None = None
    shows: Literal["metrics", "emissions", "tradeoff", "winrates"] = "metrics"
    printed_in: str | None = None
    about_printed: tuple[tuple[str, ...], str] = ((), "")

    @property
    def about_emissions(self) -> bool:
        return self.shows in ("emissions", "tradeoff")

    def under(self, scenario: Scenario | None) -> TableDef:
        """This table of another scenario, beside the numbers that the paper prints for that."""
        if scenario in (None, self.scenario):
            return self
        return replace(self, scenario=scenario, printed_in=_OTHER_SCENARIO.get(self.name, ""))


_OTHER_SCENARIO = {a: b for pair in (("table2", "table4"), ("table5", "table6"),
                                     ("table7", "table8")) for a, b in (pair, pair[::-1])}

_COMPARED = ("ae_xad", "fcdd", "bgad")
_QUALITY = ("auc", "f1", "iou")


def _emissions(name: str, title: str, scenario: Scenario) -> TableDef:
    return TableDef(name, title, scenario, _COMPARED, ("grams",), PAPER, higher_is_better=False,
                    shows="emissions")


def _tradeoff(name: str, title: str, scenario: Scenario) -> TableDef:
    return TableDef(name, title, scenario, _COMPARED, _QUALITY, PAPER, decimals=4, digits=5,
                    higher_is_better=False, shows="tradeoff")


TABLES: dict[str, TableDef] = {t.name: t for t in (
    TableDef("table1", "Table 1: mean pixel-wise AUC of the ablated methods", "standard",
             ("ae", "ae_filtered", "ae_xad_raw", "ae_xad"), ("auc",), ("mvtec",),
             about_printed=(("ae", "ae_filtered"), "the paper's numbers are near those of an AE "
                            "after one epoch, which the authors' script stops at; by default ours "
                            "trains for all (docs/fidelity.md; --set ae.epochs=1)")),
    TableDef("table2", "Table 2: mean pixel-wise AUC, F1 and IoU", "standard", _COMPARED, _QUALITY,
             PAPER),
    TableDef("table3", "Table 3: share of the test images on which one method beats the other",
             "standard", _COMPARED, _QUALITY, PAPER, shows="winrates"),
    TableDef("table4", "Table 4: mean pixel-wise AUC, F1 and IoU, trained on anomalies only",
             "anomalies_only", _COMPARED, _QUALITY, PAPER),
    _emissions("table5", "Table 5: CO2 emitted by training and explaining", "standard"),
    _emissions("table6", "Table 6: CO2 emitted by training on anomalies only and explaining",
               "anomalies_only"),
    _tradeoff("table7", "Table 7: trade-off T(m) = E / (m / (1 - m)) of CO2 and quality",
              "standard"),
    _tradeoff("table8", "Table 8: trade-off T(m) = E / (m / (1 - m)) of CO2 and quality, trained "
              "on anomalies only", "anomalies_only"),
    TableDef("table9", "Table 9: detection AUC, of the image scores", "standard", _COMPARED,
             ("detection_auc",), PAPER),
    TableDef("table-vit", "ViT encoders beside the report of the ViT re-implementation", "standard",
             ("ae_xad_vit", "ae_xad_vit_finetuned", "ae_xad_vit_scratch"), _QUALITY, ("mvtec",)),
)}


@dataclass(frozen=True)
class FigureDef:
    """A figure of the paper, or the gallery. shown: its title, methods, metric and data. one_seed,
    one_place: it shows images, not means; of one category alone. by: whose AUC chooses the images
    where that is not the first method shown.
    """

    shown: TableDef
    one_seed: bool = False
    one_place: bool = False
    by: str | None = None


def _figure(name: str, title: str, methods: tuple[str, ...] = _COMPARED, metric: str = "auc",
            datasets: tuple[str, ...] = ("mvtec",), **more: Any) -> FigureDef:
    return FigureDef(TableDef(name, title, "standard", methods, (metric,), datasets), **more)


FIGURES: dict[str, FigureDef] = {f.shown.name: f for f in (
    _figure("figure1", "Figure 1: every step of AE-XAD on an image", ("ae_xad",), one_seed=True,
            one_place=True),
    _figure("figure2", "Figure 2: every step of the AE on the same image", ("ae_filtered",),
            one_seed=True, one_place=True, by="ae_xad"),
    _figure("figure3", "Figure 3: AUC of AE-XAD against the radius of the filter", ("ae_xad",)),
    _figure("figure4", "Figure 4: F1 against the threshold", metric="f1"),
    _figure("figure5", "Figure 5: IoU against the threshold", metric="iou"),
    _figure("gallery", "Best, median and worst explained image of each category", datasets=PAPER,
            one_seed=True),
)}

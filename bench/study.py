"""Which open points explain the distance to the paper: one is changed at a time, everything else
stays as in a base. Pure functions of settings and of stored results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from aexad import methods
from aexad.bench.measure import statistics
from aexad.bench.paper.printed_tables import published
from aexad.bench.plan.cells import Cell, Fit, all_cells
from aexad.bench.plan.open_points import SHOWN, Choice, Point
from aexad.bench.plan.settings import Settings
from aexad.bench.results import readings
from aexad.bench.results.image_rows import per_image
from aexad.bench.results.store import Store
from aexad.bench.tables.grids import Grid, signed

METRICS = {"auc": "AUC", "f1": "F1", "iou": "IoU", "detection_auc": "detection"}
PAIRED = ("auc", "f1", "iou")  # one number per image; detection is one of the whole test set
BASE = "base"
UNDEFINED = "undefined"  # of no test image a number


@dataclass(frozen=True)
class Variant:
    """The base, or the base with one point changed, as one method shows it. cells: of all places
    and seeds."""

    name: str
    point: str
    row: str
    choice: str
    settings: Settings
    cells: tuple[Cell, ...]
    shift: int = 0  # of its seeds against the base's
    trained_by: str = ""  # the variant whose training it explains, '' its own
    explained_by: str = ""  # the variant whose heatmaps it only looks at in another way

    @property
    def method(self) -> str:
        return self.cells[0].method


@dataclass(frozen=True)
class Outcome:
    """A variant's numbers in one category (or over all of them, category '').

    values: metric -> mean over seeds (over categories: of their means). differences: metric ->
    (variant - base, low, high), of the images that both have; low and high are None where there is
    no interval. grams: emitted by what this variant needs beyond those above it. missing, reason:
    what is the matter where there is no value, in a word or two, and why.
    """

    variant: Variant
    dataset: str
    category: str
    values: dict[str, float] = field(default_factory=dict)
    differences: dict[str, tuple[float, float | None, float | None]] = field(default_factory=dict)
    grams: float = math.nan
    missing: str = ""
    reason: str = ""

    @property
    def paper(self) -> dict[str, float]:
        """Metric -> the published number of the category, where there is one."""
        if not self.category:
            return {}
        scenario = self.variant.cells[0].fit.scenario
        return paper_values(self.variant.method, self.dataset, self.category, scenario)


def variants(method: str, base: Settings, more: Iterable[tuple[Point, Choice, Settings]],
             places: Sequence[tuple[str, str]], scenario: str, seeds: Sequence[int]
             ) -> list[Variant]:
    """The base and what differs from it, each once, by each that explains the method's fits."""
    wanted = [(Point(BASE, "", ()), Choice(f"protocol {base.protocol}"), base)]
    wanted += [m for m in more if not (m[0].of_normals and scenario == "anomalies_only")]
    made: list[Variant] = []
    seen: set[tuple] = set()
    trained: dict[Fit, str] = {}
    explained: dict[tuple[Cell, ...], str] = {}
    for shown in SHOWN[method]:
        prefix = "" if shown == method else f"{methods.entry(shown).label} "
        for point, choice, settings in wanted:
            shifted = [seed + choice.other_split for seed in seeds]
            cells = tuple(all_cells(settings, [shown], places, scenario, shifted))
            if (cells, settings.metrics) in seen:
                continue
            seen.add((cells, settings.metrics))
            name = prefix + (BASE if point.name == BASE else f"{point.name}: {choice.label}")
            made.append(Variant(name, point.name, point.row, choice.label, settings, cells,
                                choice.other_split, trained.get(cells[0].fit, ""),
                                explained.get(cells, "")))
            trained.setdefault(cells[0].fit, name)
            explained.setdefault(cells, name)
    return made


def outcomes(found: Sequence[Variant], store: Store, places: Sequence[tuple[str, str]],
             why_not: Callable[[Cell], tuple[str, str]]) -> list[Outcome]:
    """What is stored of every variant, place by place, then over all places. why_not: what is the
    matter with a cell that isn't stored, and the reason."""
    images = pd.concat([_images(v, store) for v in found], ignore_index=True)
    there = [v for v in found if (images["method"] == v.name).any()]
    bases = {v.method: v.name for v in there if v.point == BASE}
    pairs = [(v.name, bases[v.method]) for v in there if v.point != BASE and v.method in bases]
    compared = statistics.compare(images, pairs, PAIRED, places)
    made = [_outcome(variant, place, store, compared, why_not)
            for place in places for variant in found]
    if len(places) > 1:
        made += [_mean([o for o in made if o.variant is v], compared) for v in found]
    return made


def _images(variant: Variant, store: Store) -> pd.DataFrame:
    """The variant's numbers per image, with its name for the method and the base's seeds, so that
    images of other splits pair up with the base's, too."""
    images = per_image(variant.cells, store)
    for metric in ("f1", "iou"):
        column = variant.settings.metrics.column(metric)
        images[metric] = images[column] if len(images) else None
    return images.assign(method=variant.name, seed=images["seed"] - variant.shift)


def _outcome(variant: Variant, place: tuple[str, str], store: Store,
             compared: Sequence[statistics.Comparison],
             why_not: Callable[[Cell], tuple[str, str]]) -> Outcome:
    cells = [c for c in variant.cells if (c.fit.dataset, c.fit.category) == place]
    infos = [store.cell_info(cell) for cell in cells]
    if not all(infos):
        missing, reason = why_not(cells[infos.index(None)])
        return Outcome(variant, *place, missing=missing, reason=reason)
    columns = {metric: variant.settings.metrics.column(metric) for metric in METRICS}
    values = {metric: sum(_number(info["numbers"].get(column)) for info in infos) / len(infos)
              for metric, column in columns.items()}
    return Outcome(variant, *place, values, _differences(variant, place, compared),
                   sum(_grams(cell, variant, store) for cell in cells))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _grams(cell: Cell, variant: Variant, store: Store) -> float:
    if variant.explained_by:
        return 0.0
    emitted = readings.of_cell(cell, store).columns()
    return emitted["explain_grams"] + (0 if variant.trained_by else emitted["fit_grams"])


def _differences(variant: Variant, place: tuple[str, str],
                 compared: Sequence[statistics.Comparison]) -> dict[str, tuple]:
    return {c.metric: (c.difference, c.low, c.high) for c in compared
            if c.first == variant.name and (c.dataset, c.category) == place}


def _mean(parts: Sequence[Outcome], compared: Sequence[statistics.Comparison]) -> Outcome:
    """Over all places: the mean of their values."""
    variant = parts[0].variant
    lacking = next((o for o in parts if o.missing), None)
    if lacking:
        return Outcome(variant, "", "", missing=lacking.missing, reason=lacking.reason)
    values = {m: sum(o.values[m] for o in parts) / len(parts) for m in METRICS}
    datasets = {o.dataset for o in parts}
    place = (statistics.ALL if len(datasets) > 1 else datasets.pop(), "")
    return Outcome(variant, *place, values, _differences(variant, place, compared),
                   sum(o.grams for o in parts))


def paper_values(method: str, dataset: str, category: str, scenario: str) -> dict[str, float]:
    """Metric -> the published number of a category, where there is one."""
    found = {metric: published(f"table{table}", dataset, category, method, metric)
             for metric, table in paper_tables(method, scenario).items()}
    return {m: v for m, v in found.items() if v is not None}


def paper_tables(method: str, scenario: str) -> dict[str, int]:
    """Metric -> the number of the paper's table that has it. Of the plain AE it prints one of
    the AUC alone; where anomalies alone train, none of detection."""
    if methods.trained_as(method) == "ae":
        return {"auc": 1}
    if scenario == "anomalies_only":
        return dict.fromkeys(PAIRED, 4)
    return {**dict.fromkeys(PAIRED, 2), "detection_auc": 9}


# -- as texts --

HEADS = ["open point", "row", "choice", *METRICS.values(), "ΔAUC", "interval", "ΔF1", "interval",
         "ΔIoU", "paper: AUC", "F1", "IoU", "detection", "g CO₂"]


def grids(made: Sequence[Outcome]) -> list[Grid]:
    """A grid for each place and each method shown; the base first, then each point's choices."""
    places = list(dict.fromkeys((o.dataset, o.category) for o in made if o.category))
    shown = list(dict.fromkeys(o.variant.method for o in made))
    groups = {"/".join(place): [o for o in made if (o.dataset, o.category) == place]
              for place in places}
    if len(places) > 1:
        groups[f"mean of {len(places)} categories"] = [o for o in made if not o.category]
    return [_grid(caption + (f", {methods.entry(method).label}" if len(shown) > 1 else ""),
                  [o for o in group if o.variant.method == method])
            for caption, group in groups.items() for method in shown]


def _grid(caption: str, made: Sequence[Outcome]) -> Grid:
    rows, above = [], None
    for outcome in made:
        v = outcome.variant
        head = [v.point, v.row] if v.point != above else ["", ""]
        rows.append([*head, v.choice, *_row(outcome)])
        above = v.point
    return Grid(caption, HEADS, rows, words=3)


def _row(outcome: Outcome) -> list[str]:
    if outcome.missing:
        return [outcome.missing] + [""] * (len(HEADS) - 4)
    paper = outcome.paper
    cells = [_shown(outcome.values[m]) for m in METRICS]
    for metric in PAIRED:
        difference, low, high = outcome.differences.get(metric, (None, None, None))
        cells.append("" if difference is None else signed(difference, 3))
        if metric != "iou":
            cells.append("" if low is None else f"[{signed(low, 3)}, {signed(high, 3)}]")
    apart = {m: outcome.values[m] - paper[m] for m in paper}
    cells += [signed(apart[m], 3) if m in paper and not math.isnan(apart[m]) else "–"
              for m in METRICS]
    return [*cells, f"{outcome.grams:.3g}"]


def _shown(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def table(made: Sequence[Outcome]) -> pd.DataFrame:
    """Tidy: a row per variant and place, all digits."""
    rows = []
    for o in made:
        row = {"dataset": o.dataset, "category": o.category, "method": o.variant.method,
               "point": o.variant.point, "row": o.variant.row, "choice": o.variant.choice,
               "missing": ": ".join(filter(None, (o.missing, o.reason)))}
        for metric in METRICS:
            row[metric] = o.values.get(metric)
            row[f"{metric}_paper"] = o.paper.get(metric)
        for metric in PAIRED:
            row |= dict(zip((f"{metric}_difference", f"{metric}_low", f"{metric}_high"),
                            o.differences.get(metric, (None, None, None))))
        rows.append({**row, "grams": o.grams, "trained_by": o.variant.trained_by})
    return pd.DataFrame(rows)

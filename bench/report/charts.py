"""The charts of a page as SVG: drawn by matplotlib, with text that is text, in the page's colours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from aexad.bench.figures import style
from aexad.bench.figures.paper_figures import DRAW, Work
from aexad.bench.figures.plotting import Axes, Figure, Line2D, use_while
from aexad.bench.figures.ranks import diagrams
from aexad.bench.measure.names import METRICS as NAMES
from aexad.bench.plan.definitions import FIGURES
from aexad.bench.report.data import GRAMS, METRICS, QUALITY, Compared, Stored
from aexad.bench.tables.build import Cell, Table
from aexad.bench.tables.notes import SHARED, Place

INK = {"#0072b2": "var(--blue)", "#d55e00": "var(--vermilion)", "#009e73": "var(--green)",
       "#000000": "currentColor", "#dddddd": "var(--line)", "#767676": "var(--quiet)",
       "#ffffff": "var(--page)", "#cccccc": "var(--line)"}
"""Colours of the figures that follow the page's, light or dark. One method is black."""


@dataclass(frozen=True)
class Chart:
    """name: of its place in the page. width: pixels at which its text has the page's size. alt:
    what it shows, for those who don't see it."""

    name: str
    title: str
    svg: str
    width: int
    alt: str


def svg(figure: Figure, name: str) -> tuple[str, int]:
    """A figure as an SVG element to be put into a page, and its width in pixels. All its ids begin
    with `name`: a page has several figures. No dates: the same results give the same bytes."""
    made = io.StringIO()
    with use_while({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(made, format="svg", transparent=True, metadata={"Date": None})
    text = made.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"| version="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text).replace("xlink:href", "href")
    text = re.sub(r"#[0-9a-f]{6}", lambda m: INK.get(m[0], m[0]), text)
    text = re.sub(r"\n\s*", "\n", text)
    width = float(re.search(r'width="([\d.]+)pt"', text)[1])
    return re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2), round(width * 4 / 3 * 1.5)


# -- (4) --


def critical_differences(compared: Compared) -> Chart | None:
    """Mean ranks, with bars over methods that are not told apart."""
    figure = diagrams(compared.report.ranks, compared.report.labels)
    if figure is None:
        return None
    said = [f"{NAMES[r.metric]}: " + ", ".join(f"{compared.report.labels[m]} {rank:.2f}"
                                               for m, rank in r.means.items())
            for r in compared.report.ranks if r.means]
    return Chart("ranks", "Critical differences of the mean ranks", *svg(figure, "ranks"),
                 f"Mean ranks over categories, 1 is best. {'; '.join(said)}.")


# -- (5) --


@dataclass(frozen=True)
class Point:
    """A method's emissions in grams and its quality; sound: whether its grams can be compared."""

    method: str
    grams: float
    value: float
    sound: bool


def front(points: Sequence[Point]) -> list[Point]:
    """The points of which no other is as good in both and better in one, cheapest first. Those
    whose grams can't be compared are left out."""
    best: list[Point] = []
    for point in sorted((p for p in points if p.sound), key=lambda p: (p.grams, -p.value)):
        if not best or point.value > best[-1].value:
            best.append(point)
        elif (point.grams, point.value) == (best[-1].grams, best[-1].value):
            best.append(point)
    return best


def against_emissions(quality: Table, grams: Table) -> dict[str, list[Point]]:
    """metric -> a point for each method, means over the categories in which all of them have both
    numbers; without such a category none."""
    shared = [name for name, _ in grams.groups if name in dict(quality.groups)]
    made: dict[str, list[Point]] = {}
    for j, metric in enumerate(quality.metrics):
        found = {name: (_cells(quality, name, j), _cells(grams, name, 0)) for name in shared}
        found = {name: both for name, both in found.items() if both[0] and both[1]}
        places = [p for p in next(iter(found.values()), ({}, {}))[0]
                  if all(p in values and p in costs for values, costs in found.values())]
        made[metric] = [
            Point(name, _mean(costs[p].value for p in places),
                  _mean(values[p].value for p in places),
                  not any(SHARED[1] in costs[p].remark for p in places))
            for name, (values, costs) in found.items()] if places else []
    return made


def _mean(values: object) -> float:
    return pd.Series(list(values)).mean()


def _cells(table: Table, method: str, metric: int) -> dict[Place, Cell]:
    at = [name for name, _ in table.groups].index(method)
    return {(row.dataset, row.label): cell for row in table.rows
            if not row.is_mean and (cell := row.cells[at][metric]).value is not None}


def emissions(stored: Stored) -> Chart | None:
    """Quality against grams, a panel for each metric, with the Pareto front."""
    if not stored.parts[GRAMS[stored.scenario]].done:
        return None
    found = against_emissions(stored.one_table(QUALITY[stored.scenario]),
                              stored.one_table(GRAMS[stored.scenario]))
    if not any(found.values()):
        return None
    said = "; ".join(
        f"{NAMES[metric]}: " + ", ".join(
            f"{stored.labels[p.method]} {p.value:.3f} at {p.grams:.3g} g"
            + ("" if p.sound else " (shared machine)") for p in points)
        for metric, points in found.items() if points)
    return Chart("emissions", "Quality against emissions, means over the categories that all "
                 "methods have", *svg(_panels(found, stored.labels), "emissions"), said)


def _panels(found: dict[str, list[Point]], labels: dict[str, str]) -> Figure:
    """A panel for each metric, in millimetres."""
    head, high = 12.0, 42.0
    looks = style.looks(p.method for points in found.values() for p in points)
    figure = style.figure(style.PAGE, head + high + 13, fixed=True)
    for i, (metric, points) in enumerate(found.items()):
        ax = style.axes(figure, 12 + i * 58, head, 46, high)
        best = front(points)
        ax.plot([p.grams for p in best], [p.value for p in best], color=style.GREY,
                drawstyle="steps-post", linewidth=0.8, zorder=1)
        for p in points:
            look = looks[p.method]
            ax.plot(p.grams, p.value, marker=look.marker, color=look.color, markersize=6,
                    markerfacecolor=look.color if p.sound else "none")
        ax.set(xscale="log", xlabel="CO₂, grams (logarithmic)", title=NAMES[metric])
        ax.margins(0.15)
        _few_ticks(ax, [p.grams for p in points])
    every = [p for points in found.values() for p in points]
    handles = {labels[name]: Line2D([], [], color=look.color, marker=look.marker, linestyle="")
               for name, look in looks.items()}
    if not all(p.sound for p in every):
        handles["hollow: grams can't be compared"] = Line2D(
            [], [], color=style.GREY, marker="o", markerfacecolor="none", linestyle="")
    if any(p.sound for p in every):
        handles["Pareto front"] = Line2D([], [], color=style.GREY, linewidth=0.8)
    style.legend(figure, 0, list(handles.values()), list(handles))
    return figure


def _few_ticks(ax: Axes, values: Sequence[float]) -> None:
    """Plain numbers at the ends of the points on a logarithmic axis: powers of ten are too few in
    a narrow range, and all between them too many."""
    ends = sorted({float(f"{v:.2g}") for v in (min(values), max(values)) if v > 0})
    ax.set_xticks(ends, [f"{v:g}" for v in ends])
    ax.set_xticks([], minor=True)


def thresholds(stored: Stored, metric: str, by: str | None) -> Chart | None:
    """F1 or IoU against a, a panel for each category."""
    name = {"f1": "figure4", "iou": "figure5"}[metric]
    for drawn in DRAW[name](work(stored, name, by)):
        means = drawn.numbers.groupby(["method", "a"], sort=False)[metric].mean()
        said = "; ".join(f"{stored.labels[m]}: " + ", ".join(
            f"{v:.3f} at {a:g}" for a, v in means[m].items())
            for m in means.index.get_level_values("method").unique())
        return Chart(name, f"{NAMES[metric]} against a, in the threshold µ + a·σ",
                     *svg(drawn.figure, name), f"Means over the categories. {said}.")
    return None


def radii(stored: Stored, by: str | None) -> Chart | None:
    """AUC against the radius of AE-XAD's filter: its stored fits explain again. UserError where
    the images or the weights are not here."""
    for drawn in DRAW["figure3"](work(stored, "figure3", by)):
        found = drawn.numbers.groupby(["dataset", "category", "k"], sort=False)["auc"].mean()
        said = []
        for place, curve in found.groupby(level=[0, 1], sort=False):
            said.append(f"{'/'.join(place)}: best {curve.max():.3f} at k = "
                        f"{curve.idxmax()[2]}, {curve.iloc[-1]:.3f} at {curve.index[-1][2]}")
        return Chart("figure3", "AUC of AE-XAD against the radius k of its filter",
                     *svg(drawn.figure, "figure3"), f"{'; '.join(said)}.")
    return None


def work(stored: Stored, name: str, by: str | None) -> Work:
    """What a figure of the paper is drawn from, of what the page shows."""
    asked, part = stored.asked, stored.parts[QUALITY[stored.scenario]]
    definition = replace(FIGURES[name].shown, scenario=stored.scenario)
    names = ["ae_xad"] if name == "figure3" else part.names
    return Work(asked.settings, asked.options, definition, names, by or names[0], part.rows,
                asked.seeds, asked.embedded)


def charts(stored: Stored, by: str | None) -> list[Chart]:
    """Those that need stored numbers alone."""
    made = [emissions(stored), *(thresholds(stored, metric, by) for metric in METRICS[1:])]
    return [chart for chart in made if chart is not None]

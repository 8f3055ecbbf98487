"""Figures 3, 4 and 5: a metric against the filter radius or the threshold, a panel per category."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aexad.bench.figures import style
from aexad.bench.figures.plotting import Artist, Axes, Figure, Line2D, MaxNLocator, Patch
from aexad.bench.measure import maps
from aexad.bench.measure.metrics import pixel_auc

PLACE = ["dataset", "category"]
COLUMNS = [*PLACE, "method", "seed", "x", "y"]
RADII = tuple(range(2, 31))  # pixels, Section 5.2
STAR = {"marker": "*", "linestyle": "", "markersize": 7, "markeredgecolor": "black",
        "markeredgewidth": 0.5, "clip_on": False}
LEAST, LEAST_FROM_ZERO = 0.01, 0.05  # the smallest ranges of a y axis

# mm: what stands around the panels
NAME, RIGHT, TICKS_BELOW = 4.0, 2.0, 4.0
TITLE, LEGEND, REMARK = 4.8, 4.4, 3.6

Entries = tuple[list[Artist], list[str]]


# -- what is drawn --


def over_thresholds(records: pd.DataFrame, columns: dict[float, str]) -> pd.DataFrame:
    """Figures 4 and 5: the stored mean of a metric at each a (`columns`: a -> its name).

    records: results.records. Returns COLUMNS, a row per finished cell and a; a cell whose metric
    is no number has none.
    """
    parts = [records[["dataset", "category", "method", "seed"]].assign(
        x=a, y=pd.to_numeric(records[column])) for a, column in columns.items()
        if column in records]
    return pd.concat(parts or [pd.DataFrame(columns=COLUMNS)], ignore_index=True).dropna()


def auc_by_radius(error_maps: np.ndarray, masks: np.ndarray,
                  radii: Sequence[int] = RADII) -> np.ndarray:
    """Figure 3: mean AUC over images of the error maps filtered with each radius.

    error_maps: (N, H, W) float32, normalised; masks: (N, H, W) bool, each with both classes.
    Returns (len(radii),). Source: paper, Section 5.2, with (2k + 1) x (2k + 1) and sigma = k/3.
    """
    auc = np.empty((len(radii), len(error_maps)))
    for i, k in enumerate(radii):
        for j, (error, mask) in enumerate(zip(error_maps, masks, strict=True)):
            heatmap = maps.gaussian_filter(error, k)
            auc[i, j] = pixel_auc(heatmap[~mask], heatmap[mask])
    return auc.mean(axis=1)


def over_seeds(curves: pd.DataFrame) -> pd.DataFrame:
    """COLUMNS -> dataset, category, method, x, mean, std (sample; NaN for one seed), n."""
    groups = curves.groupby([*PLACE, "method", "x"], sort=False)["y"]
    return groups.agg(mean="mean", std="std", n="count").reset_index()


def middles(marks: pd.DataFrame) -> pd.DataFrame:
    """COLUMNS -> dataset, category, method and the means over seeds of x and of y."""
    return marks.groupby([*PLACE, "method"], sort=False)[["x", "y"]].mean().reset_index()


# -- how --


@dataclass(frozen=True)
class Axis:
    """The two axes of all panels. from_zero: y starts at 0."""

    x: str
    y: str
    ticks: Sequence[float]
    from_zero: bool


def draw(curves: pd.DataFrame, methods: Sequence[str], labels: dict[str, str], axis: Axis,
         marks: pd.DataFrame | None = None, mark: str = "", remark: str = "") -> Figure:
    """A panel for each category of `curves` (COLUMNS), a line for each of `methods`, and a band of
    one standard deviation where there are several seeds.

    marks: COLUMNS, for each line a point beside it; `mark` says in the legend what they are.
    remark: a small line at the top.
    """
    places = list(dict.fromkeys(zip(curves["dataset"], curves["category"])))
    known = [m for m in methods if m in set(curves["method"])]
    looks = style.looks(methods)
    lines = over_seeds(curves)
    points = middles(curves[:0] if marks is None else marks)
    entries = _entries(known, labels, looks, mark if len(points) else "", int(lines["n"].max()))
    fig, panels = _grid(len(places), entries, remark, axis)
    several = len({dataset for dataset, _ in places}) > 1
    for ax, place in zip(panels, places):
        here, dots = (f[(f["dataset"] == place[0]) & (f["category"] == place[1])]
                      for f in (lines, points))
        for name in known:
            _line(ax, here[here["method"] == name], looks[name])
            own = dots[dots["method"] == name]
            ax.plot(own["x"], own["y"], color=looks[name].color, **STAR, zorder=4)
        width = ax.get_position().width * fig.get_figwidth() / style.INCH
        ax.set_title(style.wrapped("/".join(place) if several else place[1], width + 6, lines=1))
        ax.set_xticks(axis.ticks)
        _y_axis(ax, axis.from_zero)
    return fig


def _grid(count: int, entries: Entries, remark: str, axis: Axis) -> tuple[Figure, list[Axes]]:
    """As few rows of at most five panels as `count` needs, evenly filled, with the legend above
    them and the axes' names at the sides."""
    rows = math.ceil(count / 5)
    columns = math.ceil(count / rows)
    width = style.COLUMN if columns <= 2 else style.PAGE
    legend_rows = style.legend_rows(width, entries[1])
    head = REMARK * bool(remark) + LEGEND * legend_rows + TITLE
    ticks_left = 7.5 if axis.from_zero else 9.5  # two decimals, or three
    panel_width = (width - NAME - RIGHT) / columns - ticks_left
    panel_height = min(max(24.0, 0.7 * panel_width), 40.0)
    height = head + rows * (panel_height + TICKS_BELOW) + (rows - 1) * TITLE + NAME
    fig = style.figure(width, height, fixed=True)
    panels = []
    for i in range(count):
        row, column = divmod(i, columns)
        left = NAME + ticks_left + column * (panel_width + ticks_left)
        top = head + row * (panel_height + TICKS_BELOW + TITLE)
        panels.append(style.axes(fig, left, top, panel_width, panel_height))
    if remark:
        style.text(fig, width / 2, REMARK / 2 + 0.3, style.wrapped(
            remark, width - 2, style.SMALL, 1), fontsize=style.SMALL, color=style.GREY)
    style.legend(fig, REMARK * bool(remark), *entries)
    style.text(fig, (NAME + width) / 2, height - NAME / 2, axis.x)
    style.text(fig, NAME / 2, (head + height - NAME - TICKS_BELOW) / 2, axis.y, rotation=90)
    return fig, panels


def _y_axis(ax: Axes, from_zero: bool) -> None:
    """At most three decimals, two from zero on: the labels have the room for no more, and smaller
    differences are no news."""
    low, high = ax.get_ylim()
    if from_zero:
        low, high = 0.0, max(high, LEAST_FROM_ZERO)
    elif high - low < LEAST:
        low, high = (low + high - LEAST) / 2, (low + high + LEAST) / 2
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.yaxis.get_major_formatter().set_useOffset(False)


def _line(ax: Axes, line: pd.DataFrame, look: style.Look) -> None:
    every = max(1, round(len(line) / 7))  # markers of long lines would merge
    ax.plot(line["x"], line["mean"], **look.kwargs(), markevery=every)
    ax.fill_between(line["x"], line["mean"] - line["std"], line["mean"] + line["std"],
                    color=look.color, alpha=0.2, linewidth=0)


def _entries(methods: Sequence[str], labels: dict[str, str], looks: dict[str, style.Look],
             mark: str, seeds: int) -> Entries:
    """The handles and the texts of the legend."""
    handles: list[Artist] = [Line2D([], [], **looks[name].kwargs()) for name in methods]
    texts = [labels.get(name, name) for name in methods]
    if mark:
        color = looks[methods[0]].color if len(methods) == 1 else "white"
        handles.append(Line2D([], [], color=color, **STAR))
        texts.append(mark)
    if seeds > 1:
        handles.append(Patch(color=style.GREY, alpha=0.3, linewidth=0))
        texts.append(f"± 1 standard deviation, {seeds} seeds")
    return handles, texts

"""The gallery: the best, median and worst explained image of a category, all methods side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aexad.bench.figures import style
from aexad.bench.figures.plotting import Axes, Figure, patheffects
from aexad.bench.figures.steps import HEAT

LEFT, GAP, LINE, LARGEST = 4.5, 1.5, 3.4, 40.0  # mm: row names, between, a line, a panel at most
TOP = 0.995
GREY_OF = np.array([0.299, 0.587, 0.114])  # Rec. 601 luma


def ranked(images: pd.DataFrame) -> pd.DataFrame:
    """The used images of one cell (a frame of results.image_rows), best AUC first; ties by id."""
    return images[images["used"]].sort_values(["auc", "id"], ascending=[False, True])


def median(images: pd.DataFrame) -> str:
    """The id of the image of median AUC; of two middle ones the worse."""
    order = ranked(images)["id"]
    return order.iloc[len(order) // 2]


def best_median_worst(images: pd.DataFrame) -> dict[str, str]:
    """'best', 'median', 'worst' -> id; one image can be more than one of them."""
    order = ranked(images)["id"]
    return {"best": order.iloc[0], "median": median(images), "worst": order.iloc[-1]}


@dataclass(frozen=True)
class Shown:
    """One row: an image and what the methods say about it.

    image: (H, W, 3) uint8; truth: (H, W) bool. heatmaps: method -> (H, W) float, and
    numbers: method -> (AUC, F1); a method without either has a word in `lacking`.
    """

    rank: str
    name: str
    image: np.ndarray
    truth: np.ndarray
    heatmaps: dict[str, np.ndarray]
    numbers: dict[str, tuple[float, float]]


def draw(rows: Sequence[Shown], methods: Sequence[str], labels: dict[str, str], title: str,
         remark: str = "", lacking: dict[str, str] | None = None) -> Figure:
    """A page: a row per image; its columns are the image and each method's heatmap over it.

    remark: a small line below the title. lacking: method -> the word in the place of its heatmaps.
    """
    columns = len(methods) + 1
    side = min(LARGEST, (style.PAGE - LEFT) / columns - GAP)
    names = [style.wrapped(name, side) for name in
             ("image", *(labels.get(method, method) for method in methods))]
    below = [_below(row, method, side) for row in rows for method in (None, *methods)]
    above = (8.4 if remark else 4.6) + LINE * _lines(names)
    step = side + 1.6 + LINE * _lines(below)
    width = max(LEFT + columns * (side + GAP) - GAP, style.COLUMN)
    fig = style.figure(width, above + len(rows) * step, fixed=True)
    style.heading(fig, title, remark)
    for j, name in enumerate(names):
        style.text(fig, LEFT + j * (side + GAP) + side / 2, above - 0.8, name, va="bottom")
    for i, row in enumerate(rows):
        top = above + i * step
        style.text(fig, LEFT / 2, top + side / 2, row.rank, rotation=90)
        for j, method in enumerate((None, *methods)):
            left = LEFT + j * (side + GAP)
            ax = style.panel(fig, left, top, side)
            style.text(fig, left + side / 2, top + side + 0.8, _below(row, method, side),
                       va="top", fontsize=style.SMALL)
            if method is None or method in row.heatmaps:
                _picture(ax, row, method)
            else:
                ax.set_facecolor(style.MISSING)
                word = (lacking or {}).get(method, "missing")
                style.text(fig, left + side / 2, top + side / 2, style.wrapped(word, side - 1),
                           color=style.GREY)
    return fig


def _lines(texts: Sequence[str]) -> int:
    return max(text.count("\n") + 1 for text in texts)


def _below(row: Shown, method: str | None, side: float) -> str:
    """The text below a panel: the image's name, or what the method reaches there."""
    if method is None:
        return style.wrapped(row.name, side, style.SMALL)
    if method not in row.numbers:
        return ""
    auc, f1 = row.numbers[method]
    parts = (f"AUC {auc:.3f}", f"F1 {f1:.3f}")
    return ", ".join(parts) if style.text_width(", ".join(parts), style.SMALL) <= side else (
        "\n".join(parts))


def _picture(ax: Axes, row: Shown, method: str | None) -> None:
    """The image, or a heatmap over its grey copy, with the outline of the anomaly. Each map is on
    a scale of its own, the methods' units have nothing in common: from its smallest value to the
    quantile TOP, as maps with a heavy tail would be black but for a few pixels."""
    if method is None:
        ax.imshow(row.image)
    else:
        ax.imshow(row.image @ GREY_OF, cmap="gray", vmin=0, vmax=255)
        heatmap = row.heatmaps[method]
        ax.imshow(heatmap, cmap=HEAT, alpha=0.65, vmin=heatmap.min(),
                  vmax=np.quantile(heatmap, TOP))
    edge = ax.contour(row.truth.astype(float), [0.5], colors="white", linewidths=0.7)
    edge.set_path_effects([patheffects.withStroke(linewidth=1.4, foreground="black")])

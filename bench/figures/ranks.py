"""Critical-difference diagrams: mean ranks on a line, bars over methods that do not differ."""

from __future__ import annotations

from collections.abc import Sequence

from aexad.bench.figures.plotting import Axes, Figure, TextPath
from aexad.bench.figures.style import COLUMN, FONT, GREY, PAGE, SMALL, figure, looks
from aexad.bench.measure.names import METRICS
from aexad.bench.measure.statistics import Ranks, groups

# Millimetres, as all coordinates below.
TOP, LINE, BAR, GAP, EDGE = 14.0, 4.2, 2.0, 1.5, 2.0
SHORTEST = 40.0  # of the line of ranks; longer names make the figure as wide as a page


def diagrams(ranks: Sequence[Ranks], labels: dict[str, str]) -> Figure | None:
    """A diagram for each metric that has a critical difference, below each other (Demšar 2006,
    Figure 1); None where there is none. labels: method -> its name."""
    drawn = [r for r in ranks if r.cd is not None]
    if not drawn:
        return None
    texts = [_Texts(r, labels) for r in drawn]
    margins = max(t.left for t in texts), max(t.right for t in texts)
    width = COLUMN if COLUMN - sum(margins) >= SHORTEST else PAGE
    heights = [TOP + _depth(r) for r in drawn]
    fig = figure(width, sum(heights))
    fig.set_layout_engine("none")
    for i, (one, text) in enumerate(zip(drawn, texts)):
        ax = fig.add_axes([0, sum(heights[i + 1:]) / sum(heights), 1, heights[i] / sum(heights)])
        ax.set(xlim=(0, width), ylim=(TOP - heights[i], TOP))
        ax.axis("off")
        _draw(ax, one, text, (margins[0], width - margins[1]))
    return fig


class _Texts:
    """The methods' names with their mean ranks, and the millimetres that they take on each side:
    the better half stands on the left."""

    def __init__(self, ranks: Ranks, labels: dict[str, str]) -> None:
        self.methods = list(labels)
        self.of = {m: f"{labels[m]} ({rank:.2f})" for m, rank in ranks.means.items()}
        names = list(ranks.means)
        self.half = (len(names) + 1) // 2
        self.left, self.right = (max(map(_width, [self.of[m] for m in side])) + 2 * GAP + EDGE
                                 for side in (names[:self.half], names[self.half:]))


def _width(text: str) -> float:
    return TextPath((0, 0), text, size=FONT).get_extents().width / 72 * 25.4


def _bars(ranks: Ranks) -> float:
    return BAR * (len(groups(ranks)) + 0.5)


def _depth(ranks: Ranks) -> float:
    """Below the line: the bars, then a line of text for each method of the longer side."""
    return _bars(ranks) + LINE * ((len(ranks.means) + 1) // 2) + EDGE


def _draw(ax: Axes, ranks: Ranks, texts: _Texts, ends: tuple[float, float]) -> None:
    k, names, style = len(ranks.means), list(ranks.means), looks(texts.methods)

    def at(rank: float) -> float:
        return ends[0] + (rank - 1) / (k - 1) * (ends[1] - ends[0])

    ax.text(sum(ends) / 2, TOP - EDGE, f"{METRICS.get(ranks.metric, ranks.metric)}: {ranks.n} "
            f"categories, Friedman p {_p(ranks.p)}", ha="center", va="top")
    ax.plot([at(1), at(1 + ranks.cd)], [5.5, 5.5], color=GREY, marker="|")
    ax.text(at(1), 6.2, f"critical difference {ranks.cd:.2f}", va="bottom", fontsize=SMALL,
            color=GREY)
    ax.plot(ends, [0, 0], color="black", linewidth=0.8)
    for rank in range(1, k + 1):
        ax.plot([at(rank)] * 2, [0, 1], color="black", linewidth=0.8)
        ax.text(at(rank), 1.4, str(rank), ha="center", va="bottom", fontsize=SMALL)
    for i, together in enumerate(groups(ranks), 1):
        reach = at(ranks.means[together[0]]) - 1, at(ranks.means[together[-1]]) + 1
        ax.plot(reach, [-BAR * i] * 2, color="black", linewidth=2.4, solid_capstyle="butt")
    for i, name in enumerate(names):
        on_left = i < texts.half
        row, end, away = (i, ends[0], -GAP) if on_left else (k - 1 - i, ends[1], GAP)
        x, y, look = at(ranks.means[name]), -_bars(ranks) - LINE * (row + 0.5), style[name]
        ax.plot([x, x, end + away / 2], [0, y, y], color=look.color, linewidth=0.8)
        ax.plot(x, 0, color=look.color, marker=look.marker, markersize=4)
        ax.text(end + away, y, texts.of[name], ha="right" if on_left else "left", va="center",
                color=look.color)


def _p(p: float) -> str:
    return f"= {p:.3f}" if p >= 0.001 else "< 0.001"

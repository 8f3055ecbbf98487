"""One style for all figures: sizes in millimetres as journals give them, a look for each method.

Sizes are those of print: text of 7 points stays 7 points when a figure is placed at the width it
was made for. Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with
any of the common colour vision deficiencies tell apart; marker and line say the same once more,
for print without colour.
"""

from __future__ import annotations

import math
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aexad.bench.figures.plotting import Artist, Axes, Figure, TextPath, use
from aexad.bench.results.store import write_file

COLUMN, PAGE = 88.0, 180.0  # mm: the width of one column, and of two
TALLEST = 230.0  # mm: what a page leaves for a figure above its caption
INCH = 1 / 25.4  # of a millimetre
DPI = 300
FONT, SMALL = 7.0, 6.0  # points
GREY = "#767676"  # of what is not data: reference lines, remarks (contrast 4.5 on white)
MISSING = "#eeeeee"  # the ground of a panel that has nothing to show

use({
    "font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans", "font.size": FONT,
    "axes.titlesize": FONT, "axes.labelsize": FONT, "legend.fontsize": FONT,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "figure.titlesize": FONT + 1,
    "axes.titlepad": 3.0, "axes.labelpad": 2.0, "xtick.major.pad": 2.0, "ytick.major.pad": 2.0,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 2.0, "ytick.major.size": 2.0,
    "lines.linewidth": 1.0, "lines.markersize": 3.0, "axes.grid": True, "grid.linewidth": 0.4,
    "grid.color": "#dddddd", "axes.axisbelow": True, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "legend.handlelength": 2.6,
    "pdf.fonttype": 42,  # TrueType: text stays text, and publishers refuse Type 3
    "savefig.dpi": DPI, "figure.dpi": DPI,
})


@dataclass(frozen=True)
class Look:
    """How a method is drawn; marker and line as matplotlib names them."""

    color: str
    marker: str
    line: Any

    def kwargs(self) -> dict[str, Any]:
        """For Axes.plot."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.line}


SOLID, DASHED, DOTTED, MIXED = "-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2))
KNOWN = {
    "ae_xad": Look("#0072B2", "o", SOLID),
    "fcdd": Look("#D55E00", "s", DASHED),
    "bgad": Look("#009E73", "^", MIXED),
    "ae_xad_raw": Look("#56B4E9", "D", DOTTED),
    "ae": Look("#767676", "v", DASHED),
    "ae_filtered": Look("#CC79A7", "P", MIXED),
    "ae_xad_vit": Look("#E69F00", "X", SOLID),
    "ae_xad_vit_finetuned": Look("#000000", "<", DASHED),
    "ae_xad_vit_scratch": Look("#CC79A7", ">", DOTTED),
}
# For methods that are added later, by a hash of the name.
OTHERS = tuple(Look(color, marker, line) for marker in ("p", "h", "*", "d")
               for line in (DASHED, MIXED, SOLID)
               for color in ("#E69F00", "#CC79A7", "#000000", "#56B4E9"))


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method, all different. A method always has the same one, except that of two
    later methods whose hashes meet in one figure the second takes the next free look."""
    chosen: dict[str, Look] = {}
    for name in dict.fromkeys(methods):
        start = zlib.crc32(name.encode())
        rest = (OTHERS[(start + i) % len(OTHERS)] for i in range(len(OTHERS)))
        free = (look for look in rest if look not in chosen.values())
        chosen[name] = KNOWN.get(name) or next(free, OTHERS[start % len(OTHERS)])
    return chosen


def figure(width: float, height: float, fixed: bool = False) -> Figure:
    """An empty figure of width x height millimetres; its axes are fitted to their texts, unless
    `fixed`, where whoever draws says where everything stands."""
    size = (width * INCH, height * INCH)
    if fixed:
        return Figure(size)
    fig = Figure(size, layout="constrained")
    fig.get_layout_engine().set(w_pad=INCH, h_pad=INCH, wspace=0.02, hspace=0.02)
    return fig


def axes(fig: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes in a fixed figure; millimetres from its top left."""
    w, h = fig.get_figwidth() / INCH, fig.get_figheight() / INCH
    return fig.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))


def panel(fig: Figure, left: float, top: float, side: float) -> Axes:
    """A square for an image, without ticks; a thin frame, as images may be white at the edge."""
    ax = axes(fig, left, top, side, side)
    ax.set(xticks=(), yticks=())
    ax.spines[:].set(visible=True, linewidth=0.4, color="#bbbbbb")
    return ax


def text(fig: Figure, x: float, y: float, text: str, **kwargs: Any) -> None:
    """Text centred at (x, y), millimetres from the figure's top left."""
    width, height = fig.get_figwidth() / INCH, fig.get_figheight() / INCH
    fig.text(x / width, 1 - y / height, text, **{"ha": "center", "va": "center", **kwargs})


def heading(fig: Figure, title: str, remark: str = "") -> None:
    """A title at the top of a fixed figure, 4 millimetres, and a small remark in the next 4."""
    width = fig.get_figwidth() / INCH
    text(fig, width / 2, 2.2, wrapped(title, width - 2, lines=1))
    if remark:
        text(fig, width / 2, 5.8, wrapped(remark, width - 2, SMALL, 1), fontsize=SMALL, color=GREY)


@cache
def text_width(text: str, size: float = FONT) -> float:
    """Millimetres that a line of `size` points takes."""
    if not text:
        return 0.0
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72 * 25.4


def wrapped(text: str, width: float, size: float = FONT, lines: int = 2) -> str:
    """`text` broken at spaces and slashes into at most `lines` lines of `width` millimetres;
    what does not fit ends in an ellipsis."""
    done, line = [], ""
    for word in re.findall(r"[^ /]+[ /]*", text):
        if line and text_width((line + word).rstrip(), size) > width:
            done.append(line.rstrip())
            line = ""
        line += word
    done.append(line.rstrip())
    if len(done) > lines:
        done[lines - 1:] = [" ".join(done[lines - 1:])]
    return "\n".join(_cut(line, width, size) for line in done)


def _cut(line: str, width: float, size: float) -> str:
    if text_width(line, size) <= width:
        return line
    keep = bisect_right(range(1, len(line)), width,
                        key=lambda n: text_width(line[:n] + "…", size))
    return line[:keep] + "…"


def legend_rows(width: float, labels: Sequence[str]) -> int:
    """Lines that a legend of these labels takes in a figure of `width` millimetres."""
    return math.ceil(len(labels) / _legend_columns(width, labels))


def _legend_columns(width: float, labels: Sequence[str]) -> int:
    mark = 5.5 * FONT / 72 * 25.4  # a handle and the space around an entry
    widths = [text_width(label) + mark for label in labels]
    for columns in range(len(labels), 1, -1):  # filled column by column, as matplotlib does
        if sum(max(column) for column in np.array_split(widths, columns)) <= width:
            return columns
    return 1


def legend(fig: Figure, top: float, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend `top` millimetres below the figure's upper edge, in as many columns as fit."""
    width, height = fig.get_figwidth() / INCH, fig.get_figheight() / INCH
    fig.legend(handles, labels, loc="upper center", ncols=_legend_columns(width, labels),
               bbox_to_anchor=(0.5, 1 - top / height), borderaxespad=0.2)


def save(fig: Figure, stem: Path) -> list[Path]:
    """Write `stem`.pdf and `stem`.png, each whole or not at all; returns their paths. No dates
    inside: the same results give the same bytes."""
    paths = []
    for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        write_file(paths[-1], lambda p, kind=kind, metadata=metadata: fig.savefig(
            p, format=kind, metadata=metadata))
    return paths

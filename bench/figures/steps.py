"""Figures 1 and 2: every step from an image to its binary map, beside the ground truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from aexad.bench.figures import style
from aexad.bench.figures.plotting import Figure
from aexad.bench.measure import maps
from aexad.bench.measure.metrics import image_metrics

SIDE, GAP, TEXT, LINE = 28.0, 2.0, 8.5, 4.0  # mm: a panel, between and below panels, a heading
HEAT = "inferno"  # rises in lightness alone: reads in grey and with any colour vision


@dataclass(frozen=True)
class Steps:
    """One image through AE-XAD or the AE (paper, Section 4.3).

    image: (H, W, 3) uint8. reconstruction: (H, W, 3) float32, 1 is white. error: the normalised
    error map, heatmap: the same filtered with radius k (0: not filtered), both (H, W) float32.
    binary: heatmap > mean + a * std; truth: the mask; both (H, W) bool.
    """

    name: str
    image: np.ndarray
    reconstruction: np.ndarray
    error: np.ndarray
    heatmap: np.ndarray
    k: int
    a: float
    binary: np.ndarray
    truth: np.ndarray


def steps(method: Any, name: str, image: np.ndarray, truth: np.ndarray, a: float = 1.0) -> Steps:
    """The steps of `method` (AE-XAD, the AE or another that reconstructs) on one image."""
    batch = image[None]
    explanation = method.explain(batch)
    heatmap = explanation.heatmaps[0]
    return Steps(name, image, method.reconstruct(batch)[0], method.error_maps(batch)[1][0], heatmap,
                 int(explanation.extras["k"][0]), a, maps.binarize(heatmap, a), truth)


def captions(s: Steps) -> list[tuple[str, str]]:
    """For each panel its name and what is measured there."""
    found = {name: "undefined" if math.isnan(value) else f"{value:.3f}"
             for name, value in image_metrics(s.heatmap, s.truth).items()}
    radius = rf"$\hat{{k}}$ = {s.k}" if s.k else "unfiltered"
    threshold = "µ + σ" if s.a == 1 else f"µ + {s.a:g}σ"
    return [("(a) image", s.name),
            ("(b) reconstruction", "white: 1 or more"),
            (r"(c) error map $\tilde{e}$", f"0 to {s.error.max():.2f}, also (d)"),
            ("(d) heatmap $h$", f"{radius}, AUC {found['auc']}"),
            (f"(e) $h$ > {threshold}",
             f"F1 {found[f'f1_a{s.a}']}, IoU {found[f'iou_a{s.a}']}"),
            ("(f) ground truth", f"{s.truth.mean():.1%} of the pixels")]


def draw(s: Steps, title: str, remark: str = "") -> Figure:
    """Two rows of three panels, a column wide. remark: a small line below the title."""
    width, head = 3 * SIDE + 2 * GAP, LINE * (2 if remark else 1) + 0.5
    fig = style.figure(width, head + 2 * (SIDE + TEXT), fixed=True)
    style.heading(fig, title, remark)
    pictures = (s.image, s.reconstruction.clip(0, 1), s.error, s.heatmap, s.binary, s.truth)
    for i, (picture, (what, measured)) in enumerate(zip(pictures, captions(s))):
        row, column = divmod(i, 3)
        left, top = column * (SIDE + GAP), head + row * (SIDE + TEXT)
        ax = style.panel(fig, left, top, SIDE)
        if picture.dtype == bool:
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        else:
            # the two maps on one scale; an image's three channels have no use for it
            ax.imshow(picture, cmap=HEAT, vmin=0, vmax=s.error.max())
        middle, below = left + SIDE / 2, top + SIDE
        style.text(fig, middle, below + 2.4, what)
        style.text(fig, middle, below + 5.4, style.wrapped(measured, SIDE, style.SMALL, 1),
                   fontsize=style.SMALL, color=style.GREY)
    return fig

"""The explanation of AE-XAD and its relatives (Section 4.3) as one module of fixed operations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from aexad.methods import map_graphs
from aexad.methods.ae_xad_params import AEExplain
from aexad.methods.map_graphs import Explained, ExplainGraph, Shape


class ErrorsExplained(nn.Module):
    """From e and the map that the heatmap is made of, each (N, H, W) float32, shape (H, W), to
    heatmaps of the same shape, scores (N,) float64 and the radius k (N,): `AEXAD.finish`."""

    def __init__(self, q: AEExplain, shape: Shape) -> None:
        super().__init__()
        map_graphs.check(q)
        self.q = q
        self.smooth = map_graphs.Smooth(q, shape) if q.filter else None

    def forward(self, e: torch.Tensor, errors: torch.Tensor) -> Explained:
        q = self.q
        heatmaps, weighted = errors, e
        k = torch.zeros(e.shape[0], dtype=torch.float64)
        if self.smooth is not None:
            k = map_graphs.filter_radius(errors, q)
            heatmaps = self.smooth(errors, k)
            if q.score != "plain":
                weighted = e * self.smooth(e, k) if q.score == "e" else errors * heatmaps
        weighted = weighted.double()
        scores = (weighted.abs().sum(dim=(1, 2)) if q.norm == "l1"
                  else weighted.square().sum(dim=(1, 2)).sqrt())
        whole = not q.filter or q.k is not None or q.k_round != "none"
        return heatmaps, scores, {"k": k.long() if whole else k}


class AEXADGraph(ExplainGraph):
    """errors: what makes of images, with `net`, the two error maps."""

    def __init__(self, net: nn.Module,
                 errors: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
                 q: AEExplain, shape: Shape) -> None:
        super().__init__()
        self.net, self.errors = net.eval(), errors
        self.explained = ErrorsExplained(q, shape)

    def raw_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.errors(x)

    def finish(self, *maps: torch.Tensor) -> Explained:
        explained: Explained = self.explained(*maps)
        return explained

"""The levels of BGAD's features, and how their flows train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from aexad.methods.base import EXPLAIN_BATCH
from aexad.methods.bgad_params import BGADFit
from aexad.methods.flow_gradients import log_density
from aexad.methods.flows import Flow
from aexad.methods.graphs import Graphs
from aexad.methods.rows import Images, Rows

Loss = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True)
class Level:
    """One level of the features, a row a position of an image: vectors (U P, C) float32, anomalous
    (U P,) bool; the codes (h, w, 128) of an image's P = h w positions."""

    vectors: Rows
    anomalous: Rows
    codes: torch.Tensor
    kept: bool = True  # for the whole training

    @property
    def positions(self) -> int:
        """P."""
        return self.codes.shape[:2].numel()

    @property
    def resident(self) -> bool:
        """Whether they stay where the training is, so that steps on them can be recorded."""
        return self.kept and self.vectors.resident and self.anomalous.resident


def level_masks(masks: Images, shape: tuple[int, int]) -> np.ndarray:
    """(U, H, W) bool -> (U, h, w) bool, nearest."""
    resized = np.empty((len(masks), *shape), bool)
    for i in range(0, len(masks), EXPLAIN_BATCH):
        part = torch.from_numpy(masks[i:i + EXPLAIN_BATCH]).unsqueeze(1).byte()
        resized[i:i + EXPLAIN_BATCH] = F.interpolate(part, shape, mode="nearest").squeeze(1).bool()
    return resized


class FlowTraining:
    """A level's flow and the Adam that moves it."""

    def __init__(self, flow: Flow, p: BGADFit, loss: Loss, device: torch.device) -> None:
        self.flow, self.loss, self.graphs = flow, loss, Graphs(device)
        self.rests = p.idle_levels == "rest"
        self.zeros = [] if self.rests else [torch.zeros_like(w) for w in flow.parameters()]
        there = device.type == "cuda"  # its learning rate is a number that recorded steps read
        self.optimiser = torch.optim.Adam(
            flow.parameters(), lr=torch.tensor(p.lr, device=device) if there else p.lr,
            fused=True, capturable=there)

    def set_rate(self, lr: float) -> None:
        """The learning rate, in the memory that it has if it is a tensor."""
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def step(self, level: Level, rows: torch.Tensor, epoch: int) -> torch.Tensor:
        """On the rows (n,) of the level; returns the loss."""
        def step(rows: torch.Tensor) -> torch.Tensor:
            logp = log_density(self.flow, level.vectors[rows], level.codes,
                               rows % level.positions)
            loss = self.loss(logp, level.anomalous[rows], epoch)
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            return loss.detach()

        if not level.resident:
            return step(rows)
        return self.graphs.run((len(rows), epoch == 0), step, rows)

    def idle(self) -> None:
        """What a step of another level does to this one: Adam's momentum moves it, too, as its
        gradients are zeros in BGAD's code, not none. Until its first step they are none."""
        if self.rests or not self.optimiser.state:
            return

        def step() -> None:
            for weight, nothing in zip(self.flow.parameters(), self.zeros):
                weight.grad = nothing
            self.optimiser.step()
            self.optimiser.zero_grad()

        self.graphs.run("idle", step)


class Trainings(list[FlowTraining]):
    """Those of all levels. What becomes of one depends on how many steps the others take and when,
    not on what happens in them: a GPU does them side by side."""

    def run(self, levels: Sequence[Level], steps: Sequence[Sequence[torch.Tensor]], epoch: int,
            lr: float) -> list[torch.Tensor]:
        """The steps, rows (n,) each, of one level after the other; their losses."""
        losses: list[list[torch.Tensor]] = [[] for _ in self]
        try:
            for i in reversed(range(len(self))):  # what is short is asked for first
                self[i].set_rate(lr)
                with self[i].graphs.beside():
                    losses[i] = self._of_one(i, levels[i], steps, epoch)
        finally:  # also when interrupted: what they work on may be used again
            for training in self:
                training.graphs.join()
        return sum(losses, [])

    def _of_one(self, i: int, level: Level, steps: Sequence[Sequence[torch.Tensor]], epoch: int
                ) -> list[torch.Tensor]:
        """Level i's own steps, and those in which it is idle, in their order; its losses."""
        losses = []
        for j, of_level in enumerate(steps):
            for rows in of_level:
                if j == i:
                    losses.append(self[i].step(level, rows, epoch))
                else:
                    self[i].idle()
        return losses

    def state_dict(self) -> dict[str, Any]:
        """The optimisers'."""
        return {str(i): training.optimiser.state_dict() for i, training in enumerate(self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for i, training in enumerate(self):
            training.optimiser.load_state_dict(state[str(i)])

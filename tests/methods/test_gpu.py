"""On a GPU: what lies there, what is sent and what is recorded give the same training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from aexad.bench.run import task
from aexad.methods import base, rows
from aexad.methods.ae_xad import AEXAD
from aexad.methods.ae_xad_params import AEExplain, AEXADFit
from aexad.methods.base import Context
from aexad.methods.bgad import BGAD
from aexad.methods.bgad_params import BGADExplain, BGADFit
from aexad.methods.fcdd import FCDD
from aexad.methods.fcdd_params import FCDDExplain, FCDDFit
from aexad.methods.graphs import Graphs

from conftest import training_set

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="GPU NOT TESTED: none here")

METHODS = {
    "ae_xad": (AEXAD, AEXADFit(encoder="efficientnet_lite0", weights="random", epochs=3,
                               batch_size=5), AEExplain()),
    "fcdd": (FCDD, FCDDFit(net="vgg11bn", weights="random", epochs=3, batch_size=5),
             FCDDExplain()),
    "bgad": (BGAD, BGADFit(backbone="efficientnet_lite0", weights="random", meta_epochs=4,
                           sub_epochs=3, n_positions=64, n_raw=1, n_paste=1, batch_size=4,
                           blocks=2), BGADExplain()),
}


@pytest.fixture(autouse=True)
def repeatable():
    task.repeatable("cuda", 1)
    yield
    torch.use_deterministic_algorithms(False)


def trained(name: str, device: str = "cuda", **values) -> tuple[list[float], dict, np.ndarray]:
    """Losses, what training produced, and heatmaps."""
    kind, fit, explain = METHODS[name]
    method = kind(dataclasses.replace(fit, **values), explain, Context(device, 0))
    data = training_set(side=64)
    method.fit(data)
    state = {k: v.cpu().clone() for k, v in method.state_dict().items()}
    return method.ctx.losses, state, method.explain(data.images).heatmaps


def assert_same(one: tuple, other: tuple) -> None:
    assert one[0] == other[0] and np.array_equal(one[2], other[2])
    assert all(torch.equal(v, other[1][k]) for k, v in one[1].items())


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_bits(name):
    assert_same(trained(name), trained(name))


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_that_is_sent_is_the_batch_that_lies_there(name, monkeypatch):
    there = trained(name)
    for module in (rows, base):
        monkeypatch.setattr(module, "fits", lambda size, device: False)
    assert_same(there, trained(name))


@pytest.mark.parametrize("idle", ["momentum", "rest"])
def test_recorded_steps_are_the_steps(idle, monkeypatch):
    replays, replay = [], torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda g: replays.append(g) or replay(g))
    recorded = trained("bgad", idle_levels=idle)
    assert len(replays) > 50
    monkeypatch.setattr(Graphs, "run", lambda self, kind, step, *inputs: step(*inputs))
    assert_same(recorded, trained("bgad", idle_levels=idle))


@pytest.mark.parametrize("idle", ["momentum", "rest"])
def test_levels_side_by_side_are_levels_one_after_the_other(idle, monkeypatch):
    beside = trained("bgad", idle_levels=idle)
    one, made = torch.cuda.Stream(), Graphs.__init__

    def in_one_stream(self, device):
        made(self, device)
        self.stream = one

    monkeypatch.setattr(Graphs, "__init__", in_one_stream)
    assert_same(beside, trained("bgad", idle_levels=idle))


def test_memory_that_nothing_has_written_costs_no_kernel():
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize("name", METHODS)
def test_the_same_training_as_on_a_cpu_but_for_rounding(name):
    there, here = trained(name), trained(name, "cpu")
    if name != "fcdd":  # its noise comes from the device's own generator
        np.testing.assert_allclose(there[0], here[0], rtol=2e-3)
    assert np.isfinite(there[2]).all()

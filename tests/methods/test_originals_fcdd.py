"""FCDD against numbers that its original gave (tests/originals/README.md)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from aexad.methods.base import Context, TrainingSet
from aexad.methods.fcdd import FCDD, lcn
from aexad.methods.fcdd_params import FCDDExplain, FCDDFit
from aexad.methods.receptive import Field, fields, gaussian_matrix
from aexad.methods.rows import Pool, Rows

from conftest import training_set
from originals import boxed, drawn, error, load, spread_tensors

VECTORS = load("fcdd")
TRAINING = VECTORS["training"]
EXACT, SINGLE = torch.float64, torch.float32
SIDE = 32


def method(dtype: torch.dtype, **params) -> FCDD:
    """With the weights of the vectors, and in `dtype` all but the upsampling's kernel, whose
    values are float32."""
    m = FCDD(FCDDFit(weights="random", minmax="bottle", **params), FCDDExplain(), Context("cpu", 0))
    state = {name: torch.from_numpy(v) for name, v in spread_tensors(VECTORS["tensors"]).items()}
    state |= {name: torch.tensor(TRAINING[name], dtype=EXACT).view(1, 3, 1, 1)
              for name in ("low", "high")}
    counts = {name: v for name, v in m.net.state_dict().items() if name.endswith("tracked")}
    m.net.to(dtype).load_state_dict(state | counts)  # strict: no tensor more or less
    m.ctx.tensor = lambda images: inputs(images, dtype)
    m.upsample(torch.zeros(1, 4, 4), SIDE, SIDE)
    m._matrices[SIDE] = m._matrices[SIDE].to(dtype)
    return m


def inputs(images: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """As Context.tensor."""
    return torch.as_tensor(images).permute(0, 3, 1, 2).to(dtype) / 255


def masks(full: bool = False) -> np.ndarray:
    """(4, 32, 32) bool: two images are anomalous."""
    found = np.zeros((4, SIDE, SIDE), bool)
    found[2] = boxed((SIDE, SIDE), (8, 20, 4, 16))
    found[3] = full or boxed((SIDE, SIDE), (20, 32, 16, 32))
    return found


# -- around the network --

@pytest.mark.parametrize("dtype, close", [(EXACT, 1e-10), (SINGLE, 1e-5)])
def test_local_contrast(dtype, close):
    """Image 1 is all white: it has no contrast."""
    images = drawn(51).randint(0, 256, (3, 12, 10, 3)).astype(np.uint8)
    images[1] = 255
    for found, brief in zip(lcn(inputs(images, dtype)), VECTORS["lcn"], strict=True):
        assert error(found, brief) < close


@pytest.mark.parametrize("case", VECTORS["upsampling"],
                         ids=lambda c: "-".join(f"{c[k]}" for k in "njrs") + f"-{c['std']}")
def test_upsampling(case):
    """Also of receptive fields that are odd, small or begin at the first pixel."""
    field = Field(*(case[k] for k in "njrs"))
    matrix = gaussian_matrix(field, case["size"], case["std"]).double()
    maps = torch.from_numpy(drawn(52).uniform(size=(2, field.n, field.n)))
    assert error(matrix @ maps @ matrix.T, case["map"]) < 3e-7


def test_receptive_field_of_the_network():
    found = fields(method(SINGLE).net, SIDE)[-1]
    assert found == Field(*(VECTORS["reception"][k] for k in "njrs"))


def test_frozen_part():
    expected = VECTORS["frozen"]
    parts: tuple[dict, dict] = {}, {}
    for name, weight in method(SINGLE).net.named_parameters():
        parts[weight.requires_grad][name] = weight.numel()
    assert list(parts[False]) == expected["names"]
    assert list(parts[True]) == expected["trained_names"]
    assert sum(parts[False].values()) == expected["numbers"]
    assert sum(parts[True].values()) == expected["trained_numbers"]


# -- the objective --

@pytest.mark.parametrize("dtype, of_map, close", [(EXACT, 1e-10, 3e-7), (SINGLE, 1e-5, 2e-5)])
@pytest.mark.parametrize("case", VECTORS["loss"],
                         ids=lambda c: f"{c['objective']}-{c['fourth_mask_full']}")
def test_loss(case, dtype, of_map, close):
    m = method(dtype, objective=case["objective"])
    m.net.rest = m.net.head = nn.Identity()
    phi = torch.from_numpy(case["spread"] * drawn(case["seed"]).standard_normal((4, 1, 4, 4)))
    phi = phi.to(dtype).requires_grad_()
    y = torch.from_numpy(masks(case["fourth_mask_full"])).to(dtype)
    a = m.net.map(phi)
    loss = m.loss(a, y)
    loss.backward()
    assert error(a.detach(), case["map"]) < of_map
    assert error(loss.item(), case["loss"]) < close
    each = [m.loss(a[i:i + 1], y[i:i + 1]).item() for i in range(4)]
    assert error(each, case["each"]) < close
    assert error(phi.grad.flatten(), case["gradient"]) < close


# -- network and training --

def batch() -> TrainingSet:
    """The four images of the training."""
    images = drawn(55).randint(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
    return TrainingSet(images, masks(), np.arange(4) >= 2)


def as_trained(dtype: torch.dtype) -> FCDD:
    return method(dtype, augment=False, anomaly_prob=None, batch_size=4, epochs=3,
                  **{k: TRAINING[k] for k in ("lr", "lr_gamma", "weight_decay")})


@pytest.mark.parametrize("dtype, of_map, of_heatmap", [(EXACT, 1e-10, 3e-7), (SINGLE, 1e-4, 1e-4)])
def test_maps_before_training(dtype, of_map, of_heatmap):
    m, images = as_trained(dtype), batch().images
    found = m.explain(images)
    with torch.no_grad():
        assert error(m.net(m.ctx.tensor(images)).flatten(), TRAINING["eval_map"]) < of_map
    assert error(found.heatmaps, TRAINING["eval_heatmap"]) < of_heatmap


@pytest.mark.parametrize("dtype, close", [(EXACT, 1e-6), (SINGLE, 2e-3)])
def test_training(dtype, close):
    """FCDD.fit itself: three epochs of one step, with BatchNorm on the batch's statistics."""
    data = batch()
    m = as_trained(dtype)
    m.net.train()
    pool = Pool(Rows(data.images), Rows(data.masks))
    m.step(np.random.default_rng(0), pool, np.arange(4)).backward()
    gradients = dict(m.net.named_parameters())
    for name, brief in TRAINING["gradients"].items():
        assert error(gradients[name].grad, brief) < close, name
    m = as_trained(dtype)
    m.fit(data)
    assert error(m.ctx.losses, TRAINING["losses"]) < close
    state = m.net.state_dict()
    for name, brief in TRAINING["after"].items():
        assert error(state[name], brief) < close, name
    m.net.eval()
    with torch.no_grad():
        after = m.net(m.ctx.tensor(data.images)).flatten()
    assert error(after, TRAINING["eval_map_after"]) < close


def test_learning_rates():
    m = FCDD(FCDDFit(net="efficientnet_lite0", weights="random"), FCDDExplain(), Context("cpu", 0))
    rates = []

    def some(total: int, state: dict) -> Iterator[int]:
        assert total == 200
        for epoch in map(int, VECTORS["rates"]):
            yield epoch
            rates.append(state["optimiser"].param_groups[0]["lr"])

    m.ctx.epochs = some
    m.fit(training_set())
    assert error(rates, list(VECTORS["rates"].values())) < 1e-10

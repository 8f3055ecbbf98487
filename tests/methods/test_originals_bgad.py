"""BGAD against numbers that its original gave (tests/originals/README.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aexad.methods import bgad
from aexad.methods.augment import Augmented
from aexad.methods.base import Context, TrainingSet
from aexad.methods.bgad import BGAD, boundary, focal_weights
from aexad.methods.bgad_levels import level_masks
from aexad.methods.bgad_params import BGADExplain, BGADFit
from aexad.methods.flows import Flow, position_codes
from aexad.methods.rows import Rows

from originals import boxed, drawn, error, load, spread_tensors

EXACT, SINGLE = torch.float64, torch.float32


def method(**params) -> BGAD:
    return BGAD(BGADFit(backbone="efficientnet_lite0", weights="random", **params), BGADExplain(),
                Context("cpu", 0))


def filled(flow: Flow, rows: list, dtype: torch.dtype) -> Flow:
    """A flow with the weights of `rows`."""
    state = {name: torch.from_numpy(value) for name, value in spread_tensors(rows).items()}
    flow.to(dtype).load_state_dict(state)  # strict: no tensor more or less
    return flow


# -- the flow --

FLOW = load("bgad_flow")


def test_position_codes():
    places = np.array(FLOW["code_of_place"])
    codes = position_codes(2, 3).flatten(0, 1).numpy()
    for place, (row, column) in enumerate(np.ndindex(2, 3)):
        expected = np.concatenate([places[column], places[row]])
        assert error(codes[place], expected) < 1e-6
    for size in ("4x4", "2x5", "56x56"):
        height, width = map(int, size.split("x"))
        assert error(position_codes(height, width).flatten(0, 1), FLOW[f"codes_{size}"]) < 1e-6


@pytest.mark.parametrize("dtype, close, gradients", [(EXACT, 1e-10, 1e-9), (SINGLE, 2e-6, 2e-5)])
@pytest.mark.parametrize("name", ["flow_24", "flow_7"])
def test_flow(name, dtype, close, gradients):
    case = FLOW[name]
    flow = filled(Flow(case["channels"], case["blocks"], FLOW["clamp"], np.random.default_rng(0)),
                  case["tensors"], dtype)
    u = torch.from_numpy(1.5 * drawn(case["seed"]).standard_normal((8, case["channels"])))
    codes, where = position_codes(4, 4).to(dtype), torch.tensor(case["where"])
    z, logdet = flow(u.to(dtype), codes, where)
    logp = flow.log_density(u.to(dtype), codes, where)
    logp.sum().backward()
    assert error(z.detach(), case["z"]) < close
    assert error(logdet.detach(), case["logdet"]) < close
    assert error(logp.detach(), case["logp"]) < close
    found = {name: p.grad for name, p in flow.named_parameters()}
    assert found.keys() == case["gradients_of_sum"].keys()
    for name, brief in case["gradients_of_sum"].items():
        assert error(found[name], brief) < gradients, name


# -- the loss --

LOSS = load("bgad_loss")


def log_densities(case: dict) -> tuple[np.ndarray, np.ndarray]:
    """logp (n,) float64 and which are anomalous (n,) bool."""
    n = LOSS["n"]
    anomalous = (drawn(33).uniform(size=n) < 0.25) & bool(case["anomalies"])
    if case["logp"] == "near":
        return -0.5 + 1.5 * drawn(32).standard_normal(n), anomalous
    wide = -3 + 8 * drawn(31).standard_normal(n)
    return wide - 60 * (anomalous & (case["logp"] == "far")), anomalous


@pytest.mark.parametrize("dtype, close", [(EXACT, 1e-10), (SINGLE, 1e-5)])
@pytest.mark.parametrize("case", LOSS["cases"], ids=lambda c: "-".join(
    f"{c[k]}" for k in ("logp", "meta_epoch", "anomalies", "beta", "tau", "lambda", "focal")))
def test_loss(case, dtype, close):
    m = method(beta=case["beta"], tau=case["tau"], push_pull=float(case["lambda"]),
               focal=case["focal"], normalizer=float(LOSS["normalizer"]))
    values, labels = log_densities(case)
    logp, anomalous = torch.from_numpy(values).to(dtype).requires_grad_(), torch.from_numpy(labels)
    loss = m.loss(logp, anomalous, case["meta_epoch"])
    loss.backward()
    assert error(logp.grad, case["gradient"]) < close
    if case["loss"] is not None:  # NaN there where no anomaly is above the boundary, see `push`
        assert error(loss.item(), case["loss"]) < close
    if "b_n" in case:
        t = logp.detach() / m.p.normalizer
        b_n = boundary(t, anomalous, m.p.beta).item()
        assert error(b_n, case["b_n"]) < close and error(b_n - m.p.tau, case["b_a"]) < close
        likelihood = method(push_pull=0.0, focal=case["focal"]).loss(
            logp.detach(), anomalous, 1).item()
        parts = likelihood + case["lambda"] * (case["pull"] + (case["push"] or 0.0))
        assert error(loss.item(), parts) < 10 * close
        if case["focal"]:
            assert error(focal_weights(t, anomalous), case["weights"]) < close


# -- the whole training loop --

LOOP = load("bgad_loop")


def trained(monkeypatch: pytest.MonkeyPatch, idle: str, dtype: torch.dtype
            ) -> tuple[BGAD, list[list[list[float]]], list[float]]:
    """BGAD.fit itself, with the features, batches and permutations of the original's run: the
    method, its losses [pass][batch][step] and its learning rates at each batch."""
    p = {k: LOOP[k] for k in ("blocks", "n_positions", "batch_size", "meta_epochs", "sub_epochs",
                              "lr", "warm_epochs", "beta")}
    m = method(**p, idle_levels=idle)
    m.flows = torch.nn.ModuleList(
        filled(Flow(c, p["blocks"], m.p.clamp, np.random.default_rng(0)), rows, dtype)
        for (c, _, _), rows in zip(LOOP["levels"], LOOP["tensors"]))
    features = [np.ascontiguousarray(drawn(71 + i).standard_normal((LOOP["n_images"], *shape))
                                     .transpose(0, 2, 3, 1)).astype(str(dtype).split(".")[1])
                for i, shape in enumerate(LOOP["levels"])]
    n, shape = LOOP["n_images"], tuple(LOOP["image"])
    masks = np.zeros((n, *shape), bool)
    masks[6], masks[7] = boxed(shape, (2, 8, 3, 8)), boxed(shape, (7, 12, 0, 6))
    images = np.zeros((n, *shape, 3), np.uint8)
    data = Augmented(images, masks, np.arange(6), np.arange(6, 8))
    passes = iter(LOOP["batches"])
    monkeypatch.setattr(bgad, "augment", lambda *_, **__: data)
    monkeypatch.setattr(m, "batches", lambda *_: np.array(next(passes)))
    monkeypatch.setattr(m.ctx, "features", lambda *_: [Rows(level) for level in features])
    monkeypatch.setattr(bgad, "position_codes", lambda h, w: position_codes(h, w).to(dtype))
    monkeypatch.setattr(np.random, "default_rng", lambda words: drawn(80 + words[-1]))
    losses, rates, train_on = [], [], m.train_on

    def spy(*given):
        found = train_on(*given)
        rates.append(given[0][0].optimiser.param_groups[0]["lr"])
        losses.append([loss.item() for loss in found])
        return found

    monkeypatch.setattr(m, "train_on", spy)
    m.fit(TrainingSet(images, masks, np.arange(n) >= 6))
    return m, [losses[i:i + 2] for i in range(0, len(losses), 2)], rates


@pytest.mark.parametrize("dtype, close", [(EXACT, 1e-10), (SINGLE, 2e-5)])
@pytest.mark.parametrize("idle, kind", [("momentum", "zeros"), ("rest", "none")])
def test_training_loop(monkeypatch, idle, kind, dtype, close):
    expected = LOOP[kind]
    start = [spread_tensors(rows) for rows in LOOP["tensors"]]
    m, losses, rates = trained(monkeypatch, idle, dtype)
    assert error(rates, LOOP["rates"]) < 1e-10
    assert error(losses, expected["losses"]) < close
    for level, flow in enumerate(m.flows):
        moved = sum((p.detach().double() - torch.from_numpy(start[level][name])).square().sum()
                    for name, p in flow.named_parameters()).sqrt().item()
        assert error(moved, expected["moved"][str(level)]) < 10 * close
        for name, p in flow.named_parameters():
            assert error(p.detach(), expected["after"][f"{level}.{name}"]) < close, name


def test_learning_rates_of_the_published_schedule():
    """At each batch of meta-epochs 0 and 1 of 8 passes of 2 batches, then one a meta-epoch."""
    p = BGADFit(lr=2e-4, meta_epochs=25, sub_epochs=8, warm_epochs=2)
    for epoch, expected in enumerate(LOOP["rates_25x8"]):
        done = [i / 16 for i in range(16)] if epoch < 2 else [0.0] * len(expected)
        found = [bgad.learning_rate(p, epoch, part) for part in done]
        assert error(found, expected) < 1e-10


# -- the heatmap --

@pytest.mark.parametrize("dtype, close", [(EXACT, 1e-10), (SINGLE, 1e-6)])
def test_map(dtype, close):
    case = load("bgad_map")
    m = method()
    levels = [torch.from_numpy(-2 + 1.5 * drawn(41 + i).standard_normal((3, *shape))).to(dtype)
              for i, shape in enumerate(case["levels"])]
    m.log_densities = lambda images: levels
    found = m.explain(np.zeros((3, *case["image"], 3), np.uint8))
    assert error(m.maxima[:-1], case["maxima"]) < close
    for heatmap, brief in zip(found.heatmaps, case["heatmaps"], strict=True):
        assert error(heatmap, brief) < close
    assert error(found.scores, case["scores"]) < close
    assert np.flatnonzero(found.heatmaps == 0).tolist() == [case["zero_at"]]


def test_masks_of_the_levels_are_the_nearest():
    """Rows 0, 4, 8 and columns 0, 3, 6 of 12 x 10: what the training above rests on."""
    mask = boxed((12, 10), (2, 8, 3, 8))[None]
    assert level_masks(mask, (3, 3))[0].tolist() == [[False] * 3, [False, True, True], [False] * 3]

"""AE-XAD with a ViT against numbers of the re-implementation's own program."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from aexad.bench.measure import maps, metrics
from aexad.bench.plan.settings import Settings
from aexad.methods import ae_xad_vit
from aexad.methods.ae_xad_vit import AEXADViT, _Base, _Tokens
from aexad.methods.augment import Augmented
from aexad.methods.base import Context
from aexad.methods.vision import torchvision

from originals import Given, boxed, drawn, error, kind_tensors, load, made_up_loss, scene

SETTINGS = Settings("paper", sets=["ae_xad_vit.weights=random", "ae_xad_vit.border=zero"])
ALL = np.arange(2)
LOSS = 5e-7  # theirs adds 1e-6 to the denominators and holds lambda in float32


class _Small(_Base):
    """A transformer of the vectors' size in the place of ViT-B/16, behind the same code."""

    def __init__(self) -> None:
        size = load("vit_network")["transformer"]
        vit = torchvision.models.VisionTransformer(**size)
        vit.heads = torch.nn.Identity()
        _Tokens.__init__(self, vit, size["hidden_dim"])


def method(monkeypatch: pytest.MonkeyPatch, **change) -> AEXADViT:
    monkeypatch.setitem(ae_xad_vit.TRANSFORMERS, "vit_b_16", (_Small, ""))
    fit = dataclasses.replace(SETTINGS.fit("ae_xad_vit"), **change)
    return AEXADViT(fit, SETTINGS.explain("ae_xad_vit"), Context("cpu", 0))


# -- the network and its training --


def batch() -> Augmented:
    """The two images of vit_network.json."""
    images = drawn(21).randint(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    masks = np.stack([boxed((224, 224)), boxed((224, 224), (50, 90, 100, 160))])
    return Augmented(images, masks, np.array([0]), np.array([1]))


class Stop(Exception):
    """Three of 200 epochs are over."""


@pytest.fixture(params=["float64", "float32"])
def fine(request: pytest.FixtureRequest) -> bool:
    """Everything in double precision, or as it runs."""
    if request.param == "float64":
        request.getfixturevalue("float64")
    return request.param == "float64"


def test_network_loss_and_three_epochs_of_training(fine, monkeypatch):
    theirs, m, data = load("vit_network"), method(monkeypatch), batch()
    m.net.load_state_dict({**m.net.state_dict(), **kind_tensors(theirs["tensors"])})
    assert error(m.reconstruct(data.images).transpose(0, 3, 1, 2),
                 theirs["eval_output"]) < (1e-12 if fine else 1e-5)
    outputs, norms, rates, gradients = [], [], [], {}
    clip, loss, step = torch.nn.utils.clip_grad_norm_, m.loss, m.step

    def seen_clip(parameters, most):
        norms.append(clip(parameters, most).item())

    def seen_loss(x, y, out):
        outputs.append(out.detach().numpy().copy())
        return loss(x, y, out)

    def seen_step(optimiser, *arguments):
        if len(rates) == 3:
            raise Stop
        rates.append(optimiser.param_groups[0]["lr"])
        found = step(optimiser, *arguments)
        gradients.update({} if gradients else {
            name: p.grad.numpy().copy() for name, p in m.net.named_parameters()
            if p.requires_grad})
        return found

    monkeypatch.setattr("aexad.methods.ae_xad.nn.utils.clip_grad_norm_", seen_clip)
    monkeypatch.setattr(m, "loss", seen_loss)
    monkeypatch.setattr(m, "step", seen_step)
    # one step an epoch, on both
    monkeypatch.setattr(m, "prepare", lambda train: (data, 1))
    monkeypatch.setattr(m, "draw", lambda data, steps: np.tile(ALL, (steps, 1)))
    with pytest.raises(Stop):
        m.fit(None)
    assert rates == pytest.approx([step["rate"] for step in theirs["steps"]], rel=1e-12)
    loss_as, norm_as, output_as, rest_as = (LOSS, LOSS, 1e-8, LOSS) if fine else (
        3e-6, 1e-3, 3e-5, 5e-4)
    for i, step in enumerate(theirs["steps"]):
        assert error(m.ctx.losses[i], step["loss"]) < loss_as, i
        assert error(norms[i], step["norm_before_clipping"]) < norm_as, i
        assert error(outputs[i], step["output"]) < output_as, i
    expected = theirs["steps"][0]["clipped_gradients"]
    assert set(gradients) == set(expected)  # nothing else trains
    assert max(error(gradients[name], brief) for name, brief in expected.items()) < rest_as
    now = m.net.state_dict()
    for name, brief in theirs["after"].items():
        assert error(now[name].numpy(), brief) < (1e-8 if fine else 1e-4), name


def test_learning_rates(monkeypatch):
    m = method(monkeypatch)
    for epoch, rate in load("vit_network")["rates"].items():
        assert m.rates(int(epoch))[0] == pytest.approx(rate, rel=1e-12)


def test_loss_of_made_up_outputs(monkeypatch):
    theirs, m = load("loss"), method(monkeypatch)
    x, y, out = made_up_loss()
    out.requires_grad_()
    loss = m.loss(x, y, out)
    loss.backward()
    assert error(loss.item(), theirs["vit"]["loss"]) < LOSS
    assert error(out.grad, theirs["vit"]["gradient"]) < LOSS


# -- from reconstructions to heatmaps, scores and metrics --


def test_explanation(monkeypatch):
    theirs, given, m = load("vit_maps")["images"], scene(), method(monkeypatch)
    m.net = Given(given.reconstructions.clip(0, 1))
    made = m.explain(given.images)
    assert made.extras["k"].tolist() == [image["k"] for image in theirs]
    table = metrics.per_image(made.heatmaps, given.masks, given.labels)
    for i, image in enumerate(theirs):
        # theirs sums over the three channels where ours takes the mean, in both factors of a score
        assert error(3 * made.heatmaps[i], image["heatmap"]) < 1e-5, i
        assert error(9 * made.scores[i], image["score"]) < 5e-6, i
        assert maps.binarize(made.heatmaps[i]).sum() == image["above"], i
        if given.labels[i]:
            for column, name in (("auc", "auc"), ("f1_a1.0", "f1"), ("iou_a1.0", "iou")):
                assert table[column][i] == pytest.approx(image[name], abs=5e-6), (i, name)

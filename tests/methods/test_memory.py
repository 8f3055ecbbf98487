"""Steps that do not fit into memory: the same result in parts, or a clear failure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aexad.bench.results.store import read_json
from aexad.methods.ae_xad import AEXAD, Decoder, PlainAE
from aexad.methods.ae_xad_params import AEExplain, AEFit, AEXADFit
from aexad.methods.base import Context
from aexad.methods.fcdd import FCDD
from aexad.methods.memory import Steps
from aexad.methods.rows import Pool, Rows

from conftest import training_set
from running import BOTTLE, csv, run

LIGHT = {"encoder": "efficientnet_lite0", "weights": "random", "epochs": 2, "batch_size": 7}


def limited(monkeypatch, most: int) -> list[int]:
    """The decoder fails beyond `most` images at once, as a GPU does; returns the sizes asked."""
    asked = []

    def reconstruct(self, x):
        if self.training:
            asked.append(len(x))
            if len(x) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, x)

    original = Decoder.reconstruct
    monkeypatch.setattr(Decoder, "reconstruct", reconstruct)
    return asked


@pytest.mark.parametrize("side, batch, sizes", [
    (224, 16, [8, 8]), (224, 11, [6, 5]), (224, 10, [10]), (128, 32, [32]), (2048, 2, [1, 1])])
def test_a_cpu_decodes_as_many_images_at_once_as_their_size_says(side, batch, sizes):
    """The paper's 16 of 224 px in two parts, the embedded suite's 128 px whole."""
    method = AEXAD(AEXADFit(**LIGHT), AEExplain(), Context())
    pool = Pool(Rows(np.empty((batch, side, side, 1), np.uint8)), Rows(np.empty(1)))
    seen = []
    weight = torch.ones((), requires_grad=True)
    loss = Steps(torch.nn.Linear(1, 1)).backward(
        lambda part: weight * torch.from_numpy(part),
        lambda code, part: seen.append(len(part)) or code.float().mean(), np.arange(batch),
        method.at_once(pool))
    assert seen == sizes and loss == pytest.approx((batch - 1) / 2)
    assert weight.grad == pytest.approx((batch - 1) / 2)
    method.ctx.device = torch.device("cuda")
    assert method.at_once(pool) is None


@pytest.mark.parametrize("reduce_bn", [False, True])
@pytest.mark.parametrize("kind, fit", [(AEXAD, AEXADFit), (PlainAE, AEFit)])
def test_parts_give_the_loss_and_gradients_of_the_batch(monkeypatch, kind, fit, reduce_bn, capsys):
    method = kind(fit(**LIGHT, reduce_bn=reduce_bn), AEExplain(), Context())
    data, _ = method.prepare(training_set(normals=7))
    pool, batch = method.pool(data), np.array([0, 3, 6, 2, 1, 5, 4])
    method.net.train()

    def gradients():
        method.net.zero_grad(set_to_none=True)
        loss = method.steps.backward(
            lambda part: method.code(pool, part),
            lambda code, part: method.code_loss(pool, part, code), batch)
        return loss, {name: p.grad.clone() for name, p in method.net.decoder.named_parameters()
                      if not (reduce_bn and name == "reduce.0.bias")}  # there it is rounding

    loss, whole = gradients()
    asked = limited(monkeypatch, 2)
    again, parts = gradients()
    assert asked == [7, 4, 2, 2, 2, 1]
    torch.testing.assert_close(again, loss, rtol=1e-5, atol=0)
    for name, b in whole.items():
        a = parts[name]
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))
    assert "parts of 2, their gradients added" in capsys.readouterr().err
    gradients()
    assert asked[6:] == [2, 2, 2, 1]  # what fits is remembered


@pytest.mark.parametrize("reduce_bn", [False, True])
def test_training_in_parts_is_the_same_training(monkeypatch, reduce_bn):
    train = training_set()

    def trained():
        method = AEXAD(AEXADFit(**LIGHT, reduce_bn=reduce_bn), AEExplain(), Context())
        method.fit(train)
        return method.ctx.losses, method.explain(train.images).heatmaps, method.net.state_dict()

    losses, heatmaps, state = trained()
    again = trained()
    assert losses == again[0] and np.array_equal(heatmaps, again[1])
    limited(monkeypatch, 3)
    parts = trained()
    np.testing.assert_allclose(parts[0], losses, rtol=1e-4)
    np.testing.assert_allclose(parts[1], heatmaps, atol=2e-3)
    if reduce_bn:  # BatchNorm has seen every batch once, although steps were done twice
        assert parts[2]["decoder.reduce.1.num_batches_tracked"] == 2
        torch.testing.assert_close(parts[2]["decoder.reduce.1.running_var"],
                                   state["decoder.reduce.1.running_var"], rtol=1e-3, atol=1e-6)


def test_an_encoder_that_trains_on_the_batch_statistics_goes_through_at_once(monkeypatch):
    fit = AEXADFit(**LIGHT, freeze=False, bn_eval=False)
    method = AEXAD(fit, AEExplain(), Context())
    seen = []
    features = method.net.features
    monkeypatch.setattr(method.net, "features", lambda x: seen.append(len(x)) or features(x))
    asked = limited(monkeypatch, 4)
    method.fit(training_set())
    assert seen == [7, 7, 7] and asked == [7, 4, 3, 4, 3]


def test_one_image_that_does_not_fit_fails(monkeypatch):
    method = AEXAD(AEXADFit(**LIGHT), AEExplain(), Context())
    asked = limited(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        method.fit(training_set())
    assert asked == [7, 4, 2, 1]


def test_other_methods_fail_with_what_to_do_and_the_rest_goes_on(root, tmp_path, monkeypatch,
                                                                 capsys):
    def step(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    monkeypatch.setattr(FCDD, "step", step)
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "fcdd,ae_xad") == 1
    said = "OutOfMemory: fcdd does not fit into memory; try --set fcdd.batch_size=8, "
    assert said in capsys.readouterr().err
    [failed] = [i for p in (tmp_path / "r").rglob("fit.json")
                if (i := read_json(p))["status"] == "failed"]
    assert failed["error"].startswith(said)
    assert csv(tmp_path / "r").set_index("method").value["ae_xad"] > 0

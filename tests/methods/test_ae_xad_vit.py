"""The ViT variant: shapes, what trains, learning rates, weights."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.paper.printed_tables import published
from aexad.methods.ae_xad_vit import TRANSFORMERS, AEXADViT
from aexad.methods.ae_xad_vit_params import ViTExplain, ViTFit
from aexad.methods.base import Context, TrainingSet
from aexad.methods.weights import Weights, WeightsMissing

from conftest import make_category
from running import csv

TINY = ViTFit(encoder="vit_tiny", weights="random", epochs=2, batch_size=6)


def method(seed: int = 0, **change) -> AEXADViT:
    return AEXADViT(dataclasses.replace(TINY, **change), ViTExplain(), Context("cpu", seed))


def training_set(side: int = 64) -> TrainingSet:
    rng = np.random.default_rng(1)
    images = rng.integers(60, 200, (7, side, side, 3), dtype=np.uint8)
    masks = np.zeros((7, side, side), bool)
    masks[5:, 16:40, 8:30] = True
    return TrainingSet(images, masks, np.arange(7) >= 5)


@pytest.mark.parametrize("encoder, width, parameters", [
    ("vit_tiny", 192, 5_524_416), ("vit_b_16", 768, 85_798_656)])
def test_shapes_at_224(encoder, width, parameters):
    net = method(encoder=encoder).net.eval()
    assert sum(p.numel() for p in net.encoder.tokens.parameters()) == parameters
    with torch.no_grad():
        x = torch.rand(1, 3, 224, 224)
        assert net.encoder.stem(x).shape == x.shape
        features = net.features(x)
        assert features.shape == (1, width, 14, 14)
        assert net.decoder.reduce(features).shape == (1, 64, 28, 28)
        out = net.decoder(features)
    assert out.shape == x.shape and 0 <= out.min() and out.max() <= 1  # a sigmoid


@pytest.mark.parametrize("encoder", TRANSFORMERS)
def test_positions_are_interpolated_at_other_sizes(encoder):
    tokens = TRANSFORMERS[encoder][0]().eval()
    with torch.no_grad():
        assert tokens(torch.rand(1, 3, 128, 96)).shape[2:] == (8, 6)


def test_base_transformer_is_torchvisions_own_forward():
    tokens = TRANSFORMERS["vit_b_16"][0]().eval()
    with torch.no_grad():
        tokens.vit.encoder.pos_embedding.normal_()
        x = torch.rand(1, 3, 224, 224)
        assert torch.allclose(tokens.tokens(x)[:, 0], tokens.vit(x), atol=1e-4)


@pytest.mark.parametrize("recipe, groups", [("frozen", 1), ("finetuned", 2), ("scratch", 2)])
def test_recipes_train_what_they_say(recipe, groups):
    m = method(recipe=recipe)
    before = {k: v.clone() for k, v in m.net.named_parameters()}
    assert len(m.optimiser().param_groups) == groups
    m.fit(training_set())
    moved = {k for k, v in m.net.named_parameters() if not torch.equal(v, before[k])}
    tokens = {k for k in before if k.startswith("encoder.tokens.")}
    rest = set(before) - tokens
    assert rest <= moved
    assert not (moved & tokens) if recipe == "frozen" else len(moved & tokens) > 100
    assert any("encoder.tokens" in k for k in m.state_dict())  # random ones are nowhere else
    assert any("encoder.stem.1.running_mean" in k for k in m.state_dict())


def test_learning_rates_follow_the_cosine():
    m = method(epochs=200, recipe="scratch")
    assert m.rates(0) == (5e-4, 1e-4)
    half = (5e-4 + 1e-6) / 2
    assert m.rates(100)[0] == pytest.approx(half)
    assert m.rates(199)[0] == pytest.approx(
        1e-6 + (5e-4 - 1e-6) * (1 + math.cos(math.pi * 199 / 200)) / 2)


def test_loss_sums_channels_by_hand():
    m = method()
    x, y = torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = 1.0  # channel denominators 1, 4, 4: together 9
    out = x.clone()
    out[0, 1, 0, 0] = 0.6
    assert m.loss(x, y, out).item() == pytest.approx(0.36 / 9)
    y[0, 0, 0, 0] = 1  # lambda = 16; distances to 2: 1, 1.4, 2
    assert m.loss(x, y, out).item() == pytest.approx(16 * (1 + 1.96 + 4) / 9)
    element = method(denominator="element")
    assert element.loss(x, y, out).item() == pytest.approx(16 * (1 + 1.96 / 4 + 1))


def test_each_copy_of_an_anomaly_has_noise_of_its_own():
    data = training_set()
    prepared, steps = method().prepare(data)
    assert steps == 2  # ceil(5 normals / 4 of a batch of 6)
    assert prepared.normals.tolist() == list(range(5)) and len(prepared.images) == 5 + 2 * 15
    assert np.array_equal(prepared.images[:5], data.images[:5])  # normals have none
    quiet, _ = method(noise=0.0).prepare(data)
    raw, raw_masks = quiet.images[quiet.anomalies[:10]], quiet.masks[quiet.anomalies[:10]]
    assert np.array_equal(raw, np.tile(data.images[5:], (5, 1, 1, 1)))
    assert np.array_equal(raw_masks, np.tile(data.masks[5:], (5, 1, 1)))
    difference = prepared.images[prepared.anomalies].astype(int) - quiet.images[quiet.anomalies]
    assert len(np.unique(difference.reshape(30, -1), axis=0)) == 30
    assert (abs(difference.std(axis=(1, 2, 3)) - 0.02 * 255) < 0.1).all()
    assert abs(difference.mean() + 0.5) < 0.02  # cut off, not rounded
    assert np.array_equal(prepared.masks, quiet.masks)


def test_noise_stops_at_black_and_white_and_needs_no_normals():
    data = training_set()
    data.images[5:, 20:30], data.images[5:, 30:38] = 255, 0
    alone = TrainingSet(data.images[5:], data.masks[5:], data.anomalous[5:])
    prepared, steps = method().prepare(alone)
    assert steps == 1 and not len(prepared.normals)
    assert prepared.anomalies.tolist() == list(range(10))
    assert prepared.images[:, 20:30].min() > 200 and prepared.images[:, 30:38].max() < 50


def test_gradient_is_clipped(monkeypatch):
    norms = []
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr("aexad.methods.ae_xad.nn.utils.clip_grad_norm_",
                        lambda p, most: norms.append(most) or clip(p, most))
    method(epochs=1).fit(training_set())
    assert norms == [1.0, 1.0]


def test_tensors_of_the_real_tiny_transformer(shared):
    weights = Weights(shared / "weights")
    m = AEXADViT(ViTFit(encoder="vit_tiny"), ViTExplain(), Context("cpu", 0, weights))
    assert weights.used["vit_tiny"].startswith("7418c2ad")
    assert not any("encoder.tokens" in k for k in m.state_dict())  # as published: not stored
    state = torch.load(shared / "weights/vit_tiny_patch16_224.augreg_in21k_ft_in1k.timm.pth",
                       weights_only=True)
    x = torch.rand(2, 3, 224, 224)
    from aexad.methods.vision import timm
    whole = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    whole.load_state_dict(state)
    with torch.no_grad():
        ours = m.net.encoder.tokens.eval()(x).flatten(2).transpose(1, 2)
        assert F.mse_loss(ours, whole.eval().forward_features(x)[:, 1:]) < 1e-10


def test_fields_without_a_meaning_are_refused():
    with pytest.raises(UserError, match="ae_xad_vit.reduce: has no effect"):
        dataclasses.replace(TINY, reduce="three_conv")


def test_report_stands_beside_the_recipe_that_it_ran():
    assert published("table-vit", "mvtec", "bottle", "ae_xad_vit", "auc") == 0.877
    assert published("table-vit", "mvtec", "transistor", "ae_xad_vit_scratch", "iou") == 0.046
    assert published("table-vit", "mvtec", "bottle", "ae_xad_vit_finetuned", "auc") is None


def test_missing_weights_skip_a_method_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def missing(self, arch, official, packaged=None):
        raise WeightsMissing(f"weights of {arch}: could not download it")

    monkeypatch.setattr(Weights, "load", missing)
    make_category(tmp_path / "data/mvtec/bottle")
    words = ["table-vit", "--data-root", str(tmp_path / "data"), "--results", str(tmp_path / "r"),
             "--protocol", "smoke", "--categories", "mvtec/bottle"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "skipped" in out and "weights of vit_tiny: could not download it" in out
    table = csv(tmp_path / "r", "table-vit-smoke").query("metric == 'auc'").set_index("method")
    assert table.value["ae_xad_vit_scratch"] > 0 and np.isnan(table.value["ae_xad_vit"])
    assert cli.main(words) == 0  # now the one is stored
    assert capsys.readouterr().out == out
    assert cli.main([*words, "--methods", "ae_xad_vit"]) == 2  # nothing else to do: an error
    assert "weights of vit_tiny" in capsys.readouterr().err

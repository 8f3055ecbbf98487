"""What the benchmark compares is the same work, and it says so when it isn't."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import aexad
from aexad.bench.commands import cli
from aexad.bench.speed import ae_xad, bgad, case, exported, fcdd, limits, memory, scores, speedups
from aexad.methods.ae_xad import AEXAD, PlainAE
from aexad.methods.ae_xad_params import AEFit, AEXADFit

SMALL = {
    "ae_xad": lambda: ae_xad.frozen("ae_xad", "ResNet-18", AEXAD, AEXADFit(
        encoder="resnet18", weights="random", batch_size=4), size=64),
    "ae": lambda: ae_xad.frozen("ae", "ResNet-18", PlainAE, AEFit(
        encoder="resnet18", weights="random", batch_size=4), size=64),
    "ae_xad_vit": lambda: ae_xad.vit(size=32),
    "fcdd": lambda: fcdd.case("Lite0", size=64, net="efficientnet_lite0", batch_size=4),
    "fcdd stored": lambda: fcdd.case("VGG-11", size=64, batch_size=4, augment=False,
                                     freeze_bn_stats=True),
    "bgad": lambda: bgad.case("Lite0", size=64, backbone="efficientnet_lite0", batch_size=4),
}


@pytest.mark.parametrize("name", SMALL)
def test_naive_and_ours_have_the_same_losses_step_after_step(name):
    made = SMALL[name]()
    losses = [(made.naive(), made.ours()) for _ in range(3)]
    for naive, ours in losses:
        assert ours == pytest.approx(naive, rel=case.LOSS_TOLERANCE)
    assert losses[2][1] != losses[0][1]  # a step changes something


def test_a_measurement_has_times_and_shares_that_add_up():
    made = SMALL["ae_xad"]()
    timing = case.measure(made, rounds=1)
    assert timing.naive > 0 and timing.ours > 0 and timing.once > 0
    assert {"reduction", "blocks", "backward", "optimiser", "rest"} == set(timing.shares)
    assert sum(timing.shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in timing.shares.values())
    assert torch.Tensor.backward.__name__ == "backward"  # and everything is as it was


def test_another_loss_is_not_timed():
    made = SMALL["ae"]()
    wrong = case.Case(**{**vars(made), "naive": lambda: 1.01 * made.naive()})
    with pytest.raises(case.WrongNumbers, match="ae: the naive loss is"):
        case.measure(wrong, rounds=1)


def test_the_layers_of_a_step_are_counted_with_their_arithmetic(monkeypatch):
    monkeypatch.setattr(limits, "least_seconds", lambda work, rounds: 2.0)
    torch.manual_seed(0)
    x = torch.rand(2, 3, 8, 8)
    conv, norm, last = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def step():
        maps = torch.relu(norm(conv(x)))
        for _ in range(2):
            last(maps.mean(dim=(2, 3))).sum().backward(retain_graph=True)

    found = limits.limits(step)
    conv_flops = 2 * 2 * 64 * 3 * 4 * 9  # forward; backward of the weights alone: x needs none
    linear_flops = 2 * 2 * 4 * 5  # forward, and backward of both factors
    assert found.flops == (1 + 2) * conv_flops + 2 * 3 * linear_flops
    # convolution 1 + 2, its norm 1 + 2, the linear layer twice 1 + 2, each said to take 2 s
    assert found.layers == 2 * (3 + 3 + 6)
    assert found.rate == conv_flops / 2  # too small to say something: the linear layer
    assert found.arithmetic == found.flops / found.rate


def test_attention_is_counted_as_its_products():
    query = torch.rand(2, 3, 10, 8, requires_grad=True)
    found = limits.limits(lambda: F.scaled_dot_product_attention(query, query, query)
                          .sum().backward(), rounds=1)
    assert found.flops == (2 + 5) * 2 * (2 * 3) * 10 * 10 * 8


def test_memory_of_a_training_is_of_its_own_process():
    found = memory.peak("ae_xad", threads=1, n=24, size=64, in_epochs=0.2)
    assert 0.1 < found["start_gib"] < found["peak_gib"] < 4


def test_the_report_has_every_method_and_fails_where_one_is_slow(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(speedups, "CASES", {"ae": lambda: iter([SMALL["ae"]()])})
    monkeypatch.setattr(memory, "peak", lambda *_: {"peak_gib": 6.5, "start_gib": 1.0})
    monkeypatch.setattr(scores, "run", lambda: [("AUC", 0.02, 0.001)])
    slow = case.Timing(1.0, 2.0, 0.1, {"backward": 1.0})
    monkeypatch.setattr(speedups, "measure", lambda made: slow)
    out = tmp_path / "speed.json"
    assert cli.main(["benchmark", "--methods", "ae", "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "0.5x" in printed.out and "6.50" in printed.out and "20.0x" in printed.out
    assert "slower than its naive reference: ae" in printed.err
    assert "over the limit: ae" in printed.err
    stored = json.loads(out.read_text())
    assert stored["training"][0]["ratio"] == 0.5 and stored["memory"][0]["peak_gib"] == 6.5
    assert stored["provenance"]["threads"]
    least = stored["training"][0]["limits"]
    assert least["ours_s"] > 0 and least["arithmetic_s"] > 0
    assert least["times_layers"] == pytest.approx(least["ours_s"] / least["layers_s"])
    assert f"{least['times_layers']:.2f}x" in printed.out


def test_an_unknown_method_has_no_benchmark(capsys):
    assert cli.main(["benchmark", "--methods", "fcd"]) == 2
    assert "did you mean 'fcdd'" in capsys.readouterr().err


@pytest.mark.slow
def test_exported_models_are_compared_and_timed(tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime", reason="EXPORTED MODELS WERE NOT TIMED: no onnxruntime; "
                        "pip install '.[onnx]'")
    monkeypatch.setattr(exported, "BATCHES", (2,))
    images, masks = ae_xad.images(6, 48).images, ae_xad.images(6, 48).masks
    aexad.AE(protocol="smoke", size=32, threads=1).fit(images, masks).save(tmp_path / "model")
    assert cli.main(["benchmark", "--exported", str(tmp_path / "model"), "--threads", "1", "--out",
                     str(tmp_path / "speed.json")]) == 0
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "speed.json").read_text())["speed"]
    assert [row["way"] for row in rows] == ["PyTorch (explain)", "torch.export", "ONNX Runtime"]
    for row in rows:
        assert row["way"] in shown and row["images_per_s"] > 0 and row["ratio"] > 0
        assert row["other_k"] == row["other_pixels"] == 0 and row["difference"] < 1e-5

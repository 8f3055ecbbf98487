"""BatchNorm's statistics in training against float64, for the layouts that the methods use."""

import pytest
import torch
from torch import nn

from aexad.methods import batch_norm
from aexad.methods.batch_norm import accurate, statistics


def trained(layer: nn.Module, x: torch.Tensor, dy: torch.Tensor) -> dict[str, torch.Tensor]:
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer.train()(x)
    y.backward(dy)
    return {"y": y.detach(), "dx": x.grad, "dw": layer.weight.grad, "db": layer.bias.grad,
            "mean": layer.running_mean, "var": layer.running_var}


def off(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest error of each as a part of its largest entry."""
    return {k: ((found[k].double() - exact[k]).abs().max() / exact[k].abs().max()).item()
            for k in exact}


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Features at 112 px whose mean is 15 standard deviations from 0, and a gradient."""
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(8, 16, 112, 112, generator=draw) * 2 + 30
    dy = torch.randn(8, 16, 112, 112, generator=draw)
    return (x.to(memory_format=torch.channels_last), dy.to(memory_format=torch.channels_last))


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    """The batch counts as a large map or as a small one."""
    monkeypatch.setattr(batch_norm, "LARGE", 1 if request.param == "large" else 2**40)
    monkeypatch.setattr(batch_norm, "BLOCK", 10_000)  # several, the last one short
    return request.param


def test_statistics_gradients_and_output_are_those_of_float64(batch, size):
    exact = trained(nn.BatchNorm2d(16).double(), batch[0].double(), batch[1].double())
    found = trained(accurate(nn.BatchNorm2d(16)), *batch)
    assert max(off(found, exact).values()) < 3e-6
    assert found["y"].is_contiguous(memory_format=torch.channels_last)


def test_a_frozen_layer_moves_its_statistics_as_float64_does(batch):
    """Without gradients: two batches, the second with other statistics."""
    layers = nn.BatchNorm2d(16).double(), accurate(nn.BatchNorm2d(16)).requires_grad_(False)
    first = batch[0]
    for x in (first, 3 * first.flip(2) + 1):
        exact, found = layers[0](x.double()), layers[1](x)
        assert off({"y": found}, {"y": exact.detach()})["y"] < 3e-6
        assert found.is_contiguous(memory_format=torch.channels_last) and layers[1].training
    exact, found = (layer.state_dict() for layer in layers)
    sigma = exact["running_var"].sqrt()
    assert ((found["running_mean"] - exact["running_mean"]).abs() / sigma).max() < 1e-6
    assert off(found, {"running_var": exact["running_var"]})["running_var"] < 1e-6
    assert found["num_batches_tracked"] == 2


@pytest.mark.parametrize("height", [112, 37, 1])
def test_statistics_of_maps_whose_parts_differ(height):
    """Also where the last block is a short one, and with a part far away from the others."""
    draw = torch.Generator().manual_seed(6)
    x = torch.randn(8, 160, height, 112, generator=draw) + 30
    x[0, :, :height // 20] = -100
    mean, variance = statistics(x.to(memory_format=torch.channels_last))
    exact = x.double().var(dim=(0, 2, 3), unbiased=False)
    assert ((mean - x.double().mean(dim=(0, 2, 3))).abs() / exact.sqrt()).max() < 1e-6
    assert ((variance - exact) / exact).abs().max() < 1e-6


def test_gradients_of_a_large_map_by_finite_differences(monkeypatch):
    """Of the operation itself, in float64, through the mean and the deviation."""
    monkeypatch.setattr(batch_norm, "BLOCK", 9)
    draw = torch.Generator().manual_seed(7)
    x = torch.randn(2, 3, 2, 4, dtype=torch.float64, generator=draw)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = torch.randn(2, 3, dtype=torch.float64, generator=draw).requires_grad_()

    def layer(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        fixed = x.detach()
        mean, variance = fixed.mean(dim=(0, 2, 3)), fixed.var(dim=(0, 2, 3), unbiased=False)
        return batch_norm.normalised(x.contiguous(memory_format=torch.channels_last), weight, bias,
                                     mean, (variance + 1e-5).sqrt())

    assert torch.autograd.gradcheck(layer, (x, weight, bias))


class Activated(nn.BatchNorm2d):
    """As timm's layers that have an activation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).clamp_min(0)


@pytest.mark.parametrize("learns", [True, False])
def test_what_a_layer_does_beyond_normalising_is_done(batch, size, learns):
    layers = Activated(16), accurate(Activated(16))
    exact, found = (layer.requires_grad_(learns)(batch[0]) for layer in layers)
    assert found.min() == 0 and torch.allclose(found, exact, atol=1e-3)


def test_the_plain_layer_is_not_as_accurate_so_the_module_is_needed(batch):
    """When this fails, PyTorch has mended its kernel: take methods/batch_norm.py away."""
    exact = trained(nn.BatchNorm2d(16).double(), batch[0].double(), batch[1].double())
    assert off(trained(nn.BatchNorm2d(16), *batch), exact)["mean"] > 3e-6


def test_evaluation_and_names_are_untouched(batch):
    torch.manual_seed(0)
    plain, ours = nn.BatchNorm2d(16).eval(), accurate(nn.Sequential(nn.BatchNorm2d(16))).eval()
    assert list(ours.state_dict()) == [f"0.{name}" for name in plain.state_dict()]
    assert torch.equal(plain(batch[0]), ours(batch[0]))

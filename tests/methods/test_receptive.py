"""FCDD's network, its receptive field and the Gaussian upsampling, on the published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aexad.methods.base import Context
from aexad.methods.fcdd import FCDD
from aexad.methods.fcdd_params import FCDDExplain, FCDDFit
from aexad.methods.receptive import Field, fields, gaussian_matrix, gaussian_window


def method(net: str = "vgg11bn") -> FCDD:
    return FCDD(FCDDFit(net=net, weights="random"), FCDDExplain(), Context("cpu", 0))


@pytest.fixture(scope="module")
def vgg11bn() -> FCDD:
    return method()


# -- network and receptive field --

def test_receptive_field_of_vgg11bn_row_by_row(vgg11bn):
    assert fields(vgg11bn.net, 224) == [
        Field(224, 1, 1, 0), Field(224, 1, 3, 0), Field(112, 2, 4, 0.5), Field(112, 2, 8, 0.5),
        Field(56, 4, 10, 1.5), Field(56, 4, 18, 1.5), Field(56, 4, 26, 1.5), Field(28, 8, 30, 3.5),
        Field(28, 8, 46, 3.5), Field(28, 8, 62, 3.5), Field(28, 8, 62, 3.5)]


def test_parameters_of_vgg11bn(vgg11bn):
    counts = [w.numel() for w in vgg11bn.net.parameters()]
    trained = [w.numel() for w in vgg11bn.net.parameters() if w.requires_grad]
    assert (sum(counts), sum(trained)) == (4_504_833, 3_542_529)
    assert len(vgg11bn.net.front) == 15 and len(vgg11bn.net.rest) == 6


@pytest.mark.parametrize("net, expected", [
    ("vgg11bn", Field(20, 8, 62, 3.5)), ("vgg16", Field(20, 8, 92, 3.5)),
    ("efficientnet_lite0", Field(20, 8, 67, 7.0))])  # TensorFlow's padding: more of it behind
def test_receptive_field_is_what_a_unit_sees(net, expected):
    """The input's gradient, where no unit is switched off and no weight is zero."""
    network = method(net).net.eval()
    assert fields(network, 160)[-1] == expected

    def linear(layer: nn.Module) -> None:
        for name, child in layer.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(layer, name, nn.AvgPool2d(2))
            elif isinstance(child, (nn.ReLU, nn.ReLU6)):
                setattr(layer, name, nn.Identity())
            linear(child)

    linear(network)
    for w in network.parameters():
        nn.init.constant_(w, 1 / w[0].numel() if w.dim() == 4 else 1.0)
    x = torch.zeros(1, 3, 160, 160, requires_grad=True)
    features = network.rest(network.front(x))
    assert features.shape[2:] == (20, 20)
    features[0, 0, 10, 9].backward()
    rows, columns = (np.flatnonzero(x.grad[0, 0].abs().sum(dim=d)) for d in (1, 0))
    for seen, unit in ((rows, 10), (columns, 9)):
        assert len(seen) == seen[-1] - seen[0] + 1 == expected.r
        assert (seen[0] + seen[-1]) / 2 == unit * expected.jump + expected.shift


# -- Gaussian upsampling --

def test_window_of_an_even_size():
    window = gaussian_window(62, 12)
    assert len(window) == 62 and window.sum().item() == pytest.approx(15.374192, abs=1e-6)
    assert torch.outer(window, window).sum().item() == pytest.approx(236.365772, abs=1e-6)
    assert window[30] == window[31] == window.max() == 0.5
    assert window[29].item() == pytest.approx(math.exp(-1 / 288) / 2)


def test_window_of_an_odd_size_and_without_a_deviation():
    window = gaussian_window(5, 2)
    assert window.tolist() == pytest.approx([math.exp(-x * x / 8) for x in (-2, -1, 0, 1, 2)])
    std = math.log10(0.45 * 9 + 1) + 0.25
    assert gaussian_window(9, None)[3].item() == pytest.approx(math.exp(-1 / (2 * std**2)))
    assert gaussian_window(67, None)[32].item() == pytest.approx(math.exp(-1 / 200))


def test_constant_map_at_224(vgg11bn):
    up = vgg11bn.upsample(torch.ones(1, 28, 28), 224, 224)
    assert up.shape == (1, 224, 224) and up[0, 112, 112].item() == pytest.approx(3.7226, abs=5e-5)
    assert up.mean().item() == pytest.approx(3.39247, abs=5e-6)
    assert up[0, 0, 0].item() == pytest.approx(0.99, abs=5e-3)


@pytest.mark.parametrize("r, shift", [(62, 3.5), (67, 7.0), (30, 3.5)])
@pytest.mark.parametrize("size", [64, 224])
def test_upsampling_is_the_cropped_transposed_convolution_of_shifted_kernels(r, shift, size):
    field = Field(size // 8, 8, r, shift)
    a = torch.rand(field.n, field.n, generator=torch.Generator().manual_seed(2))
    window = gaussian_window(r, 12.0).float()
    kernel = torch.outer(window, window)
    matrix = gaussian_matrix(field, size, 12.0)
    found = matrix @ a @ matrix.T

    # torch allows an output padding below the stride only; the kernel's missing rows are zeros
    full = F.conv_transpose2d(a[None, None], kernel[None, None], stride=8)[0, 0]
    full = F.pad(full, (0, 16, 0, 16))
    first = (r - 1) // 2 - int(shift)  # [27 : 284 - 33] for VGG-11-BN at 224
    assert torch.allclose(found, full[first:first + size, first:first + size], atol=1e-4)

    brute = torch.zeros(size + 2 * r, size + 2 * r)  # each unit's kernel around its centre
    for i in range(field.n):
        for j in range(field.n):
            top, left = (r + u * 8 + int(shift) - (r - 1) // 2 for u in (i, j))
            brute[top:top + r, left:left + r] += a[i, j] * kernel
    assert torch.allclose(found, brute[r:r + size, r:r + size], atol=1e-4)


def test_a_unit_is_brightest_where_it_looks(vgg11bn):
    a = torch.zeros(1, 28, 20)
    a[0, 10, 7] = 1
    up = vgg11bn.upsample(a, 224, 160)[0]  # sides may differ
    centres = np.argwhere((up == up.max()).numpy())
    assert centres.mean(axis=0).tolist() == [10 * 8 + 3.5, 7 * 8 + 3.5] and up.max() == 0.25

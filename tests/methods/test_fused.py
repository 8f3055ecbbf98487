"""Gradients that are written down by hand: the same bits as autograd's of the formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aexad.methods.ae_xad import AEXAD, PlainAE
from aexad.methods.ae_xad_params import AEExplain, AEFit, AEXADFit
from aexad.methods.base import Context
from aexad.methods.fused import Masked

LAST = torch.channels_last


@pytest.mark.parametrize("channels", [1, 8])
def test_the_soft_mask_is_what_upsampling_and_a_product_are(channels):
    torch.manual_seed(0)
    b = torch.randn(3, 8, 24, 40).to(memory_format=LAST).requires_grad_()
    m = torch.randn(3, channels, 3, 5).to(memory_format=LAST).requires_grad_()
    grad = torch.randn(3, 8, 24, 40).to(memory_format=LAST)
    plain = b + F.interpolate(m, scale_factor=8, mode="nearest") * b
    ours = Masked.apply(b, m)
    assert torch.equal(ours, plain) and ours.is_contiguous(memory_format=LAST)
    for a, c in zip(torch.autograd.grad(ours, [b, m], grad),
                    torch.autograd.grad(plain, [b, m], grad)):
        assert torch.equal(a, c)


def test_the_soft_mask_has_the_gradients_of_its_differences():
    torch.manual_seed(0)
    b = torch.randn(2, 2, 8, 16, dtype=torch.float64).to(memory_format=LAST).requires_grad_()
    m = torch.randn(2, 2, 1, 2, dtype=torch.float64).to(memory_format=LAST).requires_grad_()
    assert torch.autograd.gradcheck(Masked.apply, (b, m))


@pytest.mark.parametrize("mask", ["group_sum", "square_sum"])
def test_training_and_explaining_see_the_same_network(mask):
    method = AEXAD(AEXADFit(encoder="resnet18", weights="random", mask=mask), AEExplain(),
                   Context())
    code = torch.randn(2, 64, 4, 4).to(memory_format=LAST)
    trained = method.net.decoder.reconstruct(code)
    with torch.no_grad():
        assert torch.equal(method.net.decoder.reconstruct(code), trained)


@pytest.mark.parametrize("transform", ["const", "neg", "step"])
def test_the_loss_and_its_gradient_are_those_of_equations_1_and_2(transform):
    method = AEXAD(AEXADFit(encoder="resnet18", weights="random", F=transform), AEExplain(),
                   Context())
    torch.manual_seed(0)
    x = torch.rand(4, 3, 16, 16).to(memory_format=LAST)
    y = torch.zeros(4, 1, 16, 16)
    y[1, :, 3:8, 2:5] = 1
    y[3] = 1
    out = torch.rand_like(x).requires_grad_()
    target = method.transform(x)
    lam = (256 / y.sum(dim=(1, 2, 3)).clamp_min(1)).view(4, 1, 1, 1)
    error = torch.where(y > 0, lam * (target - out).square(), (x - out).square())
    plain = (error / (target - x).square().clamp_min(1e-6)).sum() / 4
    ours = method.loss(x, y, out)
    assert torch.equal(ours, plain)
    assert torch.equal(*(torch.autograd.grad(3 * loss, out)[0] for loss in (ours, plain)))


def test_the_plain_loss_and_its_gradient():
    method = PlainAE(AEFit(encoder="resnet18", weights="random"), AEExplain(), Context())
    x = torch.rand(4, 3, 16, 16).to(memory_format=LAST)
    out = torch.rand_like(x).requires_grad_()
    plain, ours = (x - out).square().sum() / 4, method.loss(x, torch.zeros(4, 1, 16, 16), out)
    assert torch.equal(ours, plain)
    assert torch.equal(*(torch.autograd.grad(loss / 7, out)[0] for loss in (ours, plain)))

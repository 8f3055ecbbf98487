"""A flow's gradient, written out, is that of differentiation and of finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aexad.methods import flow_gradients
from aexad.methods.flows import Flow, position_codes


def flow(channels: int, blocks: int) -> Flow:
    """Float64, scales and offsets as after some training, subnets so that tanh bends."""
    torch.manual_seed(1)
    made = Flow(channels, blocks, 1.9, np.random.default_rng(0)).double()
    with torch.no_grad():
        for block in made.blocks:
            block.scale += torch.randn(channels)
            block.offset += torch.randn(channels)
            block.subnet[2].weight *= 30
    return made


@pytest.mark.parametrize("condition", ["ByPlace", "Gathered"])  # of a CPU and of a GPU
@pytest.mark.parametrize("channels, blocks, n", [(6, 3, 40), (7, 2, 11), (2, 1, 1), (3, 4, 12)])
def test_density_and_gradients_of_every_weight(channels, blocks, n, condition, monkeypatch):
    monkeypatch.setattr(flow_gradients, "ByPlace", getattr(flow_gradients, condition))
    made, codes = flow(channels, blocks), position_codes(5, 4).double()
    u, where = torch.randn(n, channels).double(), torch.randint(20, (n,))
    kept, moved = u[:, :-(channels // 2)], u[:, -(channels // 2):]
    assert kept.shape[1] >= moved.shape[1] > 0
    g = torch.randn(n).double()
    expected = made.log_density(u, codes, where)
    expected.backward(g)
    gradients = [weight.grad for weight in made.parameters()]
    assert all(gradient.abs().max() > 1e-6 for gradient in gradients)
    made.zero_grad()
    found = flow_gradients.log_density(made, u, codes, where)
    found.backward(g)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    for weight, gradient in zip(made.parameters(), gradients):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [flow_gradients.ByPlace, flow_gradients.Gathered])
def test_gradients_of_a_block_against_finite_differences(kind):
    [block] = flow(5, 1).blocks
    condition = kind.of(position_codes(3, 4).double(), torch.tensor([0, 5, 11, 5]))
    room = torch.empty(4, len(block.subnet[0].bias)).double()
    inputs = (torch.randn(4, 5), *block.subnet.parameters(), torch.randn(5, 5), torch.randn(5))
    inputs = [given.detach().double().requires_grad_() for given in inputs]
    assert torch.autograd.gradcheck(
        lambda u, *rest: flow_gradients._Block.apply(u, condition, room, *rest, 1.9), inputs,
        fast_mode=True)


def test_what_it_is_given_stays_as_it_is():
    made, codes = flow(6, 2), position_codes(3, 2).double()
    u, where = torch.randn(9, 6).double(), torch.randint(6, (9,))
    before = u.clone(), codes.clone(), [w.detach().clone() for w in made.parameters()]
    flow_gradients.log_density(made, u, codes, where).sum().backward()
    assert torch.equal(u, before[0]) and torch.equal(codes, before[1])
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), before[2]))

"""BGAD's conditional flow, on values worked by hand and against automatic differentiation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aexad.methods.flows import Block, Flow, position_codes


def flow(channels: int = 6, blocks: int = 3, seed: int = 0) -> Flow:
    torch.manual_seed(seed)
    return Flow(channels, blocks, 1.9, np.random.default_rng(seed))


def inputs(channels: int, n: int = 10) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return (torch.randn(n, channels, generator=g), position_codes(3, 2),
            torch.randint(0, 6, (n,), generator=g))


@pytest.mark.parametrize("channels, parameters, sizes", [
    (40, 448_512, (148, 296, 40)), (72, 623_616, (164, 328, 72)),
    (200, 1_569_792, (228, 456, 200))])
def test_parameters_and_subnets_of_the_three_flows(channels, parameters, sizes):
    made = Flow(channels, 8, 1.9, np.random.default_rng(0))
    assert sum(p.numel() for p in made.parameters()) == parameters
    for block in made.blocks:
        first, _, last = block.subnet
        assert (first.in_features, first.out_features, last.out_features) == sizes
        assert first.out_features == last.in_features


def test_block_by_the_textbook():
    """The formulas one by one, the subnet on the concatenation, against the block."""
    channels = 7  # 4 kept, 3 moved
    [block] = flow(channels, 1).blocks
    with torch.no_grad():
        block.scale += torch.linspace(-3, 3, channels)
        block.offset += torch.linspace(-1, 1, channels)
        block.subnet[2].weight *= 40  # so that tanh bends
    for n in (12, 4):  # more vectors than positions, and fewer
        u, codes, where = inputs(channels, n)
        a = 0.1 * block.subnet(torch.cat([u[:, :4], codes.flatten(0, 1)[where]], dim=1))
        s = 1.9 * torch.tanh(a[:, :3])
        scale = 0.1 * 2 * torch.log1p(torch.exp(block.scale / 2))
        moved = torch.cat([u[:, :4], u[:, 4:] * torch.exp(s) + a[:, 3:]], dim=1)
        expected = (moved * scale + block.offset) @ block.rotation.T
        z, logdet = block(u, codes, where)
        assert torch.allclose(z, expected, atol=1e-5)
        assert torch.allclose(logdet, s.sum(dim=1) + scale.log().sum(), atol=1e-5)


@torch.no_grad()
def test_a_map_does_not_depend_on_how_many_are_explained_beside_it():
    made, codes = flow(), position_codes(3, 2)
    u = torch.randn(6, 6, generator=torch.Generator().manual_seed(3))
    where = torch.arange(6)
    alone = made.log_density(u, codes, where)
    assert torch.equal(made.log_density(u.repeat(9, 1), codes, where.repeat(9))[:6], alone)


def test_log_determinant_is_the_jacobians():
    u, codes, where = inputs(6)
    made = flow(6).double()
    codes = codes.double()
    for block in made.blocks:
        torch.nn.init.uniform_(block.scale, 5, 12, generator=torch.Generator().manual_seed(1))
    logdet = made(u.double(), codes, where)[1]
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda row, i=i: made(row[None], codes, where[i:i + 1])[0][0], u[i].double())
        sign, size = torch.linalg.slogdet(jacobian)
        assert sign == 1 and logdet[i].item() == pytest.approx(size.item(), rel=1e-6)


def test_a_block_without_subnet_and_scale_is_a_rotation():
    made = flow(6)
    for block in made.blocks:
        torch.nn.init.zeros_(block.subnet[2].weight)
        torch.nn.init.zeros_(block.subnet[2].bias)
    u, codes, where = inputs(6)
    z, logdet = made(u, codes, where)
    assert torch.allclose(logdet, torch.zeros(10), atol=1e-5)
    assert torch.allclose(z.norm(dim=1), u.norm(dim=1), rtol=1e-5)
    assert torch.allclose(made.log_density(u, codes, where),
                          -0.9189385 - u.square().sum(dim=1) / 12, atol=1e-5)


def test_rotations_are_in_the_special_group_fixed_and_stored():
    made = flow(9)
    rotations = [b.rotation for b in made.blocks]
    for r in rotations:
        assert torch.allclose(r @ r.T, torch.eye(9), atol=1e-5)
        assert torch.linalg.det(r).item() == pytest.approx(1, abs=1e-5)
        assert not r.requires_grad
    assert not torch.equal(rotations[0], rotations[1])
    assert torch.equal(flow(9).blocks[0].rotation, rotations[0])
    assert isinstance(made.blocks[0], Block) and "blocks.0.rotation" in made.state_dict()


def test_position_codes_by_formula():
    codes = position_codes(5, 4)
    assert codes.shape == (5, 4, 128)
    for y, x, i in ((0, 0, 0), (3, 1, 0), (4, 2, 6), (2, 3, 62)):
        w = math.exp(-i * math.log(1e4) / 64)
        expected = [math.sin(x * w), math.cos(x * w), math.sin(y * w), math.cos(y * w)]
        found = [codes[y, x, c].item() for c in (i, i + 1, 64 + i, 65 + i)]
        assert found == pytest.approx(expected, abs=1e-6)

"""Cutting and joining as tensor operations, against bench/measure/tiles.py, which is another
program (NumPy, one tile after the other), over random geometry; and both ends of the loop between
them, on a network that is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from aexad.bench.measure.tiles import Join, Tiling
from aexad.methods.base import NoGraph
from aexad.methods.map_graphs import ExplainGraph
from aexad.methods.tiled_graph import Cut, Joined, Tiled

TILINGS = st.builds(Tiling, st.sampled_from([32, 48, 64]),
                    st.integers(0, 75).map(lambda percent: percent / 100))
SHAPES = st.tuples(st.integers(1, 200), st.integers(1, 200))


@settings(deadline=None, max_examples=60)
@given(TILINGS, SHAPES)
def test_the_same_tiles(tiling, shape):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    found = Cut(shape, tiling)(torch.from_numpy(images).permute(0, 3, 1, 2))
    for i, image in enumerate(images):
        expected = np.stack(list(tiling.cut(image)))
        assert np.array_equal(found[:, i].permute(0, 2, 3, 1).numpy(), expected)


@settings(deadline=None, max_examples=60)
@given(TILINGS, SHAPES, st.sampled_from([1, 2, 4, 8, 16]))
def test_joined_by_the_same_sums(tiling, shape, stride):
    """Bit for bit, also of values that differ by magnitudes."""
    rng = np.random.default_rng(1)
    within = tiling.side // stride
    size = (tiling.count(shape), 2, within, within)
    maps = (rng.normal(0, 1, size) * 10.0 ** rng.integers(-6, 7, size)).astype(np.float32)
    found = Joined(shape, tiling, stride)(torch.from_numpy(maps)).numpy()
    assert found.dtype == np.float32
    for i in range(2):
        expected = Join(shape, tiling)
        for tile in maps[:, i]:
            expected.add([tile])
        assert np.array_equal(found[i], expected.maps()[0])


class Halves(ExplainGraph):
    """Of a tile its red, and its green shrunk to half of the side."""

    def raw_maps(self, x):
        return x[:, 0].clone(), x[:, 1, ::2, ::2].clone()

    def finish(self, *maps):
        red, green = maps
        return red, green.double().sum(dim=(1, 2)), {}


@pytest.mark.parametrize("shape", [(70, 100), (32, 32), (20, 150)])
def test_what_a_network_sees_comes_back_to_its_place(shape):
    x = torch.from_numpy(np.random.default_rng(2).random((3, 3, *shape), np.float32))
    heatmaps, scores, _ = Tiled(Halves(), shape, Tiling(32, 0.25))(x)
    np.testing.assert_allclose(heatmaps, x[:, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores, x[:, 1, ::2, ::2].double().sum(dim=(1, 2)), rtol=1e-6)


def test_a_graph_without_the_two_steps_is_refused():
    with pytest.raises(NoGraph, match="data.tile: its graph has not the two steps"):
        Tiled(torch.nn.Identity(), (70, 100), Tiling(32, 0.25))

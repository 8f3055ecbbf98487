"""Overlays and resizing, by independent means."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from aexad.bench.figures import overlays
from aexad.bench.measure.tiles import Tiling

RNG = np.random.default_rng(3)


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 60), st.integers(8, 60))
def test_maps_are_resized_bilinearly(height, width):
    heatmap = RNG.random((24, 24), np.float32)
    made = overlays.at_size(heatmap, (height, width))
    wanted = F.interpolate(torch.from_numpy(heatmap)[None, None], (height, width),
                           mode="bilinear", antialias=True)[0, 0].numpy()
    assert made.dtype == np.float32 and made.shape == (height, width)
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_a_map_of_its_images_size_is_left_as_it_is():
    heatmap = RNG.random((24, 24), np.float32)
    assert overlays.at_size(heatmap, (24, 24)) is heatmap


def test_an_overlay_is_colour_over_grey():
    image = np.full((20, 20, 3), (10, 200, 100), np.uint8)
    heatmap = np.zeros((20, 20), np.float32)
    heatmap[2:5, 3:9] = 4.0  # more than half a percent of the pixels: the scale's top
    made = overlays.overlay(image, heatmap)
    grey = 0.299 * 10 + 0.587 * 200 + 0.114 * 100
    for where, value in (((0, 0), 0.0), ((3, 4), 1.0)):
        colour = np.array(matplotlib.colormaps["inferno"](value)[:3]) * 255
        np.testing.assert_allclose(made[where], 0.65 * colour + 0.35 * grey, atol=0.51)
    flat = overlays.overlay(image, np.full((20, 20), 7.0, np.float32))
    assert np.array_equal(flat, np.broadcast_to(made[0, 0], flat.shape))


def test_the_outline_runs_around_the_anomaly():
    image, heatmap = np.full((12, 12, 3), 90, np.uint8), np.zeros((12, 12), np.float32)
    truth = np.zeros((12, 12), bool)
    truth[4:8, 4:8] = True
    plain, made = overlays.overlay(image, heatmap), overlays.overlay(image, heatmap, truth)
    assert np.array_equal(made[truth], plain[truth])
    assert (made[3, 4:8] == 255).all() and (made[4:8, 8] == 255).all()
    assert (made[2, 4:8] == 0).all() and (made[4:8, 9] == 0).all()
    far = np.ones((12, 12), bool)
    far[1:11, 1:11] = False
    assert np.array_equal(made[far], plain[far])
    assert np.array_equal(overlays.overlay(image, heatmap, np.zeros_like(truth)), plain)


def test_masks_grow_by_whole_pixels():
    mask = RNG.random((6, 6)) > 0.5
    assert np.array_equal(overlays.mask_at_size(mask, (18, 12)),
                          mask.repeat(3, axis=0).repeat(2, axis=1))


def test_a_large_overlay_is_made_in_bands(monkeypatch):
    image = RNG.integers(0, 256, (37, 20, 3), np.uint8)
    heatmap, truth = RNG.random((37, 20), np.float32), RNG.random((37, 20)) < 0.1
    whole = overlays.overlay(image, heatmap, truth)
    monkeypatch.setattr(overlays, "BAND", 90)  # 4 rows
    assert np.array_equal(overlays.overlay(image, heatmap, truth), whole)
    flat = overlays.overlay(image, np.full_like(heatmap, 3))
    assert np.array_equal(flat, overlays.overlay(image, np.zeros_like(heatmap)))


def test_colours_of_a_joined_map_end_where_as_many_pixels_are_above_as_in_a_tile():
    tiling = Tiling(32, 0.25)
    assert overlays.top_of(np.zeros((32, 32)), None) == overlays.TOP
    assert overlays.top_of(np.zeros((32, 32)), tiling) == overlays.TOP
    assert overlays.top_of(np.zeros((20, 10)), tiling) == overlays.TOP
    large = np.zeros((320, 320))
    above = (1 - overlays.top_of(large, tiling)) * large.size
    np.testing.assert_allclose(above, 0.005 * 32 * 32, rtol=1e-9)

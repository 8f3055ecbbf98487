"""Radius, Gaussian and threshold as tensor operations: as bench/measure/maps.py has them, which is
another program (NumPy and SciPy), on random maps and on maps made for every radius there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aexad.bench.measure import maps
from aexad.methods import map_graphs
from aexad.methods.ae_xad_params import AEExplain
from aexad.methods.base import NoGraph


def bars(side: int, lengths: range) -> np.ndarray:
    """A map for each length: one bar of that many bright pixels on noise, for every second length
    standing. (N, side, side) float32."""
    rng = np.random.default_rng(0)
    made = rng.uniform(0, 0.01, (len(lengths), side, side)).astype(np.float32)
    for i, (h, length) in enumerate(zip(made, lengths)):
        (h if i % 2 else h.T)[side // 3, :length] = 0.9
    return made


def blobs(rng: np.random.Generator, n: int, side: int) -> np.ndarray:
    """Noise, smoothed more and more: runs of many lengths. (n, side, side) float32 in 0 .. 1."""
    noise = rng.random((n, side, side))
    made = [maps.gaussian_filter(h, k) for h, k in zip(noise, np.linspace(0, side / 3, n))]
    return np.array([(h - h.min()) / np.ptp(h) for h in made]).astype(np.float32)


def radius_here(h: np.ndarray, q: AEExplain) -> float:
    return maps.filter_radius(h, threshold=q.thr, threshold_value=q.thr_value, segments=q.segments,
                              min_run=q.min_run, aggregate=q.agg, rounding=q.k_round,
                              k_min=q.k_min, k_max=q.k_max)


def agree(h: np.ndarray, q: AEExplain) -> np.ndarray:
    """Checks radius and filtered maps of h (N, H, H); returns the radii."""
    expected = np.array([radius_here(m, q) for m in h])
    found = map_graphs.filter_radius(torch.from_numpy(h), q)
    assert np.array_equal(found.numpy(), expected)
    smoothed = map_graphs.Smooth(q, h.shape[1:])(torch.from_numpy(h), found).numpy()
    there = [maps.gaussian_filter(m, k, divisor=q.sigma_div, sigma_min=q.sigma_min,
                                  truncate=q.truncate, border=q.border)
             for m, k in zip(h, expected)]
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed, there, rtol=0, atol=1.2e-7)  # a float32 of 1 apart
    return expected


@pytest.mark.parametrize("side, min_run", [(32, 1), (33, 4), (64, 4)])
def test_every_radius_from_one_to_the_largest(side, min_run):
    q = AEExplain(min_run=min_run)
    found = agree(bars(side, range(2, side)), q)
    assert set(found) == set(range(1, (side - 1) // 2 + 1))


OPTIONS = [{}, {"min_run": 1}, {"min_run": 40}, {"min_run": 41}, {"min_run": 4096},
           {"agg": "min"}, {"agg": "min_nan"}, {"agg": "min_nan", "min_run": 9},
           {"k_round": "round"}, {"k_round": "none"}, {"k_min": 0}, {"k_min": 0, "min_run": 30},
           {"k_min": 5, "k_max": 7}, {"k_min": 100}, {"thr": "fixed"},
           {"thr": "fixed", "thr_value": 0.9, "min_run": 1}, {"thr": "fixed", "thr_value": 0.0},
           {"border": "zero"}, {"border": "zero", "truncate": 10.0}, {"truncate": 10.0},
           {"truncate": 0.5}, {"sigma_div": 0.4}, {"sigma_min": 2.5, "k_min": 0, "min_run": 20},
           {"sigma_min": 60.0}, {"k_round": "none", "sigma_div": 2.0, "truncate": 4.0}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_as_in_numpy_and_scipy(options):
    rng = np.random.default_rng(3)
    h = np.concatenate([blobs(rng, 24, 40), bars(40, range(1, 40)),
                        np.zeros((1, 40, 40), np.float32), np.full((1, 40, 40), 0.7, np.float32),
                        rng.integers(0, 2, (6, 40, 40)).astype(np.float32)])
    agree(h, AEExplain(**options))


def test_a_fixed_radius():
    h = blobs(np.random.default_rng(1), 4, 24)
    for k in (1, 5, 11, 30):  # the last beyond the map
        q = AEExplain(k=k)
        found = map_graphs.filter_radius(torch.from_numpy(h), q)
        assert found.tolist() == [k] * 4
        smoothed = map_graphs.Smooth(q, (24, 24))(torch.from_numpy(h), found).numpy()
        np.testing.assert_allclose(smoothed, [maps.gaussian_filter(m, k) for m in h], rtol=0,
                                   atol=1.2e-7)


def test_run_lengths_by_hand():
    rows = torch.tensor([[0, 1, 1, 1, 0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0, 0, 0, 0, 0]]).bool()
    found = [map_graphs.mean_run_length(rows[None], m).item() for m in (1, 2, 4, 6, 11)]
    assert found == [(3 + 5 + 1 + 2) / 4, (3 + 5 + 2) / 3, 5.0, 0.0, 0.0]


@pytest.mark.parametrize("a", [0.0, 1.0, -2.0, 2.5])
def test_masks_are_those_of_the_metrics(a):
    """Two levels lie exactly on the threshold at some a; a constant map is nowhere above it."""
    rng = np.random.default_rng(4)
    h = np.concatenate([blobs(rng, 20, 32), rng.integers(0, 2, (20, 32, 32)).astype(np.float32),
                        np.full((3, 32, 32), 0.1, np.float32)])
    tensor = torch.from_numpy(h)
    found = (tensor > map_graphs.threshold(tensor, a)).numpy()
    assert np.array_equal(found, [maps.binarize(m, a) for m in h])
    assert not found[-3:].any()


def test_components_have_no_graph():
    with pytest.raises(NoGraph, match="segments=components: "):
        map_graphs.check(AEExplain(segments="components"))
    map_graphs.check(AEExplain(segments="components", k=3))
    map_graphs.check(AEExplain(segments="components", filter=False))

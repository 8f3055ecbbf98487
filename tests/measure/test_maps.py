"""aexad.bench.measure.maps against hand-worked cases, scipy and plain brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from aexad.bench.measure import maps

ROW = np.array([[0, 1, 1, 1, 0, 1, 1, 1, 1, 1]], dtype=bool)

binaries = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def runs_of(lines, min_run=1):
    lengths = [
        sum(1 for _ in group)
        for line in lines
        for value, group in itertools.groupby(line)
        if value
    ]
    lengths = [n for n in lengths if n >= min_run]
    return sum(lengths) / len(lengths) if lengths else 0.0


def square(size, side, value=1.0, at=2):
    e = np.zeros((size, size), dtype=np.float32)
    e[at:at + side, at:at + side] = value
    return e


# mean_std, thresholds, binarize


def test_threshold_by_hand():
    h = np.array([[2, 4, 4, 4], [5, 5, 7, 9]], dtype=np.float32)  # mean 5, population std 2
    assert maps.mean_std(h) == (5.0, 2.0)
    assert maps.mean_std_threshold(h) == 7.0
    assert maps.mean_std_threshold(h, 1.5) == 8.0
    expected = np.zeros((2, 4), dtype=bool)
    expected[1, 3] = True  # 7 lies on the threshold and is not above it
    result = maps.binarize(h)
    assert result.dtype == bool
    np.testing.assert_array_equal(result, expected)


def test_threshold_is_computed_in_float64():
    h = np.full((300, 300), 1e8, dtype=np.float32)
    h[0, 0] += 8
    x = h.astype(np.float64)
    assert maps.mean_std_threshold(h) == pytest.approx(x.mean() + x.std(), rel=1e-15)
    assert maps.mean_std(h)[1] == pytest.approx(x.std(), rel=1e-9)


def test_mean_std_over_several_blocks(monkeypatch):
    h = np.random.default_rng(0).standard_t(2, (5, 13, 11)).astype(np.float32)
    monkeypatch.setattr(maps, "_BLOCK", 64)
    x = h.astype(np.float64)
    assert maps.mean_std(h) == pytest.approx((x.mean(), x.std()), rel=1e-12)
    assert maps.mean_std(h[:, ::2]) == pytest.approx((x[:, ::2].mean(), x[:, ::2].std()), rel=1e-12)


@pytest.mark.parametrize("block", [1, 7, 77, 78, 1000])
@pytest.mark.parametrize("rows", [[0], [4, 1], [0, 2, 3, 4], [2, 2]])
def test_mean_std_of_some_rows_is_that_of_their_array(monkeypatch, rows, block):
    h = np.random.default_rng(1).standard_t(2, (5, 7, 11)).astype(np.float32)
    monkeypatch.setattr(maps, "_BLOCK", block)
    assert maps.mean_std(h, np.array(rows)) == maps.mean_std(h[rows])
    with pytest.raises(ValueError, match="empty"):
        maps.mean_std(h, np.empty(0, np.int64))


@pytest.mark.parametrize(
    "size,low,high",
    [(224, 0.0, 1.0), (224, 0.1, 0.7), (224, 1e-7, 3e5), (224, 0.3, 0.3001),
     (38, 0.0024714672, 0.8607014), (180, 0.00072265265, 0.49997282)],  # float64: just below
)
def test_half_high_two_level_map_is_empty(size, low, high):
    # mu + sigma is the maximum itself; float64 noise must not tip it below.
    h = np.full((size, size), low, dtype=np.float32)
    h[: size // 2] = high
    assert not maps.binarize(h).any()
    h[size // 2 - 1] = low  # fewer high pixels: the threshold falls below them
    np.testing.assert_array_equal(maps.binarize(h), h == np.float32(high))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -0.7, 1 / 3])
def test_constant_map_has_nothing_above(dtype, value):
    for shape in ((2, 3), (4, 5), (7, 11)):  # the float64 mean of some is off by rounding
        h = np.full(shape, value, dtype=dtype)
        assert maps.mean_std(h) == (float(h[0, 0]), 0.0)
        assert not maps.binarize(h).any() and not maps.binarize(h, 0.0).any()


def test_thresholds_have_shape_of_a_and_dtype():
    t = maps.thresholds((1.0, 2.0), (1.0, 2.5), np.float32)
    assert t.dtype == np.float32
    np.testing.assert_array_equal(t, [3.0, 6.0])
    assert maps.thresholds((1.0, 2.0), 0.5, np.float64) == 2.0
    assert maps.thresholds((3e38, 3e38), 3.5, np.float32) == np.inf


def test_integer_map_is_not_compared_as_integer():
    h = np.array([[0, 0, 0, 3]])  # mu + sigma = 0.75 + 1.299
    np.testing.assert_array_equal(maps.binarize(h), [[False, False, False, True]])
    np.testing.assert_array_equal(maps.binarize(h, 0.0), [[False, False, False, True]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(bad):
    h = np.ones((4, 4), dtype=np.float32)
    h[1, 2] = bad
    for f in (maps.mean_std, maps.mean_std_threshold, maps.binarize, maps.filter_radius):
        with pytest.raises(ValueError, match="NaN or infinite"):
            f(h)
    with pytest.raises(ValueError, match="NaN or infinite"):
        maps.filter_radius(h, threshold="fixed")
    with pytest.raises(ValueError, match="empty"):
        maps.binarize(np.empty((0, 3)))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (6, 7), elements=st.floats(-100, 100, width=32)))
def test_higher_a_never_adds_pixels(h):
    assert not (maps.binarize(h, 2.0) & ~maps.binarize(h, 1.0)).any()


# segments


def test_run_lengths_by_hand():
    assert maps.mean_run_lengths(ROW) == (4.0, 1.0)
    assert maps.mean_run_lengths(ROW.T) == (1.0, 4.0)
    assert maps.mean_run_lengths(ROW, min_run=4) == (5.0, 0.0)
    assert maps.mean_run_lengths(np.ones((3, 5), bool)) == (5.0, 3.0)  # runs end with the row
    assert maps.mean_run_lengths(np.zeros((3, 5), bool)) == (0.0, 0.0)


@settings(max_examples=200, deadline=None)
@given(binaries, st.integers(1, 4))
def test_run_lengths_equal_groupby(binary, min_run):
    expected = runs_of(binary, min_run), runs_of(binary.T, min_run)
    assert maps.mean_run_lengths(binary, min_run) == pytest.approx(expected, rel=1e-15)


def test_component_extents_by_hand():
    binary = np.zeros((6, 8), dtype=bool)
    binary[0, 0:5] = True  # 5 wide, 1 high
    binary[2:5, 6] = True  # 1 wide, 3 high
    binary[5, 7] = True  # touches the previous one only by a corner: its own component
    assert maps.mean_component_extents(binary) == (7 / 3, 5 / 3)
    assert maps.mean_component_extents(np.zeros((4, 4), bool)) == (0.0, 0.0)


def flood_extents(binary):
    left, widths, heights = {tuple(p) for p in np.argwhere(binary)}, [], []
    while left:
        stack = [left.pop()]
        seen = set(stack)
        while stack:
            y, x = stack.pop()
            for p in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if p in left:
                    left.remove(p)
                    seen.add(p)
                    stack.append(p)
        ys, xs = zip(*seen, strict=True)
        widths.append(max(xs) - min(xs) + 1)
        heights.append(max(ys) - min(ys) + 1)
    return (np.mean(widths), np.mean(heights)) if widths else (0.0, 0.0)


@settings(max_examples=100, deadline=None)
@given(binaries)
def test_component_extents_equal_flood_fill(binary):
    assert maps.mean_component_extents(binary) == pytest.approx(flood_extents(binary))


def test_segments_need_a_map():
    for f in (maps.mean_run_lengths, maps.mean_component_extents):
        with pytest.raises(ValueError, match="H, W"):
            f(np.ones(4, bool))
    with pytest.raises(ValueError, match="min_run"):
        maps.mean_run_lengths(ROW, 0)


# filter radius


def test_radius_by_hand():
    assert maps.filter_radius(square(64, 9)) == 4
    assert maps.filter_radius(square(64, 9), rounding="round") == 5  # 4.5 goes up
    assert maps.filter_radius(square(64, 10)) == 5
    assert maps.filter_radius(square(64, 1)) == 1  # k_min
    assert maps.filter_radius(square(64, 1), k_min=0) == 0
    assert maps.filter_radius(square(64, 20), k_max=6) == 6
    assert maps.filter_radius(np.zeros((64, 64))) == 1
    assert maps.filter_radius(np.zeros((64, 64)), k_min=3) == 3


def test_radius_aggregates_directions():
    e = np.zeros((64, 64), dtype=np.float32)
    e[10:14, 20:40] = 1  # 20 wide, 4 high
    assert maps.filter_radius(e) == 10
    assert maps.filter_radius(e, aggregate="min") == 2
    assert maps.filter_radius(e.T) == 10
    assert maps.filter_radius(e, aggregate="min", min_run=5) == 1  # no vertical run is left


def test_radius_where_a_direction_without_runs_is_nan():
    e = np.zeros((64, 64))
    e[10:14, 20:33] = 1  # 13 wide, 4 high

    def radius(e, **options):
        return maps.filter_radius(e, aggregate="min_nan", k_min=0, **options)

    assert radius(e) == 2  # both have runs: the smaller
    assert radius(e, min_run=5) == 0  # only horizontal ones: none
    assert radius(e.T, min_run=5) == 6  # only vertical ones: theirs
    assert radius(e, min_run=14) == 0


def test_radius_segments_differ_on_a_diagonal_staircase():
    e = np.zeros((64, 64), dtype=np.float32)
    for i in range(10):
        e[10 + i, 10 + i:12 + i] = 1  # runs of 2; one component 11 wide, 10 high
    assert maps.filter_radius(e) == 1
    assert maps.filter_radius(e, segments="components") == 5
    assert maps.filter_radius(e, segments="components", aggregate="min") == 5
    assert maps.filter_radius(e, segments="components", rounding="round") == 6


def test_radius_fixed_threshold_is_inclusive():
    e = square(64, 8, value=0.3) + square(64, 4, value=0.2, at=40)
    assert maps.filter_radius(e, threshold="fixed") == 4  # float32 0.3 counts as 0.3
    assert maps.filter_radius(e, threshold="fixed", threshold_value=0.31) == 1
    assert maps.filter_radius(e, threshold="fixed", threshold_value=0.2) == 3  # runs of 8 and 4
    assert maps.filter_radius(e, threshold="fixed", threshold_value=0.0) == 31  # all of it
    e = square(64, 8, value=0.7)  # float32 0.7 is a little less than 0.7, and still counts
    assert maps.filter_radius(e, threshold="fixed", threshold_value=0.7) == 4


def test_radius_mean_std_is_strict():
    e = np.zeros((64, 64), dtype=np.float32)
    e[:32] = 0.7  # mu + sigma is the maximum
    assert maps.filter_radius(e) == 1
    assert maps.filter_radius(e, threshold="fixed") == 31


def test_radius_fits_the_map():
    assert maps.filter_radius(np.ones((9, 30)), threshold="fixed") == 4
    assert maps.filter_radius(np.ones((10, 30)), threshold="fixed") == 4
    assert maps.filter_radius(np.ones((2, 30)), threshold="fixed") == 0


@pytest.mark.parametrize(
    "options",
    [{"threshold": "x"}, {"segments": "x"}, {"aggregate": "x"}, {"rounding": "x"},
     {"k_min": 5, "k_max": 4}, {"k_min": -1}, {"min_run": 0}],
)
def test_radius_refuses_unknown_options(options):
    with pytest.raises(ValueError):
        maps.filter_radius(square(64, 9), **options)


def test_radius_needs_a_map():
    with pytest.raises(ValueError, match="H, W"):
        maps.filter_radius(np.arange(9.0))


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(3, 14), st.integers(3, 14)),
               elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])),
    st.sampled_from(["mean_std", "fixed"]),
    st.sampled_from(["runs", "components"]),
    st.integers(1, 3),
    st.integers(0, 4),
)
def test_radius_bounds_and_order(e, threshold, segments, k_min, more):
    def radius(**options):
        return maps.filter_radius(e, threshold=threshold, segments=segments, **options)

    cap = (min(e.shape) - 1) // 2
    k = radius(k_min=k_min, k_max=k_min + more)
    assert isinstance(k, int)
    assert min(k_min, cap) <= k <= min(k_min + more, cap)
    assert k <= radius(k_min=k_min + 1, k_max=k_min + 1 + more)  # grows with its bounds
    assert radius(aggregate="min") <= radius(aggregate="max")
    assert radius() <= radius(rounding="round") <= radius() + 1


# Gaussian filter


def convolve(x, k):
    """The (2k+1)^2 kernel applied pixel by pixel, the edge pixel repeated and mirrored."""
    axis = np.exp(-0.5 * (np.arange(-k, k + 1) / (k / 3)) ** 2)
    kernel = np.outer(axis, axis) / axis.sum() ** 2
    padded = np.pad(x.astype(np.float64), k, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return np.einsum("yxij,ij->yx", windows, kernel)


@pytest.mark.parametrize("k", [1, 2, 3, 6, 10])
@pytest.mark.parametrize("dtype,tolerance", [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_filter_equals_explicit_kernel(k, dtype, tolerance):
    x = np.random.default_rng(k).random((23, 31)).astype(dtype)
    y = maps.gaussian_filter(x, k)
    assert y.dtype == dtype and y.shape == x.shape
    np.testing.assert_allclose(y, convolve(x, k), rtol=0, atol=tolerance)


def test_filter_kernel_of_k_6():
    x = np.zeros((41, 41))
    x[20, 20] = 1
    y = maps.gaussian_filter(x, 6)
    assert [v.size for v in np.nonzero(y)] == [169, 169]  # 13 x 13
    assert np.flatnonzero(y[20]).tolist() == list(range(14, 27))
    assert y.sum() == pytest.approx(1.0)
    assert y[20, 22] / y[20, 20] == pytest.approx(math.exp(-0.5))  # sigma 2
    np.testing.assert_allclose(y, ndimage.gaussian_filter(x, sigma=2, truncate=3), atol=1e-15)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.integers(0, 8),
       st.sampled_from([np.float32, np.float64]))
def test_filter_preserves_constants(value, k, dtype):
    x = np.full((17, 19), value, dtype=dtype)
    y = maps.gaussian_filter(x, k)
    np.testing.assert_allclose(y, x, rtol=4 * np.finfo(dtype).eps, atol=1e-30)


def test_filter_radius_zero_is_a_copy():
    x = np.random.default_rng(0).random((4, 5))
    y = maps.gaussian_filter(x, 0)
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y)


def test_filter_refuses_what_it_would_round():
    for bad in (np.ones((4, 4), dtype=int), np.ones((4, 4), dtype=np.float16), np.ones(4)):
        with pytest.raises(ValueError):
            maps.gaussian_filter(bad, 1)
    with pytest.raises(ValueError, match="negative"):
        maps.gaussian_filter(np.ones((4, 4)), -1)


def test_the_authors_gaussian_against_scipy():
    x = np.random.default_rng(5).random((40, 50))
    for k in (0.5, 2.0, 2.25, 5.5, 9.0):  # 2.25: 4 sigma = 4.5
        y = maps.gaussian_filter(x, k, divisor=2.0, sigma_min=1.0, truncate=4.0)
        np.testing.assert_array_equal(y, ndimage.gaussian_filter(x, max(k / 2, 1.0), truncate=4.0))
    zeros = maps.gaussian_filter(x, 6, border="zero")
    padded = ndimage.gaussian_filter(np.pad(x, 6), 2.0, truncate=3.0)[6:-6, 6:-6]
    np.testing.assert_allclose(zeros, padded, atol=1e-12)
    assert (maps.gaussian_filter(np.ones((9, 9)), 3, border="zero")[0] < 1).all()
    np.testing.assert_array_equal(maps.gaussian_filter(x, 0, sigma_min=1.0), x)


def test_kernel_of_a_whole_radius_ends_there():
    x = np.zeros((1, 2 * 500 + 3))
    x[0, 501] = 1
    for k in range(1, 501):
        assert np.flatnonzero(maps.gaussian_filter(x, k)).tolist() == [*range(501 - k, 502 + k)]


def test_a_radius_that_is_not_rounded():
    assert maps.filter_radius(square(64, 9), rounding="none") == 4.5
    assert maps.filter_radius(square(64, 1), rounding="none", k_min=0) == 0.5
    assert maps.filter_radius(np.zeros((64, 64)), rounding="none", k_min=0) == 0

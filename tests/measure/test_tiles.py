"""Where tiles lie, what they count, and how their maps are joined: by hand, by plain sums and on
made-up methods whose maps are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from aexad.bench.measure.tiles import UNIT, Join, Ragged, Tiling, join

SIDES = st.sampled_from([32, 48, 64, 224])
TILINGS = st.builds(Tiling, SIDES, st.integers(0, 75).map(lambda percent: percent / 100))
LENGTHS = st.integers(1, 900)


def test_starts_by_hand():
    assert Tiling(32, 0.25).step == 16 and Tiling(224, 0.25).step == 160
    assert Tiling(224, 0.0).step == 224 and Tiling(32, 0.75).step == 16  # a unit is always new
    assert Tiling(32, 0.5).starts(32) == [0] and Tiling(32, 0.5).starts(5) == [0]
    assert Tiling(32, 0.5).starts(33) == [0, 16]
    assert Tiling(64, 0.5).starts(160) == [0, 32, 64, 96]
    assert Tiling(64, 0.25).starts(100) == [0, 48]
    assert Tiling(64, 0.25).starts(140) == [0, 48, 80]  # 76 px more: 5 units, in 2 even steps
    assert Tiling(64, 0.25).places((64, 140)) == [(0, 0), (0, 48), (0, 80)]


@given(TILINGS, LENGTHS)
def test_tiles_cover_a_side_at_even_distances(tiling, length):
    starts = tiling.starts(length)
    between = np.diff(starts)
    assert starts[0] == 0 and all(start % UNIT == 0 for start in starts)
    assert starts[-1] + tiling.side >= length
    if len(starts) > 1:
        assert starts[-1] + tiling.side - length < UNIT
        assert between.max() <= tiling.step and between.max() - between.min() <= UNIT
        shared = (tiling.side - between.max()) / tiling.side
        assert shared >= tiling.overlap or tiling.step == UNIT
        assert len(starts) == 1 + -(-starts[-1] // tiling.step)  # no more than are needed


@given(TILINGS, LENGTHS, st.sampled_from([1, 2, 4, 8, 16]))
def test_the_shares_of_every_place_sum_to_one(tiling, length, stride):
    shares, starts = tiling.shares(length, stride), tiling.starts(length)
    total = np.zeros((starts[-1] + tiling.side) // stride)
    seen = np.zeros(len(total), int)
    for start, part in zip(starts, shares, strict=True):
        total[start // stride:start // stride + len(part)] += part
        seen[start // stride:start // stride + len(part)] += 1
    assert np.abs(total - 1).max() < 1e-12 and shares.min() >= 0
    for start, part in zip(starts, shares):  # alone, at the image's border, a tile is all there is
        assert (part[seen[start // stride:start // stride + len(part)] == 1] == 1).all()


def test_shares_by_hand():
    """With half of the side shared two raised cosines sum to 1 as they are: sin² and cos²."""
    first, second = Tiling(32, 0.5).shares(48)
    rising = np.sin(np.pi * (np.arange(16) + 0.5) / 32) ** 2
    assert first == pytest.approx(np.concatenate([np.ones(16), rising[::-1]]), abs=1e-15)
    assert second == pytest.approx(np.concatenate([rising, np.ones(16)]), abs=1e-15)


@settings(deadline=None)
@given(st.builds(Tiling, st.just(32), st.floats(0, 0.75)), st.integers(1, 110),
       st.integers(1, 110), st.integers(0, 9))
def test_tiles_joined_are_the_image(tiling, height, width, seed):
    image = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    tiles = list(tiling.cut(image))
    assert len(tiles) == tiling.count(image.shape)
    assert all(tile.shape == (32, 32) for tile in tiles)
    made = join(np.stack(tiles), image.shape, tiling)
    assert made.shape == image.shape and made.dtype == np.float32
    assert np.abs(made - image).max() < 1e-6


def test_one_tile_is_its_map_bit_for_bit():
    tile = np.random.default_rng(0).normal(0, 1e3, (1, 64, 64)).astype(np.float32)
    assert np.array_equal(join(tile, (64, 64), Tiling(64, 0.25)), tile[0])


def test_beyond_the_image_is_its_mirror_image():
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    [tile] = Tiling(32, 0.25).cut(image)
    assert np.array_equal(tile[:8, :10], np.block([[image, image[:, ::-1]],
                                                   [image[::-1], image[::-1, ::-1]]]))
    colours = np.stack([image] * 3, axis=2)
    [tile] = Tiling(32, 0.25).cut(colours)
    assert tile.shape == (32, 32, 3) and np.array_equal(tile[:4, :5], colours)


def test_maps_of_a_stride_join_at_their_own_places():
    """A map whose values are those of an image shrunk by 8 joins to that image."""
    image = np.random.default_rng(1).random((96, 136))
    small = image.reshape(12, 8, 17, 8).mean(axis=(1, 3))
    tiling = Tiling(64, 0.25)
    made = Join(image.shape, tiling)
    assert not made.full
    for tile in tiling.cut(image):
        made.add([tile.reshape(8, 8, 8, 8).mean(axis=(1, 3)), tile])
    assert made.full
    found, whole = made.maps()
    assert found.shape == (12, 17) and np.abs(found - small).max() < 1e-6
    assert whole.shape == (96, 136)


def test_a_stride_that_does_not_divide_the_image_keeps_its_last_place():
    made = Join((70, 33), Tiling(32, 0.25))
    for _ in range(Tiling(32, 0.25).count((70, 33))):
        made.add([np.ones((4, 4)), np.ones((2, 2))])
    assert [m.shape for m in made.maps()] == [(9, 5), (5, 3)]
    assert all(np.allclose(m, 1) for m in made.maps())


def test_a_linear_method_by_hand():
    """Each tile's map is its mean everywhere: at a place it is the sum of shares and means."""
    image = np.random.default_rng(2).random((48, 64))
    tiling = Tiling(32, 0.5)
    means = np.stack([np.full((32, 32), tile.mean()) for tile in tiling.cut(image)])
    made = join(means, image.shape, tiling)
    rising = np.sin(np.pi * (np.arange(16) + 0.5) / 32) ** 2
    tile = {(y, x): image[y:y + 32, x:x + 32].mean() for y in (0, 16) for x in (0, 16, 32)}
    assert made[3, 5] == pytest.approx(tile[0, 0], abs=1e-6)
    assert made[3, 20] == pytest.approx(
        (1 - rising[4]) * tile[0, 0] + rising[4] * tile[0, 16], abs=1e-6)
    low, right = rising[2], rising[9]  # row 18, column 41: the last two columns of tiles
    assert made[18, 41] == pytest.approx(
        (1 - low) * ((1 - right) * tile[0, 16] + right * tile[0, 32])
        + low * ((1 - right) * tile[16, 16] + right * tile[16, 32]), abs=1e-6)


def blurred(image):
    """A method that sees 9 x 9 pixels, and nothing beyond its tile."""
    return ndimage.uniform_filter(image, 9, mode="constant")


def in_tiles(image, tiling):
    return join(np.stack([blurred(tile) for tile in tiling.cut(image)]), image.shape, tiling)


def test_no_seams():
    """Away from the image's border the joined map is that of the whole but for the tiles' own
    borders, which count little; moving the grid changes as little. Tiles set side by side differ
    by all that a border is wrong."""
    image = np.random.default_rng(3).random((200, 264))
    smooth, hard = Tiling(64, 0.25), Tiling(64, 0.0)
    inside = np.s_[16:-16, 16:-16]

    def moved(tiling):
        larger = np.pad(image, ((16, 0), (16, 0)), mode="symmetric")
        return np.abs(in_tiles(larger, tiling)[16:, 16:] - in_tiles(image, tiling))[inside]

    off = np.abs(in_tiles(image, smooth) - blurred(image))[inside]
    assert off.max() < 0.03 and moved(smooth).max() < 0.03
    assert moved(hard).max() > 0.2


def test_ragged_is_indexed_as_an_array_of_images():
    arrays = [np.full((i + 1, 3), i) for i in range(4)]
    ragged = Ragged(arrays, Tiling(32, 0.25))
    assert len(ragged) == 4 and ragged[2] is arrays[2] and ragged[np.int64(-1)] is arrays[3]
    for at, wanted in (([2, 0], [2, 0]), (np.array([3]), [3]), (slice(1, 3), [1, 2]),
                       (np.array([True, False, False, True]), [0, 3])):
        some = ragged[at]
        assert isinstance(some, Ragged) and some.tiling == ragged.tiling
        assert [int(a[0, 0]) for a in some] == wanted
    assert ragged.shapes == [(1, 3), (2, 3), (3, 3), (4, 3)]

"""Copy-paste and batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from aexad.bench.base.errors import UserError
from aexad.methods.augment import augment, copy_paste, draw_batches, draw_weighted
from aexad.methods.base import TrainingSet

SAME = {"rotate": 0.0, "scale": (1.0, 1.0), "position": "same"}


def picture(side: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An anomaly (a 6 x 10 block of 200), its mask, and a normal image of 50."""
    image = np.full((side, side, 3), 10, np.uint8)
    mask = np.zeros((side, side), bool)
    mask[5:11, 8:18] = True
    image[mask] = 200
    return image, mask, np.full((side, side, 3), 50, np.uint8)


def test_without_a_change_the_block_is_pasted_in_place():
    image, mask, normal = picture()
    out, out_mask = copy_paste(np.random.default_rng(0), image, mask, normal, **SAME)
    assert (out_mask == mask).all()
    assert (out[mask] == 200).all() and (out[~mask] == 50).all()


def test_zoom_changes_the_area_by_its_square():
    image, mask, normal = picture()
    _, out = copy_paste(np.random.default_rng(0), image, mask, normal, rotate=0.0,
                        scale=(2.0, 2.0), position="uniform")
    assert out.sum() == pytest.approx(4 * mask.sum(), rel=0.1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), rotate=st.floats(0, 180), zoom=st.floats(0.5, 1.5),
       position=st.sampled_from(["uniform", "same", "jitter"]))
def test_pasted_anomaly_lies_fully_inside(seed, rotate, zoom, position):
    image, mask, normal = picture()
    out, out_mask = copy_paste(np.random.default_rng(seed), image, mask, normal, rotate=rotate,
                               scale=(zoom, zoom), position=position)
    # at most about half a pixel along the rim of 32 pixels is lost or won in sampling
    assert out_mask.sum() == pytest.approx(mask.sum() * zoom**2, abs=0.6 * 32 * zoom + 2)
    assert (out[~out_mask] == 50).all()
    assert (out[out_mask] != 50).mean() > 0.9  # its rim may blend to any value between 10 and 200


def test_uniform_positions_reach_every_side():
    image, mask, normal = picture()
    rng = np.random.default_rng(0)
    hit = np.zeros_like(mask)
    for _ in range(300):
        hit |= copy_paste(rng, image, mask, normal, rotate=0.0, scale=(1.0, 1.0),
                          position="uniform")[1]
    assert hit[0].any() and hit[-1].any() and hit[:, 0].any() and hit[:, -1].any()


def test_an_anomaly_as_large_as_the_image_stays():
    image, _, normal = picture()
    full = np.ones((40, 40), bool)
    out, mask = copy_paste(np.random.default_rng(3), image, full, normal, rotate=45.0,
                           scale=(1.2, 1.2), position="uniform")
    assert mask.mean() > 0.8 and out.shape == image.shape


def small_set(n_normal: int, n_anomalous: int) -> TrainingSet:
    image, mask, normal = picture()
    images = np.stack([normal] * n_normal + [image] * n_anomalous)
    masks = np.stack([np.zeros_like(mask)] * n_normal + [mask] * n_anomalous)
    return TrainingSet(images, masks, np.arange(len(images)) >= n_normal)


def test_augmented_set_has_5_raw_and_10_pasted_copies():
    data = augment(small_set(4, 3), np.random.default_rng(0), n_raw=5, n_paste=10, rotate=45.0,
                   scale=(0.8, 1.2), position="uniform")
    assert data.normals.tolist() == [0, 1, 2, 3]
    assert len(data.anomalies) == 3 * 15 and len(data.images) == 4 + 3 + 30
    values, counts = np.unique(data.anomalies, return_counts=True)
    assert counts[values < 7].tolist() == [5, 5, 5] and (counts[values >= 7] == 1).all()
    assert data.masks[data.anomalies].any(axis=(1, 2)).all()


def test_without_normals_there_are_raw_copies_only():
    data = augment(small_set(0, 3), np.random.default_rng(0), n_raw=5, n_paste=10, rotate=45.0,
                   scale=(0.8, 1.2), position="uniform")
    assert len(data.images) == 3 and sorted(data.anomalies) == [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("size, rounding, expected", [
    (16, "ceil", 6), (16, "floor", 5), (15, "ceil", 5), (15, "floor", 5), (24, "ceil", 8)])
def test_batches_are_one_third_anomalies(size, rounding, expected):
    batches = draw_batches(np.random.default_rng(0), np.arange(50), np.arange(100, 130), steps=20,
                           batch_size=size, anomaly_share=1 / 3, rounding=rounding)
    assert batches.shape == (20, size)
    assert ((batches >= 100).sum(axis=1) == expected).all()


def test_lists_are_used_up_before_they_repeat():
    batches = draw_batches(np.random.default_rng(0), np.arange(10), np.arange(100, 106), steps=6,
                           batch_size=9, anomaly_share=1 / 3, rounding="ceil")
    normals, anomalies = batches[:, :6].ravel(), batches[:, 6:].ravel()
    assert sorted(normals[:10]) == list(range(10)) and sorted(normals[10:20]) == list(range(10))
    assert sorted(anomalies[:6]) == list(range(100, 106))


def test_one_empty_list_fills_the_batch_from_the_other():
    none = np.empty(0, np.int64)
    arguments = {"steps": 3, "batch_size": 8, "anomaly_share": 1 / 3, "rounding": "ceil"}
    alone = draw_batches(np.random.default_rng(0), none, np.arange(4), **arguments)
    assert alone.shape == (3, 8) and set(alone.ravel()) == {0, 1, 2, 3}
    normal = draw_batches(np.random.default_rng(0), np.arange(4), none, **arguments)
    assert normal.shape == (3, 8)


def test_weighted_draws_have_the_share_that_the_weights_give():
    normals, anomalies = np.arange(90), np.arange(100, 110)
    share = 0.8 * 10 / (0.8 * 10 + 0.2 * 90)  # 0.31
    for copies in (1, 15):  # an anomaly's weight is shared by its copies
        several = np.tile(anomalies, copies)
        drawn = draw_weighted(np.random.default_rng(0), normals, several, steps=500, batch_size=16,
                              weight=0.8, copies=copies)
        assert drawn.shape == (500, 16) and set(drawn.ravel()) == {*normals, *anomalies}
        within = np.isin(drawn, anomalies)
        assert abs(within.mean() - share) < 5 * math.sqrt(share * (1 - share) / drawn.size)
        assert within.sum(axis=1).std() > 1  # with replacement: no fixed number in a batch
    none = np.empty(0, np.int64)
    alone = draw_weighted(np.random.default_rng(0), none, anomalies, steps=2, batch_size=3,
                          weight=0.8, copies=1)
    assert set(alone.ravel()) <= set(anomalies)
    with pytest.raises(UserError, match="nothing to draw"):
        draw_weighted(np.random.default_rng(0), normals, none, steps=2, batch_size=3, weight=1.0,
                      copies=1)

"""Pictures in a page: small, and true enough that the numbers at the slider can be trusted."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from scipy import ndimage

from aexad.bench.measure import maps
from aexad.bench.measure.metrics import image_metrics, sort_scores
from aexad.bench.measure.names import A_VALUES
from aexad.bench.report import page, pictures

RNG = np.random.default_rng(5)


def opened(address: str) -> Image.Image:
    kind, _, content = address.partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    assert kind == f"data:image/{picture.format.lower()};base64"
    assert page.picture(address) == address
    return picture


def heavy_tailed(side: int = 224) -> tuple[np.ndarray, np.ndarray]:
    """A map as AE-XAD's are, most of it near nothing, and a mask that it finds in part."""
    mask = np.zeros((side, side), bool)
    mask[side // 4:side // 2, side // 3:side // 2] = True
    noise = ndimage.gaussian_filter(RNG.random((side, side)), 3)
    found = ndimage.gaussian_filter(np.roll(mask, 9, 1).astype(float), 4)
    return ((noise + 0.2 * found) ** 4).astype(np.float32), mask


def test_a_map_is_what_it_was_within_half_a_step():
    heatmap, _ = heavy_tailed()
    picture = opened(pictures.heatmap(heatmap))
    grey = np.asarray(picture.convert("RGB"))
    assert grey.shape == (224, 224, 3) and (grey == grey[..., :1]).all()
    low, high = heatmap.min(), heatmap.max()
    back = low + grey[..., 0].astype(float) / 255 * (high - low)
    assert abs(back - heatmap).max() <= (high - low) / 255 * 0.501
    assert grey.min() == 0 and grey.max() == 255
    flat = opened(pictures.heatmap(np.full((32, 32), 3.0, np.float32)))
    assert not np.asarray(flat.convert("L")).any()


def quality(grey, heatmap, mask, a):
    """F1 and IoU at µ + a·σ as the page has them, from 256 values."""
    mean, std = maps.mean_std(heatmap)
    low, high = float(heatmap.min()), float(heatmap.max())
    found = grey > (mean + a * std - low) / (high - low) * 255
    hits, wrong = (found & mask).sum(), (found & ~mask).sum()
    return 2 * hits / (mask.sum() + hits + wrong), hits / (mask.sum() + wrong)


def test_f1_and_iou_of_the_picture_are_the_stored_ones_and_near_between():
    off = []
    for _ in range(5):
        heatmap, mask = heavy_tailed()
        limits = maps.thresholds(maps.mean_std(heatmap), A_VALUES, heatmap.dtype).tolist()
        grey = np.asarray(opened(pictures.heatmap(heatmap, limits)).convert("L"))
        exact = image_metrics(heatmap, mask)
        for a in A_VALUES:
            assert quality(grey, heatmap, mask, a) == pytest.approx(
                (exact[f"f1_a{a}"], exact[f"iou_a{a}"]), abs=1e-3)
        for a in np.arange(0, 5, 0.05):
            [f1], [iou] = sort_scores(heatmap[~mask], heatmap[mask]).f1_iou(
                maps.thresholds(maps.mean_std(heatmap), [a], heatmap.dtype))
            off += [abs(quality(grey, heatmap, mask, a)[0] - f1),
                    abs(quality(grey, heatmap, mask, a)[1] - iou)]
    assert np.quantile(off, 0.95) <= 0.01


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_no_value_crosses_the_first_threshold_nor_moves_by_more_than_a_step(seed, limits):
    heatmap = np.random.default_rng(seed).random((16, 16)).astype(np.float32) ** 3
    low, scale = float(heatmap.min()), 255 / float(heatmap.max() - heatmap.min())
    grey = np.asarray(opened(pictures.heatmap(heatmap, limits)).convert("L")).astype(float)
    assert ((grey > (limits[0] - low) * scale) == (heatmap > limits[0])).all()
    apart = np.diff(sorted(limits), prepend=-9).min() * scale > 1.01
    for limit in limits if apart else ():
        assert ((grey > (limit - low) * scale) == (heatmap > limit)).all()
    assert (abs(grey - (heatmap - low) * scale) <= (1.01 if apart else len(limits) + 0.51)).all()


def test_masks_are_exact_and_have_one_bit_a_pixel():
    mask = RNG.random((64, 64)) > 0.7
    picture = opened(pictures.mask(mask))
    assert picture.mode == "1" and np.array_equal(np.asarray(picture), mask)


def test_what_is_larger_than_the_page_needs_is_shrunk():
    image = np.full((448, 448, 3), (200, 30, 90), np.uint8)
    photo = np.asarray(opened(pictures.photo(image)).convert("RGB")).astype(int)
    assert photo.shape == (224, 224, 3) and abs(photo - (200, 30, 90)).max() < 8
    heatmap, mask = heavy_tailed(448)
    assert opened(pictures.heatmap(heatmap)).size == opened(pictures.mask(mask)).size == (224, 224)
    assert opened(pictures.photo(image[:64, :64])).size == (64, 64)


def test_only_our_pictures_are_put_into_a_page_as_they_are():
    for address in ("javascript:alert(1)", 'data:image/png;base64,AA"onload="x', "data:text/html,x",
                    "data:image/svg+xml;base64,AAAA"):
        with pytest.raises(ValueError, match="no picture"):
            page.picture(address)

"""aexad.bench.measure.metrics against hand-worked cases, scikit-learn and plain brute force."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score

from aexad.bench.measure import maps, metrics
from aexad.bench.measure.names import A_VALUES, METRIC_COLUMNS
from aexad.bench.speed import scores as speed_of_metrics

small_ints = st.integers(-20, 20)  # many ties, and exact in every float type
classes = st.lists(small_ints, min_size=1, max_size=30).map(lambda v: np.array(v, np.float32))


def joined(neg, pos):
    return np.r_[np.zeros(len(neg), int), np.ones(len(pos), int)], np.r_[neg, pos]


def draw_set(seed, n=6, size=24, levels=None):
    """Heatmaps, masks with 1-3 rectangles each (the first two images normal), labels."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, size, size), dtype=bool)
    for m in masks[2:]:
        for _ in range(rng.integers(1, 4)):
            y, x = rng.integers(0, size - 6, 2)
            m[y:y + rng.integers(1, 7), x:x + rng.integers(1, 7)] = True
    h = (rng.standard_t(2, masks.shape) ** 2 + masks * rng.random() * 3).astype(np.float32)
    if levels is not None:
        h = np.minimum(np.floor(h), levels).astype(np.float32)
    return h, masks, masks.any(axis=(1, 2)).astype(int)


# AUC and average precision


def test_auc_by_hand():
    assert metrics.pixel_auc([1, 2, 3], [2, 4]) == 4.5 / 6  # 2 beats 1 and ties 2; 4 beats all
    assert metrics.pixel_auc([1, 2], [3, 4]) == 1.0
    assert metrics.pixel_auc([3, 4], [1, 2]) == 0.0
    assert metrics.pixel_auc([5, 5], [5]) == 0.5
    assert metrics.pixel_auc([[0.0, -0.0]], [0.0]) == 0.5


def test_average_precision_by_hand():
    # 4: recall 1/2 at precision 1; 2 (a tie): recall 1 at precision 2/4.
    assert metrics.average_precision([1, 2, 3], [2, 4]) == 0.75
    assert metrics.average_precision([5, 5, 5], [5]) == 0.25


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [None, 1, 5, 60])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auc_and_ap_equal_sklearn(seed, levels, dtype):
    rng = np.random.default_rng(seed)
    s = rng.standard_t(2, 900).astype(dtype)
    if levels is not None:
        s = np.round(np.clip(s, -1, 1) * levels).astype(dtype)
    y = rng.random(900) < (0.05, 0.5)[seed % 2]
    assert metrics.pixel_auc(s[~y], s[y]) == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    ap = metrics.average_precision(s[~y], s[y])
    assert ap == pytest.approx(average_precision_score(y, s), abs=1e-12)


def test_auc_is_not_binned():
    # One huge value: any histogram of the range would put all others into one bin.
    neg = np.r_[np.arange(100), 1e30].astype(np.float32)
    pos = (np.arange(100) + 0.5).astype(np.float32)
    expected = sum((p > n) for p in pos for n in neg) / (neg.size * pos.size)
    assert metrics.pixel_auc(neg, pos) == expected


@settings(max_examples=150, deadline=None)
@given(classes, classes)
def test_auc_and_ap_properties(neg, pos):
    auc = metrics.pixel_auc(neg, pos)
    pairs = [(p > n) + (p == n) / 2 for p in pos for n in neg]
    assert auc == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    y, s = joined(neg, pos)
    ap = metrics.average_precision(neg, pos)
    assert ap == pytest.approx(average_precision_score(y, s), abs=1e-12)
    assert metrics.pixel_auc(-neg, -pos) == pytest.approx(1 - auc, abs=1e-12)
    assert metrics.pixel_auc(pos, neg) == pytest.approx(1 - auc, abs=1e-12)
    for f in (lambda x: 3 * x - 7, lambda x: x**3, lambda x: np.exp(x.astype(np.float64))):
        assert metrics.pixel_auc(f(neg), f(pos)) == auc  # strictly monotone, no collapse here
        assert metrics.average_precision(f(neg), f(pos)) == ap


def test_scores_stay_float32_and_arguments_untouched():
    neg, pos = np.array([3, 1], np.float32), np.array([2, 0], np.float32)
    s = metrics.sort_scores(neg, pos)
    assert s.neg.dtype == s.pos.dtype == np.float32
    assert neg.tolist() == [3, 1] and pos.tolist() == [2, 0]
    assert metrics.sort_scores(neg, pos.astype(np.float64)).neg.dtype == np.float64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_scores_are_refused(bad):
    for f in (metrics.pixel_auc, metrics.average_precision):
        with pytest.raises(ValueError, match="NaN or infinite"):
            f([1.0, bad], [2.0])
        with pytest.raises(ValueError, match="NaN or infinite"):
            f([1.0], [2.0, bad])


def test_missing_class_is_refused():
    for f in (metrics.pixel_auc, metrics.average_precision):
        with pytest.raises(ValueError, match="0 negative and 1 positive"):
            f([], [1.0])
        with pytest.raises(ValueError, match="1 negative and 0 positive"):
            f([1.0], [])
    with pytest.raises(ValueError, match="no positive"):
        metrics.sort_scores([1.0], []).f1_iou([0.5])


# F1 and IoU


def test_f1_iou_by_hand():
    s = metrics.sort_scores([0, 1, 2, 3], [2, 3, 4])
    f1, iou = s.f1_iou([1.5, 2.0, 3.0, 4.0, -1.0])
    # predicted: 2 of neg + 3 of pos; 1 + 2; 0 + 1; nothing; everything
    np.testing.assert_allclose(f1, [6 / 8, 4 / 6, 2 / 4, 0, 6 / 10], rtol=1e-15)
    np.testing.assert_allclose(iou, [3 / 5, 2 / 4, 1 / 3, 0, 3 / 7], rtol=1e-15)
    f1, iou = metrics.sort_scores([5, 6], [1, 2]).f1_iou([3.0])  # disjoint
    assert f1.tolist() == iou.tolist() == [0.0]


def test_f1_iou_compare_in_the_precision_of_the_scores():
    x = np.float32(0.1)
    just_below = float(x) - 1e-12  # rounds to x in float32
    assert metrics.sort_scores([x], [x]).f1_iou([just_below])[0] == 0


@settings(max_examples=150, deadline=None)
@given(classes, classes, st.lists(small_ints, min_size=1, max_size=4))
def test_f1_iou_equal_sklearn_and_each_other(neg, pos, cuts):
    y, s = joined(neg, pos)
    f1, iou = metrics.sort_scores(neg, pos).f1_iou(cuts)
    for t, f, j in zip(cuts, f1, iou, strict=True):
        assert f == pytest.approx(f1_score(y, s > t, zero_division=0), abs=1e-12)
        assert j == pytest.approx(jaccard_score(y, s > t, zero_division=0), abs=1e-12)
        assert j == pytest.approx(f / (2 - f), abs=1e-12)


# per image


def test_columns_in_order():
    df = metrics.per_image(*draw_set(0))
    assert df.columns[:4].tolist() == ["label", "area", "auc", "ap"]
    assert df.columns.tolist() == ["label", "area", *METRIC_COLUMNS]
    for a in ("1.0", "1.5", "2.0", "2.5", "3.0", "3.5"):
        for kind in ("f1_a", "iou_a", "f1_set_a", "iou_set_a"):
            assert kind + a in df
    assert len(df.columns) == 28


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [None, 4])
def test_per_image_equals_sklearn(seed, levels):
    h, masks, labels = draw_set(seed, levels=levels)
    df = metrics.per_image(h, masks, labels)
    x = h.astype(np.float64)
    assert df["area"].tolist() == [m.mean() for m in masks]
    for i in np.flatnonzero(labels):
        y, s, row = masks[i].ravel(), h[i].ravel(), df.loc[i]
        assert row["auc"] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        assert row["ap"] == pytest.approx(average_precision_score(y, s), abs=1e-12)
        for a in A_VALUES:
            for scope, of in (("", x[i]), ("_set", x)):
                prediction = x[i].ravel() > of.mean() + a * of.std()
                f1 = f1_score(y, prediction, zero_division=0)
                iou = jaccard_score(y, prediction, zero_division=0)
                assert row[f"f1{scope}_a{a}"] == pytest.approx(f1, abs=1e-12)
                assert row[f"iou{scope}_a{a}"] == pytest.approx(iou, abs=1e-12)


def test_set_threshold_counts_the_normals():
    h = np.zeros((2, 4, 4), dtype=np.float32)
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[1, 0, :2] = True
    h[1, 0, 0] = 1  # image: mu 1/16, sigma .242, threshold .30
    h[1, 0, 1] = 0.27  # set: lower mu and sigma, threshold .21, so this one counts too
    df = metrics.per_image(h, masks, [0, 1])
    assert df["f1_a1.0"][1] == pytest.approx(2 / 3)
    assert df["f1_set_a1.0"][1] == 1.0
    h[0] = 1  # a normal image full of high values: nothing lies above the set's threshold
    df = metrics.per_image(h, masks, [0, 1])
    assert df["f1_a1.0"][1] == pytest.approx(2 / 3)
    assert df["f1_set_a1.0"][1] == df["iou_set_a1.0"][1] == 0.0


def test_set_threshold_without_the_normals():
    h, masks, labels = draw_set(0, levels=4)
    h[labels == 0] += 9  # with these nothing anomalous lies above the set's threshold
    df = metrics.per_image(h, masks, labels, set_normals=False)
    anomalous = labels == 1
    alone = metrics.per_image(h[anomalous], masks[anomalous], labels[anomalous])
    np.testing.assert_array_equal(df.loc[anomalous], alone)
    assert (alone["f1_set_a1.0"] > 0).any()
    assert (metrics.per_image(h, masks, labels).loc[anomalous, "f1_set_a1.0"] == 0).all()
    none = metrics.per_image(h[~anomalous], masks[~anomalous], labels[~anomalous],
                             set_normals=False)
    assert none["f1_set_a1.0"].isna().all()


def test_two_level_map_has_zero_f1_and_iou():
    h = np.full((1, 16, 16), 0.1, dtype=np.float32)
    h[0, :8] = 0.7  # half of the pixels: mu + sigma is the maximum
    df = metrics.per_image(h, h > 0.5, [1])
    assert df["auc"][0] == 1.0
    assert df["f1_a1.0"][0] == df["iou_a1.0"][0] == 0.0
    assert df["f1_set_a1.0"][0] == df["iou_set_a1.0"][0] == 0.0


def test_nan_where_undefined():
    h, masks, _ = draw_set(3, n=5)
    masks[3], masks[4] = False, True  # anomalous, with an empty and with a full mask
    df = metrics.per_image(h, masks, [0, 0, 1, 1, 1])
    values = df[list(METRIC_COLUMNS)]
    assert values.loc[[0, 1, 3]].isna().all(axis=None)
    assert values.loc[2].notna().all()
    assert values.loc[4].isna().sum() == 2 and values.loc[4, ["auc", "ap"]].isna().all()
    assert df["area"][3] == 0 and df["area"][4] == 1
    share = maps.binarize(h[4]).mean()  # a full mask: IoU is the share predicted
    assert df["iou_a1.0"][4] == pytest.approx(share)


def test_image_metrics_is_a_row_of_per_image():
    h, masks, labels = draw_set(1)
    row = metrics.image_metrics(h[4], masks[4])
    assert len(row) == 14
    whole = metrics.per_image(h, masks, labels).loc[4]
    assert row == {k: whole[k] for k in row}


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (3, 5, 5), elements=st.sampled_from([0.0, 0.5, 1.0, 7.0])),
       hnp.arrays(bool, (3, 5, 5)))
def test_iou_is_a_function_of_f1(h, masks):
    df = metrics.per_image(h, masks, masks.any(axis=(1, 2)))
    for a in A_VALUES:
        for scope in ("", "_set"):
            f1, iou = df[f"f1{scope}_a{a}"], df[f"iou{scope}_a{a}"]
            np.testing.assert_allclose(iou, f1 / (2 - f1), atol=1e-12)  # NaN equals NaN


def test_per_image_refuses_wrong_input():
    h, masks, labels = draw_set(0)
    with pytest.raises(ValueError, match="same shape"):
        metrics.per_image(h, masks[:, :-1], labels)
    with pytest.raises(ValueError, match="bool"):
        metrics.per_image(h, masks.astype(np.uint8) * 255, labels)
    with pytest.raises(ValueError, match="0 or 1"):
        metrics.per_image(h, masks, labels[:-1])
    with pytest.raises(ValueError, match="0 or 1"):
        metrics.per_image(h, masks, labels + 1)
    with pytest.raises(ValueError, match=r"rows \[3\]"):
        metrics.per_image(h, masks, np.where(np.arange(6) == 3, 0, labels))
    h[0, 0, 0] = np.nan
    for f in (lambda: metrics.per_image(h, masks, labels), lambda: metrics.pooled(h, masks)):
        with pytest.raises(ValueError, match="NaN or infinite"):
            f()


# aggregate


def frame(labels, areas, **columns):
    zeros = dict.fromkeys(METRIC_COLUMNS, 0.0)
    return pd.DataFrame({"label": labels, "area": areas} | zeros | columns)


def test_aggregate_by_hand():
    nan = math.nan
    df = frame([0, 1, 1, 1, 1], [0, 0.2, 0.0, 1.0, 0.3],
               auc=[nan, 0.5, nan, nan, 1.0], **{"f1_a1.0": [nan, 0.25, nan, 0.9, 0.5]})
    df["k"] = 3  # what else a caller stores beside the metrics
    out = metrics.aggregate(df, [0.5, 0.1, 0.5, 0.6, 0.7])
    counts = {k: v for k, v in out.items() if k.startswith("n_")}
    assert counts == {"n_images": 5, "n_normal": 1, "n_anomalous": 4, "n_used": 2, "n_dropped": 2}
    assert out["auc"] == 0.75
    assert out["f1_a1.0"] == 0.375  # the full mask has an F1 and is still not used
    assert out["detection_auc"] == (0 + 0.5 + 1 + 1) / 4
    assert set(out) == set(counts) | set(METRIC_COLUMNS) | {"detection_auc"}


def test_aggregate_without_a_class():
    out = metrics.aggregate(frame([0, 0], [0, 0]), [1, 2])
    assert out["detection_auc"] is None and out["auc"] is None and out["iou_set_a3.5"] is None
    assert out["n_used"] == out["n_dropped"] == out["n_anomalous"] == 0
    assert metrics.aggregate(frame([1, 1], [0.5, 0.5]), [1, 2])["detection_auc"] is None


def test_aggregate_refuses_wrong_scores():
    with pytest.raises(ValueError, match="2 images"):
        metrics.aggregate(frame([0, 1], [0, 0.5]), [1.0])
    with pytest.raises(ValueError, match="NaN"):
        metrics.aggregate(frame([0, 1], [0, 0.5]), [1.0, np.nan])
    with pytest.raises(ValueError, match="NaN"):
        metrics.aggregate(frame([1, 1], [0.5, 0.5]), [1.0, np.nan])


def test_aggregate_of_per_image():
    h, masks, labels = draw_set(5)
    df = metrics.per_image(h, masks, labels)
    scores = h.sum(axis=(1, 2))
    out = metrics.aggregate(df, scores)
    assert out["n_used"] == 4 and out["n_dropped"] == 0 and out["n_normal"] == 2
    assert out["ap"] == pytest.approx(df["ap"].mean())
    assert out["detection_auc"] == pytest.approx(roc_auc_score(labels, scores))


# pooled


def brute_aupro(h, masks, limit=0.3):
    """The curve with one point per distinct threshold, cut at the limit by interpolation."""
    regions = []
    for i, m in enumerate(masks):
        labelled, n = ndimage.label(m, structure=np.ones((3, 3)))
        regions += [h[i][labelled == r] for r in range(1, n + 1)]
    negatives = h[~masks]
    fpr, pro = [0.0], [0.0]
    for t in np.unique(h)[::-1]:
        fpr.append(np.mean(negatives >= t))
        pro.append(np.mean([np.mean(r >= t) for r in regions]))
    area = 0.0
    for x0, x1, y0, y1 in zip(fpr, fpr[1:], pro, pro[1:], strict=False):
        if x0 >= limit:
            break
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [None, 2, 10])
def test_pooled_equals_brute_force(seed, levels):
    h, masks, _ = draw_set(seed, n=4, size=16, levels=levels)
    y, s = masks.flatten(), h.flatten()
    out = metrics.pooled(h, masks)
    assert (y == masks.ravel()).all() and (s == h.ravel()).all()  # arguments are left alone
    assert set(out) == {"pixel_auroc", "pixel_ap", "aupro"}
    assert out["pixel_auroc"] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert out["pixel_ap"] == pytest.approx(average_precision_score(y, s), abs=1e-12)
    assert out["aupro"] == pytest.approx(brute_aupro(h, masks), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, (2, 5, 6), elements=st.integers(0, 6).map(float)),
       hnp.arrays(bool, (2, 5, 6)))
def test_aupro_equals_brute_force_with_ties(h, masks):
    assume(masks.any() and not masks.all())
    assert metrics.pooled(h, masks)["aupro"] == pytest.approx(brute_aupro(h, masks), abs=1e-12)


@pytest.mark.parametrize("levels", [None, 3, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pooled_is_the_same_in_parts_of_every_size(levels, dtype):
    h, masks, _ = draw_set(7, n=5, size=12, levels=levels)
    h[2] = h[1]  # ties across parts
    masks[0] = True  # a part without a normal pixel
    whole = metrics.pooled(h.astype(dtype), masks)
    y, s = masks.ravel(), h.ravel()
    assert whole["pixel_auroc"] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert whole["pixel_ap"] == pytest.approx(average_precision_score(y, s), abs=1e-12)
    for part in (1, 143, 144, 145, 288, 300, 720, 10**9):
        assert metrics.pooled(h.astype(dtype), masks, part) == whole


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (4, 3, 4), elements=st.integers(0, 5).map(float)),
       hnp.arrays(bool, (4, 3, 4)), st.integers(1, 40))
def test_pooled_in_parts_equals_brute_force_with_ties(h, masks, part):
    assume(masks.any() and not masks.all())
    out = metrics.pooled(h, masks, part)
    y, s = masks.ravel(), h.ravel()
    assert out["pixel_auroc"] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert out["pixel_ap"] == pytest.approx(average_precision_score(y, s), abs=1e-12)
    assert out["aupro"] == pytest.approx(brute_aupro(h, masks), abs=1e-12)
    assert out == metrics.pooled(h, masks)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_change_no_bit(monkeypatch, block):
    h, masks, labels = draw_set(9, levels=10)
    whole = metrics.pooled(h, masks), metrics.per_image(h, masks, labels)
    monkeypatch.setattr(metrics, "_BLOCK", block)
    assert metrics.pooled(h, masks) == whole[0]
    pd.testing.assert_frame_equal(metrics.per_image(h, masks, labels), whole[1], check_exact=True)


def test_maps_in_a_file_are_measured_without_a_copy_of_them(tmp_path):
    """15 MB of maps with few anomalous pixels, in parts of 1/30: far less memory than the maps."""
    rng = np.random.default_rng(3)
    h = np.memmap(tmp_path / "maps", np.float32, "w+", shape=(300, 112, 112))
    for one in h:
        one[:] = rng.random((112, 112))
    masks = np.zeros(h.shape, bool)
    masks[::10, :20, :20] = True
    labels = masks.any(axis=(1, 2)).astype(int)
    whole = metrics.pooled(np.array(h), masks)
    tracemalloc.start()
    try:
        assert metrics.pooled(h, masks, h.size // 30) == whole
        metrics.per_image(h, masks, labels, set_normals=False)
        assert tracemalloc.get_traced_memory()[1] < 0.7 * h.nbytes
    finally:
        tracemalloc.stop()


def test_aupro_weighs_regions_alike():
    h = np.zeros((2, 10, 10), dtype=np.float32)
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[0, :4, :4] = True  # 16 pixels, found
    masks[1, 0, 0] = masks[1, 1, 1] = True  # 2 pixels that touch by a corner: one region, missed
    h[masks] = 1
    h[1] = -1
    h[1][~masks[1]] = 0
    # Half of the overlap is there at FPR 0 and the rest only below all negatives.
    assert metrics.pooled(h, masks)["aupro"] == pytest.approx(0.5)
    masks[1, 5, 5] = True  # a third region, also missed
    h[1, 5, 5] = -1
    assert metrics.pooled(h, masks)["aupro"] == pytest.approx(1 / 3)


def test_aupro_extremes():
    _, masks, _ = draw_set(2)
    perfect = masks.astype(np.float32)
    assert metrics.pooled(perfect, masks) == pytest.approx(
        {"pixel_auroc": 1.0, "pixel_ap": 1.0, "aupro": 1.0})
    assert metrics.pooled(1 - perfect, masks)["aupro"] == 0.0
    # A constant map is the diagonal: 0.3^2 / 2 / 0.3
    assert metrics.pooled(perfect * 0, masks)["aupro"] == pytest.approx(0.15)


def test_pooled_without_a_class():
    h, masks, _ = draw_set(0)
    nothing = {"pixel_auroc": None, "pixel_ap": None, "aupro": None}
    assert metrics.pooled(h, masks & False) == nothing
    assert metrics.pooled(h, masks | True) == nothing


# the benchmark itself: what it compares must be the same numbers


def test_benchmark_runs_and_reports():
    rows = speed_of_metrics.run(repeats=1)
    assert len(rows) == 2
    assert all(isinstance(name, str) and naive > 0 and ours > 0 for name, naive, ours in rows)


def test_benchmark_refuses_wrong_numbers(monkeypatch):
    real = metrics.image_metrics
    monkeypatch.setattr(speed_of_metrics, "image_metrics",
                        lambda h, m: real(h, m) | {"auc": math.nan})
    with pytest.raises(RuntimeError, match="auc"):
        speed_of_metrics.run(repeats=1)


# -- maps of mixed sizes --


@pytest.mark.parametrize("set_normals", [True, False])
def test_a_list_of_maps_is_their_array(set_normals):
    h, masks, labels = draw_set(3, n=5, size=12, levels=None)
    pd.testing.assert_frame_equal(metrics.per_image(list(h), list(masks), labels, set_normals),
                                  metrics.per_image(h, masks, labels, set_normals),
                                  check_exact=True)
    assert metrics.pooled(list(h), list(masks)) == metrics.pooled(h, masks)


def test_maps_of_mixed_sizes():
    """Each image by its own pixels, the set by all of them."""
    rng = np.random.default_rng(0)
    shapes = [(5, 9), (12, 7), (1, 30)]
    h = [rng.random(shape).astype(np.float32) for shape in shapes]
    masks = [rng.random(shape) < 0.3 for shape in shapes[:2]] + [np.zeros((1, 30), bool)]
    frame = metrics.per_image(h, masks, [1, 1, 0])
    every = np.concatenate([m.ravel() for m in h]).astype(float)
    top = np.float32(every.mean() + every.std())
    for i in (0, 1):
        assert frame.auc[i] == pytest.approx(roc_auc_score(masks[i].ravel(), h[i].ravel()))
        assert frame.area[i] == masks[i].mean()
        hit, found = (h[i] > top) & masks[i], h[i] > top
        assert frame["f1_set_a1.0"][i] == pytest.approx(
            2 * hit.sum() / (found.sum() + masks[i].sum()))
    assert np.isnan(frame.auc[2])
    y = np.concatenate([m.ravel() for m in masks])
    pooled = metrics.pooled(h, masks)
    assert pooled["pixel_auroc"] == pytest.approx(roc_auc_score(y, every))
    assert pooled["pixel_ap"] == pytest.approx(average_precision_score(y, every))
    with pytest.raises(ValueError, match="need the same shape"):
        metrics.per_image(h, [masks[1], masks[0], masks[2]], [1, 1, 0])

"""Figures: their numbers exactly, and that whatever is drawn can be read."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.colors import to_rgba
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from aexad import methods
from aexad.bench.figures import curves, gallery, steps, style
from aexad.bench.measure.names import A_VALUES
from aexad.datasets.catalog import PAPER, all_categories

LABELS = {name: entry.label for name, entry in methods.entries().items()}
SEVEN = ["ae_xad", "fcdd", "bgad", "ae_xad_raw", "ae", "ae_xad_vit_finetuned",
         "a_method_of_somebody_elses_with_a_long_name"]
REMARK = "embedded suite of generated images, protocol mini, anomalies only scenario"
THRESHOLDS = curves.Axis("$a$, in the threshold µ + $a$·σ", "F1", (1, 2, 3), True)
RADII = curves.Axis("filter radius $k$, pixels", "AUC", (2, 10, 20, 30), False)


# -- numbers --


def test_thresholds_takes_the_stored_means_of_finished_cells():
    records = pd.DataFrame([
        {"dataset": "mvtec", "category": "pill", "method": "ae_xad", "seed": 40,
         "f1_a1.0": 0.25, "f1_a1.5": 0.5},
        {"dataset": "mvtec", "category": "pill", "method": "fcdd", "seed": 40,
         "f1_a1.0": 0.125, "f1_a1.5": None}])
    made = curves.over_thresholds(records, {1.0: "f1_a1.0", 1.5: "f1_a1.5", 2.0: "absent"})
    assert list(made.columns) == curves.COLUMNS
    assert made[["method", "x", "y"]].values.tolist() == [
        ["ae_xad", 1.0, 0.25], ["fcdd", 1.0, 0.125], ["ae_xad", 1.5, 0.5]]
    assert curves.over_thresholds(records, {2.0: "absent"}).empty


def test_over_seeds_is_the_mean_and_the_sample_deviation():
    frame = pd.DataFrame({"dataset": "d", "category": "c", "method": "m", "seed": [1, 2, 3, 1],
                          "x": [1, 1, 1, 2], "y": [1.0, 2.0, 6.0, 4.0]})
    first, second = curves.over_seeds(frame).itertuples()
    assert (first.mean, first.n) == (3.0, 3) and first.std == pytest.approx(7 ** 0.5)
    assert (second.mean, second.n) == (4.0, 1) and np.isnan(second.std)


def test_a_mark_is_one_point_however_many_seeds():
    marks = pd.DataFrame({"dataset": "mvtec", "category": "pill", "method": "ae_xad",
                          "seed": [40, 41], "x": [5.0, 8.0], "y": [0.5, 1.0]})
    assert curves.middles(marks)[["x", "y"]].values.tolist() == [[6.5, 0.75]]
    frame = synthetic([("mvtec", "pill")], ["ae_xad"], (40, 41))
    [ax] = curves.draw(frame, ["ae_xad"], LABELS, RADII, marks, "its own").axes
    assert [line.get_xydata().tolist() for line in ax.lines][1] == [[6.5, 0.75]]


def test_auc_by_radius_against_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    errors = rng.random((3, 20, 20), dtype=np.float32) ** 4
    masks = np.zeros((3, 20, 20), bool)
    masks[:, 4:9, 6:15] = True
    errors[masks] += 0.1
    made = curves.auc_by_radius(errors, masks, (2, 7))
    for auc, k in zip(made, (2, 7)):
        each = [roc_auc_score(m.ravel(), ndimage.gaussian_filter(
            e, k / 3, radius=k, mode="reflect").ravel()) for e, m in zip(errors, masks)]
        assert auc == pytest.approx(np.mean(each), abs=1e-12)


def test_best_median_worst():
    images = pd.DataFrame({"id": list("abcdef"), "auc": [0.5, 0.9, np.nan, 0.7, 0.5, 0.9],
                           "used": [True, True, False, True, True, True]})
    assert gallery.best_median_worst(images) == {"best": "b", "median": "d", "worst": "e"}
    assert gallery.median(images[images["id"] != "d"]) == "a"  # of two middle ones the worse
    assert gallery.best_median_worst(images[:1]) == dict.fromkeys(("best", "median", "worst"), "a")


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=12))
def test_methods_look_different_and_known_ones_always_the_same(names):
    looks = style.looks(["ae_xad", *names, "bgad"])
    assert len({(v.color, v.marker, str(v.line)) for v in looks.values()}) == len(looks)
    assert looks["ae_xad"] == style.KNOWN["ae_xad"] and looks["bgad"] == style.KNOWN["bgad"]
    assert style.looks([names[0]])[names[0]] == looks[names[0]]


@settings(max_examples=30, deadline=None)
@given(st.text("ab c/d_", max_size=60), st.floats(5, 60))
def test_wrapped_text_fits(text, width):
    made = style.wrapped(text, width, style.SMALL).split("\n")
    assert len(made) <= 2 and all(style.text_width(line, style.SMALL) <= width for line in made)


def test_wrapped_text_keeps_what_fits():
    assert style.wrapped("AE-XAD ViT fine-tuned", 20) == "AE-XAD ViT\nfine-tuned"
    assert style.wrapped("AE-XAD", 20) == "AE-XAD"


# -- pictures --


def texts(fig):
    """(text, its box in pixels) of everything written in a figure."""
    fig.set_dpi(100)
    fig.draw_without_rendering()
    found = [*fig.texts, *(text for each in fig.legends for text in each.get_texts())]
    for ax in fig.axes:
        found.append(ax.title)
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [axis.label, axis.get_offset_text()]
            found += [tick.label1 for tick in axis.get_major_ticks()
                      if low <= tick.get_loc() <= high]
    return [(text.get_text(), text.get_window_extent()) for text in found
            if text.get_visible() and text.get_text()]


def assert_legible(fig):
    """No text lies on another or sticks out of the figure; none lies on axes of which it is not
    part, and axes don't lie on each other."""
    found, canvas = texts(fig), fig.bbox
    for i, (text, box) in enumerate(found):
        assert box.x0 >= -0.5 and box.y0 >= -0.5, f"{text!r} sticks out"
        assert box.x1 <= canvas.x1 + 0.5 and box.y1 <= canvas.y1 + 0.5, f"{text!r} sticks out"
        for other, its in found[:i]:
            assert not box.padded(-0.5).overlaps(its), f"{text!r} on {other!r}"
        for ax in fig.axes:
            allowed = ax.get_facecolor() == to_rgba(style.MISSING)  # says why nothing is shown
            free = not box.padded(-1).overlaps(ax.get_window_extent())
            assert allowed or free, f"{text!r} on axes"
    boxes = [ax.get_window_extent().padded(-1) for ax in fig.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def synthetic(places, names, seeds=(40,), xs=A_VALUES):
    rng = np.random.default_rng(len(places))
    return pd.DataFrame([
        {"dataset": d, "category": c, "method": m, "seed": s, "x": x, "y": rng.random()}
        for d, c in places for m in names for s in seeds for x in xs])


@pytest.mark.parametrize("n, n_methods", ((1, 1), (1, 7), (2, 3), (3, 7), (7, 2), (15, 7)))
def test_curves_are_legible(n, n_methods):
    names = SEVEN[:n_methods]
    frame = synthetic(all_categories(("mvtec",))[:n], names, (40, 41))
    fig = curves.draw(frame, names, LABELS, THRESHOLDS, remark=REMARK)
    assert len(fig.axes) == n
    assert_legible(fig)
    assert {LABELS.get(name, name) for name in names} <= {text for text, _ in texts(fig)}


def test_curves_of_all_datasets_are_legible():
    places = [*all_categories(PAPER), ("mine", "a_category_with_a_name_that_has_no_end")]
    frame = synthetic(places, SEVEN[:3], xs=curves.RADII)
    marks = frame[frame.x == 12].assign(x=40.25)  # its own radius may lie beyond all
    fig = curves.draw(frame, SEVEN[:3], LABELS, RADII, marks, r"its own $\hat{k}$")
    assert_legible(fig)
    assert "mvtec/hazelnut" in [text for text, _ in texts(fig)]
    assert fig.get_figheight() / style.INCH <= style.TALLEST


@pytest.mark.parametrize("values", ([0.98765] * 29, np.linspace(0.99991, 0.99995, 29),
                                    np.linspace(1e-4, 3e-4, 29), np.linspace(0, 1, 29)))
def test_tick_labels_have_room_whatever_the_range(values):
    frame = synthetic([("mvtec", "pill")], ["ae_xad"], xs=curves.RADII).assign(y=values)
    for axis in (RADII, dataclasses.replace(RADII, from_zero=True)):
        assert_legible(curves.draw(frame, ["ae_xad"], LABELS, axis))


def test_curves_show_the_numbers():
    frame = synthetic([("mvtec", "pill")], ["ae_xad", "fcdd"], (40, 41))
    fig = curves.draw(frame, ["fcdd", "ae_xad", "bgad"], LABELS, THRESHOLDS)
    [ax] = fig.axes
    drawn = {line.get_color(): line.get_ydata() for line in ax.lines if len(line.get_xdata())}
    assert len(drawn) == 2  # bgad has no numbers: no line, and no place in the legend
    assert [t.get_text() for t in fig.legends[0].get_texts()] == [
        "FCDD", "AE-XAD", "± 1 standard deviation, 2 seeds"]
    for name in ("ae_xad", "fcdd"):
        mean = frame[frame.method == name].groupby("x").y.mean()
        assert drawn[style.KNOWN[name].color] == pytest.approx(mean.to_numpy())
    assert len(ax.collections) == 2  # the bands


class Blob:
    """A method of the least that Figures 1 and 2 need."""

    def __init__(self, k):
        self.k = k

    def error_maps(self, images):
        e = images[..., 0].astype(np.float32) / 255
        return 2 * e, e

    def reconstruct(self, images):
        return 2 * images.astype(np.float32) / 255

    def explain(self, images):
        maps = self.error_maps(images)[1]
        return methods.base.Explanation(maps, maps.sum((1, 2)), {"k": np.array([self.k])})


def blob(side=32):
    image = np.full((side, side, 3), 10, np.uint8)
    truth = np.zeros((side, side), bool)
    truth[4:12, 8:20] = True
    image[truth] = 200
    return image, truth


def test_steps_are_the_methods_own_maps():
    image, truth = blob()
    made = steps.steps(Blob(3), "dent/001", image, truth)
    assert np.array_equal(made.error, image[..., 0].astype(np.float32) / 255) and made.k == 3
    assert made.reconstruction.max() == pytest.approx(400 / 255)
    assert np.array_equal(made.binary, truth)
    text = dict(steps.captions(made))
    assert text["(e) $h$ > µ + σ"] == "F1 1.000, IoU 1.000"
    assert text["(f) ground truth"] == "9.4% of the pixels"
    assert text["(d) heatmap $h$"] == r"$\hat{k}$ = 3, AUC 1.000"
    assert text[r"(c) error map $\tilde{e}$"] == "0 to 0.78, also (d)"


def test_steps_of_a_normal_image_have_no_metrics():
    image, truth = blob()
    text = dict(steps.captions(steps.steps(Blob(0), "good/001", image, truth & False)))
    assert text["(d) heatmap $h$"] == "unfiltered, AUC undefined"
    assert text["(e) $h$ > µ + σ"] == "F1 undefined, IoU undefined"


@pytest.mark.parametrize("k, a, masked", ((0, 1.0, True), (111, 1.0, True), (7, 3.5, False)))
def test_steps_are_legible(k, a, masked):
    image, truth = blob()
    made = steps.steps(Blob(k), "a_defect_with_a_very_long_name/0000017", image, truth & masked, a)
    assert_legible(steps.draw(made, "AE-XAD ViT fine-tuned on mvtec/bottle", REMARK))


@pytest.mark.parametrize("n", (1, 3, 7))
def test_gallery_is_legible(n):
    image, truth = blob()
    names = SEVEN[:n]
    row = gallery.Shown("median", "a_defect_with_a_long_name/017", image, truth,
                        {m: image[..., 0].astype(np.float32) for m in names if m != "fcdd"},
                        {m: (0.9876, 0.1234) for m in names if m != "fcdd"})
    rows = [dataclasses.replace(row, rank=rank) for rank in ("best", "median", "worst")]
    fig = gallery.draw(rows, names, LABELS, "mvtec/bottle: best, median and worst of 54 anomalous "
                       "images by the AUC of AE-XAD", REMARK, {"fcdd": "no data"})
    assert_legible(fig)
    said = [text for text, _ in texts(fig)]
    assert said.count("no data") == 3 * ("fcdd" in names)
    assert fig.get_figwidth() / style.INCH <= style.PAGE + 0.01


def test_saved_files_are_whole_pictures_with_embedded_fonts(tmp_path):
    image, truth = blob()
    fig = steps.draw(steps.steps(Blob(3), "dent/001", image, truth), "AE∪F, AE-XAD∖F")
    pdf, png = style.save(fig, tmp_path / "made" / "figure1.v2")
    assert [p.name for p in (pdf, png)] == ["figure1.v2.pdf", "figure1.v2.png"]
    with Image.open(png) as picture:
        expected = [round(v * style.DPI) for v in fig.get_size_inches()]
        assert picture.size == pytest.approx(expected, abs=1)
        assert np.asarray(picture.convert("L")).std() > 20
    content = pdf.read_bytes()
    assert b"/Type3" not in content and b"/FontFile2" in content
    assert len(re.findall(rb"/Type /Page\b", content)) == 1
    style.save(fig, tmp_path / "again")
    assert (tmp_path / "again.pdf").read_bytes() == content
    assert len(list(tmp_path.rglob("*"))) == 5  # nothing left behind

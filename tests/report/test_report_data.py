"""What a page shows, as structures: against values by hand and independent counts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from aexad.bench.figures import gallery
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.report import changes, exhibits, heat, page
from aexad.bench.report.cards import MOST, _curve
from aexad.bench.report.charts import Point, front
from aexad.bench.report.data import wins
from aexad.bench.report.exhibits import Exhibit, Room, choose
from aexad.bench.tables.build import Cell, Row, Table


def images(rows):
    return pd.DataFrame(rows, columns=["category", "method", "id", "auc"]).assign(
        dataset="mvtec", seed=40, used=True)


# -- which images --


@given(st.integers(0, 40), st.integers(1, 20))
def test_a_third_each_of_the_best_the_middle_and_the_worst(n, count):
    ids = [f"i{k}" for k in range(n)]
    chosen = [int(name[1:]) for name, _ in choose(ids, count)]
    assert len(chosen) == min(n, count) and chosen == sorted(set(chosen))
    if n > count:
        assert chosen[:(count + 2) // 3] == list(range((count + 2) // 3))
        assert chosen[len(chosen) - (count + 1) // 3:] == list(range(n - (count + 1) // 3, n))
        assert count < 3 or n // 2 in chosen  # the median


def test_the_three_are_those_of_the_gallery_figure():
    rows = images([("bottle", "ae_xad", f"test/{k:02d}", (7 * k % 20) / 20) for k in range(20)])
    order = gallery.ranked(rows)["id"].tolist()
    assert [name for name, _ in choose(order, 3)] == list(
        gallery.best_median_worst(rows).values())
    assert [rank for _, rank in choose(order, 3)] == [
        "best, 1 of 20", "median, 11 of 20", "worst, 20 of 20"]
    assert [rank for _, rank in choose(order[:2], 3)] == ["1 of 2", "2 of 2"]
    assert len(choose(order, None)) == 20


def room(name, count):
    shown = [Exhibit(rank, image, 0.1, "", "", []) for image, rank in
             choose([f"i{k}" for k in range(50)], count)]
    return Room(name, name, "AE-XAD", 50, shown)


def test_a_page_that_would_be_too_large_has_fewer_images_and_says_so(monkeypatch):
    rooms = [room("a", 9), room("b", 9)]
    rendered = []

    def render(rooms):  # 100 bytes an image and 10 more
        rendered.append(rooms)
        return "é" * 5 + "p" * sum(100 * len(r.exhibits) for r in rooms)

    for limit, images, note in ((1810, 9, []), (1809, 6, ["6 images a category in place of 9"]),
                                (1209, 3, ["3 images a category"]), (5, 3, ["3 images a cat"])):
        monkeypatch.setattr(page, "LARGEST", limit)
        notes = ["before"]
        made = page.fitted(rooms, 9, notes, render)
        assert len(made.encode()) == 10 + 200 * images and notes[0] == "before"
        assert len(notes) == 1 + len(note) and all(n.startswith(s) for n, s in zip(notes[1:], note))
    whole = {e.name: e.rank for e in rooms[0].exhibits}
    [six] = [r for r, _ in rendered[1:3] if len(r.exhibits) == 6][:1]
    assert all(whole[e.name] == e.rank for e in six.exhibits)  # ranks of the test set still
    assert [e.rank.split(",")[0] for e in six.exhibits] == (
        ["best"] * 2 + ["median"] * 2 + ["worst"] * 2)
    assert page.fitted([], None, [], render) == "é" * 5


# -- comparison, emissions --


def test_win_rates_are_means_of_the_categories_shares():
    rows = images([("bottle", "a", "1", 0.9), ("bottle", "b", "1", 0.1),
                   ("bottle", "a", "2", 0.5), ("bottle", "b", "2", 0.5),
                   ("cable", "a", "1", 0.2), ("cable", "b", "1", 0.3),
                   ("cable", "a", "9", 0.2)])  # of no pair
    found = wins(rows, ["a", "b", "c"], "auc")
    assert found == {"a": {"b": 0.25}, "b": {"a": 0.5}, "c": {}}
    normal = rows.assign(used=rows["id"] != "1")
    assert wins(normal, ["a", "b"], "auc") == {"a": {"b": 0.0}, "b": {"a": 0.0}}


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5), st.booleans()), max_size=12))
def test_the_front_is_what_nothing_dominates(numbers):
    points = [Point(str(i), float(g), v / 5, sound) for i, (g, v, sound) in enumerate(numbers)]
    sound = [p for p in points if p.sound]
    free = [p for p in sound if not any(
        q.grams <= p.grams and q.value >= p.value and (q.grams, q.value) != (p.grams, p.value)
        for q in sound)]
    found = front(points)
    assert sorted(found, key=lambda p: p.method) == sorted(free, key=lambda p: p.method)
    assert [p.grams for p in found] == sorted(p.grams for p in found)


# -- differences --


def table(differences, name="table2"):
    """One row a category, methods a and b, the metric auc."""
    rows = tuple(Row("mvtec", f"c{i}", tuple((Cell(0.5, published=None if d is None else 0.5 - d),)
                                             for d in pair)) for i, pair in enumerate(differences))
    mean = Row("mvtec", "mean (2)", ((Cell(0.5, published=0.1),),) * 2, is_mean=True)
    return Table(name, "", (("a", "A"), ("b", "B")), ("auc",), (*rows, mean), (), 3)


def test_a_heat_map_has_the_differences_of_the_categories():
    first, second = heat.heat_maps(
        [table([(0.1, -0.16), (None, 0.0)]), table([(0.02, 0.02)]), table([(None, None)])],
        {("standard", "mvtec", "c0", "b")})[:2]
    squares = [[s.value for s in row] for _, row in first.rows]
    assert squares[0] == [pytest.approx(0.1), pytest.approx(-0.16)]
    assert squares[1] == [None, pytest.approx(0.0)]
    assert [s.hatched for s in first.rows[0][1]] == [False, True]
    assert not first.rows[1][1][1].hatched
    assert first.limit == second.limit == 0.2  # of 0.16; a mean is not shown
    assert heat.heat_maps([table([(None, None)])], set()) == []
    assert [heat.heat_maps([table([(d, d)])], set())[0].limit for d in (0.001, -0.9)] == [
        heat.LEAST, heat.MOST]


def test_colours_go_from_orange_over_white_to_blue_and_are_read_on():
    assert heat.colour(-1) == heat.colour(-7) == heat.BELOW and heat.colour(1) == heat.ABOVE
    assert heat.colour(0) == heat.MIDDLE
    for share in np.linspace(-1, 1, 101):
        ground = heat.colour(share)
        assert heat.contrast(heat.ink_on(ground), ground) >= 4.5
    assert heat.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    # As seen without the red or the green cones (Viénot, Brettel and Mollon 1999): one turns
    # yellow, the other blue, each by its blue against its red and green.
    for share in (0.2, 0.5, 1.0):
        (r1, g1, b1), (r2, g2, b2) = heat.colour(-share), heat.colour(share)
        assert (r1 + g1) / 2 - b1 > 15 * share and b2 - (r2 + g2) / 2 > 15 * share


# -- changes and cards --


def cells(protocol, *sets, names=("ae_xad", "fcdd", "bgad"), seeds=(40,)):
    rows = [("mvtec", "bottle")]
    made = all_cells(Settings(protocol, None, sets), names, rows, "standard", seeds)
    return {cell.method: cell for cell in made}


def test_what_is_not_as_in_the_paper_is_listed_with_what_it_is_there():
    assert [changes.from_paper(c) for c in cells("paper").values()] == [[]] * 3
    found = cells("brief", "bgad.backbone=efficientnet_lite0")
    assert changes.listed(changes.from_paper(found["fcdd"])) == "epochs 30 (paper: 200)"
    assert changes.from_paper(found["ae_xad"]) == []
    assert "backbone efficientnet_lite0 (paper: efficientnet_b6)" in changes.listed(
        changes.from_paper(found["bgad"]))
    other = cells("paper", "ae_xad.k_min=0", "data.max_train=60")["ae_xad"]
    assert changes.listed(changes.from_paper(other)) == (
        "k_min 0 (paper: 1), data.max_train 60 (paper: none)")


def test_what_the_registry_fixes_for_a_method_is_as_in_the_paper_but_not_the_default():
    [raw] = cells("paper", names=("ae_xad_raw",)).values()
    assert changes.from_paper(raw) == []
    assert changes.from_defaults(raw) == [changes.Change("filter", False, True)]


def test_a_curve_keeps_its_ends_and_its_shape():
    losses = [8.0 / (1 + i) for i in range(1000)]
    curve = _curve(losses)
    assert len(curve.points) == MOST and (curve.first, curve.last) == (8.0, 0.008)
    assert curve.points[0] == (0.0, 0.0) and curve.points[-1] == (1.0, 1.0)
    for x, y in curve.points:
        loss = losses[round(999 * x)]
        assert y == pytest.approx((8 - loss) / (8 - 0.008))
    assert _curve([1.0]) is _curve([]) is _curve([1.0, math.nan]) is None
    assert _curve([2.0, 2.0]).points == [(0.0, 0.0), (1.0, 0.0)]


def test_an_image_that_a_method_did_not_test_has_no_numbers():
    rows = pd.DataFrame({"auc": [0.5]}, index=["test/dent/000"])
    seen = exhibits._one("FCDD", rows, "test/dent/001", None, "")
    assert seen.lacking == "this image was not tested" and seen.picture == ""
    assert all(math.isnan(v) for v in (seen.auc, *seen.f1, *seen.iou))

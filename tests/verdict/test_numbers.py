"""The verdict on a number: chosen cells, intervals, tolerances, comparisons."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np
import pytest

from aexad.bench.base.places import BASELINES
from aexad.bench.measure import intervals
from aexad.bench.measure.intervals import Interval
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results import evidence as stored_evidence
from aexad.bench.verdict import numbers, ratios, shares, tolerances
from aexad.bench.verdict.chosen import choose
from aexad.bench.verdict.numbers import Judged, Number, judge, plain_numbers

from conftest import REPOSITORY
from stored import evidence

BOTTLE = Number("table2", "mvtec", "bottle", "ae_xad", "auc", "standard", 0.981)
RNG = np.random.default_rng(4)
VALUES = RNG.uniform(0.8, 1, 12)


def judged(*cells, number=BOTTLE):
    return judge(number, choose(cells), {})


# -- tolerances --

def test_tolerances_are_what_another_split_did_in_the_study():
    found, _ = stored_evidence.of_baselines(BASELINES)
    study = [e for e in found if e.source == tolerances.SOURCE]
    for metric, rows in tolerances.SPLIT_ROWS.items():
        column = numbers.COLUMNS.get(metric, metric)
        did = []
        for category in ("bottle", "transistor"):
            for seed in (41, 42):
                [other] = [e for e in study if (e.place[1], e.seed) == (category, seed)]
                [base] = [e for e in study if (e.place[1], e.seed) == (category, 40)
                          and e.configuration == other.configuration]
                did.append(other.number(column) - base.number(column))
        assert rows == pytest.approx(did, abs=6e-5)
        assert tolerances.TOLERANCES[metric] == pytest.approx(
            math.sqrt(fmean(d * d for d in did)), abs=6e-4)


def test_the_split_rows_are_those_of_the_document():
    text = (REPOSITORY / "docs" / "fidelity.md").read_text(encoding="utf-8")
    rows = [line.split("|")[3:9] for line in text.splitlines()
            if line.startswith(("| split | next seed", "|  | the one after"))]
    base = [0.972, 0.679, 1.0, 0.926, 0.451, 0.965]
    for i, metric in enumerate(("auc", "f1", "detection_auc")):
        told = [float(row[i + at].split("(")[0]) - base[i + at] for at in (0, 3) for row in rows]
        assert tolerances.SPLIT_ROWS[metric] == pytest.approx(told, abs=1.1e-3)


# -- comparisons --

@pytest.mark.parametrize("published, word", [
    (0.900, "reproduced"), (0.931, "reproduced"), (0.932, "below"), (0.849, "reproduced"),
    (0.848, "above")])
def test_the_published_number_lies_in_the_interval_widened_by_the_tolerance(published, word):
    number = Number("table2", "mvtec", "bottle", "ae_xad", "auc", "standard", published)
    ours = Judged(number, 0.89, interval=Interval(0.87, 0.91, False))
    assert ours.tolerance == tolerances.TOLERANCES["auc"] == 0.021
    assert ours.comparison == word


def test_without_an_interval_the_number_alone_is_compared():
    one = judged(evidence("ae_xad", [0.9, 1.0], rows=False))
    assert one.interval is None and one.remark == numbers.NO_ROWS and one.comparison == "below"
    near = judged(evidence("ae_xad", [0.95, 0.975], rows=False))
    assert near.comparison == "reproduced"


def test_what_is_not_there_has_a_reason():
    assert judged().reason == "not run" and judged().comparison is None
    where = ("ae_xad", ("mvtec", "bottle"), "standard")
    assert judge(BOTTLE, {}, {where: "failed: no space"}).reason == "failed: no space"
    nothing = judged(evidence("ae_xad", VALUES, auc=None))
    assert (nothing.value, nothing.reason) == (None, "undefined")


# -- seeds --

def test_one_seed_is_over_images():
    one = judged(evidence("ae_xad", VALUES))
    low, high = intervals.bootstrap([VALUES])
    assert one.value == pytest.approx(VALUES.mean()) and one.std is None
    assert (one.interval.low, one.interval.high) == pytest.approx((low, min(high, 1)))
    assert (one.interval.over, one.images, one.seeds) == ("images", 12, (40,))
    assert one.as_published and not one.conditions


def test_several_seeds_are_no_images():
    shifts = {40: 0.0, 41: -0.03, 42: -0.05}
    three = judged(*(evidence("ae_xad", VALUES + d, seed=s) for s, d in shifts.items()))
    means = [VALUES.mean() + d for d in shifts.values()]
    assert three.value == pytest.approx(fmean(means)) and three.std == pytest.approx(stdev(means))
    wanted = intervals.of_mean([VALUES + fmean(shifts.values())], [means]).within(0, 1)
    assert (three.interval.low, three.interval.high) == pytest.approx((wanted.low, wanted.high))
    assert (three.interval.over, three.images, three.seeds) == (
        "images and seeds", 12, (40, 41, 42))
    # Three names of the same numbers are no more evidence than one.
    same = judged(*(evidence("ae_xad", VALUES, seed=s) for s in shifts))
    one = judged(evidence("ae_xad", VALUES))
    assert same.interval.low == pytest.approx(one.interval.low)
    assert same.interval.high == pytest.approx(one.interval.high)


def test_seeds_that_test_other_images_are_averaged_where_they_meet():
    a = evidence("ae_xad", [0.9, 0.8, 0.7], ids=["x", "y", "z"])
    b = evidence("ae_xad", [0.7, 0.6, 0.9], ids=["y", "z", "w"], seed=41)
    found = judged(a, b)
    images, seeds = [0.9, 0.75, 0.65, 0.9], [0.8, 2.2 / 3]
    wanted = intervals.of_mean([images], [seeds])
    moved = fmean(seeds) - fmean(images)
    assert found.interval.low == pytest.approx(max(wanted.low + moved, 0))
    assert found.value == pytest.approx(fmean(seeds))


# -- which cells --

def test_the_same_cell_in_two_files_counts_once():
    cells = [evidence("ae_xad", VALUES, source="a.json", rows=False),
             evidence("ae_xad", VALUES - 0.1, source="b.json"),
             evidence("ae_xad", VALUES - 0.2, source="c.json")]
    one = judged(*cells)
    assert one.sources == ("b.json",) and one.seeds == (40,)  # the first with rows per image
    assert one.value == pytest.approx(VALUES.mean() - 0.1)
    assert f"{VALUES.mean():.3f} (a.json, seed 40)" in one.remark
    assert f"{VALUES.mean() - 0.2:.3f} (c.json, seed 40)" in one.remark
    assert judged(cells[1], evidence("ae_xad", VALUES - 0.1)).remark == ""


def test_the_configuration_nearest_to_the_published_one_speaks():
    other = [evidence("ae_xad", VALUES, seed=s, sets=["ae_xad.epochs=40"]) for s in (40, 41, 42)]
    variant = evidence("ae_xad", VALUES, sets=["ae_xad.reduce=three_conv"])
    full = evidence("ae_xad", VALUES - 0.1)
    assert judged(*other, variant, full).value == pytest.approx(VALUES.mean() - 0.1)
    assert judged(variant, *other).conditions == ("reduced budget",)
    assert judged(variant, *other).seeds == (40, 41, 42)
    # Of equally near ones the one with more seeds, and then more passes.
    longer = evidence("ae_xad", VALUES, sets=["ae_xad.epochs=80"])
    assert judged(longer, *other).seeds == (40, 41, 42)
    assert judged(other[0], longer).sources == ("made.json",)
    chosen = choose([other[0], longer])["ae_xad", ("mvtec", "bottle"), "standard"]
    assert chosen.first is longer


def test_a_seed_is_as_published_only_if_all_are():
    cells = [evidence("ae_xad", VALUES), evidence("ae_xad", VALUES, seed=41, n_anomalous=50)]
    assert judged(*cells).conditions == ("other images",)


# -- detection --

def test_detection_needs_no_rows():
    number = Number("table9", "mvtec", "bottle", "ae_xad", "detection_auc", "standard", 1.0)
    one = judged(evidence("ae_xad", VALUES, rows=False, detection_auc=0.97), number=number)
    wanted = intervals.of_auc([0.97], 20, 54)
    assert (one.interval.low, one.interval.high) == pytest.approx((wanted.low, wanted.high))
    assert (one.images, one.remark, one.comparison) == (74, "", "reproduced")


# -- what there is --

def test_every_published_number_is_judged():
    found = [n.table for n in plain_numbers()]
    assert {t: found.count(t) for t in found} == {
        "table1": 60, "table2": 225, "table4": 225, "table9": 75}
    assert len(list(shares.numbers())) == 6 * 3 * 6
    rest = [n.table for n in ratios.numbers()]
    # Of Table 7 BGAD's T of F1 and IoU is infinite on bottle, BTAD 01 and BTAD 03.
    assert {t: rest.count(t) for t in rest} == {
        "table5": 50, "table6": 50, "table7": 150 - 6, "table8": 150}
    assert {n.scenario for n in ratios.numbers() if n.table == "table6"} == {"anomalies_only"}
    assert all(n.scenario == TABLES[n.table].scenario for n in plain_numbers())

"""The verdict on Table 3's shares and on the ratios of Tables 5 to 8."""

from __future__ import annotations

from statistics import fmean

import pandas as pd
import pytest

from aexad.bench.measure import intervals
from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.printed_tables import published
from aexad.bench.tables import winrates
from aexad.bench.verdict import ratios, shares
from aexad.bench.verdict.chosen import choose
from aexad.datasets.catalog import DATASETS

from stored import evidence

A, B = [0.9, 0.8, 0.7, 0.6], [0.5, 0.8, 0.9, 0.5]  # 2 wins, a tie, a loss
MORE = [0.1, 0.2, 0.3], [0.4, 0.1, 0.2]            # a loss, 2 wins


def cells():
    return [evidence("ae_xad", A), evidence("bgad", B),
            evidence("ae_xad", MORE[0], place="mvtec/cable"),
            evidence("bgad", MORE[1], place="mvtec/cable"),
            evidence("ae_xad", A, place="mvtec/pill")]  # without a partner


def share_of(winner, loser, *found):
    [number] = [n for n in shares.numbers() if (n.dataset, n.method, n.against, n.metric) == (
        "mvtec", winner, loser, "auc")]
    return shares.judge(number, choose(found), {})


def test_a_share_is_the_mean_of_the_categories():
    one = share_of("ae_xad", "bgad", *cells())
    assert one.value == pytest.approx((2 / 4 + 2 / 3) / 2) and one.images == 7
    assert share_of("bgad", "ae_xad", *cells()).value == pytest.approx((1 / 4 + 1 / 3) / 2)
    wanted = intervals.of_share([2 / 4, 2 / 3], [4, 3]).within(0, 1)
    assert (one.interval.low, one.interval.high) == pytest.approx((wanted.low, wanted.high))
    assert "other images" in one.conditions and one.remark == "2 of 15 categories: bottle, cable"
    assert one.number.value == 0.663  # with the labels exchanged


def test_shares_are_those_of_the_table_with_several_seeds_too():
    found = [*cells(), evidence("ae_xad", A[::-1], seed=41), evidence("bgad", B, seed=41),
             evidence("ae_xad", MORE[1], place="mvtec/cable", seed=41),
             evidence("bgad", MORE[0], place="mvtec/cable", seed=41)]
    frames = pd.concat([e.images[e.images["used"]].assign(
        dataset=e.place[0], category=e.place[1], seed=e.seed, method=e.method) for e in found])
    table = winrates.shares(frames, "ae_xad", "bgad", "auc")["wins"]
    one = share_of("ae_xad", "bgad", *found)
    assert one.value == pytest.approx(table.mean()) and one.std == pytest.approx(table.std())
    assert one.images == 7 and one.seeds == (40, 41) and one.interval.over == "images and seeds"


def test_a_share_without_partners_says_why():
    assert share_of("ae_xad", "bgad", *cells()[2:3]).reason == "not run"
    without = [evidence("ae_xad", A), evidence("bgad", B, rows=False)]
    assert share_of("ae_xad", "bgad", *without).reason == "no rows per image in common"
    apart = [evidence("ae_xad", A), evidence("bgad", B, seed=41)]
    assert share_of("ae_xad", "bgad", *apart).reason == "no rows per image in common"


def test_a_whole_dataset_is_as_published():
    found = [evidence(method, values, place=f"mvtec/{category}")
             for category in DATASETS["mvtec"].categories
             for method, values in (("ae_xad", A), ("bgad", B))]
    one = share_of("ae_xad", "bgad", *found)
    assert one.remark == "" and one.images == 60 and one.value == pytest.approx(0.5)


# -- ratios --

def ratio_of(table, metric, *found, method="fcdd"):
    [number] = [n for n in ratios.numbers() if (n.table, n.category, n.method, n.metric) == (
        table, "bottle", method, metric)]
    return ratios.judge(number, ratios.by_device(found), choose(found), {})


def test_ratios_of_readings_alone():
    found = [evidence("ae_xad", A, grams=4.0), evidence("fcdd", B, grams=2.4)]
    one = ratio_of("table5", "grams", *found)
    assert one.value == pytest.approx(0.6) and one.remark == (
        f"{ratios.ONE_READING}; on cpu")
    assert one.number.value == pytest.approx(3.391 / 5.394)  # Table 5: FCDD, AE-XAD
    assert one.tolerance == pytest.approx(0.1 * 3.391 / 5.394) and one.comparison == "reproduced"
    score = ratio_of("table7", "auc", *found)
    assert score.value == pytest.approx(tradeoff(2.4, fmean(B)) / tradeoff(4.0, fmean(A)))
    assert score.number.value == pytest.approx(
        published("table7", "mvtec", "bottle", "fcdd", "auc")
        / published("table7", "mvtec", "bottle", "ae_xad", "auc"))


def test_ratios_of_several_seeds_have_an_interval():
    found = [evidence(method, values, seed=seed, grams=grams * times)
             for method, values, grams in (("ae_xad", A, 4.0), ("fcdd", B, 2.4))
             for seed, times in ((40, 1), (41, 1.0 if method == "ae_xad" else 1.1))]
    one = ratio_of("table5", "grams", *found)
    wanted = intervals.of_seeds([0.6, 0.66])
    assert (one.interval.low, one.interval.high) == pytest.approx((wanted.low, wanted.high))
    assert one.value == pytest.approx(0.63) and one.interval.seeds


def test_readings_beside_other_work_are_none():
    found = [evidence("ae_xad", A, grams=4.0), evidence("fcdd", B)]
    assert ratio_of("table5", "grams", *found).reason == ratios.NOT_ALONE
    assert ratio_of("table7", "f1", *found).reason == ratios.NOT_ALONE
    assert ratio_of("table5", "grams", found[0]).reason == "not run"
    # A reading that says nothing of other programs, as those of old, is not known to be alone.
    old = evidence("fcdd", B, grams=2.4)
    for part in old.entry["emissions"].values():
        del part["others"]
    assert ratio_of("table5", "grams", found[0], old).reason == ratios.NOT_ALONE


def on(device, one):
    for part in one.entry["provenance"].values():
        part["device"] = device
    return one


def test_a_reading_alone_may_be_of_another_budget():
    brief = evidence("fcdd", B, grams=2.0, source="alone.json", sets=["fcdd.epochs=30"])
    found = [evidence("ae_xad", A, grams=4.0), evidence("fcdd", B), brief]
    one = ratio_of("table5", "grams", *found)
    assert one.value == pytest.approx(0.5) and one.sources == ("alone.json", "made.json")
    assert one.conditions == ("reduced budget",)


def test_what_two_devices_emitted_has_no_ratio():
    gpu = [on("cuda: H200", evidence("ae_xad", A, grams=10.0)),
           on("cuda: H200", evidence("fcdd", B, grams=7.0))]
    cpu = [evidence("ae_xad", A, grams=4.0), evidence("fcdd", B, grams=2.0)]
    assert ratio_of("table5", "grams", cpu[0], gpu[1]).reason == ratios.NOT_ALONE
    one = ratio_of("table5", "grams", *cpu, *gpu)
    assert one.value == pytest.approx(0.5)
    assert one.remark == f"{ratios.ONE_READING}; on cpu; 0.700 on cuda: H200"

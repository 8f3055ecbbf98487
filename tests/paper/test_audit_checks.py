"""bench.paper.audit: planted errors are found, numbers that can be true are never called wrong."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.audit import (
    claims,
    emissions,
    images,
    marks,
    metrics,
    splits,
    tradeoffs,
    winrates,
)
from aexad.bench.paper.audit.printed import attainable, decimals, facts, interval, place, text
from aexad.bench.paper.printed_tables import tables as paper_tables

METHODS = ("aexad", "fcdd", "bgad")


def where(check):
    return [d.where for d in check.disagreements]


# -- printed numbers --

@pytest.mark.parametrize("table, value, written, half", [
    ("table2", 0.58, "0.580", 0.0005), ("table5", 101.35, "101.350", 0.0005),
    ("table7", 0.102, "0.1020", 0.00005), ("table7", 2.1313, "2.1313", 0.00005),
    ("table7", 11.043, "11.043", 0.0005), ("table7", 786.8, "786.80", 0.005),
    ("table7", 1375.9, "1375.9", 0.05), ("table7", 13887.0, "13887", 0.5),
    ("table7", 157.455, "157.455", 0.0005), ("table8", 26.8468, "26.8468", 0.00005),
])
def test_digits_of_printed_numbers(table, value, written, half):
    assert text(table, value) == written
    assert interval(table, value) == pytest.approx((value - half, value + half), abs=1e-12)


def test_infinity_stands_for_itself():
    assert text("table7", math.inf) == "inf"
    assert interval("table7", math.inf) == (math.inf, math.inf)


def test_names_of_places():
    assert [place("mvtec/metal_nut"), place("btad/btad_01", "table6"), place("wood/wood")] == [
        "MVTec AD metal nut", "BTAD 01*", "Wood"]


@given(st.integers(1, 400), st.data())
def test_shares_of_images_are_attainable_from_their_number(n, data):
    k = data.draw(st.integers(0, n))
    assert attainable("table3", round(k / n, 3), n)


@given(st.integers(1, 300), st.integers(0, 1000))
def test_attainable_is_what_brute_force_finds(n, thousandths):
    value = thousandths / 1000
    nearest = min(abs(k / n - value) for k in range(n + 1))
    if abs(nearest - 0.0005) > 1e-9:  # halves may be rounded either way
        assert attainable("table3", value, n) == (nearest < 0.0005)


# -- trade-off --

def one_row(grams, quality, score):
    return {"table5": {"r": {"aexad": grams}}, "table2": {"r": {"aexad": {"auc": quality}}},
            "table7": {"r": {"aexad": {"auc": score}}}}


def rounded(table, value):
    """As the paper prints it."""
    return value if math.isinf(value) else float(f"{value:.{decimals(table, float(int(value)))}f}")


@settings(max_examples=500)
@given(st.floats(0, 150), st.one_of(st.floats(0, 1), st.floats(0, 0.003), st.floats(0.997, 1)))
def test_true_numbers_rounded_never_disagree(grams, quality):
    score = tradeoff(grams, quality)
    table = one_row(round(grams, 3), round(quality, 3), rounded("table7", score))
    assert not tradeoffs.check_tradeoffs(table, "table7").disagreements
    if not math.isinf(score):
        low, high = tradeoffs.implied_emissions(
            interval("table7", rounded("table7", score)), interval("table2", round(quality, 3)))
        assert low * (1 - 1e-9) <= grams <= high * (1 + 1e-9)


@pytest.mark.parametrize("score, wrong", [
    (2.0, 0), (1.9945, 0), (2.0055, 0), (1.9944, 1), (2.0056, 1), (math.inf, 1)])
def test_the_interval_of_a_score_by_hand(score, wrong):
    # E in [5.9995, 6.0005] and m in [0.7495, 0.7505] give T between
    # 5.9995 * 0.2495 / 0.7505 = 1.994504 and 6.0005 * 0.2505 / 0.7495 = 2.005504.
    check = tradeoffs.check_tradeoffs(one_row(6.0, 0.75, score), "table7")
    assert (check.checked, check.disagreeing) == (1, wrong)


def test_a_score_from_another_emission_and_from_another_metric():
    base = {"table5": {"r": {"fcdd": 6.0}},
            "table2": {"r": {"fcdd": {"auc": 0.75, "f1": 0.5, "iou": 0.4}}}}
    other_e = {**base, "table7": {"r": {"fcdd": {"auc": 2.3333, "f1": 7.0, "iou": 10.5}}}}
    check = tradeoffs.check_tradeoffs(other_e, "table7")
    assert check.disagreeing == 3
    assert "1 could be explained by another emission; for 0" in check.more
    other_m = {**base, "table7": {"r": {"fcdd": {"auc": 2.0, "f1": 7.0, "iou": 9.0}}}}
    check = tradeoffs.check_tradeoffs(other_m, "table7")
    assert where(check) == ["r, FCDD, F1"]
    assert "0 could be explained by another emission; for 1" in check.more
    assert check.listings[0].rows[0][-1] == "none"


def test_the_best_trade_off_changes_only_where_no_rounding_saves_it():
    tables = {"table5": {"r": {"aexad": 2.0, "fcdd": 1.0}},
              "table2": {"r": {"aexad": {"auc": 0.5}, "fcdd": {"auc": 0.25}}},
              "table7": {"r": {"aexad": {"auc": 2.0}, "fcdd": {"auc": 1.0}}}}
    check = tradeoffs.check_winners(tables)
    assert check.disagreements[0].printed.startswith("FCDD")
    assert check.disagreements[0].computed == "AE-XAD (AE-XAD 2, FCDD 3)"
    tables["table2"]["r"]["fcdd"]["auc"] = 0.333  # 2.003 +- 0.007: may be the best
    assert not tradeoffs.check_winners(tables).disagreements


# -- Table 3 --

def win_rates(scores):
    """block[a][b]: share of images where a has the higher score, as printed."""
    return {a: {b: round(float(np.mean(scores[a] > scores[b])), 3) for b in scores if b != a}
            for a in scores}


def images_of(rng, n, means, zeros=0.2):
    """F1 of n images for each method, some of them 0."""
    return {m: np.where(rng.random(n) < zeros, 0, np.clip(rng.normal(mean, 0.02, n), 0, 1))
            for m, mean in means.items()}


def wood_tables(seed=0, n=25, zeros=0.0):
    """Tables 2 and 3 of one dataset of n test images, true to each other."""
    rng = np.random.default_rng(seed)
    f1 = images_of(rng, n, {"aexad": 0.5, "fcdd": 0.3, "bgad": 0.2}, zeros)
    scores = {"auc": images_of(rng, n, {"aexad": 0.95, "fcdd": 0.7, "bgad": 0.8}, 0), "f1": f1,
              "iou": {m: metrics.iou_of(v) for m, v in f1.items()}}
    return {"table2": {"wood/wood": {m: {k: round(float(scores[k][m].mean()), 3) for k in scores}
                                     for m in METHODS}},
            "table3": {"wood": {k: win_rates(v) for k, v in scores.items()}}}


@pytest.mark.parametrize("seed", range(5))
def test_true_win_rates_pass_every_check(seed):
    tables = wood_tables(seed, zeros=0.2)
    for check in (winrates.check_blocks, winrates.check_sums, winrates.check_zero_categories,
                  winrates.check_image_counts, metrics.check_bounds):
        assert not check(tables).disagreements


def test_names_that_fit_and_names_that_are_exchanged():
    tables = wood_tables()
    check = winrates.check_labels(tables)
    assert (check.checked, check.disagreeing) == (9, 0)
    assert "as they are printed (9 of 9" in check.meaning
    block = tables["table3"]["wood"]
    swap = {"aexad": "fcdd", "fcdd": "aexad", "bgad": "bgad"}
    tables["table3"]["wood"] = {k: {swap[a]: {swap[b]: v for b, v in others.items()}
                                    for a, others in found.items()} for k, found in block.items()}
    check = winrates.check_labels(tables)
    assert check.disagreeing > 0
    assert check.meaning.startswith("The names AE-XAD and FCDD are most likely exchanged")
    assert check.listings[0].rows[0] == ("FCDD", "AE-XAD", "BGAD", "9 of 9")


def test_planted_errors_of_table_3():
    tables = wood_tables()
    f1 = tables["table3"]["wood"]["f1"]
    f1["aexad"]["fcdd"] = 0.96 if f1["aexad"]["fcdd"] != 0.96 else 0.92
    assert where(winrates.check_blocks(tables)) == ["Wood, AE-XAD over FCDD"]
    # 1.04 and, by way of BGAD, more than is possible
    f1["fcdd"]["aexad"] = 0.08
    found = where(winrates.check_sums(tables))
    assert "Wood, F1, AE-XAD against FCDD" in found
    f1.update(aexad={"fcdd": 0.9, "bgad": 0.2}, fcdd={"aexad": 0.1, "bgad": 0.5},
              bgad={"fcdd": 0.5, "aexad": 0.8})
    chains = winrates.check_sums(tables).disagreements  # of the three methods, both ways round
    assert [(d.where, d.printed, d.computed) for d in chains] == [
        ("Wood, F1, AE-XAD over FCDD", "0.900", "at most 0.700, by way of BGAD"),
        ("Wood, F1, FCDD over BGAD", "0.500", "at most 0.300, by way of AE-XAD"),
        ("Wood, F1, BGAD over AE-XAD", "0.800", "at most 0.600, by way of FCDD")]
    f1["aexad"]["fcdd"] = 0.711  # no k/N up to the 76 anomalies
    assert where(winrates.check_image_counts(tables)) == ["Wood"]
    tables["table2"]["wood/wood"]["bgad"]["f1"] = 0.0
    assert where(winrates.check_zero_categories(tables)) == [
        "Wood, F1, BGAD over AE-XAD", "Wood, F1, BGAD over FCDD"]


def test_numbers_of_images_by_brute_force():
    values = [0.36, 0.64, 0.84]
    brute = [n for n in range(1, 101)
             if all(any(f"{k / n:.3f}" == f"{v:.3f}" for k in range(n + 1)) for v in values)]
    assert winrates.possible_counts(values, 100) == brute == [25, 50, 75, 100]


# -- emissions --

def grams(slopes, planted=(), seed=0):
    """Table 5 of MVTec: a line of the training images and 2% noise."""
    rng = np.random.default_rng(seed)
    sizes = emissions.training_images("table5")
    table = {row: {m: round(0.1 + slopes[m] * n * rng.normal(1, 0.02), 3) for m in METHODS}
             for row, n in sizes.items() if row.startswith("mvtec/")}
    for row, method, value in planted:
        table[row][method] = value
    return {"table5": table}


SLOPES = {"aexad": 0.025, "fcdd": 0.015, "bgad": 0.05}


@pytest.mark.filterwarnings("ignore:invalid value")  # of its confidence interval
@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1e3, allow_subnormal=False)),
                min_size=3, max_size=20).filter(lambda p: len({x for x, _ in p}) > 1))
def test_the_robust_line_is_scipys(points):
    x, y = zip(*points)
    expected = stats.theilslopes(y, x)
    assert emissions.theil_sen(x, y) == pytest.approx(expected[:2], rel=1e-9, abs=1e-9)


def test_emissions_on_a_line_agree_and_planted_ones_do_not():
    assert not emissions.check_emissions(grams(SLOPES), "table5").disagreements
    planted = [("mvtec/leather", "aexad", 0.05), ("mvtec/zipper", "aexad", 0.042),
               ("mvtec/cable", "bgad", 40.0)]
    check = emissions.check_emissions(grams(SLOPES, planted), "table5")
    assert where(check) == ["MVTec AD cable, BGAD", "MVTec AD leather, AE-XAD",
                            "MVTec AD zipper, AE-XAD"]
    lines = emissions.lines(grams(SLOPES, planted), "table5")
    assert lines["aexad"].left_out == ("mvtec/leather", "mvtec/zipper")


def test_the_line_is_least_squares_without_what_is_out_of_line():
    tables = grams(SLOPES, [("mvtec/leather", "aexad", 0.05)])
    line = emissions.lines(tables, "table5")["aexad"]
    sizes = emissions.training_images("table5")
    rows = [row for row in tables["table5"] if row != "mvtec/leather"]
    slope, intercept = np.polyfit([sizes[r] for r in rows],
                                  [tables["table5"][r]["aexad"] for r in rows], 1)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    assert line.images(line.grams(123)) == pytest.approx(123)


def test_sizes_that_are_not_public_come_from_all_three_methods():
    tables = grams(SLOPES)
    tables["table5"]["wood/wood"] = {m: round(0.1 + SLOPES[m] * 90, 3) for m in METHODS}
    assert not emissions.check_emissions(tables, "table5").disagreements
    tables["table5"]["wood/wood"]["aexad"] *= 2.5
    assert where(emissions.check_emissions(tables, "table5")) == ["Wood, AE-XAD"]


# -- images --

@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_true_detection_aucs_are_possible(anomalies, normals, seed):
    scores = np.random.default_rng(seed).integers(0, 6, anomalies + normals)  # with ties
    auc = roc_auc_score(np.arange(anomalies + normals) < anomalies, scores)
    assert splits.fits([round(auc, 3)], anomalies, normals)


def test_detection_aucs_that_are_not_possible():
    # 27 x 12 pairs with ties: steps of 1/648. 0.855 = 554/648, 0.997 = 646/648; 0.999 is none.
    tables = {"table9": {"mvtec/toothbrush": {"aexad": 0.855, "fcdd": 0.997}}}
    check = splits.check_detection(tables)
    assert not check.disagreements
    assert "toothbrush" in check.more  # 0.855 is no multiple of 1/720, all 30 anomalies
    tables["table9"]["mvtec/toothbrush"]["bgad"] = 0.999
    [found] = splits.check_detection(tables).disagreements
    assert (found.printed, found.count) == ("0.999", 1)


def test_training_anomalies_of_the_undivided_datasets():
    tables = copy.deepcopy({k: paper_tables()[k] for k in ("table3", "table6", "table9")})
    check = splits.check_training_anomalies(tables)
    assert not check.disagreements
    assert "51 of 76 on Wood, 10 of 25 on Hazelnut and 10 of 17 on Road" in check.meaning
    tables["table6"]["hazelnut/hazelnut"] = tables["table6"]["mvtec/toothbrush"]  # of 3 images
    assert where(splits.check_training_anomalies(tables)) == ["Hazelnut"]


def test_sums_of_the_public_numbers():
    rows = [v for row, v in facts()["images"].items() if row.startswith("mvtec/")]
    assert [sum(v[k] for v in rows) for k in ("train_normals", "test_normals", "anomalies", "types")
            ] == [3629, 467, 1258, 73]


def test_missing_rows_and_columns():
    tables = {"table9": copy.deepcopy(paper_tables()["table9"])}
    assert not images.check_rows(tables).disagreements
    del tables["table9"]["mvtec/pill"], tables["table9"]["wood/wood"]["bgad"]
    tables["table9"]["mvtec/pil"] = tables["table9"]["mvtec/tile"]
    assert where(images.check_rows(tables)) == [
        "Table 9, mvtec/pill", "Table 9, wood/wood", "Table 9, mvtec/pil"]


# -- marks --

@pytest.mark.parametrize("values, printed, bold_wrong, italic_wrong", [
    ((3, 2, 1), "bi-", 0, 0),
    ((3, 2, 1), "-bi", 1, 1),
    ((3, 2, 1), "---", 1, 1),
    ((3, 2, 1), "bb-", 1, 1),
    ((3, 2, 1), "bii", 0, 1),
    ((3, 3, 1), "bbi", 0, 0),
    ((3, 3, 1), "bi-", 0, 0),   # a tie, marked as best and runner-up
    ((3, 3, 1), "-bi", 0, 0),
    ((3, 3, 3), "bbb", 0, 0),
    ((3, 2, 2), "bi-", 0, 0),
    ((3, 2, 1), "b-i", 0, 1),
])
def test_marks(values, printed, bold_wrong, italic_wrong):
    def tables(name, order):
        return {name: {"mvtec/tile": dict(zip(METHODS, order(values)))},
                "_marks": {name: {"mvtec/tile": dict(zip(METHODS, printed.replace("-", " ")))}}}
    for name, order in (("table9", list), ("table5", lambda v: [-x for x in v])):
        made = tables(name, order)
        assert marks.check_best(made).disagreeing == bold_wrong
        assert marks.check_runner_up(made).disagreeing == italic_wrong


def test_a_table_without_italics_is_one_finding_that_counts_all():
    rows = {"mvtec/tile": dict(zip(METHODS, (3, 2, 1))),
            "mvtec/pill": dict(zip(METHODS, (1, 2, 3)))}
    bold = {"mvtec/tile": dict(zip(METHODS, "b  ")), "mvtec/pill": dict(zip(METHODS, "  b"))}
    check = marks.check_runner_up({"table9": rows, "_marks": {"table9": bold}})
    assert (len(check.disagreements), check.disagreeing) == (1, 2)


def test_bold_win_rates():
    def made(first, second):
        def table(a, b):
            return {"table3": {"wood": {"auc": {"aexad": {"fcdd": a}, "fcdd": {"aexad": b}}}}}
        return {**table(0.6, 0.4), "_marks": table(first, second)}
    assert not marks.check_win_rates(made("b", "")).disagreements
    assert marks.check_win_rates(made("", "b")).disagreeing == 2
    assert where(marks.check_win_rates(made("b", "b"))) == ["Wood, AUC, FCDD over AE-XAD"]


# -- metrics --

@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_true_means_of_f1_and_iou_never_disagree(f1):
    quality = {"auc": 0.9, "f1": round(float(np.mean(f1)), 3),
               "iou": round(float(np.mean([metrics.iou_of(v) for v in f1])), 3)}
    assert not metrics.check_bounds({"table2": {"wood/wood": {"aexad": quality}}}).disagreements


@pytest.mark.parametrize("f1, iou, wrong", [
    (0.5, 0.333, 0), (0.5, 0.332, 1), (0.5, 0.5, 0), (0.5, 0.502, 1), (1.0, 1.0, 0), (0.0, 0.0, 0)])
def test_bounds_of_mean_iou_by_hand(f1, iou, wrong):
    tables = {"table2": {"wood/wood": {"aexad": {"auc": 0.9, "f1": f1, "iou": iou}}}}
    assert metrics.check_bounds(tables).disagreeing == wrong


def test_zero_f1_beside_high_auc():
    row = {"aexad": {"auc": 0.98, "f1": 0.004, "iou": 0.002},
           "fcdd": {"auc": 0.89, "f1": 0.0, "iou": 0.0},
           "bgad": {"auc": 0.98, "f1": 0.006, "iou": 0.003}}
    assert where(metrics.check_empty({"table4": {"wood/wood": row}})) == [
        "Table 4, Wood*, AE-XAD, F1"]


def test_table_1_against_table_2_and_chance():
    tables = {"table1": {"tile": {"ae": 0.499, "ae_filter": 0.6, "aexad_nofilter": 0.9,
                                  "aexad": 0.95}},
              "table2": {"mvtec/tile": {"aexad": {"auc": 0.95}}}}
    assert not metrics.check_same_auc(tables).disagreements
    assert where(metrics.check_chance(tables)) == ["MVTec AD tile"]
    tables["table1"]["tile"].update(ae=0.5, aexad=0.951)
    assert metrics.check_same_auc(tables).disagreements[0].printed == "Table 1: 0.951"
    assert not metrics.check_chance(tables).disagreements


# -- claims --

def test_places_of_a_method():
    tables = {"table9": {"wood/wood": dict(zip(METHODS, (0.9, 0.8, 0.7))),
                         "mvtec/tile": dict(zip(METHODS, (0.9, 0.9, 0.7))),
                         "mvtec/pill": dict(zip(METHODS, (0.8, 0.9, 0.7))),
                         "mvtec/grid": dict(zip(METHODS, (0.1, 0.9, 0.7)))}}
    found = claims.places(tables, "table9", "")
    assert (found.alone, found.tied, found.second, found.last) == (
        ["Wood"], ["MVTec AD tile"], ["MVTec AD pill"], ["MVTec AD grid"])
    assert str(found) == "2 of 4 (1 alone)"
    claim = claims.DETECTION[0].judge(tables)
    assert claim.verdict == "does not hold"  # 2 of 4 is not more than half
    del tables["table9"]["mvtec/grid"]
    assert claims.DETECTION[0].judge(tables).verdict == "only with ties"
    del tables["table9"]["mvtec/pill"], tables["table9"]["mvtec/tile"]
    assert claims.DETECTION[0].judge(tables).verdict == "holds"


def test_low_is_good_where_emissions_count():
    tables = {"table7": {"wood/wood": {m: {"auc": v} for m, v in zip(METHODS, (0.1, 0.2, 0.3))}}}
    assert claims.places(tables, "table7", "auc").alone == ["Wood"]
    assert claims.places(tables, "table7", "auc", "bgad").last == ["Wood"]

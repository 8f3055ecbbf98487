"""bench.measure.tradeoff: Equation 5, at its edges and against the paper's own Tables 7 and 8."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.printed_tables import published
from aexad.datasets.catalog import PAPER, all_categories

# Cells that no printed E and m explain: their T comes from other numbers than the paper prints.
OTHER_NUMBERS = {
    "table7": {
        "wfdd/grey_cloth": {"fcdd": "auc f1 iou", "bgad": "f1 iou"},
        "wfdd/grid_cloth": {"fcdd": "auc f1 iou", "bgad": "auc f1 iou"},
        "wfdd/pink_flower": {"fcdd": "auc f1 iou", "bgad": "f1"},
        "wfdd/yellow_cloth": {"fcdd": "auc f1 iou", "bgad": "auc f1 iou"}},
    "table8": {
        "wood/wood": {"ae_xad": "auc f1 iou"},
        "hazelnut/hazelnut": {"ae_xad": "auc f1 iou"},
        "road/road": {"ae_xad": "auc iou"}}}


@pytest.mark.parametrize("grams, metric, score", [
    (6.0, 0.5, 6.0), (6.0, 0.75, 2.0), (3.0, 0.25, 9.0),
    (6.0, 1.0, 0.0), (6.0, 0.0, math.inf), (0.0, 0.5, 0.0), (0.0, 0.0, math.inf),
])
def test_by_hand(grams, metric, score):
    assert tradeoff(grams, metric) == pytest.approx(score)


@pytest.mark.parametrize("grams, metric", [(math.nan, 0.5), (1.0, math.nan), (math.nan, 0.0),
                                           (math.nan, math.nan)])
def test_nothing_comes_of_nothing(grams, metric):
    assert math.isnan(tradeoff(grams, metric))


@pytest.mark.parametrize("grams, metric", [(1.0, 1.01), (1.0, -0.1), (-1.0, 0.5), (1.0, math.inf)])
def test_what_can_not_be(grams, metric):
    with pytest.raises(ValueError, match="must"):
        tradeoff(grams, metric)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_it_is_equation_5_and_falls_as_the_metric_grows(grams, a, b):
    assert tradeoff(grams, a) == pytest.approx(grams / (a / (1 - a)))
    low, high = sorted((a, b))
    assert tradeoff(grams, low) >= tradeoff(grams, high)


def half_unit(number: float, most: int) -> float:
    """Half a unit of the last digit of a number that is printed with `most` decimals at most and,
    where that is more, five digits in all (0.1020, 2.1313, 11.043, 786.80)."""
    digits = len(str(int(number))) if number >= 1 else 1
    return 0.5 * 10.0 ** -min(most, 5 - digits)


@pytest.mark.parametrize("table, emissions, quality, count", [
    ("table7", "table5", "table2", 21), ("table8", "table6", "table4", 8)])
def test_the_papers_own_numbers_give_its_trade_off(table, emissions, quality, count):
    """Every printed T lies between those of the lowest and highest E and m that round to the
    printed ones, but for the cells above."""
    off, compared = {}, 0
    for place in all_categories(PAPER):
        for method in ("ae_xad", "fcdd", "bgad"):
            grams = published(emissions, *place, method, "grams")
            for metric in ("auc", "f1", "iou"):
                m, printed = (published(t, *place, method, metric) for t in (quality, table))
                low = tradeoff(grams - 0.0005, min(m + 0.0005, 1))
                high = tradeoff(grams + 0.0005, max(m - 0.0005, 0))
                compared += 1
                if not (math.isinf(printed) and math.isinf(high)) and not (
                        low - half_unit(printed, 4) <= printed <= high + half_unit(printed, 4)):
                    off.setdefault("/".join(place), {}).setdefault(method, []).append(metric)
    found = {row: {m: " ".join(metrics) for m, metrics in cells.items()}
             for row, cells in off.items()}
    assert found == OTHER_NUMBERS[table]
    assert compared == 225 and sum(len(v.split()) for c in found.values() for v in c.values()
                                   ) == count

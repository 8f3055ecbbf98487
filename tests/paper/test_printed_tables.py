"""aexad.bench.paper.printed_tables: spot checks against the printed tables."""

from __future__ import annotations

import math
from statistics import fmean

import pytest

from aexad.bench.paper import printed_tables
from aexad.bench.paper.printed_tables import published
from aexad.datasets.catalog import PAPER, all_categories


@pytest.mark.parametrize("table, dataset, category, method, metric, number", [
    ("table1", "mvtec", "screw", "ae", "auc", 0.140),
    ("table1", "mvtec", "bottle", "ae_filtered", "auc", 0.267),
    ("table1", "mvtec", "bottle", "ae_xad_raw", "auc", 0.964),
    ("table2", "mvtec", "bottle", "ae_xad", "auc", 0.981),
    ("table2", "mvtec", "bottle", "ae_xad", "f1", 0.717),
    ("table2", "mvtec", "bottle", "ae_xad", "iou", 0.580),
    ("table2", "btad", "btad_01", "fcdd", "auc", 0.740),
    ("table2", "road", "road", "bgad", "iou", 0.182),
    ("table4", "mvtec", "bottle", "fcdd", "auc", 0.939),
    ("table5", "mvtec", "bottle", "bgad", "grams", 10.363),
    ("table6", "mvtec", "bottle", "ae_xad", "grams", 0.214),
    ("table7", "mvtec", "bottle", "bgad", "f1", math.inf),
    ("table8", "road", "road", "ae_xad", "auc", 0.0023),
    ("table9", "road", "road", "bgad", "detection_auc", 0.364),
])
def test_printed_numbers(table, dataset, category, method, metric, number):
    assert published(table, dataset, category, method, metric) == number


@pytest.mark.parametrize("asked", [
    ("table1", "wood", "wood", "ae", "auc"),         # Table 1's wood is MVTec's
    ("table1", "mvtec", "screw", "fcdd", "auc"),
    ("table2", "mvtec", "bottle", "ae", "auc"),
    ("table2", "mvtec", "bottle", "ae_xad", "grams"),
    ("table2", "embedded", "dots", "ae_xad", "auc"),
    ("table3", "mvtec", "bottle", "ae_xad", "auc"),
    ("table10", "mvtec", "bottle", "ae_xad", "auc"),
    ("table2", "mvtec", "bottle", "ae_xad_vit", "auc"),
])
def test_what_the_paper_does_not_print_is_none(asked):
    assert published(*asked) is None


def test_every_cell_of_tables_1_2_and_9_is_there():
    mvtec = all_categories(("mvtec",))
    for method in ("ae", "ae_filtered", "ae_xad_raw", "ae_xad"):
        assert None not in [published("table1", *place, method, "auc") for place in mvtec]
    for method in ("ae_xad", "fcdd", "bgad"):
        for place in all_categories(PAPER):
            assert published("table9", *place, method, "detection_auc") is not None
            for metric in ("auc", "f1", "iou"):
                assert 0 <= published("table2", *place, method, metric) <= 1


def test_mean_auc_of_mvtec_in_table2():
    numbers = [published("table2", *p, "ae_xad", "auc") for p in all_categories(("mvtec",))]
    assert f"{fmean(numbers):.3f}" == "0.977"


def test_ae_xad_is_the_same_in_tables_1_and_2():
    for place in all_categories(("mvtec",)):
        one, two = (published(table, *place, "ae_xad", "auc") for table in ("table1", "table2"))
        assert one == two


def test_win_rates_are_kept_as_printed_and_relabelled():
    tables = printed_tables.tables()
    printed, relabelled = tables["table3"]["mvtec"], tables["table3_relabelled"]["mvtec"]
    assert printed["auc"]["aexad"] == {"bgad": 0.803, "fcdd": 0.663}
    assert relabelled["auc"]["aexad"] == {"fcdd": 0.803, "bgad": 0.663}
    assert tables["_marks"]["table2"]["mvtec/bottle"]["aexad"]["auc"] == "i"
    assert "_raw" not in tables

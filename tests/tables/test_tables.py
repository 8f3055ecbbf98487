"""aexad.bench.tables.build against small cases worked by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.tables.build import build

LABELS = {"ae_xad": "AE-XAD", "fcdd": "FCDD", "bgad": "BGAD"}
AUC = TableDef("table2", "Title", "standard", ("ae_xad", "fcdd", "bgad"), ("auc",), ("mvtec",))
BOTTLE, CABLE, PILL, GREY = (("mvtec", "bottle"), ("mvtec", "cable"), ("mvtec", "pill"),
                             ("wfdd", "grey_cloth"))


def record(place=BOTTLE, method="ae_xad", auc=math.nan, seed=40, status=None, **more):
    status = status or ("missing" if math.isnan(auc) else "done")
    return {"dataset": place[0], "category": place[1], "scenario": "standard", "method": method,
            "seed": seed, "status": status, "reason": "", "auc": auc, "f1": auc / 2,
            "iou": auc / 4, "detection_auc": auc, "n_used": 10, "n_dropped": 0, "n_normal": 5,
            "device": "cpu", "environment": "torch 2.13.0", "threads": 2, "data": "ab",
            "note": "", **more}


def table(*records, rows=(BOTTLE,), methods=("ae_xad", "fcdd", "bgad"), definition=AUC):
    return build(pd.DataFrame(records), definition, list(rows), list(methods), LABELS)


def cells(row):
    """method's cells of the only metric."""
    return [group[0] for group in row.cells]


def note(made, start):
    """The notes that begin so."""
    return [text for text in made.notes if text.startswith(start)]


def test_definitions_are_the_papers():
    assert TABLES["table1"].methods == ("ae", "ae_filtered", "ae_xad_raw", "ae_xad")
    assert TABLES["table2"].metrics == ("auc", "f1", "iou")
    assert TABLES["table2"].datasets == ("mvtec", "wfdd", "btad", "wood", "hazelnut", "road")


def test_published_and_difference_stand_beside_ours():
    cell = cells(table(record(auc=0.971)).rows[0])[0]
    assert (cell.value, cell.published, cell.std, cell.n_seeds) == (0.971, 0.981, None, 1)
    assert cell.difference == pytest.approx(-0.010)


def test_no_difference_without_a_published_number():
    cell = cells(table(record(("mvtec", "mine"), auc=0.9), rows=[("mvtec", "mine")]).rows[0])[0]
    assert cell.published is None and cell.difference is None


def test_no_difference_to_an_infinite_number():
    trade_off = TableDef("table7", "T", "standard", ("bgad",), ("f1",), ("mvtec",))
    cell = cells(table(record(method="bgad", auc=4.0), methods=["bgad"],
                       definition=trade_off).rows[0])[0]
    assert cell.published == math.inf and cell.difference is None


@pytest.mark.parametrize("values, marks", [
    ((0.9, 0.8, 0.7), ("best", "second", None)),
    ((0.9, 0.9, 0.7), ("best", "best", "second")),
    ((0.9, 0.8, 0.8), ("best", "second", "second")),
    ((0.9001, 0.8999, 0.8), ("best", "best", "second")),   # the same 0.900 in print
    ((0.9006, 0.9004, 0.9), ("best", "second", "second")),
    ((0.5, 0.5, 0.5), ("best", "best", "best")),
    ((0.9, 0.8, math.nan), ("best", "second", None)),
    ((0.9, math.nan, math.nan), (None, None, None)),        # nothing is compared
])
def test_marks(values, marks):
    made = table(*(record(method=m, auc=v) for m, v in zip(LABELS, values)))
    assert tuple(cell.mark for cell in cells(made.rows[0])) == marks


def test_lower_is_better_where_the_table_says_so():
    emissions = TableDef("table5", "g", "standard", tuple(LABELS), ("auc",), ("mvtec",),
                         higher_is_better=False)
    made = table(*(record(method=m, auc=v) for m, v in zip(LABELS, (math.inf, 2.0, 1.0))),
                 definition=emissions)
    assert [cell.mark for cell in cells(made.rows[0])] == [None, "second", "best"]


def test_mean_and_sample_deviation_over_seeds():
    made = table(*(record(auc=v, seed=s) for v, s in ((0.8, 40), (0.9, 41), (1.0, 42))),
                 record(method="fcdd", auc=0.5, seed=40),
                 record(method="fcdd", seed=41, status="failed", reason="out of memory"))
    ours, fcdd, bgad = cells(made.rows[0])
    assert (ours.value, ours.n_seeds) == (pytest.approx(0.9), 3)
    assert ours.std == pytest.approx(0.1)
    assert (fcdd.value, fcdd.std, fcdd.n_seeds, fcdd.notes) == (0.5, None, 1, (1,))
    assert (bgad.value, bgad.status, bgad.notes) == (None, "missing", (2,))
    assert note(made, "mean ±") == ["mean ± sample standard deviation over 3 seeds (40, 41, 42); "
                                    "fewer: FCDD on mvtec/bottle"]
    assert "[1] FCDD on mvtec/bottle (seeds 41): failed, out of memory" in made.notes


def test_means_of_ours_and_the_papers_are_over_the_same_rows():
    # The paper's AUCs: bottle 0.981, cable 0.934, pill 0.948; cable has no value of ours.
    made = table(record(BOTTLE, auc=0.9), record(PILL, auc=0.8), rows=[BOTTLE, CABLE, PILL])
    assert [row.label for row in made.rows] == ["bottle", "cable", "pill", "mean (2)"]
    mean = cells(made.rows[-1])[0]
    assert made.rows[-1].is_mean
    assert mean.value == pytest.approx(0.85)
    assert mean.published == pytest.approx((0.981 + 0.948) / 2)


def test_means_over_different_rows_are_not_ranked():
    both = [record(p, m, auc=0.9) for p in (BOTTLE, PILL) for m in ("ae_xad", "fcdd")]
    even = table(*both, rows=[BOTTLE, PILL], methods=["ae_xad", "fcdd"])
    assert [cell.mark for cell in cells(even.rows[-1])] == ["best", "best"]
    uneven = table(*both, record(CABLE, auc=0.3), rows=[BOTTLE, CABLE, PILL])
    assert uneven.rows[-1].label == "mean (2–3)"
    assert [cell.mark for cell in cells(uneven.rows[-1])] == [None, None, None]
    assert note(uneven, "mvtec mean")[0].endswith("so not ranked (AE-XAD 3, FCDD 2)")


def test_mean_of_all_where_several_datasets_have_data():
    rows = [BOTTLE, PILL, GREY]
    made = table(record(BOTTLE, auc=0.9), record(PILL, auc=0.8), record(GREY, auc=0.4), rows=rows)
    assert [(row.dataset, row.label) for row in made.rows] == [
        BOTTLE, PILL, ("mvtec", "mean (2)"), GREY, ("all", "mean of all (3)")]
    assert cells(made.rows[-1])[0].value == pytest.approx(0.7)
    one = table(record(BOTTLE, auc=0.9), rows=rows)
    assert not any(row.is_mean for row in one.rows)


def test_deviation_of_a_mean_is_over_its_seeds():
    values = {(BOTTLE, 40): 0.8, (BOTTLE, 41): 0.9, (PILL, 40): 0.6, (PILL, 41): 0.9}
    records = [record(p, auc=v, seed=s) for (p, s), v in values.items()]
    mean = cells(table(*records, rows=[BOTTLE, PILL]).rows[-1])[0]
    assert (mean.value, mean.n_seeds) == (pytest.approx(0.8), 2)
    assert mean.std == pytest.approx(0.2 / math.sqrt(2))  # of 0.7 and 0.9
    gap = cells(table(*records[:-1], rows=[BOTTLE, PILL]).rows[-1])[0]
    assert gap.std is None and gap.n_seeds == 1 and gap.value == pytest.approx((0.85 + 0.6) / 2)


def test_reasons_are_grouped():
    rows = [("mvtec", f"c{k}") for k in range(25)]
    records = [record(place, m, status="no data", reason="looked in /data")
               for place in rows[1:] for m in LABELS]
    records += [record(rows[0], auc=0.9),
                record(rows[0], "fcdd", status="skipped", reason="no weights"),
                record(rows[0], "bgad", status="failed", reason="loss is NaN")]
    made = table(*records, rows=rows)
    assert note(made, "[") == ["[1] FCDD on mvtec/c0: skipped, no weights",
                               "[2] BGAD on mvtec/c0: failed, loss is NaN",
                               "[3] mvtec/c1, … (24): no data, looked in /data"]
    cell = cells(made.rows[7])[0]
    assert (cell.status, cell.reason, cell.notes) == ("no data", "looked in /data", (3,))


def test_cells_without_a_record_and_undefined_numbers_have_reasons():
    made = table(record(status="done"))
    assert note(made, "[") == [
        "[1] AE-XAD on mvtec/bottle: undefined, auc of no test image is a number",
        "[2] FCDD, BGAD on mvtec/bottle: missing, not run"]
    assert {cell.value for cell in cells(made.rows[0])} == {None}


def test_no_record_at_all():
    empty = pd.DataFrame([record()]).iloc[:0]
    made = build(empty, AUC, [BOTTLE], ["ae_xad"], LABELS)
    assert made.notes == ("[1] mvtec/bottle: missing, not run",)


def test_other_scenarios_and_rows_stay_out():
    made = table(record(auc=0.9), record(auc=0.1, scenario="anomalies_only"),
                 record(CABLE, auc=0.2))
    assert [cell.value for cell in cells(made.rows[0])] == [0.9, None, None]
    assert len(made.rows) == 1


def test_test_images_are_counted_once_for_all_methods():
    made = table(record(BOTTLE, auc=0.9), record(BOTTLE, "fcdd", auc=0.9),
                 record(PILL, auc=0.9, n_used=20, n_dropped=2),
                 record(PILL, "fcdd", auc=0.9, n_used=21, n_dropped=1), rows=[BOTTLE, PILL])
    assert note(made, "test images") == [
        "test images of mvtec/bottle, mvtec/pill: 30–31 anomalous used, 10 normal; "
        "1–2 dropped because the mask is empty or full at the working size (mvtec/pill 1–2)"]


@pytest.mark.parametrize("more, warning", [
    ({"device": "NVIDIA H200"}, "cells of different devices meet: cpu (2), NVIDIA H200 (1)"),
    ({"environment": "torch 2.9"}, "cells of different environments meet: torch 2.13.0 (2), "
                                   "torch 2.9 (1)"),
    ({"threads": 8}, "cells of different thread counts meet: 2 (2), 8 (1)"),
    ({"data": "cd"}, "cells of different data meet: mvtec/bottle"),
])
def test_warnings(more, warning):
    same = [record(method=m, auc=0.9) for m in LABELS]
    assert not note(table(*same), "warning")
    assert note(table(*same[:2], record(method="bgad", auc=0.9, **more)), "warning") == [
        f"warning: {warning}"]
    missing = record(method="bgad", status="failed", **more)
    assert not note(table(*same[:2], missing), "warning")


def test_remarks_are_shown_with_their_cells():
    remark = "encoder with random weights"
    made = table(record(auc=0.9, note=remark), record(method="fcdd", auc=0.8, note=remark),
                 record(method="bgad", auc=0.7))
    assert f"AE-XAD, FCDD on mvtec/bottle: {remark}" in made.notes
    assert [cell.remark for cell in cells(made.rows[0])] == [remark, remark, ""]


def test_table_1_says_that_the_printed_ae_was_hardly_trained():
    """Where its printed numbers stand beside ours, and only there."""
    def said(place, *methods):
        made = table(*(record(place, m, 0.7) for m in methods), rows=(place,), methods=methods,
                     definition=TABLES["table1"])
        return [text for text in made.notes if "after one epoch" in text]

    [text] = said(BOTTLE, "ae", "ae_filtered", "ae_xad")
    assert text.startswith("ae, ae_filtered: the paper's numbers are near") and "for all" in text
    assert said(BOTTLE, "ae")[0].startswith("ae: ")
    assert not said(BOTTLE, "ae_xad") and not said(("embedded", "wood"), "ae", "ae_xad")

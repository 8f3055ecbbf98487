"""bench.tables.emissions: emissions and trade-offs of records, and tables relative to AE-XAD."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from aexad.bench.plan.definitions import TABLES
from aexad.bench.tables import emissions
from aexad.bench.tables.build import build

from test_tables import BOTTLE, CABLE, GREY, LABELS, PILL, cells, note, record


def emitted(place=BOTTLE, method="ae_xad", grams=1.0, auc=0.5, **more):
    """A record of a cell whose fit took all but 0.1 g, 1 kWh for 100 g."""
    problem = more.get("problem", "")
    numbers = {f"{what}_{unit}": math.nan if problem else g / (1 if unit == "grams" else 100)
               for what, g in (("fit", grams - 0.1), ("explain", 0.1))
               for unit in ("grams", "kwh")}
    return record(place, method, auc=auc, **{
        "grams": math.nan if problem else grams, "shared": False, "problem": "",
        "emission_note": "", "meter": "CodeCarbon 3 (rapl, energy mix of ITA)",
        "fit": f"{place} {method} {more.get('seed', 40)}", **numbers, **more})


def table5(*records, rows=(BOTTLE,), methods=tuple(LABELS), name="table5"):
    definition = TABLES[name]
    frame = emissions.measured(pd.DataFrame(records))
    if name == "table7":
        frame = emissions.tradeoffs(frame, definition.metrics)
    return build(frame, definition, list(rows), list(methods), LABELS)


def test_grams_stand_beside_the_papers_and_the_least_is_best():
    made = table5(*(emitted(method=m, grams=g) for m, g in zip(LABELS, (5.0, 3.0, 10.0))))
    assert [(c.value, c.published, c.mark) for c in cells(made.rows[0])] == [
        (5.0, 5.394, "second"), (3.0, 3.391, "best"), (10.0, 10.363, None)]


def test_a_training_is_counted_once_in_the_sum():
    two = [emitted(method="ae_xad", grams=5.0, fit="a"), emitted(method="fcdd", grams=5.0, fit="a"),
           emitted(PILL, grams=1.0, fit="b")]
    made = table5(*two, rows=(BOTTLE, PILL))
    # 4.9 + 0.9 of two trainings, 0.1 of each explanation
    assert note(made, "emissions") == [
        "emissions of training and of explaining the test images, by CodeCarbon 3 (rapl, energy "
        "mix of ITA); in all 6.100 g (0.06100 kWh), each training counted once"]


def test_readings_that_are_nothing_are_never_averaged():
    lost = "the reading of training is zero; --emissions strict measures again"
    made = table5(emitted(grams=5.0), emitted(seed=41, problem=lost),
                  emitted(method="fcdd", problem=lost), emitted(method="bgad", status="failed",
                                                                reason="loss is NaN"))
    ours, fcdd, bgad = cells(made.rows[0])
    assert (ours.value, ours.std, ours.n_seeds, ours.notes) == (5.0, None, 1, (1,))
    assert (fcdd.value, fcdd.status) == (None, "not measured") and bgad.status == "failed"
    assert note(made, "[1]") == ["[1] AE-XAD, FCDD on mvtec/bottle: not measured, the reading of "
                                 "training is zero; --emissions strict measures again"]


def test_shared_machines_are_marked_and_still_shown():
    made = table5(emitted(grams=5.0, shared=True), emitted(method="fcdd", grams=3.0))
    ours, fcdd, _ = cells(made.rows[0])
    assert (ours.value, ours.notes, ours.status) == (5.0, (1,), "done")
    assert "other fits ran beside it" in ours.remark and ours.reason == ""
    assert fcdd.notes == () and fcdd.remark == ""
    assert note(made, "[1] AE-XAD on mvtec/bottle: shared machine")
    # the same cell in a table of metrics is not marked
    plain = build(pd.DataFrame([emitted(shared=True)]), TABLES["table2"], [BOTTLE], ["ae_xad"],
                  LABELS)
    assert cells(plain.rows[0])[0].notes == ()


def test_meters_that_differ_are_a_warning():
    made = table5(emitted(), emitted(method="fcdd", meter="CodeCarbon 3 (constant)"))
    assert note(made, "warning: cells of different meters of emissions meet")
    same = table5(emitted(), emitted(method="fcdd"))
    assert not note(same, "warning")


def test_trade_offs_are_per_seed_and_infinite_where_nothing_is_found():
    made = table5(emitted(grams=2.0, auc=0.5), emitted(seed=41, grams=4.0, auc=0.8),
                  emitted(method="fcdd", grams=1.0, auc=1.0),
                  emitted(method="bgad", grams=1.0, auc=0.0), name="table7")
    (ours, f1, _), fcdd, bgad = made.rows[0].cells
    assert ours.value == pytest.approx((2.0 + 4.0 * 0.2 / 0.8) / 2)  # of 2 and 1
    assert ours.std == pytest.approx(1 / math.sqrt(2))
    assert f1.value == pytest.approx((2.0 * 3 + 4.0 * 0.6 / 0.4) / 2)  # record: f1 = auc / 2
    assert (fcdd[0].value, fcdd[0].mark) == (0.0, "best")
    assert bgad[0].value == math.inf and bgad[0].mark is None
    assert (bgad[1].published, bgad[1].difference) == (math.inf, None)


def test_an_undefined_metric_has_no_trade_off_and_a_reason():
    made = table5(emitted(grams=2.0, auc=0.5, iou=math.nan), methods=["ae_xad"], name="table7")
    auc, _, iou = made.rows[0].cells[0]
    assert auc.value == 2.0 and (iou.value, iou.status) == (None, "undefined")


def test_relative_to_ae_xad_ours_and_the_papers():
    made = table5(*(emitted(method=m, grams=g) for m, g in zip(LABELS, (5.0, 3.0, 10.0))))
    beside = emissions.relative(made, "T")
    assert [label for _, label in beside.groups] == ["FCDD", "BGAD"]
    fcdd, bgad = cells(beside.rows[0])
    assert (fcdd.value, fcdd.published) == (0.6, 3.391 / 5.394)
    assert (bgad.value, bgad.published) == (2.0, 10.363 / 5.394)
    assert emissions.relative(table5(emitted(), methods=["ae_xad"]), "T") is None
    assert emissions.relative(table5(emitted(method="fcdd"), methods=["fcdd", "bgad"]), "T") is None


def test_ratios_of_means_are_over_the_rows_that_both_have():
    made = table5(emitted(BOTTLE, grams=4.0), emitted(PILL, grams=2.0), emitted(CABLE, grams=50.0),
                  emitted(BOTTLE, "fcdd", 1.0), emitted(PILL, "fcdd", 5.0),
                  emitted(GREY, grams=4.0), emitted(GREY, "fcdd", 4.0),
                  rows=(BOTTLE, CABLE, PILL, GREY), methods=("ae_xad", "fcdd"))
    beside = emissions.relative(made, "T")
    values = {(row.dataset, row.label): cells(row)[0] for row in beside.rows}
    mean = values["mvtec", "ratio of means"]
    assert mean.value == 1.0  # (1 + 5) / (4 + 2), not the mean of 0.25 and 2.5
    assert mean.published == pytest.approx((3.391 + 4.811) / (5.394 + 7.237))
    assert values["all", "ratio of means"].value == 1.0
    cable = values["mvtec", "cable"]
    assert cable.value is None and cable.status == "missing" and cable.notes
    assert note(beside, f"[{cable.notes[0]}]")


def test_nothing_is_relative_to_what_is_not_there():
    made = table5(emitted(status="failed", reason="loss is NaN"), emitted(method="fcdd"),
                  methods=("ae_xad", "fcdd"))
    [fcdd] = cells(emissions.relative(made, "T").rows[0])
    assert (fcdd.value, fcdd.status, fcdd.reason) == (None, "failed", "AE-XAD: loss is NaN")
    # T of AE-XAD is 0 where its metric is 1
    made = table5(emitted(auc=1.0), emitted(method="fcdd"), methods=("ae_xad", "fcdd"),
                  name="table7")
    beside = emissions.relative(made, "T")
    auc, f1, _ = beside.rows[0].cells[0]
    assert (auc.value, auc.status, auc.notes) == (None, "undefined", (1,)) and f1.value == 3.0
    assert beside.notes[-1].startswith("[1] undefined")

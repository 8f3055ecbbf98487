"""Which open point moves a number most towards the published one."""

from __future__ import annotations

import pytest

from aexad.bench.base.places import BASELINES
from aexad.bench.results import evidence as stored_evidence
from aexad.bench.verdict.chosen import choose
from aexad.bench.verdict.numbers import judge, plain_numbers
from aexad.bench.verdict.why import explain

from stored import evidence


def told(cells, table="table2", method="ae_xad", metric="auc", category="bottle"):
    [number] = [n for n in plain_numbers() if (n.table, n.dataset, n.category, n.method, n.metric)
                == (table, "mvtec", category, method, metric)]
    chosen = choose(cells)
    return explain(judge(number, chosen, {}), chosen, cells)


def cell(auc, *sets, **more):
    return evidence("ae_xad", [auc - 0.001, auc, auc + 0.001], sets=sets, **more)


def test_the_move_towards_the_published_number_counts():
    base = cell(0.9)  # published: 0.981
    studied = [base, cell(0.2, "ae_xad.out_act=sigmoid"), cell(0.93, "ae_xad.lr_gamma=1"),
               cell(0.95, "ae_xad.reduce=three_conv"), cell(0.99, "ae_xad.lr_gamma=1",
                                                            "ae_xad.mask=square_sum")]
    assert told(studied) == "reduction: three 3×3, BN +0.050"
    assert told(studied[:3]) == "decay: none +0.030"
    assert told(studied[:2]) == "no study of it"
    above = [evidence("ae", [0.8, 0.8]), evidence("ae", [0.4, 0.4], sets=["ae.epochs=1"])]
    assert told(above, "table1", "ae") == "epochs: one −0.400"


def test_what_is_reproduced_needs_no_account():
    assert told([cell(0.98), cell(0.99, "ae_xad.lr_gamma=1")]) == ""


def test_a_study_of_our_own_configuration_says_more_than_another():
    other = ["ae_xad.epochs=40", "ae_xad.lr_gamma=0.927"]
    studied = [cell(0.9), cell(0.7, *other), cell(0.8, *other, "ae_xad.position=same")]
    assert told(studied) == "pasted: in place +0.100 (in a study of 40 epochs)"
    assert told([*studied, cell(0.91, "ae_xad.position=jitter")]) == "pasted: near its place +0.010"


def test_another_split_and_another_threshold_are_points():
    assert told([cell(0.9), cell(0.93, seed=41, rows=False, n_anomalous=3)]) in (
        "split: seed 41 +0.030", "no study of it")
    f1 = evidence("ae_xad", [0.4, 0.4], **{"f1_set_a1.0": 0.5})
    assert told([f1], metric="f1") == "binarize: the test set's +0.100"


@pytest.mark.parametrize("category", ["bottle", "toothbrush", "transistor"])
def test_the_committed_account_of_table_1s_ae(category):
    """docs/fidelity.md: it is that of an AE of one epoch."""
    found, _ = stored_evidence.of_baselines(BASELINES)
    for method in ("ae", "ae_filtered"):
        assert told(found, "table1", method, category=category).startswith("epochs: one −0.")

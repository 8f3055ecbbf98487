"""Under which conditions a cell was computed, from what is stored of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aexad.bench.base.places import BASELINES
from aexad.bench.results import evidence as stored_evidence
from aexad.bench.verdict import conditions
from aexad.bench.verdict.conditions import in_words, of_cell, of_number

from stored import evidence

VALUES = [0.5, 0.7]


def changed(one, **numbers):
    return replace(one, entry={**one.entry, "numbers": {**one.entry["numbers"], **numbers}})


@pytest.mark.parametrize("method, sets, words", [
    ("ae_xad", (), ()),
    ("ae_xad_raw", (), ()),
    ("ae", (), ()),
    ("ae_xad", ("ae_xad.epochs=40",), ("reduced budget",)),
    ("ae_xad", ("ae_xad.epochs=40", "ae_xad.lr_gamma=0.927"), ("reduced budget",)),
    ("ae_xad", ("ae_xad.lr_gamma=0.927",), ("other parameters",)),
    ("ae_xad", ("ae_xad.epochs=400",), ("other parameters",)),
    ("ae_xad", ("ae_xad.encoder=resnet18",), ("other network",)),
    ("ae_xad", ("ae_xad.weights=random",), ("other network",)),
    ("ae_xad", ("ae_xad.k=5",), ("other parameters",)),
    ("ae_xad", ("data.size=128",), ("other parameters",)),
    ("ae_xad", ("data.max_train=60",), ("other images",)),
    ("fcdd", ("fcdd.net=vgg16",), ("other network",)),
    ("bgad", ("bgad.backbone=efficientnet_lite0", "bgad.meta_epochs=8", "bgad.sub_epochs=1",
              "bgad.lr=1e-3"), ("reduced budget", "other network")),
    ("bgad", ("bgad.meta_epochs=8",), ("reduced budget",)),
])
def test_parameters_beside_the_published_ones(method, sets, words):
    assert of_cell(evidence(method, VALUES, sets=sets)) == words


def test_a_protocol_is_what_it_sets():
    assert of_cell(evidence("ae_xad", VALUES, protocol="brief")) == ()
    assert of_cell(evidence("fcdd", VALUES, protocol="brief")) == ("reduced budget",)
    assert of_cell(evidence("ae_xad", VALUES, protocol="mini")) == (
        "other parameters", "reduced budget", "other network", "other images")


def test_counts_of_images_that_the_public_dataset_has_not():
    one = evidence("ae_xad", VALUES)
    assert of_cell(changed(one, n_anomalous=53)) == ("other images",)
    assert of_cell(changed(one, n_normal=21)) == ("other images",)
    # Fewer normal test images matter where they count.
    few = changed(one, n_normal=1)
    assert of_cell(few) == of_number(few, "auc") == ()
    assert of_number(few, "detection_auc") == ("too few normals",)
    only = evidence("ae_xad", VALUES, scenario="anomalies_only")
    assert of_cell(only) == ()  # no normal trains there
    assert of_cell(evidence("ae_xad", VALUES, place="wood/wood")) == ("other images",)


def test_an_older_version_says_so():
    one = evidence("fcdd", VALUES)
    old = replace(one, entry={**one.entry, "fit": {**one.entry["fit"], "version": 1}})
    assert of_cell(old) == ("older version",)
    assert in_words(of_cell(old)) == "older version" and in_words(()) == "as published"


def test_the_committed_evidence():
    """What the files' notes say in words, found in the stored numbers."""
    found, _ = stored_evidence.of_baselines(BASELINES)
    of = {(e.source[:11], e.method, e.place[1]): of_number(e, "detection_auc")
          for e in found if e.source.startswith("evidence-")}
    assert of["evidence-01", "ae_xad", "bottle"] == of["evidence-01", "ae_xad", "transistor"] == ()
    assert of["evidence-01", "ae_xad", "toothbrush"] == ("too few normals",)
    assert of["evidence-01", "ae_xad", "wood"] == ("other images",)
    assert of["evidence-02", "bgad", "bottle"] == ("reduced budget", "other network")
    assert of["evidence-03", "fcdd", "transistor"] == ("reduced budget", "other network")
    assert all(set(words) <= set(conditions.WORDS) for words in of.values())

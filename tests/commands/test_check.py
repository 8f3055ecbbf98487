"""`check`: what counts as a fall, what can't be compared, and the whole command."""

from __future__ import annotations

import json

import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.commands import check as command, cli
from aexad.bench.measure import regression
from aexad.bench.results import baseline

NUMBERS = {"auc": 0.9, "f1_a1.0": 0.5, "iou_a1.0": 0.4, "detection_auc": 1.0, "n_images": 10}


def entry(**changed):
    numbers = {**NUMBERS, **changed.pop("numbers", {})}
    return {"method": "ae_xad", "numbers": numbers, "n_train": {"normal": 5, "anomalous": 3},
            "fit": {"dataset": "embedded", "category": "wood", "scenario": "standard", "seed": 40,
                    "params": {"lr": 1e-3, "epochs": 40}},
            "declared": {"fit": "aa", "params": {"filter": True}}, "data_sha256": "d",
            "test_sha256": "t", "weights_sha256": {"lite0": "w"}, **changed}


# -- falls --

def moved(before, now):
    return {c.metric: (c.fell, c.rose) for c in regression.changes(before, now)}


def test_a_fall_is_more_than_the_tolerance_and_a_rise_is_none():
    before = entry(tolerance={"auc": 0.25, "f1_a1.0": 0.25})
    now = entry(numbers={"auc": 0.9 - 0.25, "f1_a1.0": 0.25 - 1e-9, "iou_a1.0": 0.9})
    assert moved(before, now) == {"auc": (False, False), "f1_a1.0": (True, False),
                                  "iou_a1.0": (False, True), "detection_auc": (False, False)}


def test_a_number_that_is_gone_or_nan_fell():
    now = entry()
    del now["numbers"]["auc"]
    now["numbers"]["iou_a1.0"] = float("nan")
    assert [c.metric for c in regression.changes(entry(), now) if c.fell] == ["auc", "iou_a1.0"]


def test_without_tolerances_the_least_ones_hold():
    step = 0.9 * regression.LEAST["auc"]
    assert not regression.changes(entry(), entry(numbers={"auc": 0.9 - step}))[0].fell
    assert regression.changes(entry(), entry(numbers={"auc": 0.9 - 2 * step}))[0].fell


def test_tolerances_are_three_ranges_or_the_least():
    runs = [entry(numbers={"auc": auc, "f1_a1.0": f1})
            for auc, f1 in ((0.90, 0.5), (0.91, 0.501), (0.905, 0.5))]
    found = regression.tolerances(runs)
    assert found["auc"] == pytest.approx(0.03)
    assert found["f1_a1.0"] == regression.LEAST["f1_a1.0"]


# -- what is comparable --

def test_equal_entries_are_comparable():
    assert regression.differences(entry(), entry(numbers={"auc": 0.1})) == []


@pytest.mark.parametrize("changed, said", [
    ({"declared": {"fit": "bb", "params": {"filter": False}}},
     "declared.params.filter: True, now False"),
    ({"test_sha256": "u"}, "test differs"),
    ({"data_sha256": "e"}, "data differs"),
    ({"weights_sha256": {"lite0": "x"}}, "weights differs"),
    ({"n_train": {"normal": 5, "anomalous": 2}}, "n_train differs"),
])
def test_what_differs_is_named(changed, said):
    assert regression.differences(entry(), entry(**changed)) == [said]


def test_a_changed_or_new_parameter_is_named_with_both_values():
    now = entry()
    now["fit"] = {**now["fit"], "params": {"lr": 1e-2, "epochs": 40, "clip": 1.0}}
    assert regression.differences(entry(), now) == ["fit.params.lr: 0.001, now 0.01",
                                                    "fit.params.clip: absent, now 1.0"]


def test_a_file_that_is_no_baseline(tmp_path):
    path = tmp_path / "b.json"
    with pytest.raises(UserError, match="b.json: no such baseline"):
        baseline.load(path)
    for text in ("{", "[]", '{"cells": [{"method": "x"}]}', '{"cells": 3}'):
        path.write_text(text)
        with pytest.raises(UserError, match="b.json: not a baseline"):
            baseline.load(path)


# -- the command --

SMOKE = ["--protocol", "smoke", "--methods", "ae_xad,ae_xad_raw", "--categories",
         "embedded/wood", "--threads", "1"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    path = tmp_path_factory.mktemp("check") / "smoke.json"
    assert cli.main(["check", "--update", "--repeat", "1", "--baseline", str(path), *SMOKE]) == 0
    return path


def test_an_unchanged_tree_is_green_and_a_fall_is_red(smoke, tmp_path, capsys):
    assert cli.main(["check", "--baseline", str(smoke), "--threads", "1"]) == 0
    assert "8 numbers of 2 cells compared: 0 fell, 0 rose" in capsys.readouterr().out
    content = json.loads(smoke.read_text())
    content["cells"][0]["numbers"]["auc"] += 0.1
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps(content))
    assert cli.main(["check", "--baseline", str(worse), "--threads", "1"]) == 1
    out = capsys.readouterr().out
    assert "FELL" in out and "-0.1000" in out and "1 fell" in out


@pytest.mark.parametrize("changed", [
    {"settings": None, "note": None, "command": None, "key": None, "test_sha256": None},
    {"settings": {"protocol": "smoke", "epochs": None, "set": None}, "images": None,
     "tolerance": None, "n_train": None}])
def test_null_is_as_good_as_absent(smoke, tmp_path, capsys, changed):
    content = json.loads(smoke.read_text())
    for part in (content, *content["cells"]):
        part |= {name: value for name, value in changed.items() if name in part}
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert cli.main(["check", "--baseline", str(tmp_path / "b.json"), *SMOKE]) == 0
    assert "8 numbers of 2 cells compared: 0 fell" in capsys.readouterr().out


def test_other_parameters_are_not_comparable(smoke, capsys):
    words = ["check", "--baseline", str(smoke), "--threads", "1", "--methods", "ae_xad"]
    assert cli.main([*words, "--set", "ae_xad.lr=0.01"]) == 2
    out = capsys.readouterr().out
    assert "not comparable: embedded/wood standard ae_xad seed 40: fit.params.lr: 0.001, now" in out
    assert cli.main([*words, "--methods", "bgad"]) == 2
    assert "nothing of it is asked for" in capsys.readouterr().err


def test_stored_results_of_any_table_can_be_watched(tmp_path, capsys):
    path, store = tmp_path / "mine.json", str(tmp_path / "r")
    words = ["--datasets", "embedded", "--results", store, *SMOKE]
    assert cli.main(["table1", *words, "--save-baseline", str(path)]) == 0
    watched = ["check", "--stored", "--results", store, "--baseline", str(path)]
    assert cli.main(watched) == 0
    capsys.readouterr()
    assert cli.main([*watched, "--epochs", "3"]) == 2
    assert "not stored with the parameters of now" in capsys.readouterr().out


def test_a_baseline_is_made_of_what_is_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_train", lambda *a: pytest.fail("trained"))
    path, store = tmp_path / "kept.json", str(tmp_path / "r")
    words = ["check", "--update", "--stored", "--baseline", str(path), "--results", store,
             *SMOKE]
    assert cli.main(words) == 2
    assert f"{store}: no ae_xad of embedded-wood-standard" in capsys.readouterr().err
    assert not path.exists()
    assert cli.main(["table1", "--results", store, *SMOKE]) == 0
    assert cli.main(words) == 0
    cells = json.loads(path.read_text())["cells"]
    assert [c["method"] for c in cells] == ["ae_xad", "ae_xad_raw"]
    assert cells[0]["tolerance"]["auc"] == 0.002 and len(cells[0]["runs"]) == 1
    assert path.with_suffix(".parquet").exists()


def test_a_dry_run_trains_and_writes_nothing(smoke, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_train", lambda *a: pytest.fail("trained"))
    path = tmp_path / "new.json"
    assert cli.main(["check", "--baseline", str(smoke), "--dry-run"]) == 0
    assert cli.main(["check", "--update", "--baseline", str(path), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "1 fits to do" in out and "3 times: 10 fits to do, 16 of 16" in out and not path.exists()


def test_a_failed_training_is_red(smoke, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("no")
    monkeypatch.setattr("aexad.methods.ae_xad.AEXAD.fit", fail)
    assert cli.main(["check", "--baseline", str(smoke), "--threads", "1"]) == 1
    assert "RuntimeError: no" in capsys.readouterr().err


def test_the_committed_baseline_holds_here(capsys):
    """One category of it, trained for real."""
    assert cli.main(["check", "--methods", "ae_xad,ae_xad_raw", "--categories",
                     "embedded/fabric"]) == 0
    assert "8 numbers of 2 cells compared: 0 fell" in capsys.readouterr().out


def test_the_suite_fits_what_is_registered():
    from aexad import methods
    assert set(command.SUITE) <= set(methods.entries())

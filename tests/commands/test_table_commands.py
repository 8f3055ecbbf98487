"""Tables 3 to 9, `tables` and `export` as commands, end to end on small folders."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.results import baseline
from aexad.bench.results.store import read_info, read_json
from aexad.bench.run import task

from conftest import make_category
from running import BOTTLE, csv, run

TWO = (*BOTTLE, "--methods", "ae_xad,ae_xad_raw")  # two cells of one fit


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(data root, results): every table of the paper, of two methods on one small category."""
    place = tmp_path_factory.mktemp("all")
    make_category(place / "data" / "mvtec" / "bottle")
    assert run(place / "data", place / "results", *TWO, table="tables") == 0
    return place / "data", place / "results"


@pytest.fixture
def copy(done, tmp_path):
    """The same, to be changed."""
    shutil.copytree(done[1], tmp_path / "results")
    return done[0], tmp_path / "results"


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(task, "train", lambda *a: pytest.fail("trained again"))


def numbers(results, scenario="standard", method="ae_xad"):
    """numbers of the cell, and grams of it and its fit."""
    [cell] = results.glob(f"cells/mvtec/bottle/{scenario}/{method}/*/cell.json")
    [fit] = results.glob(f"fits/mvtec-bottle-{scenario}-ae_xad-*/fit.json")
    info = read_json(cell)
    return info["numbers"], info["emissions"]["grams"] + read_json(fit)["emissions"]["grams"]


def test_every_table_is_written_in_all_formats(done):
    names = [*(f"table{n}" for n in range(1, 10)), *(f"table{n}-relative" for n in (5, 6, 7, 8))]
    files = {p.name for p in (done[1] / "tables").iterdir()}
    assert files == {f"{name}-smoke.{kind}" for name in names for kind in (
        "md", "tex", "csv", *(() if name.endswith("relative") else ("toml",)))}
    assert len(list((done[1] / "fits").iterdir())) == 2  # one training a scenario, for 9 tables


def test_each_table_shows_what_is_stored(done):
    for scenario, four, six, eight in (("standard", "table2", "table5", "table7"),
                                       ("anomalies_only", "table4", "table6", "table8")):
        stored, grams = numbers(done[1], scenario)
        shown = {name: csv(done[1], f"{name}-smoke").set_index(["method", "metric"]).loc["ae_xad"]
                 for name in (four, six, eight)}
        for metric, column in (("auc", "auc"), ("f1", "f1_a1.0"), ("iou", "iou_a1.0")):
            assert shown[four].value[metric] == stored[column]
            assert shown[eight].value[metric] == tradeoff(grams, stored[column])
        assert shown[six].value["grams"] == pytest.approx(grams)
    assert shown["table6"].published["grams"] == 0.214
    assert shown["table8"].published["iou"] == 1.5377
    nine = csv(done[1], "table9-smoke").set_index("method")
    assert nine.value["ae_xad"] == numbers(done[1])[0]["detection_auc"]
    assert nine.published["ae_xad"] == 1.0


def test_table3_counts_images(done):
    images = {m: pd.concat(map(pd.read_parquet, done[1].glob(
        f"cells/mvtec/bottle/standard/{m}/*/images.parquet"))).query("label == 1").set_index("id")
        for m in ("ae_xad", "ae_xad_raw")}
    table = csv(done[1], "table3-smoke")
    assert list(table)[:4] == ["dataset", "pair", "metric", "share"]
    assert set(table.pair) == {"AE-XAD – AE-XAD∖F"}
    shown = table.set_index(["metric", "share"]).value
    for metric, column in (("auc", "auc"), ("f1", "f1_a1.0"), ("iou", "iou_a1.0")):
        a, b = (images[m][column] for m in ("ae_xad", "ae_xad_raw"))
        assert shown[metric, "wins"] == pytest.approx((a > b).mean())
        assert shown[metric, "losses"] == pytest.approx((a < b).mean())
        assert shown[metric, "ties"] == pytest.approx((a == b).mean())


def test_a_second_time_nothing_is_computed(done, no_training, capsys):
    assert run(*done, *TWO, table="tables") == 0
    first = capsys.readouterr().out
    assert run(*done, *TWO, table="table7") == 0
    assert capsys.readouterr().out in first


def test_tables_dry_run_counts_a_cell_once(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *TWO, "--dry-run", table="tables") == 0
    assert "2 fits to do, 4 of 4 cells" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()


def test_tables_without_a_finished_cell_say_why(tmp_path, capsys):
    for name in ("table5", "table7"):
        assert run(tmp_path, tmp_path / "r", *TWO, table=name) == 0
        assert "no data" in capsys.readouterr().out


def test_one_method_has_no_pairs(done, capsys):
    one = (*BOTTLE, "--methods", "ae_xad")
    assert run(*done, *one, table="table3") == 2
    assert "Table 3 compares methods" in capsys.readouterr().err
    assert run(*done, *one, table="tables") == 0
    captured = capsys.readouterr()
    assert "Table 3 needs two methods; left out" in captured.err and "Table 4" in captured.out


def test_pooled_win_rates(done, capsys):
    assert run(*done, *TWO, "--set", "metrics.winrate=pooled", table="table3") == 0
    assert "shares of all images of a dataset" in capsys.readouterr().out


def test_another_scenario_stands_beside_that_scenarios_numbers(copy, capsys):
    before = {p: p.read_bytes() for p in (copy[1] / "tables").iterdir()}
    assert run(*copy, *TWO, "--scenario", "anomalies_only", table="table5") == 0
    assert csv(copy[1], "table5-anomalies_only-smoke").published[0] == 0.214  # Table 6
    assert run(*copy, *TWO, "--scenario", "anomalies_only", table="table9") == 0
    assert csv(copy[1], "table9-anomalies_only-smoke").published.isna().all()  # the paper has none
    assert {p: p.read_bytes() for p in before} == before  # those of the names' own scenarios stay


def test_a_scenario_named_is_the_tables_own(copy):
    before = set((copy[1] / "tables").iterdir())
    assert run(*copy, *TWO, "--scenario", "anomalies_only", table="table4") == 0
    assert set((copy[1] / "tables").iterdir()) == before


# -- emissions, strictly --

def spoil(path, **reading):
    """Change the emissions that a fit.json or cell.json tells of."""
    info = json.loads(path.read_text())
    info["emissions"].update(reading)
    path.write_text(json.dumps(info))


def paths(results):
    [fit] = results.glob("fits/mvtec-bottle-standard-*/fit.json")
    [cell] = results.glob("cells/mvtec/bottle/standard/ae_xad/*/cell.json")
    return fit, cell


def contents(results):
    """All that is finished there, but for what was measured alone and the tables."""
    return {p: p.read_bytes() for name in ("fits", "cells")
            for p in sorted((results / name).rglob("*")) if p.is_file()}


def test_parallel_fits_are_marked_and_strict_measures_them_alone(copy, capsys, monkeypatch):
    root, results = copy
    for path in paths(results):
        spoil(path, shared=True, grams=500.0)
    assert run(root, results, *TWO, table="table5") == 0
    out = capsys.readouterr().out
    assert "[1] mvtec/bottle: shared machine: other fits ran beside it" in out
    before = contents(results)
    assert run(root, results, *TWO, "--emissions", "strict", "--dry-run", table="table5") == 0
    assert "measured again alone: 1 fits to do, 2 of 2 cells" in capsys.readouterr().out
    assert run(root, results, *TWO, "--emissions", "strict", table="table5") == 0
    out = capsys.readouterr().out
    assert "shared machine" not in out and "mvtec/bottle: emissions measured again, alone\n" in out
    assert contents(results) == before  # nothing finished is touched
    assert 0 < csv(results, "table5-smoke").value.max() < 100
    # every table about emissions sees it, and nothing is measured twice
    monkeypatch.setattr(task, "train", lambda *a: pytest.fail("trained again"))
    assert run(root, results, *TWO, "--emissions", "strict", table="table7") == 0
    assert "emissions measured again, alone" in capsys.readouterr().out
    assert run(root, results, *TWO, table="table2") == 0
    assert "alone" not in capsys.readouterr().out


@pytest.mark.parametrize("what", ["zero", "missing"])
def test_a_reading_of_nothing_is_measured_again(copy, capsys, no_training, what):
    root, results = copy
    spoil(paths(results)[1], problem=what, grams=0.0)
    assert run(root, results, *TWO, table="table7") == 0
    out = capsys.readouterr().out
    assert f"[1] AE-XAD on mvtec/bottle: not measured, the reading of explaining is {what}" in out
    table = csv(results, "table7-smoke").set_index("method")
    assert table.value["ae_xad"].isna().all() and table.value["ae_xad_raw"].notna().all()
    # the training was measured well: only the explanation is done again
    assert run(root, results, *TWO, "--emissions", "strict", table="table7") == 0
    assert csv(results, "table7-smoke").value.notna().all()


def test_what_is_measured_in_vain_is_measured_anew(copy, capsys):
    root, results = copy
    words = (*TWO, "--emissions", "strict")
    spoil(paths(results)[0], problem="zero")
    assert run(root, results, *words, table="table5") == 0
    for path in paths(results / "alone"):
        spoil(path, problem="zero")
    assert run(root, results, *BOTTLE, "--methods", "ae_xad", table="table5") == 0
    assert csv(results, "table5-smoke").value.isna().all()
    assert run(root, results, *words, table="table5") == 0
    assert csv(results, "table5-smoke").value.notna().all()


def test_a_baseline_keeps_the_readings_of_the_work_alone(copy, tmp_path, capsys):
    root, results = copy
    path = tmp_path / "kept.json"
    words = (*TWO, "--save-baseline", str(path), "--unless-saved")
    spoil(paths(results)[0], shared=True)
    assert run(root, results, *words, table="table5") == 0
    before, rows = baseline.load(path), baseline.images(path)
    assert [c["emissions"]["fit"]["shared"] for c in before["cells"]] == [True, True]
    capsys.readouterr()
    assert run(root, results, *words, "--emissions", "strict", table="table5") == 0
    said = capsys.readouterr().err
    assert "kept.json: has 0 of 2 cells" in said and "(2 measured alone)" in said
    after = baseline.load(path)
    assert [c["emissions"]["fit"]["shared"] for c in after["cells"]] == [False, False]
    for cell in (*before["cells"], *after["cells"]):
        del cell["emissions"]
    assert after["cells"] == before["cells"]
    pd.testing.assert_frame_equal(baseline.images(path), rows)
    assert run(root, results, *words, "--emissions", "strict", table="table5") == 0
    assert "has 2 of 2 cells; nothing to do" in capsys.readouterr().err


def test_a_retraining_with_other_numbers_is_said(copy, capsys):
    root, results = copy
    spoil(paths(results)[0], shared=True)
    assert run(root, results, *TWO, "--emissions", "strict", table="table5") == 0
    for path in (results / "alone").glob("cells/*/*/*/ae_xad/*/cell.json"):
        info = json.loads(path.read_text())
        info["numbers"]["auc"] -= 0.1
        path.write_text(json.dumps(info))
    capsys.readouterr()
    assert run(root, results, *TWO, table="table5") == 0
    assert ("AE-XAD on mvtec/bottle: emissions measured again, alone, by a training whose numbers "
            "differ") in capsys.readouterr().out


def test_strict_refuses_parallel_fits(done, capsys, no_training):
    for name in ("table6", "tables"):
        assert run(*done, *TWO, "--emissions", "strict", "--jobs", "2", table=name) == 2
        captured = capsys.readouterr()
        assert "--jobs 2: --emissions strict measures one fit at a time" in captured.err
        assert captured.out == ""
    with pytest.raises(SystemExit, match="2"):  # not about emissions
        run(*done, *TWO, "--emissions", "strict", table="table2")


@pytest.mark.parametrize("attribute, value, why", [
    ("busy.by_others", lambda: 3.0, "other programs keep 3.0 of"),
    ("busy.by_others", lambda: 0.2, "other programs keep 0.2 of"),
    ("energy.cannot_start", lambda country: "OSError: no sensor", "cannot help, CodeCarbon")])
def test_strict_trains_nothing_that_would_be_unsound(copy, capsys, no_training, monkeypatch,
                                                     attribute, value, why):
    root, results = copy
    spoil(paths(results)[0], shared=True, others=0.5)
    monkeypatch.setattr(f"aexad.bench.run.alone.{attribute}", value)
    assert run(root, results, *TWO, "--emissions", "strict", table="table5") == 1
    captured = capsys.readouterr()
    assert "failed: --emissions strict: " in captured.err and why in captured.err
    assert "shared machine" in captured.out  # the table is there, and says so
    assert not (results / "alone" / "cells").exists()


def test_a_machine_that_is_busy_for_a_moment_is_waited_for(copy, monkeypatch):
    root, results = copy
    spoil(paths(results)[0], shared=True)
    seen = iter([2.0, 1.0, 0.05])
    monkeypatch.setattr("aexad.bench.run.alone.busy.by_others", lambda: next(seen))
    assert run(root, results, *TWO, "--emissions", "strict", table="table5") == 0
    assert next(seen, None) is None


@pytest.mark.parametrize("others, valid", [(0.4, True), (None, True), (..., True), (1.5, False)])
def test_readings_of_before_have_no_others_and_count(copy, others, valid):
    results = copy[1]
    for path in paths(results):
        info = json.loads(path.read_text())
        info["emissions"].pop("others")
        if others is not ...:
            info["emissions"]["others"] = others
        path.write_text(json.dumps(info))
        assert (read_info(path) is not None) == valid


# -- export --

def export(results, *words):
    from aexad.bench.commands import cli

    return cli.main(["export", "--results", str(results), *words])


def test_export_has_a_row_per_image_and_cell(done, tmp_path, capsys):
    assert export(done[1], "--out", str(tmp_path / "all.csv")) == 0
    assert "28 rows, 4 cells" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "all.csv")
    assert len(table) == 2 * 2 * 7  # scenarios, methods, test images
    assert not table.duplicated(["key", "id"]).any()
    mine = table[(table.method == "ae_xad") & (table.scenario == "standard") & table.used]
    assert mine["auc"].mean() == pytest.approx(numbers(done[1])[0]["auc"])
    assert not [name for name in table if name.startswith(("fit.", "explain.", "data."))]
    assert export(done[1], "--out", str(tmp_path / "all.parquet")) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "all.parquet"), table,
                                  check_dtype=False)
    assert export(done[1], "--out", str(tmp_path / "text"), "--format", "parquet") == 0
    assert len(pd.read_parquet(tmp_path / "text")) == 28


def test_export_tells_cells_apart_by_what_was_declared(copy):
    root, results = copy
    more = ("--methods", "ae_xad", "--set", "ae_xad.k=3", "--set", "ae_xad.lr=1e-4")
    assert run(root, results, *BOTTLE, *more, table="table2") == 0
    assert export(results) == 0
    table = pd.read_csv(results / "images.csv")
    assert list(table.columns[5:10]) == ["key", "fit", "fit.lr", "explain.k", "id"]
    cells = table[(table.method == "ae_xad") & (table.scenario == "standard")]
    assert sorted(map(tuple, cells[["fit.lr", "explain.k"]].fillna(0).drop_duplicates().values)) \
        == [(1e-4, 3.0), (1e-3, 0.0)]
    assert cells.key.nunique() == 2 == cells.fit.nunique()


def test_export_of_nothing_or_into_a_folder_is_said(done, tmp_path, capsys):
    assert export(tmp_path) == 2
    assert "no finished cell there" in capsys.readouterr().err
    assert export(done[1], "--out", str(tmp_path)) == 2
    assert "is a folder" in capsys.readouterr().err
    assert export(done[1], "--out", str(tmp_path / "x.xlsx")) == 2
    assert "x.xlsx: name it .csv or .parquet, or give --format" in capsys.readouterr().err

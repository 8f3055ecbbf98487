"""`--json`: one object on stdout and nothing else, its numbers those of the CSV and of what is
stored."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from aexad.bench.commands import cli
from aexad.bench.paper.printed_tables import published
from aexad.bench.results.store import read_json
from aexad.bench.run import task
from aexad.bench.tables import json_shapes

from conftest import make_category
from running import BOTTLE, TINY, csv, run

TWO = (*BOTTLE, "--methods", "ae_xad,ae_xad_raw", "--seeds", "40,41")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(data root, results): two methods on one small category, under two seeds."""
    place = tmp_path_factory.mktemp("json")
    make_category(place / "data" / "mvtec" / "bottle")
    assert run(place / "data", place / "results", *TWO, table="table2") == 0
    return place / "data", place / "results"


@pytest.fixture
def printed(done, capsys):
    """What a command prints, which must be JSON as the standard has it."""
    def of(*words, status=0, command="table2", results=None):
        assert run(done[0], results or done[1], *words, "--json", table=command) == status
        out = capsys.readouterr().out

        def refuse(name):
            raise AssertionError(f"{name} is no JSON")

        content = json.loads(out, parse_constant=refuse)
        assert out.endswith("}\n") and content["command"] == command
        assert content["format"] == json_shapes.FORMAT
        return content
    return of


def stored(results, method, seed):
    [path] = results.glob(f"cells/mvtec/bottle/standard/{method}/seed{seed}-*/cell.json")
    return read_json(path)["numbers"]


def test_a_tables_numbers_are_those_of_its_csv_and_of_the_cells(printed, done):
    content = printed(*TWO)
    assert content["settings"]["seeds"] == [40, 41] and content["settings"]["protocol"] == "smoke"
    assert content["places"] == {"results": str(done[1]), "data": str(done[0]), "embedded": False}
    [table] = content["tables"]
    shown = csv(done[1], "table2-smoke")
    frame = pd.DataFrame(table["cells"])
    assert table["keys"] == list(shown.columns[:4])
    names = [name for name in shown if name not in ("reason", "remark")]
    pd.testing.assert_frame_equal(frame[names], shown[names], check_dtype=False, check_exact=True)
    for cell in table["cells"]:
        column = {"auc": "auc", "f1": "f1_a1.0", "iou": "iou_a1.0"}[cell["metric"]]
        assert cell["seeds"] == [40, 41] and cell["scenario"] == "standard"
        assert cell["values"] == [stored(done[1], cell["method"], s)[column] for s in (40, 41)]
        if cell["published"] is not None:
            assert cell["difference"] == cell["value"] - cell["published"]
    assert any("2 seeds (40, 41)" in note for note in table["notes"])


def test_a_cell_without_a_number_says_why(printed):
    [table] = printed("--categories", "mvtec/bottle,mvtec/pill", "--methods", "ae_xad")["tables"]
    gone = [c for c in table["cells"] if c["category"] == "pill"]
    assert {c["status"] for c in gone} == {"no data"} and {c["value"] for c in gone} == {None}
    assert gone[0]["reason"].startswith("looked in ") and gone[0]["seeds"] == []
    assert gone[0]["published"] == published("table2", "mvtec", "pill", "ae_xad", "auc")
    [number] = gone[0]["notes"]
    assert any(note.startswith(f"[{number}] ") for note in table["notes"])


def test_tables_about_emissions_come_with_the_relative_one(printed, done):
    five, relative = printed(*TWO, command="table5")["tables"]
    assert (five["name"], relative["name"]) == ("table5", "table5-relative")
    grams = {c["method"]: c["value"] for c in five["cells"]}
    [ratio] = relative["cells"]
    assert ratio["value"] == grams["ae_xad_raw"] / grams["ae_xad"] and ratio["values"] == []


def test_table3_has_pairs(printed, done):
    [table] = printed(*TWO, command="table3")["tables"]
    shown = csv(done[1], "table3-smoke")
    assert table["keys"] == ["dataset", "pair", "metric", "share"]
    assert [c["value"] for c in table["cells"]] == shown.value.tolist()
    assert all(len(c["values"]) == 2 for c in table["cells"])


def test_all_tables_are_one_object(printed):
    content = printed(*BOTTLE, "--methods", "ae_xad,ae_xad_raw", command="tables")
    assert [t["name"] for t in content["tables"] if "relative" not in t["name"]] == [
        f"table{n}" for n in range(1, 10)]
    assert {t["scenario"] for t in content["tables"]} == {"standard", "anomalies_only"}


def test_what_fails_is_in_it(printed, tmp_path, monkeypatch):
    def fail(*words):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(task, "train", fail)
    content = printed(*TWO, status=1, results=tmp_path / "r")
    assert len(content["failures"]) == 2 and "out of luck" in content["failures"][0]
    assert {c["status"] for c in content["tables"][0]["cells"]} == {"failed"}


def test_status_has_every_cell(printed, done):
    content = printed(*TWO, "--seeds", "41", command="status")
    tables = {t["name"]: t for t in content["tables"]}
    assert tables["table2"]["counts"] == {"ae_xad": {"done": 1}, "ae_xad_raw": {"done": 1}}
    assert tables["table4"]["counts"] == {"ae_xad": {"missing": 1}, "ae_xad_raw": {"missing": 1}}
    assert tables["table4"]["cells"][0] == {
        "dataset": "mvtec", "category": "bottle", "scenario": "anomalies_only", "method": "ae_xad",
        "seed": 41, "status": "missing", "reason": "not computed yet"}


def test_compare_has_what_its_csv_has(printed, done):
    content = printed(*TWO, command="compare")
    shown = csv(done[1], "compare-smoke")
    frame = pd.DataFrame(content["comparisons"])[list(shown)]
    pd.testing.assert_frame_equal(frame.replace({"": None}), shown.replace({float("nan"): None}),
                                  check_dtype=False, check_exact=True)
    assert [r["metric"] for r in content["ranks"]] == ["auc", "f1", "iou"]
    assert "two categories" in content["ranks"][0]["reason"]
    assert content["labels"] == {"ae_xad": "AE-XAD", "ae_xad_raw": "AE-XAD∖F"}
    assert any(note.startswith("p Holm") for note in content["notes"])


def test_check_has_a_verdict_for_each_metric(printed, done, tmp_path, capsys):
    path = tmp_path / "kept.json"
    assert run(*done, *TWO, "--save-baseline", str(path), table="table2") == 0
    capsys.readouterr()
    words = ("--stored", "--baseline", str(path))
    content = printed(*words, command="check")
    assert content["numbers"] == {"fell": 0, "rose": 0, "within": 16}
    assert content["not_comparable"] == 0 and content["baseline"] == str(path)
    [cell] = [c for c in content["cells"] if c["method"] == "ae_xad" and c["seed"] == 40]
    assert {m["metric"]: m["now"] for m in cell["metrics"]} == {
        m: stored(done[1], "ae_xad", 40)[m] for m in ("auc", "f1_a1.0", "iou_a1.0",
                                                      "detection_auc")}
    kept = json.loads(path.read_text())
    kept["cells"][1]["test_sha256"] = "other"
    path.write_text(json.dumps(kept))
    assert printed(*words, command="check", status=2)["not_comparable"] == 1
    shutil.copytree(done[1], tmp_path / "r")
    first = kept["cells"][0]
    [worse] = (tmp_path / "r").glob(f"cells/mvtec/bottle/standard/{first['method']}/"
                                    f"seed{first['fit']['seed']}-*/cell.json")
    info = json.loads(worse.read_text())
    info["numbers"]["auc"] = 0.125
    worse.write_text(json.dumps(info))
    content = printed(*words, command="check", status=1, results=tmp_path / "r")
    fell, apart = content["cells"][:2]
    assert fell["verdict"] == "fell" and apart["verdict"] == "not comparable"
    [auc] = [m for m in fell["metrics"] if m["metric"] == "auc"]
    assert auc["difference"] == 0.125 - auc["baseline"] and auc["verdict"] == "fell"
    assert apart["reasons"] == ["test differs"] and apart["metrics"] == []


def test_a_check_whose_training_fails_is_an_object_too(printed, done, tmp_path, monkeypatch,
                                                       capsys):
    path = tmp_path / "kept.json"
    assert run(*done, *TWO, "--save-baseline", str(path), table="table2") == 0
    capsys.readouterr()

    def fail(*words):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(task, "train", fail)
    content = printed("--baseline", str(path), command="check", status=1)
    assert content["cells"] == [] and "out of luck" in content["failures"][0]


def test_bad_input_prints_no_object(done, capsys):
    for command, words, said in (("table2", ["--dry-run"], "--json: --dry-run"),
                                 ("check", ["--dry-run"], "--json: --dry-run"),
                                 ("check", ["--update"], "leave out --json or --update"),
                                 ("compare", ["--seeds", "77"], "needs two methods")):
        assert run(*done, *words, "--json", table=command) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and said in captured.err


def test_numbers_that_json_has_not():
    given = {"a": math.nan, 1: [math.inf, -math.inf, 0.1], "t": (1, None, True, "x")}
    assert json.loads(json_shapes.text("c", given)) == {
        "format": json_shapes.FORMAT, "command": "c", "a": None,
        "1": ["Infinity", "-Infinity", 0.1], "t": [1, None, True, "x"]}


def test_a_whole_process_prints_nothing_else(done):
    """Libraries too: the object is all that comes out."""
    words = ["table4", "--data-root", str(done[0]), "--results", str(done[1]), *TINY, *BOTTLE,
             "--methods", "ae_xad", "--json"]
    ran = subprocess.run([sys.executable, "-P", "-m", "aexad.bench", *words], capture_output=True,
                         text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["tables"][0]["cells"][0]["status"] == "done"
    assert "written: " in ran.stderr


def test_the_parser_of_run_has_no_json():
    with pytest.raises(SystemExit, match="2"):
        cli.understand(["run", "--json"])

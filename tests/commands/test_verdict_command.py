"""`verdict`: the committed report, what is stored, its files, and what it refuses."""

from __future__ import annotations

import csv as csv_files
import json

import pytest

from aexad.bench.base.places import BASELINES
from aexad.bench.commands import cli, verdict
from aexad.bench.paper.audit.claims import READINGS
from aexad.bench.results import evidence
from aexad.bench.verdict import judgement

from conftest import REPOSITORY, make_category
from running import BOTTLE, refused, run


@pytest.fixture(scope="module")
def committed():
    found, notes = evidence.of_baselines(BASELINES)
    return judgement.judge(found, (), verdict.coverage(), notes)


REMAKE = "./reproduce.sh verdict --baselines --out docs/verdict.md makes it again"


def test_the_document_is_what_the_committed_baselines_say(committed):
    text = (REPOSITORY / "docs" / "verdict.md").read_text(encoding="utf-8")
    assert verdict.document(committed) == text, REMAKE


def test_the_readme_has_the_three_lines_of_the_document(committed):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    lines = [f"- {line}" for line in judgement.headline(committed, "./reproduce.sh")]
    assert "\n".join(lines) in text, "README.md: its verdict should be\n" + "\n".join(lines)


def test_every_number_is_counted_once(committed):
    assert len(committed.judged) == len({j.number for j in committed.judged}) == 1087
    assert all(j.comparison and j.sources for j in committed.compared)
    assert all(j.reason for j in committed.lacking)
    assert {s.reading.reading for s in committed.sentences} >= {r.reading for r in READINGS}
    for i, j in enumerate(committed.judged):
        assert (i in committed.moved) == (
            j.comparison in ("above", "below") and not j.number.against)


def test_the_stored_coverage_keeps_the_promise(committed):
    found = committed.coverage
    assert min(c.n for c in found) >= 2000 and {c.seeds for c in found} == {1, 2, 3, 10}
    assert min(c.share for c in found if c.seeds >= 3) >= 0.93


def test_baselines_as_json_and_as_text(tmp_path, capsys):
    words = ["verdict", "--baselines", "--results", str(tmp_path)]
    assert cli.main([*words, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["format"], made["command"], len(made["numbers"])) == (1, "verdict", 1087)
    bottle = next(n for n in made["numbers"] if (n["table"], n["category"], n["method"],
                                                 n["metric"]) == ("table2", "bottle", "ae_xad",
                                                                  "auc"))
    assert bottle["conditions"] == [] and bottle["published"] == 0.981
    assert bottle["low"] < bottle["value"] < bottle["high"]
    lacking = next(n for n in made["numbers"] if n["value"] is None)
    assert lacking["reason"] and lacking["command"].startswith(f"{verdict.COMMAND} table")
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Does it reproduce?") and "As published: " in shown.splitlines()[2]
    assert max(map(len, shown.splitlines())) < 260
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        "verdict-baselines.md", "verdict-baselines.tex", "verdict-baselines.csv",
        "verdict-baselines-sentences.csv"}
    tex = (tmp_path / "tables" / "verdict-baselines.tex").read_text(encoding="utf-8")
    assert "``our method attains" in tex
    assert "?" not in tex.replace("reproduce?", "")  # what stands for a letter that it lacks


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("verdict")
    make_category(root / "data" / "mvtec" / "bottle")
    words = ("--methods", "ae_xad,ae", *BOTTLE, "--seeds")
    assert run(root / "data", root / "results", *words, "40,41") == 0
    return root / "results"


def test_what_is_stored(results, capsys):
    capsys.readouterr()
    assert cli.main(["verdict", "--results", str(results)]) == 0
    shown = capsys.readouterr()
    assert "As published: 0 of the paper's 1087 numbers" in shown.out
    rows = list(csv_files.DictReader((results / "tables" / "verdict.csv").open(encoding="utf-8")))
    mine = {(r["table"], r["method"], r["metric"]): r for r in rows if r["value"]}
    assert set(mine) == {("table1", "ae", "auc"), ("table1", "ae_xad", "auc"),
                         *(("table2", "ae_xad", m) for m in ("auc", "f1", "iou")),
                         ("table9", "ae_xad", "detection_auc")}
    auc = mine["table1", "ae_xad", "auc"]
    assert auc["n_seeds"] == "2" and auc["over"] == "images and seeds"
    assert float(auc["low"]) <= float(auc["value"]) <= float(auc["high"])
    assert auc["conditions"] == "other parameters, reduced budget, other network, other images"
    tex = (results / "tables" / "verdict.tex").read_text(encoding="utf-8")
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") > 5
    assert "p{5cm}" in tex
    sentences = (results / "tables" / "verdict-sentences.csv").read_text(encoding="utf-8")
    assert sentences.count("\n") == 1 + 2 * (len(READINGS) + 3)


def test_a_cell_that_failed_says_why(results, tmp_path, capsys):
    fit = next((results / "fits").glob("*-ae_xad-*"))
    other = tmp_path / "results"
    broken = other / "fits" / fit.name.replace("ae_xad", "fcdd") / "fit.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(json.dumps({"status": "failed", "error": "out of memory"}))
    (other / "cells").symlink_to(results / "cells")
    capsys.readouterr()
    assert cli.main(["verdict", "--results", str(other), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)["numbers"]
    fcdd = [n for n in numbers if (n["method"], n["category"], n["table"]) == (
        "fcdd", "bottle", "table2")]
    assert [n["reason"] for n in fcdd] == ["failed: out of memory"] * 3


def test_the_report_as_a_file(tmp_path, capsys):
    out = tmp_path / "there" / "report.md"
    assert cli.main(["verdict", "--baselines", "--out", str(out), "--results",
                     str(tmp_path)]) == 0
    assert out.read_text(encoding="utf-8") == (
        REPOSITORY / "docs" / "verdict.md").read_text(encoding="utf-8")


def test_what_is_refused(tmp_path, capsys, monkeypatch):
    def status(*words):
        return cli.main(["verdict", "--results", str(tmp_path / "r"), *map(str, words)])

    assert status() == 2 and "nothing is stored there" in refused(capsys)
    assert status("--baselines", tmp_path) == 2 and "has no baseline" in refused(capsys)
    assert status("--baselines", tmp_path / "no") == 2 and "no such folder" in refused(capsys)
    (tmp_path / "cut.json").write_text("{")
    assert status("--baselines", tmp_path) == 2 and "cut.json: not a baseline" in refused(capsys)
    assert status("--baselines", "--out", tmp_path) == 2 and "is a folder" in refused(capsys)
    monkeypatch.setattr(verdict, "COVERAGE", tmp_path / "cut.json")
    assert status("--baselines") == 2 and "--measure-coverage" in refused(capsys)
    with pytest.raises(SystemExit):
        status("--baselines", "--stored")


def test_coverage_is_kept_in_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verdict.interval_coverage, "measure",
                        lambda: verdict.coverage()[:2])
    path = tmp_path / "coverage.json"
    assert cli.main(["verdict", "--measure-coverage", str(path)]) == 0
    wanted = verdict.coverage()[:2]
    monkeypatch.setattr(verdict, "COVERAGE", path)
    assert verdict.coverage() == wanted

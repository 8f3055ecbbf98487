"""`audit`: what it finds in the published numbers, its report, and the command."""

from __future__ import annotations

import copy
import json
import re

import pytest

from aexad.bench.commands import cli
from aexad.bench.paper.audit import audit, report
from aexad.bench.paper.printed_tables import tables

from conftest import REPOSITORY


@pytest.fixture(scope="module")
def checks():
    return {check.id: check for check in audit(tables())}


def where(check):
    return [d.where for d in check.disagreements]


def rows(check, title):
    [listing] = [listing for listing in check.listings if listing.title.startswith(title)]
    return {row[0]: row[1:] for row in listing.rows}


def test_counts_of_all_checks(checks):
    """What the audit must find; each count was worked out from the tables independently."""
    assert {name: (c.checked, c.disagreeing) for name, c in checks.items()} == {
        "rows": (15 + 6 + 7 * 25, 0),
        "tradeoff-table7": (225, 21),
        "tradeoff-table8": (225, 8),
        "tradeoff-winners": (150, 2),
        "emissions-table5": (75, 3),
        "emissions-table6": (75, 1),
        "win-rates-labels": (54, 24),
        "win-rates-zeros": (108, 2),
        "win-rates-f1-iou": (36, 6),
        "win-rates-sums": (6 * 3 * 3 + 6 * 3 * 6, 0),
        "win-rates-images": (6, 2),
        "training-anomalies": (3, 0),
        "detection-images": (54, 0),
        "dataset-sizes": (4, 0),
        "auc-twice": (15, 0),
        "ae-below-chance": (15, 10),
        "f1-iou-means": (150, 0),
        "f1-zero": (150, 4),
        "claims": (26, 6),
        "marks-best": (15 + 4 * 75 + 3 * 25, 4),
        "marks-runner-up": (390, 14 + 2 + 16 + 75),
        "marks-win-rates": (108, 0),
    }


def test_trade_off_scores_of_other_numbers(checks):
    found = [w.rsplit(", ", 1)[0] for w in where(checks["tradeoff-table7"])]
    assert {w: found.count(w) for w in found} == {
        "WFDD grey cloth, FCDD": 3, "WFDD grey cloth, BGAD": 2, "WFDD grid cloth, FCDD": 3,
        "WFDD grid cloth, BGAD": 3, "WFDD pink flower, FCDD": 3, "WFDD pink flower, BGAD": 1,
        "WFDD yellow cloth, FCDD": 3, "WFDD yellow cloth, BGAD": 3}
    assert where(checks["tradeoff-table8"]) == [
        f"{d}*, AE-XAD, {m}" for d in ("Wood", "Hazelnut") for m in ("AUC", "F1", "IoU")
    ] + ["Road Inspection*, AE-XAD, AUC", "Road Inspection*, AE-XAD, IoU"]
    single = {k for k, v in rows(checks["tradeoff-table7"], "Emissions").items() if v[-1] != "none"}
    assert single == {f"WFDD {c}, BGAD" for c in ("grey cloth", "pink flower", "yellow cloth")}
    assert where(checks["tradeoff-winners"]) == [
        "Table 7, WFDD pink flower, AUC", "Table 7, WFDD pink flower, F1"]


def test_the_exchanged_names_of_table_3(checks):
    assert checks["win-rates-labels"].meaning.startswith(
        "The names FCDD and BGAD are most likely exchanged in Table 3: as printed 30 of 54")
    assert checks["win-rates-labels"].listings[0].rows[0] == ("AE-XAD", "BGAD", "FCDD", "48 of 54")
    assert where(checks["win-rates-zeros"]) == ["BTAD, F1, BGAD over FCDD",
                                                "BTAD, IoU, BGAD over FCDD"]


def test_the_names_are_found_by_computing():
    """Exchanged back, Table 3 agrees as printed."""
    right = {**tables(), "table3": tables()["table3_relabelled"]}
    found = {check.id: check for check in audit(right)}
    assert found["win-rates-labels"].disagreeing == 6
    assert "as they are printed (48 of 54" in found["win-rates-labels"].meaning
    assert not found["win-rates-zeros"].disagreements


def test_emissions_out_of_line(checks):
    five, six = checks["emissions-table5"], checks["emissions-table6"]
    assert [(d.where, d.printed, d.computed.split(" g ")[0]) for d in five.disagreements] == [
        ("MVTec AD leather, AE-XAD", "0.050 g", "6.622"),
        ("MVTec AD zipper, AE-XAD", "0.042 g", "6.648"),
        ("BTAD 03, AE-XAD", "65.806 g", "25.86")]
    assert where(six) == ["BTAD 01*, FCDD"]
    assert rows(five, "Grams")["AE-XAD"][:4] == ("-0.1093 + 0.02589 n", "0.938", "0.703", "0.938")
    assert rows(five, "Grams")["BGAD"][:2] == ("-0.0842 + 0.04895 n", "0.994")
    assert rows(six, "Grams")["FCDD"][:2] == ("0.0114 + 0.01656 n", "0.949")
    assert rows(five, "Training")["WFDD grid cloth"] == ("2823", "2254", "2072", "not public")
    assert rows(five, "Training")["BTAD 03"] == ("2546", "994", "990", "1003")
    again = rows(five, "Table 7")
    assert again["MVTec AD zipper, AE-XAD, F1"] == ("0.0248", "3.938", "5.3597", "yes", "yes")


def test_images_behind_the_shares(checks):
    assert rows(checks["win-rates-images"], "Numbers") == {
        "MVTec AD": ("1258", "575 to 1258 (359 values)"), "WFDD": ("444", "none"),
        "BTAD": ("290", "none"), "Wood": ("76", "25, 50, 75"), "Hazelnut": ("25", "15"),
        "Road Inspection": ("17", "7, 14")}
    assert "smallest is 795" in checks["win-rates-images"].disagreements[0].computed
    assert "smallest is 656" in checks["win-rates-images"].disagreements[1].computed
    assert list(rows(checks["detection-images"], "Impossible")) == ["MVTec AD toothbrush"]
    assert rows(checks["training-anomalies"], "What")["Wood"][2] == "1"  # the last of three lines
    assert where(checks["win-rates-f1-iou"]) and all(
        w.startswith("WFDD") for w in where(checks["win-rates-f1-iou"]))


def test_claims_of_the_text(checks):
    found = [(row[2], row[3].split(";")[0], row[4]) for row in checks["claims"].listings[0].rows]
    assert ("AE-XAD best in more than half of Table 2's rows", "13 of 25 (11 alone)",
            "only with ties") in found
    assert ("best in more than half of Table 9's rows", "13 of 25 (8 alone)",
            "only with ties") in found
    assert ("best in more than half of Table 4's rows", "15 of 25 (14 alone)", "holds") in found
    assert ("lowest T(AUC) in almost all rows of Table 8", "13 of 25", "does not hold") in found
    assert ("BGAD emits most in almost all rows of Tables 5 and 6", "49 of 50", "holds") in found
    quoted = "\n".join(d.where + d.computed for d in checks["claims"].disagreements)
    assert "7 of 12; last on MVTec AD cable, MVTec AD carpet, MVTec AD pill, BTAD 02" in quoted
    assert "AUC against FCDD on WFDD (0.455)" in quoted


def test_a_planted_error_is_found_in_the_real_tables():
    planted = copy.deepcopy(tables())
    planted["table2"]["mvtec/tile"]["aexad"]["auc"] = 0.959  # was 0.995
    before = {c.id: c.disagreeing for c in audit(tables())}
    changed = {c.id for c in audit(planted) if c.disagreeing != before[c.id]}
    assert changed == {"tradeoff-table7", "tradeoff-winners", "auc-twice", "marks-best",
                       "marks-runner-up", "claims"}


# -- report and command --

def test_markdown_is_well_formed(checks):
    text = report.markdown(list(checks.values()))
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    headings = {re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-")
                for h in re.findall(r"^## (.*)$", text, re.M)}
    links = re.findall(r"\]\(#(.*?)\)", text)
    assert len(links) == len(checks) and set(links) == headings


@pytest.mark.parametrize("width", [80, 120, 250])
def test_terminal_keeps_to_its_width(checks, width):
    lines = report.terminal(list(checks.values()), width).splitlines()
    assert max(map(len, lines)) <= width


def test_every_check_says_what_it_means(checks):
    for check in checks.values():
        assert check.rule.endswith((".", ")")) and check.meaning.endswith(".")
        assert check.disagreeing <= check.checked


def test_the_command_writes_its_report(tmp_path, capsys):
    assert cli.main(["audit", "--results", str(tmp_path), "--json", str(tmp_path / "a.json")]) == 0
    out, err = capsys.readouterr()
    assert "21 of 225 scores disagree." in out and "Traceback" not in err
    found = json.loads((tmp_path / "a.json").read_text())["checks"]
    assert {c["id"]: c["disagreeing"] for c in found}["tradeoff-table8"] == 8
    written = (tmp_path / "tables" / "audit.md").read_text(encoding="utf-8")
    assert written == (REPOSITORY / "docs" / "audit.md").read_text(encoding="utf-8"), (
        "docs/audit.md is not what the command writes: ./reproduce.sh audit --out docs/audit.md")


def test_results_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AEXAD_RESULTS", str(tmp_path))
    assert cli.main(["audit"]) == 0
    assert [p.name for p in tmp_path.rglob("*.*")] == ["audit.md"]


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_a_folder_is_no_file(tmp_path, capsys, option):
    assert cli.main(["audit", "--results", str(tmp_path), option, str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == f"error: {option} {tmp_path}: is a folder; name a file in it\n"

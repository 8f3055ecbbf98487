"""results/baselines/evidence.sh and its siblings: what they ask for, and how they go on. Here
reproduce.sh is one that only tells how it was called."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from aexad.bench.commands import cli
from aexad.bench.commands.request import table_cells, understand
from aexad.bench.plan.definitions import TABLES

from conftest import REPOSITORY, make_category

TOLD = """#!/usr/bin/env bash
printf '%s ' "$AEXAD_RESULTS" "$AEXAD_CACHE" "$AEXAD_DATA" "$@" >>calls
echo >>calls
[[ $* != *evidence-${FAILING:-no}* ]] || exit "$STATUS"
"""


@pytest.fixture
def copy(tmp_path):
    return caller(tmp_path, "evidence.sh")


@pytest.fixture
def beyond(tmp_path):
    return caller(tmp_path, "beyond.sh")


@pytest.fixture
def green(tmp_path):
    return caller(tmp_path, "green.sh")


def caller(tmp_path, name):
    """Calls the script in a repository that has nothing else; returns its exit status and calls."""
    place = tmp_path / "a copy" / "results" / "baselines"
    place.mkdir(parents=True)
    script, repo = place / name, place.parents[1]
    for part in (name, "rows.sh"):
        shutil.copy2(REPOSITORY / "results" / "baselines" / part, place / part)
    (repo / "reproduce.sh").write_text(TOLD)
    (repo / "reproduce.sh").chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AEXAD_", "EVIDENCE_"))}

    def call(*words: str, **env: str) -> tuple[int, list[str], str]:
        (repo / "calls").unlink(missing_ok=True)
        done = subprocess.run([script, *words], env=clean | env, cwd=tmp_path, text=True,
                              capture_output=True, check=False)
        calls = repo / "calls"
        return (done.returncode, calls.read_text().splitlines() if calls.exists() else [],
                done.stdout + done.stderr)
    return call


def test_another_command_than_reproduce_sh(copy, tmp_path):
    status, calls, said = copy("4", EVIDENCE_COMMAND="./reproduce.sh extra words")
    assert status == 0 and len(calls) == 1, said
    assert calls[0].split()[3:6] == ["extra", "words", "table2"]


def test_rows_in_their_order_with_their_places(copy):
    status, calls, _ = copy()
    assert status == 0 and len(calls) == 19
    for call in calls:
        words = call.split()
        alone = "evidence-09-" in call
        assert words[0] == "../aexad-evidence/results" + "/alone" * alone
        assert words[1:3] == ["../aexad-evidence/cache", "../shared/data"]
        assert ("--emissions strict" in call) is alone and ("--jobs 2" in call) is not alone
    status, calls, _ = copy("9", "13", AEXAD_RESULTS="r", EVIDENCE_OPTIONS="--protocol smoke",
                            EVIDENCE_FOLDER="kept")
    assert [call.split()[0] for call in calls] == ["r/alone", "r/alone", "r"]
    assert all("--protocol smoke --unless-saved --save-baseline kept/e" in call for call in calls)


def test_after_a_failure_it_goes_on_and_after_an_interruption_it_stops(copy):
    assert [copy("1", "2", "3", FAILING="02", STATUS=s)[0] for s in ("1", "130")] == [1, 130]
    assert len(copy("1", "2", "3", FAILING="02", STATUS="1")[1]) == 3
    assert len(copy("1", "2", "3", FAILING="02", STATUS="130")[1]) == 2


def test_a_row_that_is_none_is_refused(copy):
    for word in ("0", "18", "x", "--lst"):
        status, calls, said = copy("1", word)
        assert status == 2 and not calls and f"no row '{word}'" in said


@pytest.fixture
def asked(copy, tmp_path, monkeypatch):
    return understood(copy, tmp_path, monkeypatch)


def understood(copy, tmp_path, monkeypatch):
    """Row -> requests and cells of its commands, as the command line understands them."""
    for place in ("mvtec/bottle", "mvtec/toothbrush", "mvtec/transistor", "wood"):
        make_category(tmp_path / "shared" / "data" / place)
    monkeypatch.setenv("AEXAD_DATA", str(tmp_path / "shared" / "data"))
    status, calls, said = copy("--list", EVIDENCE_FOLDER=str(tmp_path / "kept"))
    assert status == 0 and not calls
    found: dict[int, list] = {}
    for line in said.splitlines():
        if line.startswith("    ./reproduce.sh"):
            request = understand(cli.understand(shlex.split(line)[1:]))
            definition = TABLES[request.args.command].under(request.args.scenario)
            row = int(Path(request.args.save_baseline).name.split("-")[1])
            found.setdefault(row, []).append((request, table_cells(request, definition)[0]))
    return found


def test_what_the_rows_ask_for(asked):
    cells = {row: [cell for _, cells in parts for cell in cells] for row, parts in asked.items()}
    assert [len(cells[row]) for row in range(1, 18)] == [
        16, 4, 12, 1, 16, 2, 3, 8, 9, 1, 1, 2, 1, 3, 1, 8, 6]
    assert {tuple(c.fit.category for c in cells[row]) for row in (4, 11, 12, 13)} == {
        ("toothbrush",), ("toothbrush", "toothbrush")}
    assert Counter(c.fit.scenario for c in cells[9]) == {"standard": 3, "anomalies_only": 6}
    assert Counter((c.fit.scenario, c.fit.seed) for c in cells[5]) == {
        (s, n): 4 for s in ("standard", "anomalies_only") for n in (41, 42)}
    epochs = {row: {c.fit.params.epochs for c in cells[row] if hasattr(c.fit.params, "epochs")}
              for row in cells}
    assert epochs[7] == {30}
    assert all(epochs[row] == {200} for row in (1, 4, 5, 11, 12, 13, 14, 17))
    full = {(c.fit.params.meta_epochs, c.fit.params.sub_epochs, c.fit.params.lr)
            for row in (6, 10, 15, 16) for c in cells[row]}
    assert full == {(25, 8, 2e-4)}
    for cell in (cell for row in cells.values() for cell in row):
        network = {"bgad": "backbone", "fcdd": "net"}.get(cell.fit.method, "encoder")
        assert getattr(cell.fit.params, network) == {
            "bgad": "efficientnet_lite0", "fcdd": "vgg16", "ae_xad_vit": "vit_tiny"}.get(
                cell.fit.method, "resnet50")


def test_no_cell_twice_but_to_be_measured_alone(asked):
    keys = {row: {c.key for _, cells in parts for c in cells} for row, parts in asked.items()}
    alone = keys.pop(9)
    assert sum(map(len, keys.values())) == len(set().union(*keys.values())) == 85
    assert len(alone & (keys[3] | keys[2] | keys[1])) == 8  # all but FCDD on toothbrush, brief


def test_commands_of_one_file_have_the_same_settings(asked):
    for parts in asked.values():
        assert len({(r.settings.protocol, r.args.epochs, *r.args.set, r.args.note)
                    for r, _ in parts}) == 1


# -- beyond.sh, its sibling --

def test_todays_detectors_under_named_conditions(beyond, tmp_path, monkeypatch):
    [(_, first)], [(request, alone)], [(_, complete)] = understood(
        beyond, tmp_path, monkeypatch).values()
    todays = ["padim", "patchcore", "supersimplenet"]
    assert Counter(c.method for c in first) == dict.fromkeys(todays, 4)
    assert [c.method for c in alone] == ["ae_xad", "fcdd", "bgad", *todays]
    assert {c.fit.category for c in alone} == {"toothbrush"}
    assert request.args.emissions == "strict" and request.args.jobs == 1
    assert [(c.method, c.fit.params.epochs) for c in complete] == [("supersimplenet", 300)] * 4
    for cell in (c for c in (*first, *complete) if c.method in todays):
        params = cell.fit.params
        assert params.backbone == "resnet50.tv_in1k" and cell.fit.seed == 40
        assert set(params.layers.split(",")) <= {"layer1", "layer2"}
    assert {c.key for c in alone if c.method in todays} <= {c.key for c in first}


def test_the_environment_with_anomalib_and_a_store_of_its_own(beyond):
    status, calls, _ = beyond()
    assert status == 0 and [call.split()[0] for call in calls] == [
        f"../aexad-evidence/beyond{alone}" for alone in ("", "/alone", "")]
    assert beyond("4")[:2] == (2, [])
    said = beyond("1", EVIDENCE_COMMAND="printenv AEXAD_EXTRAS")[2]
    assert said.splitlines()[0] == "anomalib"


# -- green.sh, the other --

def test_green_beside_ae_xad_and_fcdd_with_its_own_network(green, tmp_path, monkeypatch):
    [(request, alone)], [(_, quality)] = understood(green, tmp_path, monkeypatch).values()
    assert request.args.emissions == "strict"
    assert [(c.method, c.fit.params.epochs, c.fit.category) for c in alone] == [
        ("ae_xad", 200, "toothbrush"), ("ae_xad_green", 60, "toothbrush"),
        ("fcdd", 200, "toothbrush")]
    assert alone[2].fit.params.net == "vgg11bn" and alone[2].fit.params.weights == "random"
    assert Counter((c.method, c.fit.seed) for c in quality) == {
        ("ae_xad_green", seed): 4 for seed in (40, 41, 42)}


def test_the_tables_of_the_document_are_those_of_the_baselines():
    """Whoever adds to them calls the script with --into docs/beyond.md."""
    script = REPOSITORY / "docs" / "beyond_tables.py"
    made = subprocess.run([sys.executable, "-P", script], capture_output=True, text=True)
    assert made.returncode == 0 and "| AE-XAD, 200 epochs " in made.stdout, made.stderr
    assert made.stdout.strip() in (REPOSITORY / "docs" / "beyond.md").read_text(encoding="utf-8")

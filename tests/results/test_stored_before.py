"""What was stored before everything got the import name `aexad` is found and read today.

`before/` is what the code of commit 54ec6a2, the last with modules of the name `bench`, gave: the
keys of all methods at seed 40, and what it stored and printed, but for the models, at

    table1 --protocol smoke --set data.size=32 --device cpu --threads 1 --methods ae,ae_xad
           --categories embedded/wood
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from aexad import methods
from aexad.bench.commands import cli
from aexad.bench.plan.cells import SCENARIOS, all_cells
from aexad.bench.plan.settings import PROTOCOLS, Settings
from aexad.bench.results.store import FIT, read_info

from running import csv, run

BEFORE = Path(__file__).with_name("before")
WORDS = ("--methods", "ae,ae_xad", "--categories", "embedded/wood")
KEYS = json.loads((BEFORE / "keys.json").read_text())


@pytest.fixture
def results(tmp_path):
    """A copy of what was stored, in which nothing is computed or written but tables."""
    place = shutil.copytree(BEFORE, tmp_path / "results")
    before = files(place)
    yield place
    assert files(place) == before


def files(results):
    return {path: path.read_bytes() for kind in ("fits", "cells")
            for path in (results / kind).rglob("*") if path.is_file()}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("protocol", KEYS)
def test_keys_are_those_of_before(protocol, scenario):
    now = {f"{dataset}/{category}": {cell.method: cell.key for cell in all_cells(
        Settings(protocol, None, []), methods.REGISTRY, [(dataset, category)], scenario, [40])}
        for dataset, category in (("embedded", "wood"), ("mvtec", "bottle"))}
    then = KEYS[protocol][scenario]
    assert {row: {m: now[row][m] for m in then[row]} for row in then} == then


def test_all_protocols_of_before_are_there():
    assert KEYS.keys() <= PROTOCOLS.keys()
    assert all(KEYS[protocol].keys() == set(SCENARIOS) for protocol in KEYS)


@pytest.mark.slow
def test_a_table_of_before_is_printed_again_without_computing(results, tmp_path):
    assert run(tmp_path, results, *WORDS) == 0
    pd.testing.assert_frame_equal(csv(results, "table1-embedded-smoke"),
                                  pd.read_csv(BEFORE / "table1-embedded-smoke.csv"))


def test_nothing_is_to_do(results, tmp_path, capsys):
    assert run(tmp_path, results, *WORDS, "--dry-run") == 0
    assert "0 fits to do, 0 of 2 cells" in capsys.readouterr().out


def test_fits_and_rows_per_image_are_read(results, tmp_path):
    fits = [read_info(path) for path in sorted(results.glob(f"fits/*/{FIT}"))]
    assert [fit["declared"]["method"] for fit in fits] == ["ae", "ae_xad"]
    rows = tmp_path / "rows.csv"
    assert cli.main(["export", "--results", str(results), "--out", str(rows)]) == 0
    assert pd.read_csv(rows)["method"].value_counts().to_dict() == {"ae": 47, "ae_xad": 47}

"""Baselines: what they keep of every image, what is said when that is lost, and adding to them."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aexad.bench.base import provenance
from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli, table as command
from aexad.bench.measure import metrics
from aexad.bench.measure.names import METRIC_COLUMNS
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.results import baseline
from aexad.bench.results.image_rows import per_image
from aexad.bench.results.store import Store
from aexad.bench.tables import winrates

from conftest import make_category
from running import BOTTLE, TINY, run

CELLS = all_cells(Settings("smoke", None, ["data.size=32"]),
                  ["ae", "ae_filtered", "ae_xad_raw", "ae_xad"], [("mvtec", "bottle")],
                  "standard", [40])


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache_dir):
    """(data root, results, baseline) of table1's four cells."""
    place = tmp_path_factory.mktemp("baseline")
    root = make_category(place / "data" / "mvtec" / "bottle").parents[1]
    path = place / "kept.json"
    assert run(root, place / "r", *BOTTLE, "--save-baseline", str(path)) == 0
    return root, place / "r", path


@pytest.fixture
def copy(made, tmp_path):
    """A baseline of one's own."""
    for path in (made[2], made[2].with_suffix(".parquet")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / "kept.json"


def both(path: Path) -> list[bytes]:
    return [path.read_bytes(), path.with_suffix(".parquet").read_bytes()]


# -- what is in it --


def test_the_rows_are_those_of_the_store(made):
    found, stored = baseline.images(made[2]), per_image(CELLS, Store(made[1]))
    assert list(found["key"].unique()) == [cell.key for cell in CELLS]
    found = found.drop(columns="key")
    assert list(found) == list(stored) and (found.dtypes == stored.dtypes).all()
    exact = [name for name in stored if name not in baseline.ROUNDED]
    assert "k" in exact and len(baseline.ROUNDED) == 24
    pd.testing.assert_frame_equal(found[exact], stored[exact], check_exact=True)
    pd.testing.assert_frame_equal(found, stored, atol=6e-8, rtol=0)


def test_the_means_of_its_rows_are_its_numbers(made):
    found = baseline.images(made[2])
    for entry in baseline.load(made[2])["cells"]:
        mine = found[found["key"] == entry["key"]]
        again = metrics.aggregate(mine, mine["score"])
        assert again["n_used"] > 0 and again["detection_auc"] is not None
        for name, value in again.items():
            assert entry["numbers"][name] == pytest.approx(value, abs=1e-6), name


def test_win_rates_of_its_rows_are_those_of_the_store(made):
    found, stored = baseline.images(made[2]), per_image(CELLS, Store(made[1]))
    for metric in METRIC_COLUMNS:
        for pair in (("ae_xad", "ae"), ("ae_filtered", "ae"), ("ae_xad", "ae_xad_raw")):
            rates = [winrates.shares(frame[frame["used"]], *pair, metric)
                     for frame in (found, stored)]
            assert rates[0].equals(rates[1]) and rates[0]["n"].item() > 0


def test_it_is_small_and_knows_what_only_some_methods_have(made, tmp_path):
    rng, rows = np.random.default_rng(1), baseline.images(made[2])
    noise = {name: rng.random(50 * len(rows)) for name in METRIC_COLUMNS}
    rows = pd.concat([rows.drop(columns="k"), *[rows] * 49], ignore_index=True).assign(**noise)
    path = tmp_path / "long.json"
    baseline.write(path, baseline.load(made[2])["cells"], rows, "", "")
    # bytes of the 2 + 24 columns of noise; that of its exponents makes room for all the rest
    assert path.with_suffix(".parquet").stat().st_size / len(rows) < 112
    found = baseline.images(path)
    assert found["k"].equals(rows["k"]) and found["k"].isna().sum() == len(rows) / 50


def test_check_update_keeps_rows_too(tmp_path):
    path = tmp_path / "mine.json"
    assert cli.main(["check", "--update", "--repeat", "1,1", "--baseline", str(path), *TINY,
                     "--methods", "ae_xad_raw", "--categories", "embedded/wood"]) == 0
    [entry] = baseline.load(path)["cells"]
    found = baseline.images(path)
    assert len(found) == entry["numbers"]["n_images"] and {*found["key"]} == {entry["key"]}


def test_a_saved_baseline_is_no_change_of_the_code(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x",
                        *words], check=True, capture_output=True)
    kept, code = tmp_path / "results" / "baselines" / "kept.json", tmp_path / "code.py"
    kept.parent.mkdir(parents=True)
    kept.write_text("1"), code.write_text("1")
    for words in (["init"], ["add", "."], ["commit", "-m", "x"]):
        git(*words)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    said = []
    for changed in (kept, code):
        changed.write_text("2")
        said.append(provenance.commit.__wrapped__())
    assert said[1] == said[0] + "+changes" and len(said[0]) == 12


# -- what is lost or altered --


def alter(path: Path, **changed) -> None:
    content = json.loads(path.read_text())
    content["images"].update(changed)
    path.write_text(json.dumps(content))


def test_without_its_rows_it_says_so_in_one_line(copy, tmp_path):
    beside = copy.with_suffix(".parquet")
    whole = beside.read_bytes()
    beside.write_bytes(whole[:-1] + b"?")
    with pytest.raises(UserError, match=r"kept.parquet: not the rows per image of kept.json \(its "
                                        r"sha256 is another\); .*make it anew"):
        baseline.images(copy)
    beside.unlink()
    with pytest.raises(UserError, match="kept.parquet: missing, the rows .* of kept.json; get it"):
        baseline.images(copy)
    content = json.loads(copy.read_text())
    del content["images"]
    copy.write_text(json.dumps(content))
    assert len(baseline.load(copy)["cells"]) == 4  # as check reads it
    with pytest.raises(UserError, match="kept.json: has no rows per image, .*make it anew"):
        baseline.images(copy)


def test_rows_that_no_baseline_has_are_refused(copy):
    from hashlib import sha256
    rows, beside = baseline.images(copy), copy.with_suffix(".parquet")
    for spoilt in (rows.drop(columns="key"), rows.assign(key=3), rows.drop(columns="auc"),
                   rows.assign(score="x"), rows.assign(id=None)):
        spoilt.to_parquet(beside)
        alter(copy, sha256=sha256(beside.read_bytes()).hexdigest())
        with pytest.raises(UserError, match="kept.parquet: not the rows per image"):
            baseline.images(copy)


def test_rows_are_looked_for_beside_the_file_alone(copy, tmp_path):
    beside = copy.with_suffix(".parquet")
    (tmp_path / "elsewhere").mkdir()
    beside.rename(tmp_path / "elsewhere" / beside.name)
    alter(copy, file="elsewhere/kept.parquet")
    with pytest.raises(UserError, match="kept.parquet: missing"):
        baseline.images(copy)


@pytest.mark.parametrize("file", ["", "/", "..", "a/.."])
def test_rows_in_no_file_are_one_line(copy, file):
    alter(copy, file=file)
    with pytest.raises(UserError, match=r"kept\.json: not a baseline|\.\.: (not|cannot|missing)"):
        baseline.images(copy)


@pytest.mark.parametrize("room, full", [(1_000, "parquet"), (50_000, "json")])
@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_the_pair_as_it_was(made, tmp_path, room, full, there):
    """Room for neither of the two, and for the rows alone; the names are long."""
    path, store, note = tmp_path / ("n" * 60 + ".json"), Store(made[1]), "x" * 60_000
    if there:
        baseline.save(path, CELLS[:1], store, "before", "", {})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(UserError, match=f"n.{full}: cannot write .*free some space"):
            baseline.save(path, CELLS, store, "now", note, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    baseline.save(path, CELLS, store, "now", note, {})
    assert len(baseline.images(path)) == 28


# -- adding to it --


def test_what_a_baseline_has_is_not_computed_and_stays(made, tmp_path, capsys, monkeypatch):
    root, path = made[0], tmp_path / "mine.json"
    words = (*BOTTLE, "--save-baseline", str(path), "--unless-saved")
    assert run(root, tmp_path / "a", *words, "--methods", "ae_xad") == 0
    one = baseline.images(path)
    assert run(root, tmp_path / "b", *words) == 0  # another folder of results: ae_xad not there
    said = capsys.readouterr()
    assert "mine.json: has 1 of 4 cells" in said.err and "(2 new)" in said.err
    assert not list((tmp_path / "b").glob("cells/*/*/*/ae_xad/*"))
    found, content = baseline.images(path), baseline.load(path)
    pd.testing.assert_frame_equal(found[found["key"].isin(one["key"])][one.columns], one)
    assert {e["key"] for e in content["cells"]} == {*found["key"]} == {c.key for c in CELLS}
    assert content["command"].count(" && ") == 1
    before = both(path)
    monkeypatch.setattr(command.runner, "run", lambda *a: pytest.fail("ran"))
    assert run(root, tmp_path / "c", *words) == 0
    assert "has 4 of 4 cells; nothing to do" in capsys.readouterr().err and both(path) == before


def test_each_fit_is_added_as_it_ends(made, tmp_path, monkeypatch):
    path, seen = tmp_path / "mine.json", []
    add = baseline.add
    monkeypatch.setattr(baseline, "add", lambda *a: seen.append(add(*a)) or seen[-1])
    assert run(made[0], tmp_path / "r", *BOTTLE, "--save-baseline", str(path),
               "--unless-saved") == 0
    assert seen == [(2, 0), (2, 0), (0, 0)]  # two fits of two cells, and once more at the end


def test_what_can_not_be_added_to_is_said_before_anything_runs(made, copy, tmp_path, capsys):
    root, results = made[:2]
    words = (*BOTTLE, "--save-baseline", str(copy), "--unless-saved")
    assert run(root, results, *words, "--epochs", "3") == 2
    assert "has cells of other options" in capsys.readouterr().err
    copy.with_suffix(".parquet").unlink()
    assert run(root, results, *words) == 2
    assert "kept.parquet: missing" in capsys.readouterr().err
    assert run(root, results, *BOTTLE, "--unless-saved") == 2
    assert "--unless-saved: needs --save-baseline" in capsys.readouterr().err
    assert run(root, results, *BOTTLE, "--save-baseline", str(tmp_path / "mine.parquet")) == 2
    assert "name it .json" in capsys.readouterr().err


def test_nothing_finished_nothing_written(made, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("no")
    monkeypatch.setattr("aexad.methods.ae_xad.AEXAD.fit", fail)
    words = (*BOTTLE, "--methods", "ae_xad", "--save-baseline", str(tmp_path / "mine.json"))
    assert run(made[0], tmp_path / "r", *words) == 1
    assert "no cell is finished" in capsys.readouterr().err
    assert run(made[0], tmp_path / "r", *words, "--unless-saved") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["r"]

"""`evaluate` and `compare`, whole commands: other tools' maps beside ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from aexad.bench.commands import cli
from aexad.bench.results.store import read_json

from conftest import make_category
from running import BOTTLE, TINY, csv, run

NAMES = [f"{kind}/{i:03d}" for kind, test in (("dent", range(5)), ("good", range(3)),
                                              ("scratch", range(5))) for i in test]


def maps(folder: Path, seed: int = 0, side: int = 32, names=NAMES) -> Path:
    """Random maps of all images that may be tested."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.random((side, side), np.float32))
    return folder


def images(results: Path, method: str) -> pd.DataFrame:
    [path] = results.glob(f"cells/mvtec/bottle/standard/{method}/*/images.parquet")
    return pd.read_parquet(path)


def refused(capsys, code: int) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert code == 2 and lines[-1].startswith("error: ")
    return lines[-1]


def evaluate(root: Path, results: Path, folder: Path, name: str, *words: str) -> int:
    return run(root, results, str(folder), "--name", name, *words, table="evaluate")


def test_the_order_of_float64_maps_counts(root, tmp_path):
    """Maps that are one number as float32, with all anomalous pixels on top."""
    from PIL import Image
    results = tmp_path / "r"
    for name in NAMES:
        mask = root / "mvtec/bottle/ground_truth" / f"{name}_mask.png"
        marked = np.asarray(Image.open(mask)) > 0 if mask.exists() else np.zeros((64, 64), bool)
        noise = np.random.default_rng(1).random((64, 64))
        path = tmp_path / "maps" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, 0.5 + (marked + noise / 2) * 1e-13)
    assert evaluate(root, results, tmp_path / "maps", "fine", *BOTTLE, "--set", "data.size=64",
                    "--keep-maps") == 0
    assert (images(results, "fine").query("label == 1").auc == 1).all()
    [kept] = results.rglob("heatmaps.npy")
    assert np.load(kept).dtype == np.float64


def test_our_own_maps_evaluated_give_our_own_numbers(root, tmp_path, capsys):
    results = tmp_path / "r"
    assert run(root, results, *BOTTLE, "--methods", "ae_xad", "--keep-maps", table="table2") == 0
    [cell] = results.glob("cells/*/*/*/ae_xad/*")
    ours, folder = images(results, "ae_xad"), tmp_path / "maps"
    for name, heatmap in zip(ours["id"], np.load(cell / "heatmaps.npy")):
        path = folder / "mvtec" / "bottle" / f"{name.removeprefix('test/')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, heatmap)
    scores = ours.assign(id="mvtec/bottle/" + ours["id"].str.removeprefix("test/"))
    scores[["id", "score"]].to_csv(folder / "scores.csv", index=False)
    assert evaluate(root, results, folder, "copy", *BOTTLE, "--label", "A copy") == 0
    out, err = capsys.readouterr()
    assert "A copy AUC" in out and "7 maps; scores: " in err and "resized" not in err
    theirs = images(results, "copy")
    pd.testing.assert_frame_equal(theirs, ours[theirs.columns], check_exact=True)
    [copied] = results.glob("cells/*/*/*/copy/*/cell.json")
    info, numbers = read_json(copied), read_json(cell / "cell.json")["numbers"]
    assert info["numbers"] == {k: v for k, v in numbers.items() if k in info["numbers"]}
    assert info["emissions"] is None and len(info["external"]["maps_sha256"]) == 64
    # Both stand in tables and statistics.
    assert run(root, results, *BOTTLE, "--methods", "ae_xad,copy", table="table2") == 0
    out = capsys.readouterr().out
    assert "A copy IoU" in out and "A copy on mvtec/bottle: heatmaps made elsewhere" in out
    assert "warning" not in out
    table = csv(results, "table2-smoke").pivot(index="metric", columns="method", values="value")
    assert (table["ae_xad"] == table["copy"]).all() and len(table) == 3
    assert run(root, results, "ae_xad", "copy", *BOTTLE, table="compare") == 0
    found = csv(results, "compare-smoke")
    assert (found["ties"] == 4).all() and (found["p"] == 1).all() and (found["high"] == 0).all()
    # What it emitted is not known: no number, never 0.
    assert run(root, results, *BOTTLE, "--methods", "ae_xad,copy", table="table5") == 0
    assert "A copy on mvtec/bottle: not measured, made elsewhere" in capsys.readouterr().out
    table = csv(results, "table5-smoke").set_index("method")
    assert np.isnan(table.value["copy"]) and table.value["ae_xad"] > 0
    # In another results folder the name means nothing.
    code = run(root, tmp_path / "other", *BOTTLE, "--methods", "copy", table="table2")
    assert "unknown method 'copy'" in refused(capsys, code)


def test_new_maps_replace_the_old_ones(root, tmp_path, capsys):
    results, folder = tmp_path / "r", maps(tmp_path / "maps")
    assert evaluate(root, results, folder, "theirs", *BOTTLE, "--keep-maps", "--label", "X") == 0
    first = images(results, "theirs")
    maps(folder, seed=1, side=48)
    capsys.readouterr()
    assert evaluate(root, results, folder, "theirs", *BOTTLE) == 0
    out, err = capsys.readouterr()
    # 7 of 13 are tested (3 of each defect train); the label stays, kept maps do not.
    assert "7 maps, resized from 48x48 to 32x32 (bilinear), 6 further maps ignored" in err
    assert "X AUC" in out and not list(results.rglob("heatmaps.npy"))
    assert not images(results, "theirs")["auc"].equals(first["auc"])


@pytest.mark.parametrize("rule, value", [((), 5.0), (("--score", "mean"), 5 / 32**2 + 1),
                                         (("--score", "sum"), 5 + 32**2)])
def test_scores_of_maps_and_constant_maps(root, tmp_path, rule, value):
    folder = tmp_path / "maps"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", np.ones((32, 32)))
    heatmap = np.ones((32, 32))
    heatmap[3, 4] += 5 if rule else 4
    np.save(folder / "good/001.npy", heatmap)
    assert evaluate(root, tmp_path / "r", folder, "flat", *BOTTLE, *rule) == 0
    found = images(tmp_path / "r", "flat").set_index("id")
    assert found.loc["test/good/001", "score"] == pytest.approx(value, rel=1e-12)
    used = found[found["label"] == 1]
    assert (used["auc"] == 0.5).all() and (used["f1_a1.0"] == 0).all()


def test_list_names_the_test_and_the_training_images(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--list", table="evaluate") == 0
    listed = capsys.readouterr().out.split()
    assert len(listed) == 7 and "mvtec/bottle/good/000" in listed
    maps(tmp_path / "maps", names=listed)  # just what was asked for is enough
    assert evaluate(root, tmp_path / "r", tmp_path / "maps", "theirs", *BOTTLE) == 0
    assert "ignored" not in capsys.readouterr().err
    assert ["mvtec/bottle/" + name.removeprefix("test/")
            for name in images(tmp_path / "r", "theirs")["id"]] == listed
    assert run(root, tmp_path / "r", *BOTTLE, "--list-train", table="evaluate") == 0
    train = capsys.readouterr().out.split()
    assert len(train) == 6 + 6 and "mvtec/bottle/train/good/000" in train
    assert not {name.replace("/test/", "/") for name in train} & set(listed)
    assert run(root, tmp_path / "r", *BOTTLE, "--list", "--seeds", "40,41", table="evaluate") == 0
    both = capsys.readouterr().out.split()
    assert both[:7] == [f"seed40/{name}" for name in listed] and both[7].startswith("seed41/")


def test_seeds_have_their_own_maps_or_share_them_with_a_note(root, tmp_path, capsys):
    words = (*BOTTLE, "--seeds", "40,41")
    folder = maps(tmp_path / "maps/mvtec/bottle").parents[1]
    assert evaluate(root, tmp_path / "r", folder, "theirs", *words) == 0
    assert "seed 41 gets the same maps" in capsys.readouterr().err
    maps(folder / "seed41/mvtec/bottle", seed=1)
    assert evaluate(root, tmp_path / "s", folder, "theirs", *words) == 0
    assert "same maps" not in capsys.readouterr().err
    digests = [[read_json(p)["external"]["maps_sha256"] for p in sorted((tmp_path / r).glob(
        "cells/*/*/*/*/seed4*/cell.json"))] for r in "rs"]
    assert digests[0][0] == digests[1][0] and digests[0][1] != digests[1][1]


def test_a_category_without_maps_is_missing_and_says_what_to_do(root, tmp_path, capsys):
    make_category(root / "mvtec" / "pill", kinds=("crack",))
    results = tmp_path / "r"
    for i, name in enumerate(("one", "two")):
        folder = maps(tmp_path / name / "mvtec/bottle", i).parents[1]
        assert evaluate(root, results, folder, name) == 0
    assert "note: no maps of mvtec/pill" in capsys.readouterr().err
    words = ("--categories", "bottle,pill")
    assert run(root, results, *words, "--methods", "one", table="table2") == 0
    assert "mvtec/pill: missing, no maps evaluated" in capsys.readouterr().out
    assert run(root, results, *words, table="compare") == 0  # both have stored cells
    out = capsys.readouterr().out
    assert "one − two" in out and "evaluate DIR --name two" in out
    assert "ranks need two categories" in out
    assert run(root, results, "--dry-run", *words, "--methods", "one", table="table2") == 0
    assert "0 fits to do" in capsys.readouterr().out


@pytest.mark.parametrize("spoil, message", [
    (lambda d: (d / "good/001.npy").unlink(), "maps of 1 of 7 test images are missing"),
    (lambda d: np.save(d / "good/001.npy", np.full((4, 4), np.nan)), "16 pixels are NaN"),
    (lambda d: (d / "scores.csv").write_text("id,score\ngood/000,1\n"),
     "no score for 6 test images, the first is mvtec/bottle/"),
    (lambda d: (d / "good/001.tiff").write_text(""), "ambiguous"),
])
def test_bad_maps(root, tmp_path, capsys, spoil, message):
    folder = maps(tmp_path / "maps")
    spoil(folder)
    assert message in refused(capsys, evaluate(root, tmp_path / "r", folder, "theirs", *BOTTLE))
    assert not (tmp_path / "r" / "cells").exists()


def test_bad_words(root, tmp_path, capsys):
    folder, results = maps(tmp_path / "maps"), tmp_path / "r"
    for name, message in (("ae_xad", "--name ae_xad: taken"), ("data", "--name data: taken"),
                          ("a b", "--name a b: expected letters"), ("../x", "expected letters")):
        assert message in refused(capsys, evaluate(root, results, folder, name, *BOTTLE))
    for words, message in (((str(tmp_path / "no"), "--name", "x"), "no: no such folder"),
                           (("--name", "x"), "needs DIR and --name"),
                           ((str(folder),), "needs DIR and --name")):
        code = run(root, results, *words, *BOTTLE, table="evaluate")
        assert message in refused(capsys, code)
    make_category(root / "mvtec" / "pill", kinds=("crack",))
    assert "no maps of any category" in refused(capsys, evaluate(root, results, folder, "x"))
    assert not results.exists() or not list(results.rglob("*.json"))


def test_a_name_that_a_method_takes_later_is_refused(root, tmp_path, capsys):
    (tmp_path / "r/external").mkdir(parents=True)
    (tmp_path / "r/external/fcdd.json").write_text('{"label": "old"}')
    error = refused(capsys, run(root, tmp_path / "r", *BOTTLE, table="status"))
    assert "fcdd.json: 'fcdd' is also the name of a method" in error


# -- compare --

@pytest.fixture
def three(root, tmp_path):
    """Three sets of random maps of two categories, stored; the results folder."""
    make_category(root / "mvtec" / "pill")
    for i, name in enumerate(("one", "two", "three")):
        for category in ("bottle", "pill"):
            maps(tmp_path / name / "mvtec" / category, 10 * i + len(category))
        assert evaluate(root, tmp_path / "r", tmp_path / name, name) == 0
    return tmp_path / "r"


def test_compare_prints_and_writes_everything(root, three, capsys):
    assert run(root, three, "one", "two", "three", "--categories", "bottle,pill",
               table="compare") == 0
    out = capsys.readouterr().out
    for text in ("one − two", "one − three", "two − three", "mvtec/bottle", "mvtec (all)",
                 "corrected over all 27 tests", "Friedman chi²", "Nemenyi"):
        assert text in out
    found = csv(three, "compare-smoke").fillna({"category": ""})
    assert len(found) == 3 * 3 * 3
    one, two = (images(three, name).set_index("id") for name in ("one", "two"))
    d = (one["iou_a1.0"] - two["iou_a1.0"])[one["label"] == 1].to_numpy()
    row = found.query("first == 'one' and second == 'two' and metric == 'iou' "
                      "and category == 'bottle'").iloc[0]
    assert row["difference"] == pytest.approx(d.mean()) and row["n"] == 4
    assert row["p"] == stats.wilcoxon(d, zero_method="pratt").pvalue
    assert (row["wins"], row["losses"]) == ((d > 0).sum(), (d < 0).sum())
    for path in ("tables/compare-smoke.md", "tables/compare-smoke.tex",
                 "figures/compare-smoke-ranks.pdf", "figures/compare-smoke-ranks.png"):
        assert (three / path).stat().st_size > 1000
    # The thresholds asked for are compared, not the first ones.
    assert run(root, three, "one", "two", "--categories", "bottle", "--set", "metrics.a=2",
               table="compare") == 0
    other = csv(three, "compare-smoke").set_index("metric").loc["f1"]
    assert other["mean_first"] == pytest.approx(one["f1_a2.0"][one["label"] == 1].mean())


def test_compare_names_what_is_missing_and_its_command(root, three, capsys):
    assert run(root, three, "one", "two", "ae_xad", *BOTTLE, table="compare") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "not compared: AE-XAD" in out and "missing, not computed yet: AE-XAD on" in out
    command = out.partition("what is missing is made by: ")[2].split()
    assert command[command.index("--methods") + 1] == "ae_xad"
    at = command.index("table2")
    words = command[at:command.index("data.size=32") + 1]
    assert cli.main([*words, "--dry-run", *TINY[-2:]]) == 0  # the command is one
    assert "1 fits to do, 1 of 1 cells" in capsys.readouterr().out


def test_compare_with_too_little(root, three, tmp_path, capsys):
    for words, message in (((), "needs two methods with stored results, found none"),
                           (("ae_xad",), "needs two methods, found ae_xad"),
                           (("ae_xad", "fcdd"), "found none; what is missing is made by: "),
                           (("ae_xad", "fcd"), "unknown method 'fcd'; did you mean 'fcdd'?"),
                           (("ae_xad", "fcdd", "--methods", "ae"), "either after the command")):
        code = run(root, tmp_path / "empty", *words, *BOTTLE, table="compare")
        assert message in refused(capsys, code)

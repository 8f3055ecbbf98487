"""Whole commands, end to end, on small folders: tables, resume, failures, bad input."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from aexad import methods
from aexad.bench.base.params import param
from aexad.bench.commands import cli
from aexad.bench.plan.cells import SCENARIOS
from aexad.bench.results.store import Store, read_json
from aexad.bench.run import checkpoint, task
from aexad.datasets.category import Library
from aexad.datasets.data_params import DataParams
from aexad.methods.base import Explanation

from conftest import make_category
from running import BOTTLE, TINY, csv, heatmaps, run

# -- a table --


def test_table1_from_images_to_files(root, tmp_path, capsys, monkeypatch):
    results = tmp_path / "results"
    assert run(root, results) == 0
    out = capsys.readouterr().out
    assert "Table 1" in out and "protocol smoke" in out and "AE∪F" in out and "AE-XAD∖F" in out
    assert f"mvtec/cable, … (14): no data, looked in {root / 'mvtec'}" in out
    table = csv(results)
    ours = table[table.category == "bottle"].set_index("method")
    assert ours.published.to_dict() == {"ae": 0.34, "ae_filtered": 0.267, "ae_xad_raw": 0.964,
                                        "ae_xad": 0.981}
    for method in ours.index:
        [cell] = (results / "cells/mvtec/bottle/standard" / method).iterdir()
        images = pd.read_parquet(cell / "images.parquet")
        assert len(images) == 7 and images.auc.count() == 4  # 3 normals, 2 x (5 - 3) anomalies
        assert ours.value[method] == pytest.approx(images.auc.mean())
        info = read_json(cell / "cell.json")
        assert info["emissions"]["country"] == "ITA" and info["data_sha256"]
        assert info["provenance"]["threads"] == 1 and "torch" in info["provenance"]["libraries"]
    assert len(list((results / "fits").iterdir())) == 2  # four cells, two trainings
    for suffix in ("md", "tex"):
        assert "bottle" in (results / "tables" / f"table1-smoke.{suffix}").read_text()
    # a second time nothing is trained or explained, and a store may be read-only
    monkeypatch.setattr(Store, "check_writable", lambda self: pytest.fail("wants to write"))
    monkeypatch.setattr(task, "run", lambda job: pytest.fail("ran again"))
    assert run(root, results) == 0
    assert capsys.readouterr().out == out


def test_table2_shows_three_metrics_and_the_binarisation_asked_for(root, tmp_path):
    results = tmp_path / "results"
    words = (*BOTTLE, "--methods", "ae_xad", "--epochs", "6")
    assert run(root, results, *words, table="table2") == 0
    table = csv(results, "table2-smoke").set_index("metric")
    [cell] = results.glob("cells/mvtec/bottle/standard/ae_xad/*/images.parquet")
    images = pd.read_parquet(cell)
    assert table.value["f1"] == pytest.approx(images["f1_a1.0"].mean())
    assert run(root, results, *words, "--set", "metrics.binarize=dataset", "--set", "metrics.a=2",
               table="table2") == 0
    table = csv(results, "table2-smoke").set_index("metric")
    assert table.value["iou"] == pytest.approx(images["iou_set_a2.0"].mean())


def test_anomalies_only_skips_the_ae_and_says_why(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--scenario", "anomalies_only") == 0
    out = capsys.readouterr().out
    assert "skipped [1]" in out and "trains on normal images alone" in out
    table = csv(tmp_path / "r", "table1-anomalies_only-smoke").set_index("method")
    assert np.isnan(table.value["ae"]) and table.value["ae_xad"] > 0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_images_behind_the_test_sets_threshold(root, tmp_path, scenario):
    """The authors' test set of a training on anomalies only has no normal images."""
    assert run(root, tmp_path, *BOTTLE, "--scenario", scenario, "--methods", "ae_xad",
               "--keep-maps") == 0
    [cell] = tmp_path.glob("cells/mvtec/bottle/*/ae_xad/*")
    images, maps = pd.read_parquet(cell / "images.parquet"), np.load(cell / "heatmaps.npy")
    assert len(maps) == 7 and read_json(cell / "cell.json")["numbers"]["n_normal"] == 3
    counted = maps[(images.label == 1) | (scenario == "standard")].astype(np.float64)
    threshold = np.float32(counted.mean() + counted.std())
    category = Library(root, tmp_path).load("mvtec", "bottle", DataParams(size=32))
    masks = dict(zip(category.ids, category.masks))
    for row, heatmap in zip(images.itertuples(), maps):
        if row.label:
            mask, above = masks[row.id], heatmap > threshold
            assert images.loc[row.Index, "iou_set_a1.0"] == pytest.approx(
                (mask & above).sum() / (mask | above).sum())


def test_seeds_give_a_mean_and_a_standard_deviation(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad", "--seeds", "40,41") == 0
    [row] = csv(tmp_path / "r").to_dict("records")
    values = [pd.read_parquet(p).auc.mean()
              for p in (tmp_path / "r").glob("cells/mvtec/bottle/standard/ae_xad/*/*.parquet")]
    assert len(values) == 2 and row["n_seeds"] == 2
    assert row["value"] == pytest.approx(np.mean(values))
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert "±" in capsys.readouterr().out


def test_embedded_suite_where_no_dataset_is_found(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", tmp_path / "r", "--methods", "ae", "--epochs", "1") == 0
    captured = capsys.readouterr()
    assert "EMBEDDED SUITE" in captured.out.splitlines()[0]
    assert "no dataset found in" in captured.err
    assert csv(tmp_path / "r", "table1-embedded-smoke").dataset.unique().tolist() == ["embedded"]


def test_random_weights_are_said_in_the_table(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae", "--set", "ae.weights=random") == 0
    assert "encoder with random weights" in capsys.readouterr().out


def test_dry_run_writes_nothing(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "2 fits to do, 4 of 4 cells" in out and "disk: about" in out
    assert not (tmp_path / "r").exists()


def test_dry_run_estimates_from_what_is_stored(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae") == 0
    said = []
    for words in ((), ("--jobs", "8"), ("--keep-maps", "--set", "data.size=256")):
        capsys.readouterr()
        assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae", "--epochs", "1000",
                   "--dry-run", *words) == 0
        said.append(capsys.readouterr().out.splitlines())
    assert said[0][-2].startswith("time: about ") and said[0] == said[1]  # one fit, one job
    n = 3 + 10  # test images: (13 maps of 256 x 256 float32 are 3.4 MB) + 2 MB + 0.1 MB
    assert f"about {math.ceil(n * 256 ** 2 * 4e-6 + 2.1)} MB" in said[2][-1]


def test_keep_maps_says_what_it_can_not_keep_any_more(root, tmp_path, capsys):
    words = (*BOTTLE, "--methods", "ae_xad")
    assert run(root, tmp_path / "r", *words) == 0
    assert run(root, tmp_path / "r", *words, "--keep-maps") == 0
    assert "1 cells were stored without heatmaps" in capsys.readouterr().err


def test_status_and_methods(root, tmp_path, capsys):
    run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad")
    capsys.readouterr()
    assert run(root, tmp_path / "r", table="status") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["table1", "ae_xad", "1", "0", "0", "0", "14"] in lines
    assert ["table1", "ae", "0", "1", "0", "0", "14"] in lines
    assert cli.main(["methods"]) == 0 and "ae_xad_raw" in capsys.readouterr().out
    assert cli.main(["methods", "ae_xad", "--protocol", "mini"]) == 0
    assert "efficientnet_lite0" in capsys.readouterr().out


def test_explanation_parameters_reuse_the_stored_fit(root, tmp_path, monkeypatch):
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad") == 0
    monkeypatch.setattr(task, "train", lambda *a: pytest.fail("trained again"))
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad", "--set", "ae_xad.k=3") == 0
    assert len(list((tmp_path / "r").glob("cells/mvtec/bottle/standard/ae_xad/*"))) == 2


# -- reproducible, parallel, interrupted --

def test_two_runs_are_bit_identical_alone_and_in_parallel(root, tmp_path):
    make_category(root / "mvtec" / "pill", kinds=("crack",))
    words = ("--categories", "bottle,pill", "--keep-maps", "--methods", "ae_xad")
    for name, more in (("a", ()), ("b", ()), ("c", ("--jobs", "2"))):
        assert run(root, tmp_path / name, *words, *more) == 0
    a, b, c = (heatmaps(tmp_path / name) for name in "abc")
    assert len(a) == 2 and a.keys() == b.keys() == c.keys()
    for key in a:
        assert np.array_equal(a[key], b[key]) and np.array_equal(a[key], c[key])
    infos = [read_json(p) for p in (tmp_path / "c").glob("cells/*/*/*/*/*/cell.json")]
    assert all(i["emissions"]["shared"] for i in infos)


def test_ctrl_c_within_a_fit_continues_where_it_stopped(root, tmp_path, monkeypatch, capsys):
    words = (*BOTTLE, "--methods", "ae_xad", "--epochs", "6", "--keep-maps",
             "--checkpoint-every", "0")
    assert run(root, tmp_path / "a", *words) == 0
    report = task.RunContext.report
    seen: list[int] = []

    def interrupted(self, epoch, loss):
        seen.append(epoch)
        report(self, epoch, loss)
        if seen == [0, 1, 2, 3]:
            raise KeyboardInterrupt

    monkeypatch.setattr(task.RunContext, "report", interrupted)
    assert run(root, tmp_path / "b", *words) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert run(root, tmp_path / "b", *words, table="status") == 0
    assert "interrupted; the same command continues it" in capsys.readouterr().out
    assert run(root, tmp_path / "b", *words) == 0
    assert seen == [0, 1, 2, 3, 3, 4, 5]  # epoch 3 had no checkpoint yet
    a, b = (heatmaps(tmp_path / name) for name in "ab")
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
    fits = [read_json(p) for p in sorted(tmp_path.glob("[ab]/fits/*/fit.json"))]
    assert fits[0]["losses"] == fits[1]["losses"] and len(fits[0]["losses"]) == 6
    assert not list((tmp_path / "b").rglob("*checkpoint*"))


def another_version(path: Path) -> None:
    """The checkpoint as of a version that kept the optimiser under another name."""
    content = checkpoint.read(path, torch.device("cpu"))
    content["state"]["optimisers"] = content["state"].pop("optimiser")
    content["emissions"] |= {"seconds": 1e6}
    checkpoint.write(path, content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [cut_off, another_version])
def test_checkpoint_that_is_none_starts_the_fit_anew(root, tmp_path, monkeypatch, damage):
    words = (*BOTTLE, "--methods", "ae_xad", "--epochs", "4", "--checkpoint-every", "0")

    def stop(self, epoch, loss):
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(task.RunContext, "report", stop)
        assert run(root, tmp_path / "r", *words) == 130
    [path] = (tmp_path / "r").rglob("checkpoint.pt")
    damage(path)
    assert run(root, tmp_path / "r", *words) == 0
    [fit] = (tmp_path / "r").rglob("fit.json")
    assert len(read_json(fit)["losses"]) == 4
    assert read_json(fit)["emissions"]["seconds"] < 1e5  # of this training alone


def command(root: Path, results: Path) -> subprocess.Popen:
    words = ["table1", "--data-root", str(root), "--results", str(results), *TINY, *BOTTLE,
             "--epochs", "40", "--keep-maps", "--checkpoint-every", "0.1"]
    return subprocess.Popen([sys.executable, "-m", "aexad.bench", *words],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_at_random_moments_a_run_ends_with_the_same_table(root, tmp_path):
    began = time.monotonic()
    assert command(root, tmp_path / "a").wait(timeout=300) == 0
    whole = time.monotonic() - began
    choose = random.Random(os.environ.get("AEXAD_KILL_SEED", "7"))
    finished: dict[Path, int] = {}
    kills, code = 0, None
    while code != 0:
        process = command(root, tmp_path / "b")
        if kills < 5:
            try:
                process.wait(timeout=choose.uniform(0.2, 0.8) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        code = process.wait(timeout=300)
        assert code in (0, -signal.SIGKILL)
        for path, stamp in finished.items():  # nothing finished is done again
            assert path.stat().st_mtime_ns == stamp, path
        finished = {p: p.stat().st_mtime_ns for name in ("fit.json", "cell.json")
                    for p in (tmp_path / "b").rglob(name)}
    assert kills  # how many there are depends on how busy the machine is
    tables = [(tmp_path / name / "tables/table1-smoke.csv").read_text() for name in "ab"]
    assert tables[0] == tables[1]
    a, b = (heatmaps(tmp_path / name) for name in "ab")
    assert len(a) == 4 and all(np.array_equal(a[k], b[k]) for k in a)
    assert not list((tmp_path / "b").rglob("*.tmp"))


# -- failures are kept, shown and tried again --

@dataclass(frozen=True)
class NoFit:
    epochs: int = param(1, "epochs")


class Grey:
    """A whole adapter: the heatmap is the grey value, or whatever `broken` says."""

    fit_params, explain_params, version = NoFit, NoFit, 1
    broken = ""

    def __init__(self, fit, explain, ctx):
        self.ctx = ctx

    def fit(self, train):
        for epoch in self.ctx.epochs(1, {}):
            self.ctx.report(epoch, float("nan") if self.broken == "nan" else 1.0)

    def explain(self, images):
        if self.broken == "explain":
            raise RuntimeError("no such luck\nsecond line")
        maps = images.mean(axis=3).astype(np.float32)
        if self.broken == "shape":
            maps = maps[:, :4]
        return Explanation(maps * (np.nan if self.broken == "map" else 1), maps.sum(axis=(1, 2)))

    def state_dict(self):
        return {"nothing": torch.zeros(1)}

    def load_state_dict(self, state):
        pass


@pytest.fixture
def grey(monkeypatch):
    monkeypatch.setitem(methods.REGISTRY, "grey", methods.Entry("Grey", "test_run:Grey"))
    methods.entries.cache_clear()
    yield Grey
    Grey.broken = ""
    methods.entries.cache_clear()


@pytest.mark.parametrize("how, message", [
    ("nan", "TrainingDiverged: loss is nan in epoch 1"), ("explain", "RuntimeError: no such luck"),
    ("map", "ValueError: explain returned NaN"), ("shape", "ValueError: explain returned heatmaps")
])
def test_a_failing_method_is_shown_and_tried_again(root, tmp_path, capsys, grey, how, message):
    words = (*BOTTLE, "--methods", "grey,ae_xad")
    grey.broken = how
    assert run(root, tmp_path / "r", *words) == 1
    captured = capsys.readouterr()
    assert "failed [1]" in captured.out and message in captured.out and message in captured.err
    table = csv(tmp_path / "r").set_index("method")
    assert np.isnan(table.value["grey"]) and table.value["ae_xad"] > 0  # the others go on
    run(root, tmp_path / "r", *words, table="status")
    assert message in capsys.readouterr().out
    grey.broken = ""
    assert run(root, tmp_path / "r", *words) == 0
    assert csv(tmp_path / "r").set_index("method").value["grey"] > 0.9  # bright squares


def test_baseline_keeps_numbers_and_provenance(root, tmp_path):
    path = tmp_path / "kept.json"
    assert run(root, tmp_path / "r", *BOTTLE, "--save-baseline", str(path), "--note", "toy") == 0
    kept = read_json(path)
    assert kept["note"] == "toy" and kept["command"].count("--save-baseline") == 1
    assert {c["method"] for c in kept["cells"]} == {"ae", "ae_filtered", "ae_xad_raw", "ae_xad"}
    table = csv(tmp_path / "r").query("category == 'bottle'").set_index("method")
    for cell in kept["cells"]:
        assert cell["numbers"]["auc"] == pytest.approx(table.value[cell["method"]])
        assert cell["emissions"]["fit"]["kwh"] > 0 and cell["provenance"]["fit"]["commit"]


def test_a_failure_outside_training_does_not_undo_a_finished_fit(root, tmp_path, monkeypatch):
    words = (*BOTTLE, "--methods", "ae_xad")
    assert run(root, tmp_path / "r", *words) == 0
    monkeypatch.setattr(task, "split", lambda *a: 1 / 0)
    assert run(root, tmp_path / "r", *words, "--set", "ae_xad.k=3") == 1
    [fit] = (tmp_path / "r").rglob("fit.json")
    assert read_json(fit)["status"] == "done"


def test_a_vanished_anomaly_is_left_out_and_said(root, tmp_path, capsys):
    """7.14 of what running the originals showed: it gave ten plain normal images as anomalies."""
    category = root / "mvtec" / "bottle"
    chosen = np.random.RandomState(40).permutation(5)[0]
    pixel = np.zeros((64, 64), np.uint8)
    pixel[0, 0] = 255
    Image.fromarray(pixel).save(category / f"ground_truth/dent/{chosen:03d}_mask.png")
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad", table="table2") == 0
    said = f"trained without test/dent/{chosen:03d}: at 32 px nothing is left of the mask"
    out = capsys.readouterr()
    assert said in out.out and said in out.err
    [info] = [read_json(p) for p in (tmp_path / "r").rglob("fit.json")]
    assert info["n_train"] == {"normal": 6, "anomalous": 5}


def test_a_fit_of_before_vanished_anomalies_were_kept_still_counts(root, tmp_path, capsys):
    assert run(root, tmp_path, *BOTTLE, "--methods", "ae_xad") == 0
    [path] = tmp_path.rglob("fit.json")
    info = read_json(path)
    assert info.pop("vanished") == []
    path.write_text(json.dumps(info))
    capsys.readouterr()
    assert run(root, tmp_path, *BOTTLE, "--methods", "ae_xad") == 0
    out = capsys.readouterr()
    assert "trained without" not in out.out and "to do" not in out.err

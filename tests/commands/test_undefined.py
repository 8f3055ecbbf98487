"""Test sets of which a metric is undefined: every command says so, and writes what there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aexad.bench.commands import cli
from aexad.bench.plan import own_images
from aexad.bench.run import task

from conftest import make_category
from running import TINY

USED = "the mask of every anomalous test image is empty or full"


def paint(place: Path, most: int, corner: int, kind: str = "*") -> None:
    """All masks of a value but for a pixel, which 32 px leave out."""
    for path in place.glob(f"ground_truth/{kind}/*.png"):
        pixels = np.full((64, 64), most, np.uint8)
        pixels[0, 0] = corner
        Image.fromarray(pixels).save(path)


def full(place: Path) -> None:
    paint(place, 255, 255)


def vanishing(place: Path) -> None:
    paint(place, 0, 255)


def covering(place: Path) -> None:
    paint(place, 255, 0)


def full_or_vanishing(place: Path) -> None:
    paint(place, 255, 255, "dent")
    paint(place, 0, 255, "scratch")


@pytest.fixture(scope="module", params=[full, vanishing, covering, full_or_vanishing],
                ids=lambda f: f.__name__)
def kept(request, tmp_path_factory):
    """A category without a usable mask, and its results after `run`."""
    root = tmp_path_factory.mktemp("undefined")
    place = make_category(root / "plates")
    request.param(place)
    assert command("run", place, root / "results") == 0
    yield place, root / "results"
    own_images.register(None)


def command(name: str, place: Path, results: Path, *words: str) -> int:
    return cli.main([name, "--data", str(place), "--results", str(results), *TINY,
                     "--methods", "ae_xad", *words])


def test_run_gives_table_note_and_overlays(kept, capsys):
    place, results = kept
    assert command("run", place, results) == 0
    said = capsys.readouterr()
    assert "undefined, auc of no test image is a number" in said.out and USED in said.out
    assert len(list((results / "overlays").rglob("*.png"))) == 3 + 4
    table = pd.read_csv(results / "tables/own-plates-smoke.csv").set_index("metric").value
    assert table[["auc", "f1", "iou"]].isna().all() and 0 <= table["detection_auc"] <= 1


@pytest.mark.parametrize("name", ["gallery", "figure1", "figure3", "figure4", "figure5"])
def test_a_figure_that_can_not_be_drawn_says_why(kept, capsys, name):
    place, results = kept
    assert command(name, place, results) == 2
    said = capsys.readouterr()
    assert "undefined, auc of no test image is a number" in said.out
    assert said.err.splitlines()[-1] == f"error: {name}: nothing to draw, see above"
    assert (USED in said.out) == (name in ("gallery", "figure1", "figure3"))
    assert not (results / "figures").exists()


def test_the_steps_of_an_image_that_is_asked_for_are_drawn(kept, tmp_path, monkeypatch):
    place, results = kept
    monkeypatch.setattr(task, "train", lambda *args: pytest.fail("trained"))
    shutil.copytree(results, tmp_path / "r")
    images = pd.read_csv(results / "tables/own-plates-smoke-images.csv")
    name = images[images.label == 1].id.iloc[0]
    assert command("figure1", place, tmp_path / "r", "--image", name) == 0
    assert (tmp_path / "r/figures/figure1-smoke.png").exists()


def test_a_study_says_undefined_and_no_nan(kept, tmp_path, capsys):
    place, _ = kept
    assert command("study", place, tmp_path / "r", "--points", "filter") == 0
    said = capsys.readouterr().out
    assert said.count("undefined") == 2 * 3 + 1 and "nan" not in said
    assert "undefined: AUC, F1 and IoU where the mask of every anomalous test image is" in said


def test_a_model_and_a_baseline_are_written(kept, tmp_path, capsys):
    place, results = kept
    assert command("fit", place, results, "--out", str(tmp_path / "model")) == 0
    assert "AUC undefined, detection AUC" in capsys.readouterr().out
    baseline = str(tmp_path / "kept.json")
    assert command("check", place, results, "--stored", "--baseline", baseline, "--update") == 0
    assert command("check", place, results, "--stored", "--baseline", baseline) == 0
    assert "1 numbers of 1 cells compared: 0 fell" in capsys.readouterr().out


def test_a_metric_that_was_a_number_and_is_none_fell(kept, tmp_path, capsys):
    place, results = kept
    path = tmp_path / "kept.json"
    assert command("check", place, results, "--stored", "--baseline", str(path), "--update") == 0
    content = json.loads(path.read_text())
    content["cells"][0]["numbers"]["auc"] = 0.9
    path.write_text(json.dumps(content))
    assert command("check", place, results, "--stored", "--baseline", str(path)) == 1
    assert "1 fell" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run", "fit", "table9", "gallery"])
def test_without_normal_test_images_the_detection_auc_is_undefined(tmp_path, capsys, name):
    place = make_category(tmp_path / "plates")
    shutil.rmtree(place / "test/good")
    words: tuple[str, ...] = ("--out", str(tmp_path / "model")) if name == "fit" else ()
    assert command(name, place, tmp_path / "r", *words) == 0
    said = capsys.readouterr().out
    assert "undefined" in said or name == "gallery"
    own_images.register(None)

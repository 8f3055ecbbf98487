"""`data.tile`, end to end: tables, pages, models, maps of other tools, and a small spot in a large
image."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import aexad
from aexad import methods
from aexad.bench.commands import cli
from aexad.bench.figures.overlays import at_size
from aexad.bench.plan import own_images
from aexad.bench.run import task
from aexad.datasets.images import read_rgb

from conftest import REPOSITORY, make_category
from running import TINY, cell_of, explain, own, refused

METHODS = ("ae_xad", "fcdd", "bgad")
TILES = ("--set", "data.tile=64")


def run(place: Path, results: Path, *words: str, command: str = "run") -> int:
    return own(place, results, *TILES, *words, command=command)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Own images of 150 x 90 pixels, one larger and one smaller than a tile, and what `run` makes
    of them."""
    root = tmp_path_factory.mktemp("tiles")
    place = make_category(root / "plates", side=64)
    for path in place.rglob("*.png"):
        size = {"test/good/000.png": (170, 64), "test/good/001.png": (40, 50)}.get(
            path.relative_to(place).as_posix(), (150, 90))
        Image.open(path).resize(size, Image.NEAREST).save(path)
    assert run(place, root / "results", "--methods", ",".join(METHODS)) == 0
    yield root
    own_images.register(None)


@pytest.fixture
def results(kept, tmp_path):
    return shutil.copytree(kept / "results", tmp_path / "results")


def expected_shape(kept, name):
    width, height = Image.open(kept / "plates" / f"{name}.png").size
    return (height + 1) // 2, (width + 1) // 2  # 32 for 64 pixels, halves up


@pytest.mark.parametrize("name", METHODS)
def test_maps_and_metrics_are_at_the_joined_size(kept, name):
    cell = cell_of(kept / "results", name)
    images = pd.read_parquet(cell / "images.parquet")
    shapes = [expected_shape(kept, i) for i in images.id]
    flat = np.load(cell / "heatmaps.npy")
    assert flat.dtype == np.float32 and flat.shape == (sum(h * w for h, w in shapes),)
    assert np.isfinite(flat).all() and len(set(shapes)) == 3
    info = json.loads((cell / "cell.json").read_text())
    assert info["fit"]["data"]["tile"] == 64
    for i, shape in zip(images.itertuples(), shapes):
        mask = kept / "plates/ground_truth" / f"{i.id.removeprefix('test/')}_mask.png"
        if mask.exists():
            small = Image.open(mask).resize(shape[::-1], Image.NEAREST)
            assert i.area == pytest.approx((np.asarray(small) > 0).mean())
    table = pd.read_csv(kept / "results/tables/own-plates-smoke.csv").set_index(
        ["method", "metric"]).value
    assert table[name, "auc"] == pytest.approx(images.auc.mean())


def test_the_table_says_it_and_pictures_have_the_images_sizes(kept):
    text = (kept / "results/tables/own-plates-smoke.md").read_text()
    assert "tiles of 64 px at 32 px" in text and "size × 0.5" in text
    for name, size in (("good/000", (170, 64)), ("good/001", (40, 50)), ("dent/004", (150, 90))):
        for found in (kept / "results/overlays").rglob(f"{name}.png"):
            assert Image.open(found).size == size
    page = (kept / "results/report-own-plates-smoke.html").read_text()
    assert 'class="exhibit"' in page
    assert (kept / "results/figures/gallery-own-plates-smoke.png").exists()


def test_how_many_tiles_train_is_stored_and_said(kept, tmp_path, capsys):
    [fit] = (kept / "results/fits").glob("*-ae_xad-*/fit.json")
    info = json.loads(fit.read_text())
    normal, anomalous = info["n_tiles"]["normal"], info["n_tiles"]["anomalous"]
    assert info["n_train"] == {"normal": 6, "anomalous": 6}
    # 75 x 45 of 32: 4 x 2 tiles, of each anomalous image one at least has marks
    assert normal + anomalous == 12 * 8 and 6 <= anomalous <= 48
    assert run(kept / "plates", tmp_path / "r", "--methods", "ae", command="table2") == 0
    assert f"{normal} without and {anomalous} with marked pixels train" in capsys.readouterr().err


def test_run_again_computes_nothing_and_makes_lost_maps_again(kept, results, monkeypatch):
    monkeypatch.setattr(task, "run", lambda job: pytest.fail("ran again"))
    drawn = {p: p.read_bytes() for p in (results / "overlays").rglob("*.png")}
    shutil.rmtree(results / "overlays")
    (cell_of(results, "ae_xad") / "heatmaps.npy").unlink()
    assert run(kept / "plates", results, "--methods", "ae_xad,bgad") == 0
    made = list((results / "overlays").rglob("*.png"))
    assert made and all(p.read_bytes() == drawn[p] for p in made)


@pytest.mark.parametrize("content", [np.zeros(7, np.float32), np.zeros((3, 32, 32), np.float32)])
def test_damaged_maps_end_in_a_line(kept, results, content, capsys):
    np.save(cell_of(results, "ae_xad") / "heatmaps.npy", content)
    assert run(kept / "plates", results, "--methods", "ae_xad") == 2
    assert "heatmaps.npy: damaged" in refused(capsys)


@pytest.mark.parametrize("name", METHODS)
def test_a_model_gives_the_maps_of_the_run_at_the_images_size(kept, tmp_path, name):
    results, out = kept / "results", tmp_path / "out"
    assert run(kept / "plates", results, "--methods", name, "--out", str(tmp_path / "model"),
               command="fit") == 0
    assert explain(tmp_path / "model", out, kept / "plates/test") == 0
    cell = cell_of(results, name)
    images = pd.read_parquet(cell / "images.parquet")
    shapes = [expected_shape(kept, i) for i in images.id]
    ends = np.cumsum([h * w for h, w in shapes])
    parts = np.split(np.load(cell / "heatmaps.npy"), ends[:-1])
    scores = pd.read_csv(out / "scores.csv").set_index("id").score
    for row, shape, part in zip(images.itertuples(), shapes, parts):
        short = row.id.removeprefix("test/")
        found = np.load(out / "maps" / f"{short}.npy")
        width, height = Image.open(kept / "plates" / f"{row.id}.png").size
        assert found.shape == (height, width)
        assert np.allclose(found, at_size(part.reshape(shape), (height, width)), atol=1e-4)
        assert scores[short] == pytest.approx(row.score, rel=1e-4)
        assert Image.open(out / "masks" / f"{short}.png").size == (width, height)

    again = aexad.load_model(tmp_path / "model", device="cpu", threads=1)
    paths = sorted((kept / "plates/test/dent").glob("*.png"))
    made = again.explain(paths)
    for path, heatmap, mask in zip(paths, made.heatmaps, made.masks):
        assert np.allclose(heatmap, np.load(out / "maps/dent" / f"{path.stem}.npy"), atol=1e-4)
        assert heatmap.shape == mask.shape == read_rgb(path).shape[:2]


def test_from_python_as_from_the_command_line(kept, tmp_path):
    images = sorted((kept / "plates/train/good").glob("*.png"))
    marked = sorted((kept / "plates/test/dent").glob("*.png"))
    masks = [kept / "plates/ground_truth/dent" / f"{p.stem}_mask.png" for p in marked]
    small = {"protocol": "smoke", "size": 32, "device": "cpu", "threads": 1}
    model = aexad.AEXAD(**small, tile=64, tile_overlap=0.5)
    model.fit([*images, *marked], [None] * len(images) + masks)
    found = model.explain(np.stack([read_rgb(p) for p in marked]))
    assert found.heatmaps.shape == found.masks.shape == (5, 90, 150)
    model.save(tmp_path / "model")
    again = aexad.load_model(tmp_path / "model", device="cpu", threads=1)
    assert again.get_params()["tile"] == 64 and again.get_params()["tile_overlap"] == 0.5
    assert np.array_equal(again.explain(marked).heatmaps, found.heatmaps)
    with pytest.raises(aexad.UserError, match="data.tile=16: must be in its range 32"):
        aexad.AEXAD(**small, tile=16)


def test_maps_of_another_tool_are_measured_at_the_same_size(kept, results, tmp_path, capsys):
    cell = cell_of(results, "ae_xad")
    images = pd.read_parquet(cell / "images.parquet")
    shapes = [expected_shape(kept, i) for i in images.id]
    parts = np.split(np.load(cell / "heatmaps.npy"), np.cumsum([h * w for h, w in shapes])[:-1])
    for name, shape, part in zip(images.id, shapes, parts):
        path = tmp_path / "maps" / f"{name.removeprefix('test/')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, part.reshape(shape))
    assert cli.main(["evaluate", str(tmp_path / "maps"), "--name", "theirs", "--data",
                     str(kept / "plates"), "--results", str(results), *TINY, *TILES]) == 0
    theirs = pd.read_parquet(cell_of(results, "theirs") / "images.parquet")
    columns = ["id", "auc", "ap", "f1_a1.0", "iou_a1.0", "f1_set_a1.0", "area"]
    pd.testing.assert_frame_equal(theirs[columns], images[columns])


def test_figures_of_whole_images_are_refused(kept, results, capsys):
    for figure in ("figure1", "figure3"):
        assert cli.main([figure, "--data", str(kept / "plates"), "--results", str(results), *TINY,
                         *TILES, "--methods", "ae_xad"]) == 2
        assert f"{figure}: " in (line := refused(capsys)) and "leave out data.tile" in line


MEAN = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Nothing:
    pass


class Mean:
    fit_params, explain_params, version = Nothing, Nothing, 1

    def __init__(self, fit, explain, ctx): ...
    def fit(self, train): ...
    def explain(self, images): ...
"""


def test_a_method_without_the_steps_is_refused_before_anything_trains(kept, tmp_path, monkeypatch,
                                                                      capsys):
    (tmp_path / "mean_of_all.py").write_text(MEAN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(methods.REGISTRY, "mean", methods.Entry("Mean", "mean_of_all:Mean"))
    methods.entries.cache_clear()
    try:
        assert run(kept / "plates", tmp_path / "r", "--methods", "ae_xad,mean",
                   command="table2") == 2
        assert "data.tile: mean can't explain tiles" in refused(capsys)
        assert not list((tmp_path / "r").rglob("fit.json"))
        with pytest.raises(aexad.UserError, match="data.tile: mean can't explain tiles"):
            aexad.Detector("mean", tile=512).fit(np.zeros((1, 8, 8, 3), np.uint8))
    finally:
        monkeypatch.undo()
        methods.entries.cache_clear()


def test_interrupted_it_continues_to_the_same_maps(kept, tmp_path, monkeypatch):
    words = ("--methods", "ae_xad", "--epochs", "4", "--keep-maps", "--checkpoint-every", "0")
    place = kept / "plates"
    assert run(place, tmp_path / "a", *words, command="table2") == 0
    report, seen = task.RunContext.report, []

    def interrupted(self, epoch, loss):
        seen.append(epoch)
        report(self, epoch, loss)
        if seen == [0, 1, 2]:
            raise KeyboardInterrupt

    monkeypatch.setattr(task.RunContext, "report", interrupted)
    assert run(place, tmp_path / "b", *words, command="table2") == 130
    assert run(place, tmp_path / "b", *words, command="table2") == 0
    assert seen == [0, 1, 2, 2, 3]
    a, b = (np.load(cell_of(tmp_path / name, "ae_xad") / "heatmaps.npy") for name in "ab")
    assert np.array_equal(a, b)


def test_dry_run_knows_the_size_of_the_maps(kept, tmp_path, capsys):
    assert run(kept / "plates", tmp_path / "r", "--methods", "ae_xad", "--keep-maps", "--dry-run",
               command="table2") == 0
    assert "disk: about" in capsys.readouterr().out


@pytest.mark.slow
def test_a_small_spot_in_a_large_image_is_found_with_tiles_alone(tmp_path, capsys):
    """The set of docs/large_images.md, smaller: 1000 x 800 pixels, spots of 6."""
    made = runpy.run_path(str(REPOSITORY / "docs" / "large_images.py"))
    place = tmp_path / "plates"
    made["write"](place, 1000, 800, 6, {"train/good": 3, "test/good": 3, "test/spot": 6})
    hits = {}
    for name, words in (("tiles", ("--set", "data.tile=128")), ("whole", ())):
        out = tmp_path / name
        assert cli.main(["fit", "--data", str(place), "--results", str(tmp_path / "r"),
                         "--protocol", "smoke", "--device", "cpu", "--threads", "2", *words,
                         "--methods", "ae_xad", "--out", str(out / "model")]) in (0, 2)
        if not (out / "model").exists():  # nothing is left of the spots to train with
            hits[name] = 0
            assert "empty at 64 px" in capsys.readouterr().err
            continue
        assert explain(out / "model", out / "maps", place / "test/spot") == 0
        hits[name] = 0
        for path in sorted((place / "test/spot").glob("*.png")):
            mask = Image.open(place / "ground_truth/spot" / f"{path.stem}_mask.png")
            heatmap = np.load(out / "maps" / "maps" / f"{path.stem}.npy")
            y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
            near = np.asarray(mask)[max(y - 6, 0):y + 7, max(x - 6, 0):x + 7]
            hits[name] += bool(near.any())
    assert hits["tiles"] == 6 and hits["whole"] <= 1
    own_images.register(None)

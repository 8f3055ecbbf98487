"""`run`, `fit` and `explain`, end to end on a small folder of images of the working size."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli, request as requests
from aexad.bench.measure import maps
from aexad.bench.plan import own_images
from aexad.bench.results import model
from aexad.bench.run import task
from aexad.bench.run.job import Job

from conftest import make_category
from running import TINY, cell_of, explain, own, refused

METHODS = ("ae_xad", "fcdd", "bgad")
ANOMALOUS, TESTED = 4, 7  # of 2 x 5 and 3 normal images; 2 x 3 anomalies train


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Own images, their results after `run`, a model of each method, and a folder of exactly the
    test images."""
    root = tmp_path_factory.mktemp("own")
    place = make_category(root / "plates", side=32)
    assert own(place, root / "results", "--methods", ",".join(METHODS)) == 0
    for name in METHODS:
        assert own(place, root / "results", "--methods", name, "--out", str(root / name),
                   command="fit") == 0
    for name in pd.read_parquet(cell_of(root / "results", "ae_xad") / "images.parquet").id:
        copy = root / "tested" / f"{name.removeprefix('test/')}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place / f"{name}.png", copy)
    yield root
    own_images.register(None)


@pytest.fixture
def folder(kept, tmp_path):
    """A model of AE-XAD, to be spoilt."""
    return shutil.copytree(kept / "ae_xad", tmp_path / "model")


# -- run --


def test_run_gives_table_numbers_gallery_overlays_and_page(kept, capsys):
    results = kept / "results"
    table = pd.read_csv(results / "tables" / "own-plates-smoke.csv")
    numbers = pd.read_csv(results / "tables" / "own-plates-smoke-images.csv")
    assert len(numbers) == TESTED * len(METHODS) and set(numbers.method) == set(METHODS)
    for name in METHODS:
        ours = table[table.method == name].set_index("metric").value
        mine = numbers[(numbers.method == name) & numbers.used]
        assert len(mine) == ANOMALOUS and ours["auc"] == pytest.approx(mine.auc.mean())
        assert ours["f1"] == pytest.approx(mine["f1_a1.0"].mean())
        drawn = results / "overlays" / "own-plates-standard-smoke" / name
        found = sorted(str(p.relative_to(drawn)) for p in drawn.rglob("*.png"))
        assert found == sorted(f"{i.removeprefix('test/')}.png"
                               for i in numbers[numbers.method == name].id)
        assert Image.open(drawn / found[0]).size == (32, 32)
    assert (results / "figures" / "gallery-own-plates-smoke.png").exists()
    page = (results / "report-own-plates-smoke.html").read_text()
    assert page.count('class="exhibit"') == ANOMALOUS and "own/plates" in page
    for auc in table[table.metric == "auc"].value:
        assert f'data-value="{auc}"' in page


def test_run_again_computes_nothing_and_makes_lost_maps_again(kept, tmp_path, monkeypatch):
    results = shutil.copytree(kept / "results", tmp_path / "results")
    monkeypatch.setattr(task, "run", lambda job: pytest.fail("ran again"))
    drawn = {p: p.read_bytes() for p in (results / "overlays").rglob("*.png")}
    shutil.rmtree(results / "overlays")
    (cell_of(results, "ae_xad") / "heatmaps.npy").unlink()
    assert own(kept / "plates", results, "--methods", "ae_xad,fcdd") == 0
    made = list((results / "overlays").rglob("*.png"))
    assert len(made) == 2 * TESTED and all(p.read_bytes() == drawn[p] for p in made)


def test_a_failing_method_is_tried_once_and_the_others_are_shown(kept, tmp_path, monkeypatch,
                                                                 capsys):
    for part in ("fits", "cells"):
        shutil.copytree(kept / "results" / part, tmp_path / "r" / part)
    [failed] = (tmp_path / "r/fits").glob("*-fcdd-*")
    for gone in (failed, cell_of(tmp_path / "r", "fcdd")):
        shutil.rmtree(gone)
    calls = []
    monkeypatch.setattr(task, "train", lambda fit, *rest: calls.append(fit.method) or 1 / 0)
    assert own(kept / "plates", tmp_path / "r", "--methods", "ae_xad,fcdd") == 1
    assert calls == ["fcdd"] and "ZeroDivisionError" in capsys.readouterr().err
    assert (tmp_path / "r/figures/gallery-own-plates-smoke.png").exists()
    assert [p.name for p in (tmp_path / "r/overlays").glob("*/*")] == ["ae_xad"]


def test_a_job_brings_the_images_along_to_a_process_that_knows_nothing(kept, tmp_path):
    words = ["fit", "--data", str(kept / "plates"), "--results", str(tmp_path / "r"), *TINY,
             "--methods", "ae_xad", "--out", str(tmp_path / "m"), "--epochs", "1"]
    request = requests.understand(cli.understand(words))
    [cell], _, _ = requests.table_cells(request, _table())
    own_images.register(None)
    assert task.run(Job(cell.fit, (cell,), request.options, "1/1")) == []
    assert cell_of(tmp_path / "r", "ae_xad").exists()


def _table():
    from aexad.bench.commands.own import TABLE
    return TABLE


def test_other_images_of_the_same_name_are_refused(kept, tmp_path, capsys):
    other = make_category(tmp_path / "plates", side=32, normals=7)
    assert own(other, kept / "results", "--methods", "ae_xad") == 2
    assert "use another --data-name or --results" in refused(capsys)
    assert own(other, kept / "results", "--methods", "ae_xad", "--data-name", "others",
               "--dry-run") == 0
    assert "own-others-standard-ae_xad" in capsys.readouterr().out


def test_nothing_given_is_refused(tmp_path, capsys):
    for command, more, said in (("run", (), "run: needs --data DIR"),
                                ("fit", ("--out", "m"), "fit: needs one category"),
                                ("fit", ("--out", "m", "--categories", "bottle", "--methods",
                                         "ae_xad,fcdd"), "one method with one seed"),
                                ("fit", ("--out", "m", "--categories", "bottle", "--methods", "ae",
                                         "--scenario", "anomalies_only"), "normal images alone")):
        assert cli.main([command, "--results", str(tmp_path / "r"), *TINY, *more]) == 2
        assert said in refused(capsys)


# -- fit and explain --


@pytest.mark.parametrize("name", METHODS)
def test_the_same_maps_as_the_run(kept, tmp_path, name):
    out, cell = tmp_path / "out", cell_of(kept / "results", name)
    assert explain(kept / name, out, kept / "tested") == 0
    whole = np.load(cell / "heatmaps.npy")
    images = pd.read_parquet(cell / "images.parquet")
    scores = pd.read_csv(out / "scores.csv").set_index("id")
    assert len(whole) == len(scores) == TESTED
    for heatmap, image in zip(whole, images.itertuples()):
        key = image.id.removeprefix("test/")
        made = np.load(out / "maps" / f"{key}.npy")
        assert made.dtype == np.float32 and np.array_equal(made, heatmap)
        assert scores.score[key] == pytest.approx(image.score, rel=1e-14)
        binary = np.asarray(Image.open(out / "masks" / f"{key}.png")) > 0
        assert np.array_equal(binary, maps.binarize(heatmap))
        assert scores.share[key] == binary.mean()
        assert scores.threshold[key] == pytest.approx(maps.mean_std_threshold(heatmap), rel=1e-6)
    if name == "ae_xad":
        assert scores.k.tolist() == images.k.tolist()
    # the training anomalies among them, so that other images stand beside each other
    assert explain(kept / name, tmp_path / "all", kept / "plates" / "test") == 0
    for heatmap, image in zip(whole, images.itertuples()):
        made = np.load(tmp_path / "all" / "maps" / f"{image.id.removeprefix('test/')}.npy")
        np.testing.assert_allclose(made, heatmap, rtol=1e-3, atol=1e-4 * whole.max())


def test_fit_alone_is_the_training_of_the_run(kept, tmp_path):
    assert own(kept / "plates", tmp_path / "r", "--methods", "ae_xad", "--out",
               str(tmp_path / "m"), command="fit") == 0
    alone, before = (json.loads((p / model.FACTS).read_text()) for p in
                     (tmp_path / "m", kept / "ae_xad"))
    assert alone["sha256"] == before["sha256"]
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [model.FACTS, model.TENSORS]


def test_bgads_maxima_are_in_its_model(kept):
    assert load_file(kept / "bgad" / model.TENSORS)["maxima"].shape == (4,)


def test_images_of_any_size_and_kind_come_back_at_their_own(kept, tmp_path):
    place = tmp_path / "new"
    (place / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    sizes = {"wide": (70, 40), "small": (20, 25), "deep/tall": (33, 90)}
    for name, (width, height) in sizes.items():
        kind = "jpg" if name == "wide" else "png"
        mode = "L" if name == "small" else "RGB"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).convert(mode).save(
            place / f"{name}.{kind}")
    (place / "notes.txt").write_text("no image")
    out = place / "out"
    for _ in range(2):  # what was written there is not taken for images
        assert explain(kept / "ae_xad", out, place) == 0
    rows = json.loads((out / "scores.json").read_text())["images"]
    assert [row["id"] for row in rows] == ["deep/tall", "small", "wide"]
    for row in rows:
        width, height = sizes[row["id"]]
        assert (row["width"], row["height"]) == (width, height)
        assert np.load(out / "maps" / f"{row['id']}.npy").shape == (height, width)
        for kind in ("masks", "overlays"):
            assert Image.open(out / kind / f"{row['id']}.png").size == (width, height)
    one = tmp_path / "one"
    assert explain(kept / "ae_xad", one, place / "wide.jpg") == 0
    np.testing.assert_allclose(np.load(one / "maps/wide.npy"), np.load(out / "maps/wide.npy"),
                               rtol=1e-4, atol=1e-6)


def test_inputs_that_can_not_be_explained(kept, tmp_path, capsys):
    for name in ("a/0.png", "b/0.png"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(kept / "plates/train/good/000.png", tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    for inputs, said in (
            ((tmp_path / "a/0.png", tmp_path / "b/0.png"), "the same name as"),
            ((tmp_path / "none.png",), "no such image or folder"),
            ((tmp_path / "empty",), "no images there"),
            ((tmp_path / "broken.png",), "broken.png: not an image")):
        assert explain(kept / "ae_xad", tmp_path / "out", *inputs) == 2
        assert said in refused(capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_written_over(kept, tmp_path, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("")
    for out in (tmp_path / "precious", tmp_path / "precious" / "thesis.tex"):
        assert own(kept / "plates", kept / "results", "--methods", "ae_xad", "--out", str(out),
                   command="fit") == 2
        assert "--out" in refused(capsys)
    assert [p.name for p in (tmp_path / "precious").iterdir()] == ["thesis.tex"]


# -- models from elsewhere --


def nan(state):
    return {k: np.full_like(v, np.nan) if v.dtype.kind == "f" else v for k, v in state.items()}


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def _facts(**changes):
    def spoil(folder: Path) -> None:
        path = folder / model.FACTS
        content = json.loads(path.read_text())
        for key, value in changes.items():
            owner, _, field = key.rpartition("__")
            (content[owner] if owner else content)[field] = value
        path.write_text(json.dumps(content))
    return spoil


def _tensors(write):
    """Other tensors, with the SHA-256 that goes with them."""
    def spoil(folder: Path) -> None:
        import hashlib
        path = folder / model.TENSORS
        content = write(load_file(path), path)
        if content is not None:
            save_file(content, path)
        _facts(sha256=hashlib.sha256(path.read_bytes()).hexdigest())(folder)
    return spoil


@pytest.mark.parametrize("spoil, said", [
    (lambda f: (f / model.FACTS).unlink(), "not a model folder"),
    (lambda f: (f / model.FACTS).write_text("{"), "damaged"),
    (lambda f: (f / model.FACTS).write_bytes(b"\xff\xfe"), "damaged"),
    (lambda f: (f / model.FACTS).write_text("[" * 200_000), "damaged"),
    (lambda f: (f / model.FACTS).write_text("[]"), "not an object"),
    (lambda f: (f / model.FACTS).write_text(" " * 2**21), "bytes); write the model anew"),
    (_facts(format=2), "format 2"),
    (_facts(method="os.system"), "unknown method 'os.system'"),
    (_facts(method=["ae_xad"]), "'method' is missing or of the wrong type"),
    (_facts(version=99), "made by version 99"),
    (_facts(seed=-1), "'seed'"),
    (_facts(a=float("nan")), "NaN is no number"),
    (_facts(a=10**400), "'a' is not a number"),
    (_facts(method="x\n\x1b[2J"), r"unknown method 'x\n\x1b[2J'"),
    (_facts(fit=[]), "model.json: fit: expected an object"),
    (_facts(fit__encoder="resnet51"), "encoder=resnet51: expected one of"),
    (_facts(fit__epochs="2"), "epochs='2': not a value"),
    (_facts(fit__rotate=True), "rotate=True: not a value"),
    (_facts(fit__lr=float("inf")), "Infinity is no number"),
    (_facts(fit__hook="import os"), "unknown: ['hook']"),
    (_facts(data__size=10**9), "size=1000000000: must be in its range"),
    (_facts(weights={}), "other pre-trained weights"),
    (_facts(fit__reduce="three_conv"), "not tensors of ae_xad"),
    (lambda f: (f / model.TENSORS).unlink(), "cannot be read"),
    (lambda f: (f / model.TENSORS).write_bytes((f / model.TENSORS).read_bytes()[:-1]), "SHA-256"),
    (_tensors(lambda s, p: p.write_bytes(pickle.dumps(Evil())) and None), "cannot be read"),
    (_tensors(lambda s, p: p.write_bytes(b"\xff" * 64) and None), "cannot be read"),
    (_tensors(lambda s, p: dict(list(s.items())[1:])), "some are missing"),
    (_tensors(lambda s, p: {**s, "more": np.zeros(1)}), "not tensors of ae_xad"),
    (_tensors(lambda s, p: {k: v.ravel() for k, v in s.items()}), "not tensors of ae_xad"),
    (_tensors(lambda s, p: nan(s)), "NaN or infinite"),
])
def test_a_damaged_or_foreign_model_ends_in_one_line(kept, folder, tmp_path, monkeypatch, capsys,
                                                     spoil, said):
    monkeypatch.chdir(tmp_path)
    spoil(folder)
    assert explain(folder, tmp_path / "out", kept / "plates/train/good/000.png") == 2
    assert said in refused(capsys) and not (tmp_path / "executed").exists()
    assert not (tmp_path / "out" / "scores.csv").exists()


@pytest.mark.parametrize("name, write, said", [
    ("bgad", lambda s, p: {**s, "maxima": np.zeros((0, 3), np.float32)}, "can't explain it"),
    ("fcdd", lambda s, p: nan(s), "values that are no numbers"),
])
def test_tensors_that_fit_and_give_no_maps_end_in_one_line(kept, tmp_path, capsys, name, write,
                                                           said):
    folder = shutil.copytree(kept / name, tmp_path / "model")
    _tensors(write)(folder)
    assert explain(folder, tmp_path / "out", kept / "plates/train/good/000.png") == 2
    assert said in refused(capsys)


def test_a_model_whose_fit_is_gone_is_not_written(kept, tmp_path, capsys):
    results = shutil.copytree(kept / "results", tmp_path / "results")
    shutil.rmtree(results / "fits")
    assert own(kept / "plates", results, "--methods", "ae_xad", "--out", str(tmp_path / "m"),
               command="fit") == 2
    assert "no model there" in refused(capsys) and not (tmp_path / "m").exists()


def test_another_version_of_a_method_is_refused(kept, folder, monkeypatch):
    from aexad.methods.ae_xad_params import AEXADFacts
    monkeypatch.setattr(AEXADFacts, "version", AEXADFacts.version + 1)
    with pytest.raises(UserError, match="train it again"):
        model.read(folder)

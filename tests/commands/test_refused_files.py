"""Whole commands on files that the system does not give: no permission, links to data that was
never fetched, names of another encoding. One line, before anything trains, and never 'damaged'."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from aexad.bench.commands import cli
from aexad.bench.figures import overlays
from aexad.bench.plan import own_images
from aexad.bench.results import model
from aexad.bench.run import task
from aexad.bench.stress.privileges import give_up

from conftest import make_category
from running import BOTTLE, TINY, explain, refused, run as table

LATIN = os.fsdecode(b"caf\xe9")
CLOSED = """
import json, os, sys
from aexad.bench.commands import cli
for path, words in json.loads(sys.argv[1]):
    os.chmod(path, 0)
    try:
        if os.access(path, os.R_OK):
            raise SystemExit("READABLE")
        print("status", cli.main(words), file=sys.stderr)
    finally:
        os.chmod(path, 0o755)
"""


def run(place: Path, results: Path, *words: str, command: str = "run") -> int:
    return cli.main([command, "--data", str(place), "--results", str(results), *TINY,
                     "--methods", "ae_xad", *words])


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr(task, "train", lambda *_: pytest.fail("trained"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Own images, results, and a model."""
    root = tmp_path_factory.mktemp("refused")
    place = make_category(root / "plates", side=32)
    assert run(place, root / "results", "--out", str(root / "model"), command="fit") == 0
    yield root
    own_images.register(None)


# -- no permission --


def test_what_may_not_be_read_is_one_line(kept, tmp_path):
    here = shutil.copytree(kept, tmp_path / "here")
    data, results, folder = here / "plates", here / "results", here / "model"
    words = ["run", "--data", str(data), "--results", str(results), *TINY, "--methods", "ae_xad"]
    again = [*words[:4], str(tmp_path / "new"), *words[5:]]
    [fit], [cell] = results.glob("fits/*/fit.json"), results.glob("cells/*/*/*/*/*/cell.json")
    explained = ["explain", str(folder), str(data / "test"), "--out", str(tmp_path / "out"),
                 "--device", "cpu", "--threads", "1"]
    cases = [(data / "train/good", again), (data / "test/scratch", again), (data, again),
             (data / "ground_truth/dent", again), (data / "ground_truth", again),
             (fit, words), (cell, words), (results / "cells", words), (results, words),
             (cell, ["export", "--results", str(results)]), (folder, explained),
             (folder / model.FACTS, explained), (folder / model.TENSORS, explained),
             (results / "cells", ["export", "--results", str(results)])]
    done = subprocess.run([sys.executable, "-P", "-c", CLOSED,
                           json.dumps([[str(path), words] for path, words in cases])],
                          preexec_fn=give_up, capture_output=True, text=True)
    if "READABLE" in done.stderr:
        pytest.skip("PERMISSIONS NOT TESTED: this user is refused nothing")
    said = [line for line in done.stderr.splitlines() if line.startswith(("error", "status"))]
    assert done.returncode == 0 and len(said) == 2 * len(cases), done.stderr
    for (path, _), line, status in zip(cases, said[::2], said[1::2]):
        assert status == "status 2" and "no permission" in line and "damaged" not in line
        assert str(path) in line, (path, line)
    assert not (tmp_path / "new/fits").exists() and not (tmp_path / "out").exists()


# -- links --


@pytest.mark.parametrize("part", ["train/good/003.png", "test/dent/001.png", "test/good",
                                  "ground_truth/scratch/002_mask.png", "ground_truth/dent",
                                  "train"])
def test_links_to_what_is_not_there_are_one_line(root, category, tmp_path, capsys, untrained,
                                                 part):
    path = category / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(tmp_path / ".dvc" / "cache" / "5d")
    assert table(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad") == 2
    line = refused(capsys)
    assert f"a link to {tmp_path}/.dvc/cache/5d, which is not there" in line
    assert str(path) in line


def test_a_dataset_that_is_not_mounted_is_not_replaced_by_the_embedded_one(tmp_path, capsys):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/mvtec").symlink_to("/nowhere/mvtec")
    assert table(tmp_path / "d", tmp_path / "r", *BOTTLE, "--methods", "ae_xad") == 2
    assert "d/mvtec is a link to /nowhere/mvtec, which is not there" in refused(capsys)


def test_links_of_two_folders_and_of_stored_results(kept, tmp_path, capsys, untrained):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(9):
        shutil.copy(kept / f"plates/test/{'dent' if i < 5 else 'scratch'}/00{i % 5}.png",
                    tmp_path / f"images/{i}.png")
    for i in range(3):
        (tmp_path / f"masks/{i}.png").symlink_to("../annex/0.png")
    words = ["--results", str(tmp_path / "r"), *TINY, "--methods", "ae_xad"]
    assert cli.main(["run", "--images", str(tmp_path / "images"), "--masks",
                     str(tmp_path / "masks"), *words]) == 2
    assert "masks/0.png: a link to ../annex/0.png, which is not there" in refused(capsys)
    results = shutil.copytree(kept / "results", tmp_path / "results")
    [cell] = results.glob("cells/*/*/*/*/*/cell.json")
    cell.unlink()
    cell.symlink_to("/nowhere/cell.json")
    assert run(kept / "plates", results) == 2
    assert "cell.json: a link to /nowhere/cell.json" in refused(capsys)


# -- names --


@pytest.mark.parametrize("part", ["train/good/%s.png", "test/%s/001.png"])
def test_names_of_another_encoding_are_refused_before_training(category, root, tmp_path, capsys,
                                                               untrained, part):
    path = category / (part % LATIN)
    path.parent.mkdir(exist_ok=True)
    shutil.copy(category / "train/good/000.png", path)
    mask = category / "ground_truth" / path.parent.name / "001_mask.png"
    if "test" in part:
        mask.parent.mkdir()
        shutil.copy(category / "ground_truth/dent/001_mask.png", mask)
    assert table(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad") == 2
    assert part % r"caf\xe9" + ": the name is not UTF-8" in refused(capsys)


@pytest.mark.parametrize("words", [("--results", LATIN), ("--data", LATIN), ("--weights", LATIN),
                                   ("--data-name", LATIN)])
def test_options_of_another_encoding(kept, tmp_path, capsys, untrained, words):
    given = ["--data", str(kept / "plates"), "--results", str(tmp_path / "r")]
    assert cli.main(["run", *given, *TINY, "--methods", "ae_xad", *words]) == 2
    assert r"error: caf\xe9: the name is not UTF-8" in refused(capsys)


def test_a_place_of_another_encoding_in_the_environment(kept, capsys, untrained, monkeypatch):
    monkeypatch.setenv("AEXAD_RESULTS", f"/tmp/{LATIN}")
    assert cli.main(["run", "--data", str(kept / "plates"), *TINY]) == 2
    assert r"AEXAD_RESULTS=/tmp/caf\xe9: the name is not UTF-8" in refused(capsys)


# -- explain: what can't be is left out, all others are written --


def new_images(kept: Path, place: Path, count: int = 70) -> Path:
    place.mkdir()
    for i in range(count):
        shutil.copy(kept / f"plates/train/good/00{i % 6}.png", place / f"{i:03d}.png")
    return place


def test_what_can_not_be_explained_is_named_and_left_out(kept, tmp_path, capsys):
    place = new_images(kept, tmp_path / "new")
    whole = (place / "001.png").read_bytes()
    (place / "001.png").write_bytes(whole[:-300])
    (place / "066.png").write_bytes(b"no image")
    (place / "067.png").unlink()
    (place / "067.png").symlink_to("/nowhere/067.png")
    Image.new("F", (4, 4)).save(place / "068.tiff")
    (place / "068.png").unlink()
    (place / "069.png").unlink()
    (place / "069.png").mkdir()  # a folder: no image and nothing to say
    shutil.copy(kept / "plates/train/good/000.png", place / f"{LATIN}.png")
    assert explain(kept / "model", tmp_path / "out", place) == 1
    said = capsys.readouterr().err
    left = [line for line in said.splitlines() if line.startswith("left out: ")]
    for name in ("001.png: damaged", "066.png: not an image", "067.png: a link", "068.tiff: 32-bit",
                 r"caf\xe9.png: the name is not UTF-8"):
        assert len([line for line in left if name in line]) == 1, name
    assert len(left) == 5 and "65 images, scores.csv, scores.json; 5 left out" in said
    scores = pd.read_csv(tmp_path / "out/scores.csv", dtype={"id": str})
    assert scores.id.tolist() == [f"{i:03d}" for i in range(66) if i != 1]
    assert len(list((tmp_path / "out/maps").iterdir())) == 65
    assert len(json.loads((tmp_path / "out/scores.json").read_text())["images"]) == 65


def test_an_image_whose_map_is_no_number_is_left_out(kept, tmp_path, capsys, monkeypatch):
    place, real = new_images(kept, tmp_path / "new", 5), model.explain

    def sometimes(*args):
        made = real(*args)
        made.heatmaps[1, 3, 3] = float("nan")
        made.scores[3] = float("inf")
        return made

    monkeypatch.setattr(model, "explain", sometimes)
    assert explain(kept / "model", tmp_path / "out", place) == 1
    said = capsys.readouterr().err
    assert "001.png: the model gives values that are no numbers" in said and "003.png: the" in said
    assert len(pd.read_csv(tmp_path / "out/scores.csv")) == 3


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt, 130),
                                           (OSError(28, "No space left on device"), 2)])
def test_what_was_explained_has_its_scores_when_the_rest_is_stopped(kept, tmp_path, monkeypatch,
                                                                    error, status):
    place, real = new_images(kept, tmp_path / "new"), overlays.save_map

    def stopped(path, heatmap):
        if path.stem == "066":
            raise error
        real(path, heatmap)

    monkeypatch.setattr(overlays, "save_map", stopped)
    assert explain(kept / "model", tmp_path / "out", place) == status
    assert len(pd.read_csv(tmp_path / "out/scores.csv")) == 66

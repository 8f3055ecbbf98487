"""What is in a folder and is not looked at is said before anything trains, with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from aexad.bench.commands import cli
from aexad.bench.plan import own_images
from aexad.bench.run import task
from aexad.datasets import folder, passed_over

from conftest import make_category
from running import TINY

GOOD = ("good", "ok")


@pytest.fixture(autouse=True)
def forgotten():
    yield
    own_images.register(None)


def put(path: Path, content: bytes = b"") -> None:
    """A file: an image where it has no content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content:
        path.write_bytes(content)
    else:
        Image.new("L", (64, 64), 255).save(path, format="PNG")


def phrases(place: Path) -> list[str]:
    return passed_over.of_category(place, folder.scan(place, GOOD), GOOD)


@pytest.mark.parametrize("names, said", [
    (("test/dent/more/a.png", "test/dent/more/deep/b.JPG"), "2 in folders inside test/dent/"),
    (("train/good/day 1/a.tif",), "1 in folders inside train/good/"),
    (("ground_truth/dent/old/000_mask.png",), "1 in folders inside ground_truth/dent/"),
    (("test/a.png", "test/b.bmp"), "2 directly in test/, not in a folder there"),
    (("test/dent/a.webp", "train/good/b.WEBP"), "2 .webp (no formats that are read)"),
    (("train/good/a.heic", "train/good/b.npy", "test/dent/LICENCE"),
     "1 .heic, 1 .npy, 1 without an extension (no formats that are read)"),
    (tuple(f"train/good/a.{n}" for n in "tuvwxyz"),
     "1 .t, 1 .u, 1 .v, 1 .w, 1 .x, 2 others (no formats that are read)"),
    (("test/dent/@eaDir/a.png",), "the folder @eaDir/ of a system"),
    (("test/@eaDir/a.png",), "the folder @eaDir/ of a system"),
    (("test/__MACOSX/a.png",), "the folder __MACOSX/ of a system"),
    (("train/good/#recycle/b.png",), "the folder #recycle/ of a system"),
    (("train/good/.trash/b.png",), "the folder .trash/ of a system"),
    (("train/good/._000.png", "test/dent/._001.png"), "2 hidden, such as ._name of macOS"),
    (("ground_truth/dent/900_mask.png",), "1 in ground_truth/ of no image"),
    (("ground_truth/tear/000_mask.png",), "1 in ground_truth/ of no image"),
    (("ground_truth/ok/000_mask.png",), "1 in ground_truth/ of normal images"),
    (("validation/good/000.png",), "the folder validation/"),
])
def test_it_is_said_and_not_read(tmp_path, names, said):
    place = make_category(tmp_path / "plates")
    before = [i.id for i in folder.scan(place, GOOD)]
    assert phrases(place) == []
    for name in names:
        put(place / name)
    assert phrases(place) == [said]
    assert [i.id for i in folder.scan(place, GOOD)] == before


@pytest.mark.parametrize("command", ["run", "table2", "fit", "tables"])
def test_counts_are_said_once_before_training(tmp_path, capsys, monkeypatch, command):
    place = make_category(tmp_path / "plates")
    put(place / "test/dent/a.gif")
    Image.new("L", (64, 64), 0).save(place / "ground_truth/dent/003_mask.png")
    words = [command, "--data", str(place), "--results", str(tmp_path / "r"), *TINY,
             "--methods", "ae_xad", *(["--out", str(tmp_path / "m")] if command == "fit" else [])]
    said_before = []
    train = task.train
    monkeypatch.setattr(task, "train", lambda *a: said_before.append(capsys.readouterr().err)
                        or train(*a))
    assert cli.main(words) == 0
    counts = [line for line in said_before[0].splitlines() if line.startswith("own/plates: ")]
    assert counts == [
        "own/plates: 6 normal and 6 anomalous images train, 3 normal and 4 anomalous ones test; "
        "masks on disk: 1 empty", "own/plates: not looked at: 1 .gif (no formats that are read)"]
    rest = "".join(said_before[1:]) + capsys.readouterr().err
    assert "images train" not in rest and "not looked at" not in rest
    assert cli.main(words) == 0  # nothing trains
    assert "images train" not in capsys.readouterr().err


def test_counts_without_normal_images(tmp_path, capsys):
    place = make_category(tmp_path / "plates")
    assert cli.main(["table4", "--data", str(place), "--results", str(tmp_path / "r"), *TINY,
                     "--methods", "ae_xad"]) == 0
    assert ("own/plates: 0 normal and 6 anomalous images train, 3 normal and 4 anomalous ones test "
            "(anomalies only)") in capsys.readouterr().err


def test_of_two_folders(tmp_path, capsys):
    place = make_category(tmp_path / "plates")
    for path in place.rglob("*.png"):
        part = "masks" if "ground_truth" in path.parts else "images"
        name = f"{'t' * ('train' in path.parts)}{path.parent.name}-{path.name}"
        (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
        shutil.move(path, tmp_path / "set" / part / name)
    put(tmp_path / "set/images/deep/er/a.png")
    put(tmp_path / "set/images/b.avif")
    put(tmp_path / "set/masks/c.svg")
    (tmp_path / "set/masks/__MACOSX").mkdir()
    assert cli.main(["run", "--images", str(tmp_path / "set/images"), "--masks",
                     str(tmp_path / "set/masks"), "--results", str(tmp_path / "r"), *TINY,
                     "--methods", "ae_xad"]) == 0
    lines = [li for li in capsys.readouterr().err.splitlines() if li.startswith("own/set: ")]
    assert len(lines) == 2 and "normal and 3 anomalous images train" in lines[0]
    assert set(lines[1].removeprefix("own/set: not looked at: ").split(", ")) == {
        "1 in folders inside images/", "1 .avif (no formats that are read)",
        "the folder __MACOSX/ of a system", "1 .svg (no formats that are read)"}


def test_explain_says_what_it_passes_over(tmp_path, capsys):
    place = make_category(tmp_path / "plates", side=32)
    words = ["--device", "cpu", "--threads", "1"]
    assert cli.main(["fit", "--data", str(place), "--results", str(tmp_path / "r"), *TINY,
                     "--methods", "ae_xad", "--out", str(tmp_path / "m")]) == 0
    new = tmp_path / "new"
    for name in ("a.png", "deep/b.png", "c.webp", "deep/@eaDir/d.png", "deep/._b.png"):
        put(new / name)
    for _ in range(2):  # what was written there is not counted
        capsys.readouterr()
        assert cli.main(["explain", str(tmp_path / "m"), str(new), "--out", str(new / "o"),
                         *words]) == 0
    said = capsys.readouterr().err
    [line] = [li for li in said.splitlines() if "not looked at" in li]
    assert set(line.removeprefix(f"{new}: not looked at: ").split(", ")) == {
        "the folder @eaDir/ of a system", "1 hidden", "such as ._name of macOS",
        "1 .webp (no formats that are read)"}
    assert sorted(p.name for p in (new / "o/maps").rglob("*.npy")) == ["a.npy", "b.npy"]

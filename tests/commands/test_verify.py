"""`verify`: each planted fault is named, nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aexad.bench.commands import cli
from aexad.datasets import verify as verifying
from aexad.datasets.catalog import DATASETS
from aexad.datasets.verify import Finding, verify

from conftest import make_category

MVTEC = DATASETS["mvtec"]


def first(place: Path, kind: str, at: int = 0) -> Path:
    return sorted((place / kind).iterdir())[at]


def repaint(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


# Each spoils a category in one way and returns what must be found: a kind, and parts of its text.
# `kinds`: the category's defects; every fault has files of its own, so that all can be planted.

def an_image_lost(place: Path, kinds: list[str]) -> tuple[str, ...]:
    first(place, "train/good").unlink()
    return "count", str(place), "normal training images"


def an_image_cut_short(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, "train/good", 1)
    path.write_bytes(path.read_bytes()[:1500])
    return "image", str(path), "damaged image"


def no_image_at_all(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, "test/good")
    path.write_text("404 not found")
    return "image", str(path), "not an image"


def a_copy_from_training(place: Path, kinds: list[str]) -> tuple[str, ...]:
    source, copy = first(place, "train/good", 3), first(place, "test/good", 1)
    with Image.open(source) as picture:  # other bytes, the same pixels
        picture.save(copy, compress_level=0)
    return "duplicate", str(copy), f"the same pixels as {source}"


def two_of_a_name(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path, other = first(place, "train/good", 4), first(place, "train/good", 3)
    copy = other.with_suffix(".bmp")
    Image.open(path).save(copy)
    path.unlink()  # the count stays
    return "same name", str(other), "the same name as"


def a_mask_lost(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, f"ground_truth/{kinds[0]}", 0)
    path.unlink()
    return "no mask", path.stem.removesuffix("_mask") + ".png", f"no mask {path}"


def a_mask_of_nothing(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = place / "ground_truth" / kinds[0] / "999_mask.png"
    repaint(path, np.eye(64, dtype=np.uint8) * 255)
    return "no image", str(path), "not the mask of any image"


def a_mask_too_small(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, f"ground_truth/{kinds[0]}", 1)
    repaint(path, np.eye(9, dtype=np.uint8) * 255)
    return "mask", str(path), "the mask is 9x9 pixels"


def a_grey_mask(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, f"ground_truth/{kinds[0]}", 2)
    mask = np.asarray(Image.open(path)).copy()
    mask[0, 0], mask[0, 1] = 100, 0
    repaint(path, mask)
    return "mask", str(path), "non-binary mask (3 grey values)"


def an_empty_mask(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, f"ground_truth/{kinds[0]}", 3)
    repaint(path, np.zeros_like(np.asarray(Image.open(path))))
    return "mask", str(path), "marks no pixel"


def a_mask_cut_short(place: Path, kinds: list[str]) -> tuple[str, ...]:
    path = first(place, f"ground_truth/{kinds[0]}", 4)
    path.write_bytes(path.read_bytes()[:60])
    return "mask", str(path), "damaged image"


def a_folder_of_masks_lost(place: Path, kinds: list[str]) -> tuple[str, ...]:
    shutil.rmtree(place / "ground_truth" / kinds[-1])
    return "folder", str(place / "ground_truth" / kinds[-1]), "no masks"


# The last in a folder first: none moves the files that another one picks.
FAULTS: tuple[Callable[[Path, list[str]], tuple[str, ...]], ...] = (
    two_of_a_name, a_copy_from_training, an_image_cut_short, an_image_lost, no_image_at_all,
    a_mask_cut_short, an_empty_mask, a_grey_mask, a_mask_too_small, a_mask_lost, a_mask_of_nothing,
    a_folder_of_masks_lost)


def expect(found: list[Finding], wanted: list[tuple[str, ...]]) -> None:
    """Every wanted fault is among the findings once, and there are no others."""
    left = list(found)
    for kind, *parts in wanted:
        same = [f for f in left if f.kind == kind and all(part in f.text for part in parts)]
        assert len(same) == 1, (kind, parts, left)
        left.remove(same[0])
    assert not left
    assert all("\n" not in f.text for f in found)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return make_category(tmp_path / "mvtec" / "bottle")


@pytest.fixture
def published(place: Path) -> dict[str, int]:
    return {"train_normals": 6, "test_normals": 3, "anomalies": 10, "types": 2}


def test_a_sound_category_has_no_faults(place, published):
    report = verify(place, MVTEC, published)
    assert not report.findings
    assert report.counts == {**published, "normals": 9, "train": 6, "test": 13, "images": 19}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_each_fault_is_named_and_nothing_else(place, published, fault):
    wanted = fault(place, ["dent", "scratch"])
    expect(verify(place, MVTEC, published, threads=2).findings, [wanted])


def test_all_faults_at_once_are_named_and_nothing_else(place, published):
    wanted = [fault(place, ["dent", "scratch"]) for fault in FAULTS]
    expect(verify(place, MVTEC, published).findings, wanted)


def test_ten_faults_in_real_images_through_the_command(shared, tmp_path, capsys):
    place = tmp_path / "mvtec" / "bottle"
    shutil.copytree(shared / "data" / "mvtec" / "bottle", place)
    kinds = ["broken_large", "contamination"]
    wanted = [fault(place, kinds) for fault in FAULTS[2:]]
    assert len(wanted) == 10
    assert cli.main(["verify", "--data-root", str(tmp_path), "--threads", "1"]) == 1
    out = capsys.readouterr().out.splitlines()
    found = [Finding(*line.strip().split(": ", 1)) for line in out if line.startswith("  ")]
    expect(found, wanted)
    assert out[0].startswith("mvtec/bottle") and "not the published numbers" in out[0]
    assert out[-1].startswith("1 categories looked at, 10 faults; not there: 14 of mvtec, 4 of")


def test_real_images_are_sound(shared, capsys):
    assert cli.main(["verify", "--data-root", str(shared / "data"), "--categories",
                     "mvtec/transistor", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "213 +  60 normal (train + test),  40 anomalous of 4 types, as published" in out
    assert "1 categories looked at, 0 faults" in out


# -- what counts as a duplicate --

@pytest.mark.parametrize("source, copy, leaks", [
    ("train/good/000.png", "train/good/001.png", False),  # both train
    ("test/good/000.png", "test/good/001.png", False),  # both test
    ("train/good/000.png", "test/dent/001.png", True),
    ("test/dent/000.png", "test/dent/001.png", True),  # either may be drawn for training
    ("test/dent/000.png", "test/good/001.png", True)])
def test_duplicates_are_those_between_training_and_test(place, source, copy, leaks):
    shutil.copyfile(place / source, place / copy)
    found = verify(place, MVTEC).findings
    assert [f.kind for f in found] == ["duplicate"] * leaks
    assert all(source in f.text and copy in f.text for f in found)


def test_three_copies_are_two_findings(place):
    for name in ("000", "001"):
        shutil.copyfile(place / "train/good/000.png", place / f"test/good/{name}.png")
    found = verify(place, MVTEC).findings
    assert [f.kind for f in found] == ["duplicate"] * 2
    assert all(f.text.endswith("train/good/000.png") for f in found)


def test_images_that_differ_in_a_pixel_that_is_not_sampled_are_no_duplicates(place):
    source = np.asarray(Image.open(place / "train/good/000.png"))
    large = np.kron(source, np.ones((3, 3, 1), np.uint8))  # 192 px; 64 are sampled, at the centres
    repaint(place / "train/good/000.png", large)
    other = large.copy()
    other[0, 0] ^= 1
    repaint(place / "test/good/000.png", other)
    pictures = [verifying.read_image(place / f"{part}/good/000.png", verifying.SIEVE, "nearest")
                for part in ("train", "test")]
    assert (pictures[0][0] == pictures[1][0]).all()  # the sieve can't tell them apart
    assert not verify(place, MVTEC).findings
    repaint(place / "test/good/000.png", large)
    assert [f.kind for f in verify(place, MVTEC).findings] == ["duplicate"]


# -- masks and folders --

def test_a_mark_of_one_pixel_is_a_mark(tmp_path):
    place = make_category(tmp_path / "bottle", side=200)
    mask = np.zeros((200, 200), np.uint8)
    mask[0, 1] = 255
    repaint(place / "ground_truth/dent/000_mask.png", mask)
    assert not verify(place, MVTEC).findings
    repaint(place / "ground_truth/dent/000_mask.png", 255 - mask)
    assert not verify(place, MVTEC).findings
    repaint(place / "ground_truth/dent/000_mask.png", np.full_like(mask, 255))
    [finding] = verify(place, MVTEC).findings
    assert finding.kind == "mask" and finding.text.endswith("the mask marks every pixel")


def test_grey_masks_are_sound_where_the_dataset_has_them(place):
    a_grey_mask(place, ["dent", "scratch"])
    assert not verify(place, DATASETS["road"]).findings
    assert [f.kind for f in verify(place, MVTEC).findings] == ["mask"]


def test_missing_folders(place):
    shutil.rmtree(place / "test/scratch")
    shutil.rmtree(place / "train")
    found = verify(place, MVTEC).findings
    expect(found, [("folder", "test/scratch: no images, but masks"),
                   ("folder", "train/good: no normal training images")])
    for folder in ("test/dent", "ground_truth"):
        shutil.rmtree(place / folder)
    expect(verify(place, MVTEC).findings, [("folder", "no normal training"),
                                           ("folder", "test: no folders of anomalies")])


# -- the command --

def test_totals_of_a_dataset_are_compared_when_all_of_it_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("aexad.bench.commands.verify.facts", lambda: {
        "images": {}, "stated": {}, "totals": {"wfdd": {"train": 24, "test": 53}}})
    names = list(DATASETS["wfdd"].categories)
    for name in names:
        make_category(tmp_path / "wfdd" / name)
    words = ["verify", "--data-root", str(tmp_path), "--datasets", "wfdd"]
    assert cli.main(words) == 1
    assert "  count: WFDD: 52 test images, 53 published" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "wfdd" / names[0])  # now no sum, but a missing category
    assert cli.main(words) == 1
    out = capsys.readouterr().out
    assert "published" not in out.replace("no published numbers", "")
    assert f"  folder: {tmp_path}/wfdd/{names[0]}: not there" in out
    assert cli.main(words[:3]) == 0  # not asked for by name: only said
    assert "3 categories looked at, 0 faults; not there: 15 of mvtec, 1 of wfdd" in \
        capsys.readouterr().out


def test_folders_that_no_dataset_has_are_said(place, capsys):
    make_category(place.parents[1] / "mine")
    cli.main(["verify", "--data-root", str(place.parents[1])])
    assert "not looked at, no dataset of datasets/catalog.py: mine" in capsys.readouterr().out


@pytest.mark.parametrize("words, message", [
    ((), "none of the datasets is there; give --data-root"),
    (("--datasets", "mvtek"), "did you mean 'mvtec'?"),
    (("--datasets", "embedded"), "the embedded suite is generated"),
    (("--threads", "0"), "--threads 0: must be at least 1")])
def test_bad_input(tmp_path, capsys, words, message):
    assert cli.main(["verify", "--data-root", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err

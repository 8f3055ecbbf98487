"""Images and masks that belong together although their names are written in different ways."""

from __future__ import annotations

import unicodedata
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.plan import own_images
from aexad.bench.results import map_files
from aexad.datasets.catalog import DATASETS
from aexad.datasets.category import Library
from aexad.datasets.data_params import DataParams
from aexad.datasets.verify import verify

from conftest import make_category
from running import TINY

NFC, NFD = "größe_é", unicodedata.normalize("NFD", "größe_é")
SMALL = DataParams(size=32)


@pytest.fixture(autouse=True)
def forgotten():
    yield
    own_images.register(None)


def rename(path: Path, stem: str = "", suffix: str = "") -> Path:
    return path.rename(path.with_name((stem or path.stem) + (suffix or path.suffix)))


def save_as(path: Path, suffix: str) -> None:
    Image.open(path).save(path.with_name(path.stem + suffix))
    path.unlink()


# Each writes the names of a category in another way.

def upper_case(place: Path) -> None:
    for path in list(place.rglob("*.png")):
        rename(path, suffix=".PNG")


def mixed_case(place: Path) -> None:
    for path in list(place.glob("ground_truth/*/*")):
        rename(path, suffix=".Png")


def other_formats(place: Path) -> None:
    for path in list(place.glob("ground_truth/dent/*")):
        save_as(path, ".BMP")
    for path in list(place.glob("ground_truth/scratch/*")):
        save_as(path, ".TIFF")


def own_names(place: Path) -> None:
    for path in list(place.glob("ground_truth/*/*")):
        rename(path, path.stem.removesuffix("_mask"), ".PNG")


def upper_suffix(place: Path) -> None:
    for path in list(place.glob("ground_truth/*/*")):
        rename(path, path.stem.replace("_mask", "_Mask"))


def masks_of_macos(place: Path) -> None:
    rename(place / "test/dent/000.png", NFC)
    rename(place / "ground_truth/dent/000_mask.png", f"{NFD}_mask")


def images_of_macos(place: Path) -> None:
    rename(place / "test/dent/000.png", NFD)
    rename(place / "ground_truth/dent/000_mask.png", NFC, ".PNG")


def folder_of_macos(place: Path) -> None:
    (place / "test/dent").rename(place / "test" / NFC)
    (place / "ground_truth/dent").rename(place / "ground_truth" / NFD)


WAYS = [upper_case, mixed_case, other_formats, own_names, upper_suffix, masks_of_macos,
        images_of_macos, folder_of_macos]


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_masks_are_found(category, tmp_path, way):
    before = Library(category.parents[1], tmp_path / "c").load("mvtec", "bottle", SMALL)
    way(category)
    found = Library(category.parents[1], tmp_path / "c").load("mvtec", "bottle", SMALL)
    areas = [sorted(c.masks.sum(axis=(1, 2)).tolist()) for c in (before, found)]
    assert areas[0] == areas[1] and found.masks.any(axis=(1, 2)).sum() == 10
    assert not verify(category, DATASETS["mvtec"]).findings


def two_folders(place: Path, root: Path) -> Namespace:
    """Images and masks of a category in two folders."""
    for path in place.rglob("*.*"):
        masks = "ground_truth" in path.parts
        to = root / ("masks" if masks else "images") / f"{path.parent.name}-{path.name}"
        if path.parent.parent.name == "train":
            to = to.with_name(f"train-{to.name}")
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)
    empty = dict.fromkeys(("data", "data_name", "datasets", "categories"))
    return Namespace(**empty, images=str(root / "images"), masks=str(root / "masks"))


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_masks_of_two_folders_are_found(category, tmp_path, way):
    way(category)
    given = two_folders(category, tmp_path / "set")
    own_images.register(own_images.chosen(given, tmp_path / "c"))
    found = Library(tmp_path, tmp_path / "c").load("own", "set", SMALL)
    assert found.masks.any(axis=(1, 2)).sum() == 10 and (found.kinds != "good").sum() == 10


@pytest.mark.parametrize("folder, spoil, said", [
    ("masks", lambda p: Image.new("L", (9, 9), 255).save(p), "the mask is 9x9 pixels"),
    ("masks", lambda p: Image.fromarray(np.arange(64, dtype=np.uint8)[None].repeat(64, 0)).save(p),
     "a non-binary mask"),
    ("images", lambda p: p.write_text("no image"), "not an image")])
def test_messages_name_the_users_files_not_links(category, tmp_path, capsys, folder, spoil, said):
    upper_case(category)
    two_folders(category, tmp_path / "set")
    path = sorted((tmp_path / "set" / folder).iterdir())[0]
    spoil(path)
    assert cli.main(["run", "--images", str(tmp_path / "set/images"), "--masks",
                     str(tmp_path / "set/masks"), "--results", str(tmp_path / "r"), *TINY]) == 2
    assert f"error: {path}: {said}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".tga"])
def test_a_mask_of_another_format_is_named(category, tmp_path, suffix):
    save_as(category / "ground_truth/dent/001_mask.png", suffix)
    with pytest.raises(UserError, match=rf"its mask is missing; expected .*001_mask\.png; "
                                        rf"001_mask\{suffix} has no format that is read"):
        Library(category.parents[1], tmp_path / "c").scan("mvtec", "bottle")


def test_two_images_whose_names_look_alike_are_refused(category, tmp_path):
    for name in (NFC, NFD):
        Image.open(category / "train/good/000.png").save(category / f"train/good/{name}.png")
    with pytest.raises(UserError, match="in another Unicode form, stands beside it"):
        Library(category.parents[1], tmp_path / "c").scan("mvtec", "bottle")
    given = two_folders(category, tmp_path / "set")
    with pytest.raises(UserError, match="in another Unicode form; remove or rename one"):
        own_images.chosen(given, tmp_path / "c")


def test_where_two_masks_are_there_the_lower_case_png_is_taken(category, tmp_path):
    for name in ("000_mask.PNG", "000.png", "000_mask.bmp"):
        Image.new("L", (7, 7), 255).save(category / "ground_truth/dent" / name)
    found = Library(category.parents[1], tmp_path / "c").scan("mvtec", "bottle")
    [item] = [i for i in found if i.id == "test/dent/000"]
    assert item.mask.name == "000_mask.png"


def test_maps_made_elsewhere_are_found(tmp_path):
    for name in (NFD, "001"):
        (tmp_path / "dent").mkdir(exist_ok=True)
        np.save(tmp_path / "dent" / f"{name}.npy", np.zeros((4, 4)))
    paths, extra = map_files.find(tmp_path, "mvtec", [f"dent/{NFC}", "dent/001"])
    assert [p.stem for p in paths] == [NFD, "001"] and extra == 0


def test_an_image_that_is_asked_for_is_found(tmp_path):
    place = make_category(tmp_path / "plates")
    rename(place / "test/dent/003.png", NFD)
    rename(place / "ground_truth/dent/003_mask.png", f"{NFD}_mask")
    words = ["figure1", "--data", str(place), "--results", str(tmp_path / "r"), *TINY]
    assert cli.main([*words, "--image", f"test/dent/{NFC}"]) == 0  # the last one: it is tested

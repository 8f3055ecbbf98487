"""One's own images as a dataset: which folders, how two folders are split, what is refused."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.plan import own_images
from aexad.datasets import catalog, images
from aexad.datasets.category import Library, split
from aexad.datasets.data_params import DataParams

from conftest import make_category
from running import TINY


@pytest.fixture(autouse=True)
def forgotten():
    yield
    own_images.register(None)


def picture(path: Path, value: int = 0, spot: bool = False, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((32, 32), value, np.uint8)
    if spot:
        pixels[3:9, 4:8] = 255
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def two_folders(root: Path, normals: int = 12, blacks: int = 3, anomalies: int = 5
                ) -> tuple[Path, Path]:
    """images/ and masks/: normals without a mask, normals with a black one, anomalies."""
    names = [f"{i:02d}" for i in range(normals + blacks + anomalies)]
    for i, name in enumerate(names):
        picture(root / "images" / f"{name}.png", 10 * i, mode="RGB")
        if i >= normals:
            form = f"{name}_mask.png" if i % 2 else f"{name}.png"
            picture(root / "masks" / form, spot=i >= normals + blacks)
    return root / "images", root / "masks"


def given_as(**options) -> Namespace:
    empty = dict.fromkeys(("data", "images", "masks", "data_name", "datasets", "categories"))
    return Namespace(**{**empty, **options})


def stems(folder: Path) -> set[str]:
    return {p.stem for p in folder.iterdir()} if folder.exists() else set()


def test_a_folder_is_a_dataset_where_it_stands(tmp_path):
    place = make_category(tmp_path / "my plates!")
    dataset = own_images.chosen(given_as(data=str(place)), tmp_path / "cache")
    own_images.register(dataset)
    assert own_images.rows(dataset) == [("own", "my_plates")]
    library = Library(tmp_path / "elsewhere", tmp_path / "cache")  # whatever --data-root is
    assert library.locate("own", "my_plates") == place
    category = library.load("own", "my_plates", DataParams(size=32))
    assert len(category.ids) == 6 + 3 + 10
    own_images.register(None)
    assert "own" not in catalog.DATASETS


def test_two_folders_get_a_split(tmp_path):
    images, masks = two_folders(tmp_path / "set")
    dataset = own_images.chosen(given_as(images=str(images), masks=str(masks)), tmp_path / "cache")
    own_images.register(dataset)
    assert own_images.rows(dataset) == [("own", "set")]  # called after the folder of both
    library = Library(tmp_path, tmp_path / "cache")
    place = library.locate("own", "set")
    normal = stems(place / "train/good") | stems(place / "test/good")
    assert normal == {f"{i:02d}" for i in range(15)}
    assert len(stems(place / "test/good")) == 3  # a fifth
    assert stems(place / "test/anomalous") == {f"{i:02d}" for i in range(15, 20)}
    assert stems(place / "ground_truth/anomalous") == {f"{i:02d}_mask" for i in range(15, 20)}
    category = library.load("own", "set", DataParams(size=32))
    assert category.masks.any(axis=(1, 2)).tolist() == (category.kinds != "good").tolist()
    assert category.masks[category.kinds != "good"].sum() == 5 * 6 * 4
    for seed in (40, 41):
        parts = split(category, "own", seed, "standard", DataParams(size=32))
        assert len(parts.train) == 12 + 3 and len(parts.test) == 3 + 2
    by_id = {i: int(v[0, 0, 0]) for i, v in zip(category.ids, category.images)}
    assert all(value == 10 * int(i[-2:]) for i, value in by_id.items())  # no image mixed up


def test_the_layout_is_made_once_and_anew_when_a_file_changes(tmp_path):
    images, masks = two_folders(tmp_path / "set")

    def made():
        return own_images.arrange(images, masks, tmp_path / "cache", "set")
    first = made()
    stamp = first.stat().st_mtime_ns
    assert made() == first and first.stat().st_mtime_ns == stamp
    picture(masks / "00.png", spot=True)  # a normal image becomes an anomalous one
    second = made()
    assert second != first and "00" in stems(second / "test/anomalous")
    assert not list((tmp_path / "cache" / "own").glob(".*"))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.integers(0, 4), st.integers(1, 6))
def test_every_image_has_one_place(tmp_path_factory, normals, blacks, anomalies):
    root = tmp_path_factory.mktemp("any")
    images, masks = two_folders(root, normals, blacks, anomalies)
    links = own_images._layout(own_images.pair(images, masks))
    pictures = [target for link, target in links.items() if link.split("/")[0] != "ground_truth"]
    assert sorted(pictures) == sorted(images.iterdir())
    kinds = [link.rsplit("/", 1)[0] for link in links]
    assert kinds.count("test/anomalous") == kinds.count("ground_truth/anomalous") == anomalies
    assert kinds.count("test/good") == round((normals + blacks) / 5)
    shutil.rmtree(root)


@pytest.mark.parametrize("mode", ("1", "L", "P", "RGB", "RGBA", "I;16"))
def test_a_black_mask_is_black_in_every_mode(tmp_path, mode):
    for spot in (False, True):
        if mode == "I;16":
            pixels = np.zeros((8, 8), np.uint16)
            pixels[2, 3] = 300 * spot
            Image.fromarray(pixels).save(tmp_path / "m.png")
        else:
            picture(tmp_path / "m.png", spot=spot, mode=mode)
        assert images.marks_something(tmp_path / "m.png") is spot


@pytest.mark.parametrize("spoil, said", [
    (lambda i, m: picture(m / "99.png", spot=True), "99.png: a mask without an image"),
    (lambda i, m: picture(m / "19.png", spot=True), "a second mask of 19.png"),
    (lambda i, m: picture(i / "00.bmp", mode="RGB"), "00.bmp has the same name"),
    (lambda i, m: (m / "18.png").write_bytes(b"no image"), "18.png: not an image"),
    (lambda i, m: [p.unlink() for p in m.iterdir()], "no masks there"),
    (lambda i, m: [p.unlink() for p in i.iterdir()], "no images"),
    (lambda i, m: shutil.rmtree(m), "--masks"),
], ids=["no image", "two masks", "two images", "damaged", "no masks", "no images", "no folder"])
def test_two_folders_that_do_not_fit_are_refused(tmp_path, spoil, said):
    images, masks = two_folders(tmp_path / "set")
    spoil(images, masks)
    with pytest.raises(UserError) as error:
        own_images.chosen(given_as(images=str(images), masks=str(masks)), tmp_path / "cache")
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("counts, said", [
    ({"anomalies": 0}, "--masks .*none of its masks marks anything"),
    ({"normals": 0, "blacks": 0}, "--images .*no normal images to train on")])
def test_folders_of_one_class_are_refused_by_their_own_names(tmp_path, counts, said):
    images, masks = two_folders(tmp_path / "set", **counts)
    with pytest.raises(UserError, match=said):
        own_images.chosen(given_as(images=str(images), masks=str(masks)), tmp_path / "cache")


def test_options_that_do_not_go_together(tmp_path, capsys):
    place = make_category(tmp_path / "data" / "mine")
    images, _ = two_folders(tmp_path / "set")
    for words, said in (
            (("--data", str(place), "--images", str(images)), "give --data DIR, or both"),
            (("--images", str(images)), "give --data DIR, or both"),
            (("--images", str(images), "--masks", str(images)), "both are"),
            (("--data", str(place), "--categories", "mvtec/bottle"), "leave out --datasets"),
            (("--data-name", "x", "--categories", "mvtec/bottle"), "names what --data"),
            (("--data", str(place), "--data-name", "../.."), "a name of letters"),
            (("--data", str(place / "test")), "no folder train/good there"),
            (("--data", str(place.parent)), f"give one of them, as {place}"),
            (("--data", str(tmp_path / "none")), "no such folder"),
            (("--datasets", "own"), "unknown dataset 'own'")):
        assert cli.main(["table2", "--results", str(tmp_path / "r"), *TINY, *words]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and said in lines[0], lines
    assert not (tmp_path / "r").exists()

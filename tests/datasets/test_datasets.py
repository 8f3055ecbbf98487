"""Files on disk -> arrays and splits, and what is said about bad files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError
from aexad.datasets import folder, suite
from aexad.datasets.catalog import DATASETS, PAPER, all_categories
from aexad.datasets.category import Library, split
from aexad.datasets.data_params import DataParams
from aexad.datasets.images import read_image, read_mask, read_working

from conftest import make_category

SMALL = DataParams(size=32)


def library(category: Path, tmp_path: Path) -> Library:
    return Library(category.parents[1], tmp_path / "cache")


def load(category: Path, tmp_path: Path, params: DataParams = SMALL):
    return library(category, tmp_path).load("mvtec", "bottle", params)


def test_catalog_has_the_papers_categories():
    counts = {name: len(DATASETS[name].categories) for name in PAPER}
    assert counts == {"mvtec": 15, "wfdd": 4, "btad": 3, "wood": 1, "hazelnut": 1, "road": 1}
    assert len(all_categories(PAPER)) == 25


def test_category_is_read_in_order_with_masks(category, tmp_path):
    found = load(category, tmp_path)
    assert found.images.shape == (19, 32, 32, 3) and found.images.dtype == np.uint8
    assert list(found.ids[:2]) == ["train/good/000", "train/good/001"]
    assert found.in_train.sum() == 6
    has_mask = found.masks.any(axis=(1, 2))
    assert (has_mask == (found.kinds != "good")).all()
    # a 16 px square of 64 px is 8 x 8 at 32 px, and bright
    assert set(found.masks[has_mask].sum(axis=(1, 2))) == {64}
    bright = found.images[has_mask][found.masks[has_mask]].mean()
    assert bright > found.images[has_mask][~found.masks[has_mask]].mean() + 80


@pytest.mark.parametrize("extension", [".jpg", ".bmp", ".tif"])
def test_other_formats_and_masks_named_as_the_image(category, tmp_path, extension):
    for path in list(category.rglob("*.png")):
        to = path.with_name(path.stem.removesuffix("_mask"))
        is_mask = "ground_truth" in path.parts
        Image.open(path).save(to.with_suffix(".png" if is_mask else extension))
        if to.with_suffix(".png") != path or not is_mask:
            path.unlink()
    found = load(category, tmp_path)
    assert len(found.ids) == 19 and found.masks.any(axis=(1, 2)).sum() == 10


def test_btad_names(tmp_path):
    place = make_category(tmp_path / "btad" / "01", kinds=("ko",))
    (place / "train" / "good").rename(place / "train" / "ok")
    (place / "test" / "good").rename(place / "test" / "ok")
    found = Library(tmp_path, tmp_path / "cache").load("btad", "btad_01", SMALL)
    assert set(found.kinds) == {"good", "ko"} and (found.kinds == "good").sum() == 9


def test_cache_is_used_and_notices_changed_files(category, tmp_path, monkeypatch):
    first = load(category, tmp_path)
    calls = []
    monkeypatch.setattr("aexad.datasets.category.read_working",
                        lambda *a: calls.append(a) or read_working(*a))
    assert load(category, tmp_path).digest == first.digest and not calls
    changed = category / "train" / "good" / "000.png"
    Image.new("RGB", (64, 64), "red").save(changed)
    second = load(category, tmp_path)
    assert calls and second.digest != first.digest
    assert (second.images[0] == (255, 0, 0)).all()
    os.utime(changed, ns=(1, 1))  # touched, same pixels: decoded again, same digest
    calls.clear()
    assert load(category, tmp_path).digest == second.digest and calls


def test_damaged_cache_is_rebuilt(category, tmp_path):
    first = load(category, tmp_path)
    [entry] = (tmp_path / "cache" / "images").iterdir()
    entry.write_bytes(entry.read_bytes()[:1000])
    assert load(category, tmp_path).digest == first.digest


def test_a_large_category_is_the_same_and_mapped_from_the_cache(category, tmp_path, monkeypatch):
    """Also where its entry was written when it was held in memory, and where none can be."""
    held = load(category, tmp_path)
    [entry] = (tmp_path / "cache" / "images").iterdir()
    content = entry.read_bytes()
    monkeypatch.setattr(mapped, "LARGE", 1000)
    of_old_entry = load(category, tmp_path)
    entry.unlink()
    decoded = load(category, tmp_path)
    assert [p.read_bytes() for p in entry.parent.iterdir()] == [content]
    (tmp_path / "other").write_text("")  # no folder
    uncached = Library(category.parents[1], tmp_path / "other").load("mvtec", "bottle", SMALL)
    for other in (of_old_entry, decoded, uncached):
        assert other.digest == held.digest
        for name in ("ids", "kinds", "in_train", "images", "masks", "blank"):
            np.testing.assert_array_equal(getattr(other, name), getattr(held, name), strict=True)
    assert not isinstance(held.images.base, np.memmap)
    assert isinstance(of_old_entry.images.base, np.memmap)
    assert isinstance(decoded.masks.base, np.memmap)


# -- splits --

def test_split_draws_as_the_authors_did(category, tmp_path):
    found = load(category, tmp_path)
    parts = split(found, "mvtec", 40, "standard", SMALL)
    draw = np.random.RandomState(40)  # one generator per category, types in order (row 44)
    expected = [f"test/{kind}/{i:03d}" for kind in ("dent", "scratch")
                for i in draw.permutation(5)[:3]]
    anomalous = [i for i in found.ids[parts.train] if "good" not in i]
    assert sorted(anomalous) == sorted(expected)
    assert len(parts.train) == 6 + 6 and len(parts.test) == 3 + 4
    assert not set(parts.train) & set(parts.test)


def test_split_of_scenarios_tests_on_the_same_images(category, tmp_path):
    found = load(category, tmp_path)
    standard = split(found, "mvtec", 41, "standard", SMALL)
    alone = split(found, "mvtec", 41, "anomalies_only", SMALL)
    assert (standard.test == alone.test).all()
    assert (found.kinds[alone.train] != "good").all() and len(alone.train) == 6
    assert (found.kinds[alone.test] == "good").sum() == 3


def test_split_by_total_and_by_fixed_folders(tmp_path):
    place = make_category(tmp_path / "road", kinds=("crack",), each=17)
    lib = Library(tmp_path, tmp_path / "cache")
    parts = split(lib.load("road", "road", SMALL), "road", 40, "standard", SMALL)
    assert len(parts.train) == 6 + 10 and len(parts.test) == 3 + 7  # Table 3 has sevenths
    (place / "train" / "crack").mkdir()
    for i in range(4):
        (place / "test/crack" / f"{i:03d}.png").rename(place / "train/crack" / f"{i:03d}.png")
    found = lib.load("road", "road", SMALL)
    parts = split(found, "road", 40, "standard", SMALL)
    assert sorted(found.ids[parts.train])[:4] == [f"train/crack/{i:03d}" for i in range(4)]
    assert len(parts.train) == 6 + 4 and len(parts.test) == 3 + 13


def test_an_anomaly_whose_mask_vanishes_trains_nothing_and_tests_nothing(category, tmp_path):
    whole = split(load(category, tmp_path), "mvtec", 40, "standard", SMALL)
    draw = np.random.RandomState(40)
    first = draw.permutation(5)[0]  # of the dents, one that trains
    pixel = np.zeros((64, 64), np.uint8)
    pixel[0, 0] = 255  # between the pixels that 32 px keep
    Image.fromarray(pixel).save(category / f"ground_truth/dent/{first:03d}_mask.png")
    found = load(category, tmp_path)
    parts = split(found, "mvtec", 40, "standard", SMALL)
    assert found.ids[parts.vanished].tolist() == [f"test/dent/{first:03d}"]
    assert set(parts.train) == set(whole.train) - set(parts.vanished)
    assert (parts.test == whole.test).all()
    alone = split(found, "mvtec", 40, "anomalies_only", SMALL)
    assert len(alone.train) == 5 and (alone.vanished == parts.vanished).all()


def test_where_all_training_masks_vanish_anomalies_alone_are_refused(category, tmp_path):
    for mask in category.glob("ground_truth/*/*.png"):
        pixel = np.zeros((64, 64), np.uint8)
        pixel[0, 0] = 255
        Image.fromarray(pixel).save(mask)
    found = load(category, tmp_path)
    parts = split(found, "mvtec", 40, "standard", SMALL)
    assert len(parts.train) == 6 and len(parts.vanished) == 6
    with pytest.raises(UserError, match="empty at 32 px; raise --set data.size"):
        split(found, "mvtec", 40, "anomalies_only", SMALL)


def test_max_train_keeps_all_anomalies(category, tmp_path):
    found = load(category, tmp_path)
    parts = split(found, "mvtec", 40, "standard", DataParams(size=32, max_train=9))
    assert (found.kinds[parts.train] == "good").sum() == 3 and len(parts.train) == 9
    whole = split(found, "mvtec", 40, "standard", SMALL)
    assert (parts.test == whole.test).all()


def test_real_bottle_counts(shared, tmp_path):
    lib = Library(shared / "data", tmp_path / "cache")
    found = lib.load("mvtec", "bottle", DataParams())
    parts = split(found, "mvtec", 40, "standard", DataParams())
    assert len(parts.train) == 218 and len(parts.test) == 54 + 20
    assert found.images.shape[1:] == (224, 224, 3)


def test_embedded_categories_are_generated_once(tmp_path):
    lib = Library(tmp_path, tmp_path / "cache")
    name = next(iter(suite.CATEGORIES))
    first = lib.load("embedded", name, SMALL)
    stamp = (lib.locate("embedded", name) / "train").stat().st_mtime_ns
    assert lib.load("embedded", name, SMALL).digest == first.digest
    assert (lib.locate("embedded", name) / "train").stat().st_mtime_ns == stamp


# -- single images --

def test_nearest_and_other_interpolations(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:, 2:] = 200
    pixels[1, 1] = 100
    Image.fromarray(pixels).save(tmp_path / "a.png")
    nearest, shape = read_image(tmp_path / "a.png", 2, "nearest")
    assert shape == (4, 4) and nearest[:, :, 0].tolist() == [[100, 200], [0, 200]]
    area, _ = read_image(tmp_path / "a.png", 2, "antialias")
    assert 0 < area[0, 0, 0] < 100
    bilinear, _ = read_image(tmp_path / "a.png", 2, "bilinear")
    assert bilinear[0, 0, 0] == 25  # the mean of the four pixels around the new pixel's centre


def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path):
    Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 8, "nearest")[0] == 0x80).all()


def test_masks_of_zero_and_one(tmp_path):
    values = np.eye(8, dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", 8, (8, 8), 127, False) == values.astype(bool)).all()


def test_grey_masks_on_demand(tmp_path):
    Image.fromarray(np.array([[0, 127], [128, 255]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"m\.png: a non-binary mask \(4 grey values\)"):
        read_mask(tmp_path / "m.png", 2, (2, 2), 127, False)
    assert read_mask(tmp_path / "m.png", 2, (2, 2), 127, True).tolist() == [[0, 0], [1, 1]]


# -- what is wrong is said with the file's name --

def bad_mask_missing(place: Path) -> str:
    (place / "ground_truth/dent/001_mask.png").unlink()
    return r"test/dent/001\.png: its mask is missing; expected .*ground_truth/dent/001_mask\.png"


def bad_mask_size(place: Path) -> str:
    Image.new("L", (10, 12)).save(place / "ground_truth/dent/001_mask.png")
    return r"001_mask\.png: the mask is 10x12 pixels, its image 64x64"


def bad_truncated(place: Path) -> str:
    path = place / "train/good/002.png"
    path.write_bytes(path.read_bytes()[:2000])
    return r"train/good/002\.png: damaged image"


def bad_not_an_image(place: Path) -> str:
    (place / "train/good/002.png").write_text("hello")
    return r"train/good/002\.png: not an image"


def bad_no_anomalies(place: Path) -> str:
    for kind in ("dent", "scratch"):
        for path in (place / "test" / kind).iterdir():
            path.unlink()
    return "a category with no anomalies"


def bad_no_normals(place: Path) -> str:
    for path in (place / "train/good").iterdir():
        path.unlink()
    return r"train/good: no normal training images"


def bad_two_of_a_name(place: Path) -> str:
    Image.new("RGB", (64, 64)).save(place / "train/good/002.jpg")
    return r"train/good/002\.png: another image of that name"


@pytest.mark.parametrize("spoil", [bad_mask_missing, bad_mask_size, bad_truncated, bad_not_an_image,
                                   bad_no_anomalies, bad_no_normals, bad_two_of_a_name],
                         ids=lambda f: f.__name__)
def test_bad_files_are_named(category, tmp_path, spoil):
    message = spoil(category)
    with pytest.raises(UserError, match=message) as caught:
        load(category, tmp_path)
    assert "\n" not in str(caught.value)


def test_nothing_left_to_test(tmp_path):
    place = make_category(tmp_path / "mvtec" / "bottle", each=3)
    found = Library(tmp_path, tmp_path / "cache").load("mvtec", "bottle", SMALL)
    with pytest.raises(UserError, match="no anomalies are left to test on"):
        split(found, "mvtec", 40, "standard", SMALL)
    assert len(folder.scan(place, ("good",))) == 15

"""Masks in every form that annotation tools write: read as they are meant, or refused at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.datasets.category import EMPTY, FULL, Library, split
from aexad.datasets.data_params import DataParams
from aexad.datasets.images import marked, marks_something, read_mask

from conftest import make_category
from running import BOTTLE, csv, run

SHAPE = np.zeros((8, 6), bool)
SHAPE[2:5, 1:4] = True


def of_values(*values: int, dtype: type = np.uint8) -> Image.Image:
    """The ground, the shape, and a corner of a third value."""
    pixels = np.where(SHAPE, values[1], values[0]).astype(dtype)
    pixels[-1, -1] = values[-1] if len(values) > 2 else pixels[-1, -1]
    return Image.fromarray(pixels)


def colours(ground: tuple[int, ...], shape: tuple[int, ...]) -> Image.Image:
    """Grey and alpha, RGB or RGBA, by the number of channels."""
    return Image.fromarray(np.where(SHAPE[..., None], shape, ground).astype(np.uint8))


def palette(ground: tuple[int, ...], shape: tuple[int, ...]) -> Image.Image:
    picture = Image.fromarray(SHAPE.astype(np.uint8)).convert("P")
    picture.putpalette([*ground, *shape])
    return picture


def transparent_palette() -> Image.Image:
    picture = palette((255, 0, 0), (255, 0, 0))
    picture.info["transparency"] = bytes([0, 255])
    return picture


def written(folder: Path, picture: Image.Image) -> Path:
    path = folder / "m.png"
    picture.save(path, **{k: v for k, v in picture.info.items() if k == "transparency"})
    return path


# -- what is read --


@pytest.mark.parametrize("picture", [
    of_values(0, 255), of_values(0, 1), of_values(0, 3), of_values(0, 40000, dtype=np.uint16),
    palette((0, 0, 0), (128, 0, 0)),
    colours((255, 255, 255, 0), (255, 255, 255, 255)), colours((200, 0, 0, 0), (200, 0, 0, 255)),
    colours((255, 0), (255, 255)), colours((255, 255, 255, 0), (255, 255, 255, 90)),
    transparent_palette(),
    colours((0, 0, 0, 0), (255, 255, 255, 255)), colours((0, 0, 0, 255), (255, 255, 255, 99)),
], ids=["0/255", "0/1", "0/3", "16 bits", "palette", "white in alpha", "red in alpha", "LA",
        "faint alpha", "palette's alpha", "colour and alpha", "colour with alpha"])
def test_two_values_are_a_shape(tmp_path, picture):
    path = written(tmp_path, picture)
    assert np.array_equal(marked(path, (6, 8), 127, False), SHAPE) and marks_something(path)


@pytest.mark.parametrize("picture", [
    of_values(0, 255, 90), of_values(100, 200), colours((255, 255, 255, 0), (255, 0, 0, 255))],
    ids=["a third", "grey ground", "red on transparent white"])
def test_grey_masks_are_cut_at_the_threshold(tmp_path, picture):
    path = written(tmp_path, picture)
    found = marked(path, (6, 8), 70 if picture.mode == "RGBA" else 127, True)
    assert np.array_equal(found, SHAPE)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("picture, state", [
    (of_values(0, 0), "empty"), (of_values(255, 255), "full"),
    (colours((255, 255, 255, 0), (255, 255, 255, 0)), "empty"),
    (colours((0, 0, 0, 255), (0, 0, 0, 255)), "empty"),
    (colours((9, 200, 9), (9, 200, 9)), "full")])
def test_plain_masks_are_taken_as_they_are(tmp_path, picture, state, grey):
    found = marked(written(tmp_path, picture), (6, 8), 100, grey)
    assert found.all() == (state == "full") and found.any() == (state == "full")


def test_noise_of_jpeg_in_a_white_mask_is_white(tmp_path):
    assert marked(written(tmp_path, of_values(255, 253)), (6, 8), 127, True).all()


# -- what is refused --


@pytest.mark.parametrize("picture, said", [
    (of_values(0, 1, 2), "the largest is 2, .*for class numbers pass --set data.mask_threshold=0"),
    (of_values(0, 127), "the largest is 127, .*make it black where nothing is meant$"),
    (of_values(0, 1), "the largest is 1"), (of_values(1, 1), "the largest is 1"),
    (of_values(0, 7, 100), "the largest is 100"),
    (palette((0, 0, 0), (128, 0, 0)), "the largest is 38"),
    (colours((0, 0, 0, 0), (5, 5, 5, 255)), "the largest is 5"),
    (of_values(0, 90, dtype=np.uint16), "the largest is 90"),
    (of_values(180, 255), "the smallest is 180.*--set data.mask_threshold=180"),
    (of_values(128, 200, 255), "the smallest is 128"),
    (of_values(500, 60000, dtype=np.uint16), "the smallest is 500"),
])
def test_grey_masks_beside_the_threshold_are_refused(tmp_path, picture, said):
    with pytest.raises(UserError, match=rf"m\.png: .*{said}"):
        marked(written(tmp_path, picture), (6, 8), 127, True)


@pytest.mark.parametrize("picture, said", [
    (colours((0, 0, 0, 0), (0, 0, 0, 255)), "black where it is not"),
    (colours((0, 0, 0, 255), (0, 0, 0, 0)), "black where it is not"),
    (colours((255, 255, 255, 0), (0, 0, 0, 255)), "black where it is not"),
    (colours((0, 255), (0, 0)), "black where it is not"),
    (palette((0, 0, 0), (0, 0, 0)), "equally bright"),
    (palette((255, 0, 0), (0, 130, 0)), "equally bright"),
    (colours((255, 0, 0), (0, 130, 0)), "equally bright")])
@pytest.mark.parametrize("grey", [False, True])
def test_a_shape_that_can_not_be_seen_is_refused(tmp_path, picture, said, grey):
    with pytest.raises(UserError, match=rf"m\.png: .*{said}.*black and white"):
        marked(written(tmp_path, picture), (6, 8), 60, grey)


@pytest.mark.parametrize("values, advice", [
    ((0, 1, 2), r": 0, 1, 2; .*grey_masks=threshold --set data.mask_threshold=0$"),
    ((0, 5, 100), r"grey_masks=threshold --set data.mask_threshold=0$"),
    ((0, 1, 255), r"grey_masks=threshold \(what is above data.mask_threshold is marked"),
    ((100, 200), r": 100, 200; make it black and white")])
def test_the_advice_for_more_than_two_values_leads_to_a_mask(tmp_path, values, advice):
    path = written(tmp_path, of_values(*values))
    with pytest.raises(UserError, match=advice) as error:
        read_mask(path, 8, (6, 8), 127, False)
    threshold = 0 if "--set data.mask_threshold=0" in str(error.value) else 127
    found = marked(path, (6, 8), threshold, True)
    assert found.any() and not found.all()


@pytest.mark.parametrize("words", [("--set", "data.grey_masks=threshold"), ()])
def test_nothing_is_trained_with_them(category, tmp_path, capsys, words):
    for path in category.glob("ground_truth/*/*.png"):
        pixels = np.asarray(Image.open(path)) // 255 * 2
        Image.fromarray(pixels if words else np.zeros_like(pixels)).save(path)
    root = category.parents[1]
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad", *words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{category}/ground_truth/dent/000_mask.png: " in line
    assert ("the largest is 2" if words else "the mask of every other anomalous image") in line
    assert not (tmp_path / "r" / "fits").exists()
    if words:
        assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad", *words, "--set",
                   "data.mask_threshold=0") == 0
        assert csv(tmp_path / "r").value.notna().all()


def test_a_single_faint_mask_is_refused_and_a_black_one_is_not(category, tmp_path, capsys):
    """Somebody drew a shape in it: the image is anomalous, and must not be left out in silence."""
    path = category / "ground_truth/scratch/002_mask.png"
    pixels = np.asarray(Image.open(path)) // 4
    words = (*BOTTLE, "--methods", "ae_xad", "--set", "data.grey_masks=threshold")
    Image.fromarray(pixels).save(path)
    assert run(category.parents[1], tmp_path / "r", *words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{path}: " in line and "the largest is 63, so that it would mark nothing" in line
    Image.fromarray(pixels * 0).save(path)
    assert run(category.parents[1], tmp_path / "r", *words) == 0
    assert "masks on disk: 1 empty" in capsys.readouterr().err


# -- what is said of single empty and full ones --


def test_dropped_masks_are_told_apart(category, tmp_path, capsys):
    draw = np.random.RandomState(40)
    order = {kind: draw.permutation(5) for kind in ("dent", "scratch")}  # the first 3 train
    pixel = np.zeros((64, 64), np.uint8)
    pixel[0, 0] = 255
    white, black = np.full_like(pixel, 255), np.zeros_like(pixel)
    for kind, at, mask in (("dent", 3, white), ("dent", 4, black), ("scratch", 3, pixel),
                           ("dent", 0, black), ("dent", 1, pixel)):
        Image.fromarray(mask).save(category / f"ground_truth/{kind}/{order[kind][at]:03d}_mask.png")
    root = category.parents[1]
    for _ in range(2):  # computed, and from what is stored
        assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad", table="table2") == 0
        said = capsys.readouterr().out
        assert ("3 dropped because the mask is empty or full at the working size: 1 empty on disk, "
                "1 full on disk, 1 by resizing") in said
        assert (f"trained without test/dent/{order['dent'][1]:03d}: at 32 px nothing is left of "
                f"the mask; without test/dent/{order['dent'][0]:03d}: the mask is empty on disk"
                ) in said


def test_blank_masks_do_not_change_what_results_know_their_images_by(category, tmp_path):
    library = Library(category.parents[1], tmp_path / "cache")
    params = DataParams(size=32)
    Image.new("L", (64, 64), 255).save(category / "ground_truth/dent/000_mask.png")
    Image.new("L", (64, 64), 0).save(category / "ground_truth/dent/001_mask.png")
    for _ in range(2):  # decoded, and from the cache
        found = library.load("mvtec", "bottle", params)
        states = dict(zip(found.ids.tolist(), found.blank.tolist()))
        assert states.pop("test/dent/000") == FULL and states.pop("test/dent/001") == EMPTY
        assert not any(states.values())
    drawn = 1 in np.random.RandomState(40).permutation(5)[:3]
    parts = split(found, "mvtec", 40, "standard", params)
    assert found.ids[parts.empty].tolist() == ["test/dent/001"] * drawn


def test_the_digest_is_that_of_the_versions_before(tmp_path):
    """Stored results compare it with the images of now."""
    place = make_category(tmp_path / "mvtec" / "bottle")
    found = Library(place.parents[1], tmp_path / "cache").load("mvtec", "bottle",
                                                               DataParams(size=32))
    assert found.digest == "29f237c3032c2cdd271ac8c897686130dbf68ca5a7442fc4974b56d9100f01cf"

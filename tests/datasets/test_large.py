"""Images that are to be cut: read one after the other, kept in files, each of its own size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.bench.base.params import declared
from aexad.bench.measure.tiles import Ragged
from aexad.bench.plan.settings import Settings
from aexad.datasets import large
from aexad.datasets.category import Library, split
from aexad.datasets.data_params import DataParams
from aexad.datasets.images import read_image, read_working

TILED = DataParams(size=32, tile=64, tile_overlap=0.5)


@pytest.fixture
def mixed(category: Path) -> Path:
    """The category, its images of 64 x 64 pixels, one made 150 x 90, one 20 x 30."""
    for name, size in (("test/good/000", (150, 90)), ("train/good/001", (20, 30))):
        picture = Image.open(category / f"{name}.png").resize(size)
        picture.save(category / f"{name}.png")
    return category


def load(category: Path, tmp_path: Path, params: DataParams = TILED):
    return Library(category.parents[1], tmp_path / "cache").load("mvtec", "bottle", params)


def test_the_working_size_is_the_image_s_times_size_by_tile():
    data = DataParams(size=224, tile=512)
    assert data.working(5000, 4000) == (2188, 1750)  # 2187.5 is rounded up
    assert data.working(512, 512) == (224, 224) and data.working(100, 1) == (44, 1)
    assert DataParams(size=224, tile=224).working(300, 201) == (300, 201)
    assert DataParams(size=224).working(300, 201) == (224, 224)
    assert data.tiling.side == 224 and data.tiling.overlap == 0.25
    assert DataParams().tiling is None


def test_each_image_is_of_its_own_size(mixed, tmp_path):
    found = load(mixed, tmp_path)
    assert isinstance(found.images, Ragged) and found.images.tiling == TILED.tiling
    shapes = dict(zip(found.ids.tolist(), found.images.shapes))
    assert shapes["test/good/000"] == (45, 75, 3) and shapes["train/good/001"] == (15, 10, 3)
    assert set(shapes.values()) == {(45, 75, 3), (15, 10, 3), (32, 32, 3)}
    assert [m.shape for m in found.masks] == [i.shape[:2] for i in found.images]
    for name, image in zip(found.ids, found.images):
        wanted, size = read_working(mixed / f"{name}.png", TILED)
        assert np.array_equal(image, wanted) and size == Image.open(mixed / f"{name}.png").size


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "antialias"])
def test_a_tile_of_the_whole_image_reads_as_none(category, tmp_path, interpolation):
    data = DataParams(size=32, image_interp=interpolation)
    squeezed = load(category, tmp_path, data)
    cut = load(category, tmp_path, dataclasses.replace(data, tile=64))
    assert np.array_equal(np.stack(cut.images), squeezed.images)
    assert np.array_equal(np.stack(cut.masks), squeezed.masks)
    assert np.array_equal(cut.blank, squeezed.blank)
    for part, other in zip(split(cut, "mvtec", 40, "standard", data).__dict__.values(),
                           split(squeezed, "mvtec", 40, "standard", data).__dict__.values()):
        assert np.array_equal(part, other)
    one, _ = read_image(category / "test/good/000.png", 32, interpolation)
    assert np.array_equal(cut.images[cut.ids.tolist().index("test/good/000")], one)


def test_files_are_used_again_and_noticed_when_damaged(mixed, tmp_path, monkeypatch):
    first = load(mixed, tmp_path)
    calls = []
    monkeypatch.setattr("aexad.datasets.category.read_working",
                        lambda *a: calls.append(a) or read_working(*a))
    # where tiles lie is no matter of how images are read
    again = load(mixed, tmp_path, dataclasses.replace(TILED, tile_overlap=0.25))
    assert not calls and again.digest == first.digest and again.images.tiling.overlap == 0.25
    assert all(np.array_equal(a, b) for a, b in zip(again.images, first.images))
    assert all(np.array_equal(a, b) for a, b in zip(again.masks, first.masks))
    assert np.array_equal(again.blank, first.blank) and not again.images[0].flags.writeable
    [entry] = (tmp_path / "cache/images").glob("*.npz")
    for spoil in (lambda p: p.write_bytes(p.read_bytes()[:-1]), lambda p: p.unlink()):
        for path in large.files(entry):
            calls.clear()
            spoil(path)
            found = load(mixed, tmp_path)
            assert len(calls) == len(first.ids) and found.digest == first.digest
    assert Library(mixed.parents[1], tmp_path / "cache").digest("mvtec", "bottle", TILED) == (
        first.digest)


def test_no_more_images_are_decoded_at_a_time_than_threads(mixed, tmp_path, monkeypatch):
    """Each is on its way to the disk before those after the next are read."""
    written, ahead = [], []
    monkeypatch.setattr("aexad.datasets.category.read_working", lambda path, data: (
        ahead.append(len(ahead) - len(written)), read_working(path, data))[1])
    write = large.write

    def counted(path, decoded):
        return write(path, (written.append(1) or each for each in decoded))

    monkeypatch.setattr(large, "write", counted)
    library = Library(mixed.parents[1], tmp_path / "cache", threads=2)
    count = len(library.load("mvtec", "bottle", TILED).ids)
    assert len(written) == len(ahead) == count and max(ahead) <= 2


def test_where_no_file_can_be_written_images_lie_in_memory(mixed, tmp_path, monkeypatch, capsys):
    first = load(mixed, tmp_path)
    (tmp_path / "file").write_text("")
    found = Library(mixed.parents[1], tmp_path / "file" / "cache").load("mvtec", "bottle", TILED)
    assert "cannot cache decoded images" in capsys.readouterr().err
    assert found.digest == first.digest and np.array_equal(found.blank, first.blank)
    assert all(np.array_equal(a, b) for a, b in zip(found.images, first.images))


def test_a_mask_that_vanishes_at_the_working_size_trains_nothing(category, tmp_path):
    for path in (category / "ground_truth/dent").iterdir():
        mask = np.zeros((64, 64), np.uint8)
        mask[0, 0] = 255  # nearest takes other pixels
        Image.fromarray(mask).save(path)
    parts = split(load(category, tmp_path), "mvtec", 40, "standard", TILED)
    assert len(parts.vanished) == 3 and not len(parts.empty)


def test_keys_are_what_they_were_without_tiles():
    assert {"tile", "tile_overlap"}.isdisjoint(declared(DataParams()))
    assert declared(DataParams(tile=512))["tile"] == 512
    assert "tile_overlap" not in declared(DataParams(tile=512))
    assert declared(TILED)["tile_overlap"] == 0.5


@pytest.mark.parametrize("sets, said", [
    (["data.tile=100"], "data.tile=100: smaller than data.size=224"),
    (["data.tile=31", "data.size=32"], "data.tile=31: must be in its range 32"),
    (["data.tile=200000"], "data.tile=200000: must be in its range"),
    (["data.tile=2.5"], "data.tile=2.5: expected"),
    (["data.tile=512", "data.size=72"], "data.size=72: must be a multiple of 16 with data.tile"),
    (["data.tile=512", "data.tile_overlap=1"], "data.tile_overlap=1.0: must be in its range"),
    (["data.tile_overlap=0.5"], "data.tile_overlap=0.5: nothing is cut into tiles"),
])
def test_bad_values_are_refused_in_a_line(sets, said):
    with pytest.raises(UserError, match=said.replace(".", r"\.")) as refused:
        Settings("paper", sets=sets)
    assert "\n" not in str(refused.value)

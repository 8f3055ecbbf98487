"""Readers of files from anywhere: pictures, JSON, arrays, checkpoints, messages, leftovers."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from PIL import Image

from aexad.bench.base import errors, files, params
from aexad.bench.base.errors import UserError
from aexad.bench.base.json_files import Each, Maybe, Number, mismatch, read_object
from aexad.bench.base.npy import read_npy
from aexad.bench.results import image_rows as rows, shapes
from aexad.bench.run import checkpoint
from aexad.bench.stress import seeds
from aexad.datasets import images
from aexad.methods.bgad_params import BGADFit

from conftest import make_category

RGB = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)
TURNS = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1],
         4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
         6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
         8: lambda a: np.rot90(a)}


def with_exif(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


# -- pictures --


@pytest.mark.parametrize("orientation", TURNS)
def test_images_and_masks_are_turned_as_exif_says(tmp_path, orientation):
    path = with_exif(tmp_path / "a.png", RGB, orientation)
    turned = TURNS[orientation](RGB)
    assert np.array_equal(images.read_rgb(path), turned)
    _, shape = images.read_image(path, 9, "nearest")
    assert shape == turned.shape[1::-1]
    mask = with_exif(tmp_path / "m.png", (RGB[..., 0] > 99).astype(np.uint8), orientation)
    read = images.read_mask(mask, 9, shape, 127, False)
    plain = Image.fromarray((turned[..., 0] > 99).astype(np.uint8) * 255)
    assert np.array_equal(read, np.asarray(plain.resize((9, 9), Image.NEAREST)) > 0)


@pytest.mark.filterwarnings("ignore:Image size")  # pytest shows what the command line hides
@pytest.mark.parametrize("width, height", [(2**31 - 1, 2**31 - 1), (20_000, 10_000),
                                           (100_000_001, 1), (10_001, 10_000)])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(seeds.png(width, height))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UserError, match=r"bomb.png: more than 100,000,000 pixels"):
        images.read_rgb(path)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PPM", "EPS"])
def test_other_formats_under_the_name_of_a_png_are_refused(tmp_path, form):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, format=form)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    with pytest.raises(UserError, match="not an image that can be read"):
        images.read_rgb(tmp_path / "a.png")


def test_a_jpeg_named_png_is_read(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", format="JPEG")
    assert images.read_rgb(tmp_path / "a.png").shape == RGB.shape


@pytest.mark.parametrize("pixels, said", [
    (np.full((4, 4), 0.5, np.float32), "32-bit float pixels"),
    (np.full((4, 4), 70_000, np.int32), "outside 0 .. 65535"),
    (np.full((4, 4), -1, np.int32), "outside 0 .. 65535")])
def test_pixels_without_a_known_white_are_refused(tmp_path, pixels, said):
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    for read in (images.read_rgb, images.marks_something):
        with pytest.raises(UserError, match=said):
            read(tmp_path / "a.tiff")


def test_a_mask_of_one_bit_is_white_above_any_threshold(tmp_path):
    Image.fromarray(RGB[..., 0] > 99).save(tmp_path / "m.png")
    assert Image.open(tmp_path / "m.png").mode == "1"
    both = [images.read_mask(tmp_path / "m.png", 9, (9, 6), 127, grey) for grey in (0, 1)]
    assert both[0].any() and np.array_equal(*both)


# -- JSON --


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3)
).map(lambda value: json.dumps(value).encode()))
def test_an_object_that_can_be_written_and_printed_or_a_reason(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "x.json"
    path.write_bytes(content)
    try:
        found = read_object(path)
    except ValueError as error:
        assert len(str(error)) < 300
        return
    assert isinstance(found, dict)
    assert json.loads(json.dumps(found, allow_nan=False, ensure_ascii=False).encode()) == found


@pytest.mark.parametrize("text, said", [
    ("[" * 10**6, "deeply"), ('{"a":' * 30 + "1" + "}" * 30, "deeply"), ("[1]", "not an object"),
    ('{"a": NaN}', "NaN"), ('{"a": -Infinity}', "Infinity"), ('{"a": "\\ud800"}', "surrogates")])
def test_what_no_file_of_ours_holds(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_object(tmp_path / "x.json")


@pytest.mark.parametrize("value, shape, where", [
    ({"a": 1}, {"a": int}, None), ({"a": True}, {"a": int}, "a"), ({}, {"a": int}, "a"),
    ({"a": None}, {"a": Maybe(int)}, None), ({}, {"a": Maybe(int)}, "a"),
    ({}, {"a": Maybe(int, absent=True)}, None), ({"a": {"b": [1, "x"]}},
                                                 {"a": {"b": Each(list, int)}}, "a.b.1"),
    (10**400, Number(), ""), (float("nan"), Number(), ""), (float("inf"), Number(), ""),
    (0.5, Number(0, 1), None), (-0.1, Number(0, 1), ""), (True, Number(), ""),
    ("x", (int, str), None), ({"a": 1, "b": 2}, Each(dict, int), None), ([1], Each(dict, int), "")])
def test_shapes(value, shape, where):
    assert mismatch(value, shape) == where


def test_a_failed_result_says_why_or_is_damaged():
    assert shapes.wrong_in({"status": "failed", "error": "no"}, shapes.CELL) is None
    assert shapes.wrong_in({"status": "failed"}, shapes.CELL) == "error"
    assert shapes.wrong_in({"status": ["done"]}, shapes.CELL) == "status"


def test_a_model_file_can_not_ask_for_a_huge_network():
    from dataclasses import asdict
    values = {**asdict(BGADFit()), "blocks": 99_999}
    with pytest.raises(UserError, match="blocks=99999: must be in its range 1 .. 64"):
        params.from_json(BGADFit, values, "model.json: fit")


# -- arrays and checkpoints --


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 300), st.binary(max_size=6))
def test_a_changed_npy_is_an_array_of_numbers_or_a_reason(tmp_path_factory, at, change):
    content = bytearray(seeds.npy(np.arange(24, dtype=np.float32).reshape(2, 3, 4)))
    content[at:at + len(change)] = change
    path = tmp_path_factory.mktemp("any") / "x.npy"
    path.write_bytes(content)
    try:
        found = read_npy(path)
    except ValueError:
        return
    assert isinstance(found, np.ndarray) and not found.dtype.hasobject
    assert found.nbytes <= len(content)


def test_a_checkpoint_comes_back_or_not_at_all(tmp_path):
    path, cpu = tmp_path / "c.pt", torch.device("cpu")
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
    optimiser.param_groups[0]["params"][0].sum().backward()
    optimiser.step()
    content = {"epoch": 3, "losses": [1.0, 0.1], "state": {
        "net": {"a": torch.arange(5.0), "b": torch.tensor(2, dtype=torch.int64),
                "h": torch.ones(3, dtype=torch.bfloat16)}, "optimiser": optimiser.state_dict()}}
    assert checkpoint.read(path, cpu) is None
    checkpoint.write(path, content)
    found = checkpoint.read(path, cpu)
    assert found["losses"] == [1.0, 0.1] and torch.equal(found["state"]["net"]["a"],
                                                         torch.arange(5.0))
    whole = path.read_bytes()
    at = whole.index(struct.pack("<5f", *range(5)))  # torch.load itself does not notice
    path.write_bytes(whole[:at] + b"\x01" + whole[at + 1:])
    assert torch.load(path, weights_only=True)["content"]["state"]["net"]["a"][0] != 0
    assert checkpoint.read(path, cpu) is None
    path.write_bytes(whole[:-30])
    assert checkpoint.read(path, cpu) is None


def test_a_checkpoint_on_a_full_disk_is_one_line_and_the_last_one_stays(tmp_path):
    path, cpu = tmp_path / "c.pt", torch.device("cpu")
    checkpoint.write(path, {"epoch": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UserError, match="c.pt: cannot write .*free some space"):
            checkpoint.write(path, {"epoch": 2, "net": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read(path, cpu) == {"epoch": 1} and list(tmp_path.iterdir()) == [path]


def test_columns_of_a_parquet_file_that_no_cell_has(tmp_path):
    import pandas as pd
    path = tmp_path / "images.parquet"
    good = pd.DataFrame({"id": ["a"], "kind": ["dent"], **dict.fromkeys(rows.NUMBERS, 0.5)})
    good.to_parquet(path)
    assert rows.read(path).equals(good)
    for spoil in (good.drop(columns="auc"), good.assign(id=3), good.assign(score="x"),
                  good.assign(used=True), good.assign(seed=1), good.assign(id=[None]),
                  good.assign(kind=[["a"]])):
        spoil.to_parquet(path)
        with pytest.raises(UserError, match="images.parquet: damaged"):
            rows.read(path)


# -- messages and leftovers --


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=3000))
@example("\udcff" * 3000)  # six characters each, as it is shown
@example("\U0010ffff" * 900)
def test_a_message_is_one_line_whatever_it_quotes(text):
    said = str(UserError(f"{text}.png: damaged"))
    assert said.isprintable() and len(said.encode()) and said.endswith(".png: damaged")
    assert len(said) <= errors.LONGEST + len(" … ")
    if text.isprintable() and len(text) < 1900:
        assert said == f"{text}.png: damaged"


def test_what_a_killed_process_left_is_removed_and_no_other(tmp_path):
    mine = files.neighbour(tmp_path / ("n" * 255))
    mine.touch()  # a name of 255 bytes has a neighbour
    pid = os.fork()
    if not pid:
        files.neighbour(tmp_path / "x.json").touch()
        os._exit(0)
    os.waitpid(pid, 0)
    elsewhere = tmp_path / f".x.json.another-machine.{pid}.tmp"
    elsewhere.touch()
    assert len(list(tmp_path.iterdir())) == 3
    files.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere])


def test_zlib_is_not_asked_for_what_a_text_chunk_promises(tmp_path):
    text = b"\x00\x00" + zlib.compress(bytes(50_000_000))
    (tmp_path / "a.png").write_bytes(seeds.png(8, 8, chunk=(b"zTXt", b"k" + text)))
    with pytest.raises(UserError, match="a.png: damaged"):
        images.read_rgb(tmp_path / "a.png")


def test_long_and_foreign_names(tmp_path):
    place = make_category(tmp_path / "data ∪ é漢")
    for path in sorted(place.rglob("000*.png")):
        path.rename(path.with_name(path.name.replace("000", "ñ" * 100)))
    from aexad.datasets import folder
    items = folder.scan(place, ("good",))
    assert len([i for i in items if "ñ" in i.id]) == 4
    assert all(images.read_rgb(i.image).shape == (64, 64, 3) for i in items)

"""Float maps of other tools: found, read and resized; every mistake in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.bench.results import map_files

RAMP = np.arange(48, dtype=np.float32).reshape(6, 8) / 7


def put(path: Path, values: np.ndarray = RAMP) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("name, values", [
    ("a.npy", RAMP), ("a.npy", RAMP.astype(np.float64)), ("a.tiff", RAMP), ("a.TIF", RAMP),
    ("a.npy", (RAMP * 1000).astype(np.int32)), ("a.png", (RAMP * 9000).astype(np.uint16)),
    ("a.tif", (RAMP * 9000).astype(np.uint16)), ("a.npy", RAMP > 3), ("a.npy", RAMP * 0),
])
def test_every_format_gives_its_values(tmp_path, name, values):
    read = map_files.read_map(put(tmp_path / name, values))
    assert read.dtype == np.float32 and np.array_equal(read, values.astype(np.float32))


FINE = 0.5 + RAMP.astype(np.float64) * 1e-12  # one number as float32
WHOLE = 2**31 + RAMP.astype(np.float64).round() * 3


@pytest.mark.parametrize("name, values, kind", [
    ("a.npy", FINE, np.float64), ("a.npy", FINE.astype(">f8"), np.float64),
    ("a.npy", np.asfortranarray(FINE), np.float64), ("a.npy", FINE * 1e60, np.float64),
    ("a.npy", FINE * 1e-60, np.float64), ("a.npy", FINE.astype(np.longdouble), np.float64),
    ("a.npy", WHOLE.astype(np.int64), np.float64), ("a.npy", WHOLE.astype(np.uint32), np.float64),
    ("a.npy", RAMP.astype(np.float16), np.float32), ("a.npy", RAMP.astype(">f4"), np.float32),
    ("a.npy", (RAMP * 1000).astype(np.int64), np.float32),
    ("a.tiff", FINE, np.float64), ("a.tif", FINE.astype(">f8"), np.float64),
    ("a.tif", RAMP.astype(np.float16), np.float32), ("a.tif", WHOLE.astype(np.uint32), np.float64),
    ("a.tif", WHOLE.astype(">u4"), np.float64), ("a.tif", WHOLE.astype(np.uint64), np.float64),
    ("a.tif", -WHOLE.astype(np.int64), np.float64)])
def test_a_map_keeps_the_precision_of_its_file(tmp_path, name, values, kind):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, values)
    else:
        order = ">" if values.dtype.byteorder == ">" else "<"
        tifffile.imwrite(path, values, byteorder=order, compression="zlib")
    read = map_files.read_map(path)
    assert read.dtype == kind and read.dtype.isnative and np.array_equal(read, values)
    size = map_files.to_size(read, (6, 6))
    assert size.dtype == kind and size.shape == (6, 6)


def test_float64_maps_are_resized_as_float64(tmp_path):
    values = FINE[:, :7]
    for side in (3, 5, 13):
        wanted = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], (side, side),
                                                 mode="bilinear", antialias=True)[0, 0].numpy()
        resized = map_files.to_size(values, (side, side))
        np.testing.assert_allclose(resized, wanted, rtol=1e-15)
        assert len(np.unique(resized.round(15))) > side  # float32 would leave one


def test_tiffs_of_wide_numbers_that_are_no_maps(tmp_path):
    wide = FINE.repeat(9, 0)
    tifffile.imwrite(tmp_path / "two.tif", np.stack([wide, wide]), photometric="minisblack")
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([wide] * 3, -1), photometric="rgb")
    tifffile.imwrite(tmp_path / "complex.tif", wide.astype(complex))
    tifffile.imwrite(tmp_path / "nan.tif", np.where(wide > 0.5, wide, np.nan))
    tifffile.imwrite(tmp_path / "cut.tif", wide, compression="zlib")
    whole = (tmp_path / "cut.tif").read_bytes()
    at = whole.index(b"\x78")
    (tmp_path / "cut.tif").write_bytes(whole[:at] + bytes(40) + whole[at + 40:])
    for name, said in (("two", "2 pages"), ("rgb", "shape"), ("complex", "not an image"),
                       ("nan", "pixels are NaN"), ("cut", "cannot be read")):
        with pytest.raises(UserError, match=rf"{name}.tif: .*{said}"):
            map_files.read_map(tmp_path / f"{name}.tif")


@pytest.mark.parametrize("name, values, message", [
    ("a.npy", np.where(RAMP > 6, np.nan, RAMP), "5 pixels are NaN or infinite"),
    ("a.npy", RAMP.astype(np.float64) * 1e100, "40 pixels are NaN or infinite, or beyond 1e+100"),
    ("a.npy", RAMP.astype(np.uint8), "uint8 pixels of 8 bits are too coarse"),
    ("a.npy", RAMP.astype(np.int8), "int8 pixels of 8 bits are too coarse"),
    ("a.npy", RAMP.astype(np.int64) + 2**60, "int64 values that no 64-bit float holds"),
    ("a.npy", RAMP + np.longdouble(2)**-60, f"{np.dtype(np.longdouble)} values that no 64-bit"),
    ("a.npy", np.zeros((1, 6, 8)), "shape (1, 6, 8); expected one map (height, width)"),
    ("a.npy", np.zeros((0, 8)), "shape (0, 8)"),
    ("a.npy", RAMP.astype(complex), "complex128 values; expected floats"),
    ("a.png", RAMP.astype(np.uint8), "L pixels of 8 bits are too coarse"),
    ("a.png", np.zeros((6, 8, 3), np.uint8), "RGB pixels of 8 bits are too coarse"),
])
def test_maps_that_are_none(tmp_path, name, values, message):
    path = put(tmp_path / name, values)
    with pytest.raises(UserError) as error:
        map_files.read_map(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("name", ["a.npy", "a.tiff", "a.png"])
@pytest.mark.parametrize("content", [b"", b"no map", b"PK\x03\x04 neither"])
def test_unreadable_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="can(not)? be read"):
        map_files.read_map(tmp_path / name)


def test_truncated_pickled_and_several(tmp_path):
    path = put(tmp_path / "a.npy")
    path.write_bytes(path.read_bytes()[:-9])
    np.save(tmp_path / "b.npy", np.array([RAMP, "x"], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "c.npz", a=RAMP)
    (tmp_path / "c.npz").rename(tmp_path / "c.npy")
    Image.fromarray(RAMP).save(tmp_path / "d.tiff", save_all=True,
                               append_images=[Image.fromarray(RAMP)])
    for name, message in (("a.npy", "cannot be read"), ("b.npy", "cannot be read"),
                          ("c.npy", "several arrays"), ("d.tiff", "2 pages")):
        with pytest.raises(UserError, match=message):
            map_files.read_map(tmp_path / name)


@pytest.mark.parametrize("size", [5, 24, 61])
def test_resizing_is_torchs_bilinear(size):
    values = np.random.default_rng(0).normal(size=(24, 31)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], (size, size), mode="bilinear", antialias=True)
    assert map_files.to_size(values, (size, size)) == pytest.approx(wanted[0, 0].numpy(), abs=1e-5)
    square = values[:, :24]
    assert map_files.to_size(square, (24, 24)) is square


@pytest.mark.parametrize("above", ["", "test/"])
def test_maps_are_found_by_name_and_others_counted(tmp_path, above):
    for name in ("good/000.npy", "crack/000.tiff", "crack/001.b.png", "crack/002.npy"):
        put(tmp_path / above / name, RAMP if name[-3:] != "png" else RAMP.astype(np.uint16))
    (tmp_path / "notes.txt").write_text("no map")
    paths, extra = map_files.find(tmp_path, "mvtec", ["crack/000", "good/000", "crack/001.b"])
    assert [str(p.relative_to(tmp_path / above)) for p in paths] == [
        "crack/000.tiff", "good/000.npy", "crack/001.b.png"]
    assert extra == 1


def test_normal_images_may_lie_where_the_dataset_has_them(tmp_path):
    put(tmp_path / "ok" / "000.npy")
    assert map_files.find(tmp_path, "btad", ["good/000"])[1] == 0
    with pytest.raises(UserError):
        map_files.find(tmp_path, "mvtec", ["good/000"])


def test_missing_and_ambiguous_maps(tmp_path):
    put(tmp_path / "crack/000.npy")
    with pytest.raises(UserError, match="maps of 2 of 3 test images are missing, the first is "
                                        "crack/001.npy"):
        map_files.find(tmp_path, "mvtec", ["crack/000", "crack/001", "good/000"])
    put(tmp_path / "crack/000.tiff")
    with pytest.raises(UserError, match="ambiguous, crack/000.npy is a map of the same image"):
        map_files.find(tmp_path, "mvtec", ["crack/000"])


@pytest.mark.parametrize("text, message", [
    ("id,value\na,1\n", "columns id, value; expected id and score"),
    ("id,score\na,1\na,2\n", "a has several scores"), ("id,score\na,x\n", "the score of a is not"),
    ("id,score\na,\n", "the score of a is not"), ("id,score\na,inf\n", "the score of a is not"),
    ("", "cannot be read"), ("id,score\na,1,2,3\nb,1\nc,2,3,4,5,6\n", "cannot be read"),
    (b"\xff\xfe\x00", "cannot be read")])
def test_scores_that_are_none(tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        map_files.read_scores(path)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [
    "\ufeffid;score\r\ngood/000;-3\r\n001;0,5\r\n".encode(),
    "id\tscore\r\ngood/000\t-3\r\n001\t0.5\r\n".encode("utf-16"),
    b"sep=;\nscore;id\n0.5;001\n-3;good/000\n"])
def test_scores_from_a_spreadsheet(tmp_path, content):
    (tmp_path / "scores.csv").write_bytes(content)
    assert map_files.read_scores(tmp_path / "scores.csv") == {"001": 0.5, "good/000": -3.0}


def test_scores_are_exact(tmp_path):
    path, value = tmp_path / "scores.csv", 0.1 + 0.2
    path.write_text(f"score,id,more\n{value!r},001,x\n-3,good/000,y\n")
    assert map_files.read_scores(path) == {"001": value, "good/000": -3.0}

"""Images that use few of their file's bits: warned of, and read at their full range on demand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aexad.bench.base.errors import UserError
from aexad.bench.base.params import declared
from aexad.bench.commands import cli
from aexad.bench.plan import own_images
from aexad.datasets.data_params import DataParams
from aexad.datasets.images import narrow, read_image, read_rgb

from conftest import make_category
from running import TINY


@pytest.fixture(autouse=True)
def forgotten():
    yield
    own_images.register(None)


def deep(place: Path, bits: int, suffix: str = ".tiff") -> None:
    """The images of a category as 16-bit grey files of which `bits` are in use."""
    for path in [p for p in place.rglob("*.png") if "ground_truth" not in p.parts]:
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        path.unlink()
        scaled = grey << bits - 8 if bits >= 8 else grey >> 8 - bits
        Image.fromarray(scaled.astype(np.uint16)).save(path.with_suffix(suffix))


def run(place: Path, results: Path, *words: str, command: str = "run") -> int:
    return cli.main([command, "--data", str(place), "--results", str(results), *TINY, "--methods",
                     "ae_xad", *words])


@pytest.mark.parametrize("bits, suffix", [(10, ".tiff"), (12, ".png"), (14, ".tif"), (8, ".TIFF")])
def test_the_advised_option_reads_them_as_eight_bits(tmp_path, capsys, bits, suffix):
    place = make_category(tmp_path / "plates")
    wanted = np.asarray(Image.open(place / "train/good/000.png").convert("L"))
    deep(place, bits, suffix)
    assert run(place, tmp_path / "r", command="table2") == 0
    [said] = [li for li in capsys.readouterr().err.splitlines() if li.startswith("warning: own")]
    assert "own/plates: 19 of 19 images use a small part of their range (" in said
    assert said.endswith(f"pass --set data.bits={bits}")
    assert run(place, tmp_path / "s", "--set", f"data.bits={bits}", command="table2") == 0
    assert "small part" not in capsys.readouterr().err
    read = read_rgb(place / f"train/good/000{suffix}", bits)
    assert np.array_equal(read[..., 0], wanted)


def test_images_without_contrast_or_of_eight_bits_are_warned_of(tmp_path, capsys):
    place = make_category(tmp_path / "plates")
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(place / "train/good/001.png")
    dark = np.random.default_rng(0).integers(0, 60, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(dark).save(place / "train/good/002.png")
    assert run(place, tmp_path / "r") == 0
    said = capsys.readouterr().err
    assert (f"2 of 19 images use a small part of their range ({place}/train/good/001.png: 200 to "
            f"200 of 255") in said and "data.bits" not in said


@pytest.mark.parametrize("name, shown", [("\x1b[2J000", r"\x1b[2J000"), ("0\n00", r"0\n00"),
                                         ("000\x9b31m", r"000\x9b31m")])
def test_names_in_warnings_are_shown_escaped(tmp_path, capsys, name, shown):
    place = make_category(tmp_path / "plates", side=32)
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(place / f"train/good/{name}.png")
    assert run(place, tmp_path / "r", "--out", str(tmp_path / "m"), command="fit") == 0
    said = capsys.readouterr().err
    assert cli.main(["explain", str(tmp_path / "m"), str(place / "train"), "--device", "cpu",
                     "--threads", "1", "--out", str(tmp_path / "o")]) == 0
    for text in (said, capsys.readouterr().err):
        [line] = [li for li in text.split("\n") if li.startswith("warning: ")]
        assert f"{shown}.png: 9 to 9 of 255" in line and line.isprintable()


def test_usual_images_are_not_warned_of(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(low, high, (9, 9, 3)) for low, high in ((0, 256), (0, 70), (60, 120))]
    odd = [rng.integers(low, high, (9, 9, 3)) for low, high in ((0, 64), (0, 1), (120, 130))]
    assert narrow(np.array(images + odd, np.uint8)).tolist() == [False] * 3 + [True] * 3


def test_more_than_the_bits_hold_is_refused(tmp_path):
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) + 4040
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    for read in (lambda b: read_rgb(tmp_path / "a.tiff", b),
                 lambda b: read_image(tmp_path / "a.tiff", 8, "nearest", b)):
        with pytest.raises(UserError, match="a.tiff: a value of 4103, more than 12 bits hold"):
            read(12)
        read(13)


def test_eight_bit_images_and_keys_do_not_change(tmp_path):
    assert "bits" not in declared(DataParams()) and declared(DataParams(bits=12))["bits"] == 12
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_rgb(tmp_path / "a.png", 12), pixels)


def test_a_model_reads_new_images_as_it_was_trained(tmp_path, capsys):
    place = make_category(tmp_path / "plates", side=32)
    deep(place, 12)
    assert run(place, tmp_path / "r", "--set", "data.bits=12", "--out", str(tmp_path / "m"),
               command="fit") == 0
    assert json.loads((tmp_path / "m/model.json").read_text())["data"]["bits"] == 12
    explain = ["explain", str(tmp_path / "m"), "--device", "cpu", "--threads", "1", "--out"]
    assert cli.main([*explain, str(tmp_path / "o"), str(place / "test")]) == 0
    assert "small part" not in capsys.readouterr().err
    other = make_category(tmp_path / "other", side=32)
    deep(other, 10)
    assert cli.main([*explain, str(tmp_path / "p"), str(other / "test")]) == 0
    assert "warning: 13 images use a small part of their range" in capsys.readouterr().err

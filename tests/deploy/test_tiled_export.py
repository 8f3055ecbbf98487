"""Exported models that cut images into tiles, against `explain`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import aexad
from aexad.arrays import read_images
from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.deploy import graphs
from aexad.bench.measure import maps
from aexad.methods import tiled

from running import refused
from test_formats import SMALL, examples, run, session, tied

SIZE = (150, 91)  # width and height; 75 x 46 at the working size: 4 x 2 tiles
CASES = {"ae_xad": {"min_run": 1}, "fcdd": {"extra_blur": True}, "bgad": {"blocks": 1},
         "ae_xad_vit_scratch": {"encoder": "vit_tiny", "segments": "runs"}}


def trained(method: str, **params: object) -> aexad.Detector:
    detector = aexad.Detector(method, **{**SMALL, **CASES[method], "tile": 64, **params})
    images, masks = examples(shape=(91, 150))
    detector.fit(images, masks).explain(images)  # BGAD takes it for its test set
    return detector


@pytest.fixture(scope="module")
def model():
    """A trained detector by its method."""
    made: dict[str, aexad.Detector] = {}
    return lambda method: made.setdefault(method, made.get(method) or trained(method))


def new_images(n: int, size: tuple[int, int]) -> np.ndarray:
    """Noise, and at last an image that is like those of the training."""
    found = np.random.default_rng(5).integers(0, 256, (n, *size[::-1], 3), dtype=np.uint8)
    found[-1] = np.asarray(Image.fromarray(examples(shape=(91, 150))[0][-1]).resize(size))
    return found


def compare(said: dict[str, np.ndarray], detector: aexad.Detector, images: np.ndarray) -> None:
    """With `explain` at the joined maps' size; scores and maps to a float32's last digits."""
    method, known = detector._fitted()
    pixels, _ = read_images(list(images), known.data)
    there = tiled.explain(method, pixels)
    for name, values in there.extras.items():
        assert said[name].dtype == values.dtype and np.array_equal(said[name], values), name
    heatmaps = np.stack(there.heatmaps)
    np.testing.assert_allclose(said["heatmap"], heatmaps, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(said["score"], there.scores, rtol=1e-5)
    expected = np.stack([maps.binarize(h, known.a) for h in heatmaps])
    assert (said["mask"] != expected).sum() <= tied(heatmaps, known.a)
    assert len(said) == 3 + len(there.extras)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_onnx_says_what_explain_says(name, model, tmp_path, capfd):
    """By the real command; ONNX Runtime has nothing to remark."""
    detector = model(name)
    detector.save(tmp_path)
    assert cli.main(["export-model", str(tmp_path), "--image-size", "150x91"]) == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "images  (N, 91, 150, 3) uint8, RGB"
    assert shown[1].startswith("heatmap (N, 46, 75) float32")
    opened = session(tmp_path / "model.onnx")
    for n in (1, 3):
        compare(run(opened, new_images(n, SIZE)), detector, new_images(n, SIZE))
    [given] = opened.get_inputs()
    assert given.shape == ["images", 91, 150, 3] and capfd.readouterr().err == ""
    assert [v.shape for v in opened.get_outputs()[:2]] == [["images", 46, 75]] * 2
    said = opened.get_modelmeta().custom_metadata_map
    assert said["image_size"] == "150x91" and said["working_size"] == "75x46"
    assert "of 150 x 91 pixels" in said["input"] and "into 8 tiles of 32 x 32" in said["input"]
    assert json.loads(said["data"])["tile"] == 64
    content = (tmp_path / "model.onnx").read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in content  # no paths of this machine


@pytest.mark.slow
def test_torchs_file_says_what_explain_says(model, tmp_path):
    detector = model("ae_xad")
    detector.export(tmp_path / "m.pt2", image_size=SIZE)
    module = torch.export.load(tmp_path / "m.pt2").module()
    images = new_images(2, SIZE)
    compare({k: v.numpy() for k, v in module(torch.from_numpy(images)).items()}, detector, images)


@pytest.mark.slow
@pytest.mark.parametrize("name, size, overlap", [
    ("ae_xad", (63, 201), 0.6), ("fcdd", (131, 77), 0.0), ("bgad", (20, 140), 0.5)])
def test_other_sizes_and_tilings(name, size, overlap):
    """Odd ones, narrower than a tile, before they are written."""
    detector = trained(name, tile_overlap=overlap)
    method, known = detector._fitted()
    images = new_images(2, size)
    with torch.no_grad():
        said = graphs.whole(method, known, size)(torch.from_numpy(images))
    compare({k: v.numpy() for k, v in said.items()}, detector, images)


@pytest.mark.slow
def test_a_tile_of_the_whole_image_is_none():
    params = {"size": 32, "min_run": 1}
    images, masks = examples(shape=(32, 32))
    alike = [aexad.AEXAD(**{**SMALL, **params, **more}).fit(images, masks)._fitted()
             for more in ({}, {"tile": 32})]
    with torch.no_grad():
        none, one = (graphs.whole(*known, size)(torch.from_numpy(images))
                     for known, size in zip(alike, (None, (32, 32))))
    assert all(torch.allclose(one[k].double(), none[k].double(), rtol=1e-6, atol=1e-6)
               for k in none)
    assert torch.equal(one["k"], none["k"]) and torch.equal(one["mask"], none["mask"])


# -- what is refused --


@pytest.mark.parametrize("given, said", [
    ([], "data.tile=64: this model cuts images into tiles, of which a graph has a fixed number: "
         "give the images' size, --image-size WxH"),
    (["--image-size", "150"], "--image-size 150: expected WIDTHxHEIGHT in pixels, as 5000x4000"),
    (["--image-size", "0x9"], "image size 0x9: expected at least 1x1 and at most 100,000,000"),
    (["--image-size", "99999x99999"], "image size 99999x99999: expected at least 1x1"),
])
def test_sizes_that_are_refused(given, said, model, tmp_path, capsys):
    model("ae_xad").save(tmp_path)
    assert cli.main(["export-model", str(tmp_path), *given]) == 2
    assert said in refused(capsys) and not (tmp_path / "model.onnx").exists()


def test_a_model_without_tiles_takes_no_size(tmp_path):
    images, masks = examples()
    detector = aexad.AEXAD(**SMALL).fit(images, masks)
    with pytest.raises(UserError, match="image size 64x48: this model cuts no tiles and takes"):
        detector.export(tmp_path / "m.onnx", image_size=(64, 48))
    assert not list(tmp_path.iterdir())

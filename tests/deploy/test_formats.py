"""Exported models, by the real command, against `explain`: on ONNX Runtime, and by torch.export in
a process that has no part of this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import aexad
from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli, parsers
from aexad.bench.deploy import formats, graphs
from aexad.bench.measure import maps
from aexad.bench.results import model as models
from aexad.datasets.data_params import DataParams
from aexad.methods.ae_xad import AEXAD
from aexad.methods.ae_xad_graph import ErrorsExplained
from aexad.methods.ae_xad_params import AEExplain

from running import refused

onnxruntime = pytest.importorskip("onnxruntime", reason="EXPORTED MODELS WERE NOT RUN: no "
                                  "onnxruntime; pip install '.[onnx]'")

SMALL = {"protocol": "smoke", "size": 32, "device": "cpu", "threads": 1}
CASES = {  # name -> method, parameters
    "ae": ("ae", {}), "ae_filtered": ("ae_filtered", {"min_run": 2}),
    "ae_xad_raw": ("ae_xad_raw", {}),
    "ae_xad": ("ae_xad", {"min_run": 1}),
    "ae_xad resized": ("ae_xad", {"image_interp": "bilinear", "F": "neg", "a": 2.0, "norm": "l2"}),
    "ae_xad other": ("ae_xad", {"border": "zero", "k_round": "none", "score": "e_norm",
                                "image_interp": "antialias"}),
    "fcdd": ("fcdd", {}), "fcdd blurred": ("fcdd", {"extra_blur": True}),
    "bgad": ("bgad", {"blocks": 2}),
    "bgad log": ("bgad", {"blocks": 1, "score_map": "neg_logp"}),
    "vit": ("ae_xad_vit_scratch", {"encoder": "vit_tiny", "segments": "runs"}),
}
METADATA = ("method", "label", "method_version", "size", "a", "seed", "resize", "input", "outputs",
            "fit", "explain", "data", "model_sha256", "weights_sha256", "trained_on",
            "package_version", "written_by", "channels", "scale")


def examples(n: int = 8, shape: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Noise; the last two have a marked block."""
    rng = np.random.default_rng(0)
    images = rng.integers(90, 130, (n, *shape, 3), dtype=np.uint8)
    masks = np.zeros(images.shape[:3], bool)
    masks[-2:, 8:32, 16:40] = True
    images[masks] = (250, 20, 20)
    return images, masks


def session(path: Path | bytes):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(opened, images: np.ndarray) -> dict[str, np.ndarray]:
    names = [value.name for value in opened.get_outputs()]
    return dict(zip(names, opened.run(None, {"images": images})))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """By a name of CASES: a trained detector, its folder and the file that the command wrote."""
    made: dict[str, tuple[aexad.Detector, Path]] = {}

    def get(name: str) -> tuple[aexad.Detector, Path]:
        if name not in made:
            method, params = CASES[name]
            detector = aexad.Detector(method, **SMALL, **params).fit(*examples())
            detector.explain(examples()[0])  # BGAD takes it for its test set
            folder = tmp_path_factory.mktemp("models") / method
            detector.save(folder)
            assert cli.main(["export-model", str(folder), "--format", "onnx"]) == 0
            made[name] = detector, folder
        return made[name]

    return get


def compare(said: dict[str, np.ndarray], detector: aexad.Detector, images: np.ndarray) -> None:
    """Of these images of the working size; scores and maps to a float32's last digits."""
    method, known = detector._fitted()
    there = method.explain(images)
    for name, values in there.extras.items():
        assert said[name].dtype == values.dtype and np.array_equal(said[name], values), name
    np.testing.assert_allclose(said["heatmap"], there.heatmaps, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(said["score"], there.scores, rtol=1e-5)
    expected = np.stack([maps.binarize(h, known.a) for h in there.heatmaps])
    assert (said["mask"] != expected).sum() <= tied(there.heatmaps, known.a)
    assert said["heatmap"].dtype == np.float32 and said["mask"].dtype == bool
    assert said["score"].dtype == np.float64 and len(said) == 3 + len(there.extras)


def tied(heatmaps: np.ndarray, a: float) -> int:
    """Pixels nearer to the threshold than the two may differ."""
    cuts = np.array([maps.mean_std_threshold(h, a) for h in heatmaps])[:, None, None]
    return int((np.abs(heatmaps - cuts) <= 1e-5 * (1 + np.abs(cuts))).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_onnx_says_what_explain_says(name, model):
    detector, folder = model(name)
    opened = session(folder / "model.onnx")
    rng = np.random.default_rng(7)
    for n in (1, 7):
        noise = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        compare(run(opened, noise), detector, noise)
    small = np.stack([np.asarray(Image.fromarray(i).resize((32, 32), 0)) for i in examples()[0]])
    flat = np.full((1, 32, 32, 3), 200, np.uint8)
    black = np.zeros_like(flat)
    compare(run(opened, np.concatenate([small, flat, black])), detector,
            np.concatenate([small, flat, black]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ae_xad", "ae_xad resized", "bgad"])
@pytest.mark.parametrize("shape", [(48, 64), (31, 90), (100, 64), (5, 7), (224, 224)])
def test_images_of_any_size_are_resized_in_the_graph(name, shape, model):
    """As `explain` does, given the image itself: at the working size, then enlarged."""
    detector, folder = model(name)
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    said = run(session(folder / "model.onnx"), image[None])
    expected = detector.explain([image])
    enlarged = Image.fromarray(said["heatmap"][0]).resize(shape[::-1], Image.BILINEAR)
    np.testing.assert_allclose(enlarged, expected.heatmaps[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(said["score"], expected.scores, rtol=1e-5)


# -- the explanation alone, on errors made for it --


class _Errors(torch.nn.Module):
    """What follows the errors, in place of a method's graph."""

    def __init__(self, q: AEExplain, side: int) -> None:
        super().__init__()
        self.explained = ErrorsExplained(q, (side, side))

    def forward(self, errors: torch.Tensor) -> dict[str, torch.Tensor]:
        heatmaps, scores, extras = self.explained(errors / 2, errors)
        return {"heatmap": heatmaps, "score": scores, **extras}


def of_errors(q: AEExplain, side: int):
    program = torch.export.export(_Errors(q, side), (torch.zeros(2, side, side),),
                                  dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    with graphs.quiet():
        made = torch.onnx.export(program, dynamo=True, verbose=False)
    return session(made.model_proto.SerializeToString())


@pytest.mark.parametrize("options", [
    {}, {"min_run": 1}, {"agg": "min_nan", "min_run": 2}, {"border": "zero", "k_min": 0},
    {"k_round": "none", "norm": "l2"}, {"thr": "fixed", "score": "e_norm"}], ids=str)
def test_every_radius_on_onnx_runtime(options):
    """One bar of every length on noise, lying and standing, so that every radius occurs; and noise
    that was smoothed more and more."""
    side, q = 40, AEExplain(**options)
    rng = np.random.default_rng(2)
    errors = rng.uniform(0, 0.01, (2 * side + 12, side, side)).astype(np.float32)
    for i in range(2 * side):
        bar = errors[i] if i % 2 else errors[i].T
        bar[9, :i // 2 + 1] = 0.9
        if options.get("agg"):  # a square, so that both directions have runs
            errors[i, 3:4 + i // 2, :i // 2 + 1] = 0.9
    for i in range(2 * side, len(errors) - 1):
        errors[i] = maps.gaussian_filter(rng.random((side, side)).astype(np.float32), i % 12)
    errors[-1] = 0.25
    method = AEXAD.__new__(AEXAD)  # its explanation needs no network
    method.q, method.error_maps = q, lambda images: (images / 2, images)
    there = AEXAD.explain(method, errors)
    opened = of_errors(q, side)
    said = dict(zip([v.name for v in opened.get_outputs()], opened.run(None, {"errors": errors})))
    heatmaps, scores, k = said.values()
    assert np.array_equal(k, there.extras["k"])
    if q.agg == "max":
        least = q.k_min or q.min_run // 2
        assert set(np.floor(k).astype(int)) >= set(range(least, (side - 1) // 2 + 1))
    np.testing.assert_allclose(heatmaps, there.heatmaps, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores, there.scores, rtol=1e-6)


# -- torch.export --

ALONE = """
import json, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("aexad", "bench", "methods", "datasets", "timm"):
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
import numpy, torch
extra = {"metadata.json": ""}
module = torch.export.load(sys.argv[1], extra_files=extra).module()
images = numpy.load(sys.argv[2])
numpy.savez(sys.argv[3], **{k: v.numpy() for k, v in module(torch.from_numpy(images)).items()})
print(json.loads(extra["metadata.json"])["method"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ae_xad", "fcdd", "bgad", "vit"])
def test_torchs_file_needs_nothing_of_this_package(name, model, tmp_path):
    detector, folder = model(name)
    assert cli.main(["export-model", str(folder), "--format", "torch", "--out",
                     str(tmp_path / "m.pt2")]) == 0
    images = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "in.npy", images)
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", ALONE, "m.pt2", "in.npy", "out.npz"],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split() == [detector.method], done.stderr
    compare(dict(np.load(tmp_path / "out.npz")), detector, images)


# -- the file --


@pytest.mark.slow
def test_what_a_file_says_of_itself(model):
    _, folder = model("ae_xad")
    opened = session(folder / "model.onnx")
    meta = opened.get_modelmeta()
    said = meta.custom_metadata_map
    assert set(said) == set(METADATA) and meta.producer_name == "aexad-bench"
    facts = json.loads((folder / "model.json").read_text())
    assert said["model_sha256"] == facts["sha256"] and said["method"] == "ae_xad"
    assert json.loads(said["explain"]) == facts["explain"] and float(said["a"]) == facts["a"]
    assert json.loads(said["outputs"]).keys() == {"heatmap", "mask", "score", "k"}
    assert "32 x 32" in meta.description and "nearest" in said["input"]
    [given] = opened.get_inputs()
    assert (given.name, given.type, given.shape) == (
        "images", "tensor(uint8)", ["images", "height", "width", 3])
    assert [(v.name, v.shape) for v in opened.get_outputs()] == [
        ("heatmap", ["images", 32, 32]), ("mask", ["images", 32, 32]), ("score", ["images"]),
        ("k", ["images"])]
    content = (folder / "model.onnx").read_bytes()
    assert str(Path(models.__file__).parent).encode() not in content  # no paths of this machine
    assert str(Path(torch.__file__).parent).encode() not in content


@pytest.mark.slow
def test_python_writes_what_the_command_writes(model, tmp_path, capfd):
    detector, folder = model("ae_xad")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    capfd.readouterr()
    detector.export(tmp_path / "mine.onnx")
    assert capfd.readouterr() == ("", "") and torch.equal(torch.rand(2), expected)
    mine, theirs = (p.read_bytes() for p in (tmp_path / "mine.onnx", folder / "model.onnx"))
    images = examples()[0]
    said, there = run(session(mine), images), run(session(theirs), images)
    assert all(np.array_equal(said[name], there[name]) for name in there)
    about_mine, about_theirs = (session(content).get_modelmeta() for content in (mine, theirs))
    assert about_mine.custom_metadata_map == about_theirs.custom_metadata_map


@pytest.mark.slow
def test_the_command_prints_the_outputs_and_no_noise(model, capfd, tmp_path):
    _, folder = model("ae_xad")
    capfd.readouterr()
    assert cli.main(["export-model", str(folder), "--out", str(tmp_path / "x" / "m.onnx")]) == 0
    shown = capfd.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == [
        "images", "heatmap", "mask", "score", "k"]
    [line] = shown.err.splitlines()
    assert line.startswith(f"written: {tmp_path / 'x' / 'm.onnx'} (")
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["m.onnx"]


def test_the_formats_offered_are_those_there_are():
    assert parsers.DEPLOYED == tuple(formats.ENDINGS)


# -- what is refused --


@pytest.mark.parametrize("path, form, said", [
    ("m.onnx", "tflite", "format 'tflite': expected onnx or torch"),
    ("m.bin", None, "m.bin: its ending names no format (.onnx, .pt2)"),
])
def test_formats_that_are_refused(path, form, said, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        model("ae_xad")[0].export(path, format=form)
    assert said in str(error.value) and not list(tmp_path.iterdir())


def test_components_are_refused_by_name(tmp_path, capsys):
    detector = aexad.AEXAD(**SMALL, segments="components").fit(*examples())
    detector.save(tmp_path / "model")
    assert cli.main(["export-model", str(tmp_path / "model")]) == 2
    line = refused(capsys)
    assert line.startswith("error: ae_xad: can't be exported: segments=components: ")
    assert not (tmp_path / "model" / "model.onnx").exists()


def test_bgad_is_refused_before_it_has_a_scale(tmp_path):
    detector = aexad.BGAD(**SMALL).fit(*examples())
    with pytest.raises(UserError, match="bgad: can't be exported: score_map=prob_sum: its maps"):
        detector.export(tmp_path / "m.onnx")


def test_a_method_without_a_graph_is_refused():
    known = models.Model("theirs", 1, None, None, DataParams(), 1, 1.0, "", {}, {})
    with pytest.raises(UserError, match="^theirs: can't be exported, it has no function `graph`"):
        graphs.whole(object(), known)


@pytest.mark.parametrize("name", [name for name, entry in methods.entries().items()
                                  if not entry.libraries])  # anomalib's have none
def test_all_our_methods_have_one(name):
    assert hasattr(methods.load(name), "graph")


def test_a_missing_package_is_named(model, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="needs the package onnxscript, which is not installed"):
        model("ae_xad")[0].export(tmp_path / "m.onnx")


@pytest.mark.slow
def test_a_file_is_written_whole_or_not_at_all(model, monkeypatch, tmp_path):
    (tmp_path / "m.onnx").write_text("before")

    def full(self: Path, content: bytes) -> int:
        self.open("wb").write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        model("ae_xad")[0].export(tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "before"


def test_no_folder_no_file(tmp_path, capsys):
    assert cli.main(["export-model", str(tmp_path)]) == 2
    assert "no model.json there" in refused(capsys)

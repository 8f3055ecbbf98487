"""The methods from Python: the same model as the command line makes, from any kind of input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone

import aexad
from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.figures.overlays import at_size, mask_at_size
from aexad.datasets.data_params import DataParams
from aexad.datasets.images import read_rgb
from aexad.detector import SPLITTING
from aexad.methods.base import TrainingDiverged

from running import BOTTLE, TINY, explain, refused

SMALL = {"protocol": "smoke", "size": 32, "device": "cpu", "threads": 1}


def examples(n: int = 8, side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Noise; the last two have a marked block."""
    rng = np.random.default_rng(0)
    images = rng.integers(90, 130, (n, side, side + 16, 3), dtype=np.uint8)
    masks = np.zeros(images.shape[:3], bool)
    masks[-2:, 8:32, 16:40] = True
    images[masks] = (250, 20, 20)
    return images, masks


@pytest.fixture(scope="module")
def trained() -> aexad.Detector:
    return aexad.AEXAD(**SMALL).fit(*examples())


def test_it_is_the_model_of_the_command(root, category, tmp_path, trained):
    """fit of the command line, and of Python with the files that it says it trained on."""
    words = ["--data-root", str(root), *TINY, *BOTTLE, "--methods", "ae_xad", "--results",
             str(tmp_path / "results")]
    assert cli.main(["fit", *words, "--out", str(tmp_path / "theirs")]) == 0
    listed = tmp_path / "train.txt"
    with listed.open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        assert cli.main(["evaluate", "--list-train", *words]) == 0
    names = listed.read_text().split()
    files = [next(category.glob(f"{'/'.join(name.split('/')[-3:])}*")) for name in names]
    masks = [None if file.parent.name == "good" else
             category / "ground_truth" / file.parent.name / f"{file.stem}_mask.png"
             for file in files]
    assert len(files) > 6 and sum(mask is not None for mask in masks) == 6
    mine = aexad.AEXAD(**SMALL).fit(files, masks)
    mine.save(tmp_path / "mine")
    tensors, facts = ([tmp_path / name / kind for name in ("mine", "theirs")]
                      for kind in ("model.safetensors", "model.json"))
    assert tensors[0].read_bytes() == tensors[1].read_bytes()
    mine_says, theirs_says = (json.loads(path.read_text()) for path in facts)
    assert {k: v for k, v in mine_says.items() if k not in ("about", "data")} == {
        k: v for k, v in theirs_says.items() if k not in ("about", "data")}

    new = sorted((category / "test" / "dent").glob("*.png"))
    assert explain(tmp_path / "theirs", tmp_path / "out", *new) == 0
    found = mine.explain(new)
    for heatmap, path in zip(found.heatmaps, sorted((tmp_path / "out" / "maps").rglob("*.npy"))):
        assert np.array_equal(heatmap, np.load(path))


def test_the_kinds_of_input_are_one(tmp_path, trained):
    images, masks = examples()
    paths = []
    for i, (image, mask) in enumerate(zip(images, masks)):
        paths.append((tmp_path / f"{i}.png", tmp_path / f"{i}_mask.png"))
        Image.fromarray(image).save(paths[-1][0])
        Image.fromarray(mask).save(paths[-1][1])
    as_paths = [str(p) for p, _ in paths], [m if i >= 6 else None for i, (_, m) in enumerate(paths)]
    as_pictures = ([Image.open(p) for p, _ in paths], [Image.open(m) for _, m in paths])
    as_arrays = list(images), [m.astype(np.uint8) * 255 for m in masks]
    expected = trained.explain(images)
    for given, marks in (as_paths, as_pictures, as_arrays):
        model = aexad.AEXAD(**SMALL).fit(given, marks)
        assert model.losses_ == trained.losses_
        found = model.explain(given)
        assert np.array_equal(found.scores, expected.scores)
        assert isinstance(found.heatmaps, list)
        assert np.array_equal(found.heatmaps, expected.heatmaps)
        assert np.array_equal(found.masks, expected.masks)


def test_images_of_mixed_sizes_get_maps_of_theirs(trained):
    images, _ = examples()
    mixed = [images[0], images[-1][:40, :44], np.zeros((31, 90, 3), np.uint8)]
    heatmaps, scores, masks = trained.explain(mixed)
    assert [h.shape for h in heatmaps] == [(48, 64), (40, 44), (31, 90)]
    assert [m.shape for m in masks] == [h.shape for h in heatmaps]
    assert heatmaps[0].dtype == np.float32 and masks[0].dtype == bool and scores.dtype == float


def test_masks_are_those_of_the_working_size_enlarged():
    images, masks = examples()
    model = aexad.AEXAD(**SMALL, a=2.0).fit(images, masks)
    small = np.stack([np.asarray(Image.fromarray(i).resize((32, 32), Image.NEAREST))
                      for i in images])
    there = model.explain(small)  # at its working size nothing is enlarged
    binary = [h > h.mean(dtype=float) + 2 * h.std(dtype=float) for h in there.heatmaps]
    assert np.array_equal(there.masks, binary)
    found = model.explain(images)
    for i, (heatmap, mask) in enumerate(zip(there.heatmaps, binary)):
        assert np.array_equal(found.heatmaps[i], at_size(heatmap, (48, 64)))
        assert np.array_equal(found.masks[i], mask_at_size(mask, (48, 64)))


@pytest.mark.parametrize("name", ["ae", "ae_filtered", "ae_xad_raw", "fcdd", "bgad",
                                  "ae_xad_vit_scratch"])
def test_every_method_by_the_same_three_calls(name, tmp_path):
    images, masks = examples()
    light = {"encoder": "vit_tiny"} if "vit" in name else {}
    model = aexad.Detector(name, **SMALL, **light).fit(images, masks)
    expected = model.explain(images)
    model.save(tmp_path / "model")
    again = aexad.load_model(tmp_path / "model", device="cpu", threads=1)
    found = again.explain(images)
    assert np.array_equal(found.heatmaps, expected.heatmaps)
    assert np.array_equal(found.scores, expected.scores)
    assert again.method == name and np.isfinite(expected.scores).all()


def test_a_loaded_model_says_what_it_is(trained, tmp_path):
    trained.set_params(a=2.5)
    model = aexad.AEXAD(**SMALL, k=3, a=2.5).fit(*examples())
    model.save(tmp_path / "model")
    again = aexad.load_model(tmp_path / "model")
    assert type(again) is aexad.AEXAD and again.losses_ == []
    params = again.get_params()
    assert params["k"] == 3 and params["a"] == 2.5 and params["epochs"] == 2
    assert repr(again) == "AEXAD(encoder='efficientnet_lite0', epochs=2, k=3, size=32, a=2.5)"
    assert again.settings.fit("ae_xad") == model.settings.fit("ae_xad")
    trained.set_params(a=1.0)


def test_scikit_learns_habits(trained):
    copy = clone(trained)
    assert copy.get_params() == trained.get_params() and copy is not trained
    with pytest.raises(UserError, match="is not trained; call fit"):
        copy.explain(examples()[0])
    assert copy.set_params(epochs=3) is copy and copy.get_params()["epochs"] == 3
    assert copy.settings.fit("ae_xad").epochs == 3
    assert repr(aexad.AEXAD(epochs=3, seed=1)) == "AEXAD(seed=1, epochs=3)"
    assert repr(aexad.Detector("fcdd")) == "Detector(method='fcdd')"


def test_what_torch_keeps_for_the_process_stays_as_it_was(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    before = torch.get_num_threads()
    model = aexad.AEXAD(**{**SMALL, "threads": before + 1}).fit(*examples())
    model.explain(examples()[0])
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_nothing_is_printed_unless_asked(capfd):
    model = aexad.AEXAD(**SMALL).fit(*examples())
    model.explain(examples()[0])
    assert capfd.readouterr() == ("", "")
    aexad.AEXAD(**SMALL, verbose=True).fit(*examples())
    shown = capfd.readouterr()
    assert shown.out == "" and "2/2" in shown.err and "loss=" in shown.err


IMAGES, MASKS = examples()


@pytest.mark.parametrize("call, said", [
    (lambda: aexad.AEXAD(epoch=3), "ae_xad has no parameter 'epoch'; did you mean 'epochs'?"),
    (lambda: aexad.Detector("aexad"), "unknown method 'aexad'; did you mean 'ae_xad'?"),
    (lambda: aexad.FCDD(protocol="papr"), "unknown protocol 'papr'; did you mean 'paper'?"),
    (lambda: aexad.AEXAD(epochs=0), "ae_xad.epochs=0: must be in its range"),
    (lambda: aexad.AEXAD(size=100), "data.size=100: must be a multiple of 8"),
    (lambda: aexad.AEXAD(max_train=9), "max_train: all images that are given train"),
    (lambda: aexad.AEXAD(**SMALL).set_params(epoch=1), "no parameter 'epoch'"),
    (lambda: aexad.AEXAD(**{**SMALL, "threads": 0}).fit(IMAGES), "threads=0: must be at least 1"),
    (lambda: aexad.AEXAD(**{**SMALL, "device": "gpu"}).fit(IMAGES), "--device gpu"),
    (lambda: aexad.AEXAD(**SMALL).fit(IMAGES[0]), r"array of shape (48, 64, 3); give (N, H, W, 3)"),
    (lambda: aexad.AEXAD(**SMALL).fit("folder"), "images: str; give an array"),
    (lambda: aexad.AEXAD(**SMALL).fit([]), "images: there are none"),
    (lambda: aexad.AEXAD(**SMALL).fit(IMAGES / 255), "images[0]: float64 of shape (48, 64, 3)"),
    (lambda: aexad.AEXAD(**SMALL).fit([IMAGES[0], IMAGES[0][..., 0]]), "images[1]: uint8 of shape"),
    (lambda: aexad.AEXAD(**SMALL).fit(["none.png"]), "none.png"),
    (lambda: aexad.AEXAD(**SMALL).fit(IMAGES, MASKS[:3]), "masks: 3 of 8 images"),
    (lambda: aexad.AEXAD(**SMALL).fit(IMAGES, MASKS[:, :9]), "masks[0]: shape (9, 64)"),
    (lambda: aexad.AEXAD(**SMALL).fit(IMAGES, MASKS * np.arange(64)), "25 values; give bool"),
    (lambda: aexad.AEXAD(**SMALL).fit([Image.new("F", (9, 9))]), "images[0]: pixels of mode F"),
    (lambda: aexad.AE(**SMALL).fit(IMAGES[-2:], MASKS[-2:]), "ae: "),
    (lambda: aexad.load_model("nowhere"), "nowhere: no model.json there"),
    (lambda: aexad.AEXAD().save("x"), "AEXAD() is not trained"),
])
def test_mistakes_are_told_in_one_line(call, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(aexad.UserError) as error:
        call()
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_mark_that_vanishes_is_told_before_training():
    masks = MASKS.copy()
    masks[6] = False
    masks[6, 0, 0] = True  # nobody's nearest at 32 px
    with pytest.raises(UserError, match=r"^masks\[6\]: nothing is marked at the working size"):
        aexad.AEXAD(**SMALL).fit(IMAGES, masks)


def test_a_training_that_fails_leaves_what_there_was(trained, monkeypatch):
    before = trained.explain(IMAGES).scores
    monkeypatch.setattr("aexad.methods.ae_xad.AEXAD.step",
                        lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingDiverged, match="epoch 1"):
        trained.fit(*examples())
    assert np.array_equal(trained.explain(IMAGES).scores, before)


def test_names_of_parameters_mean_one_thing():
    """A keyword is of one owner: no method has a parameter that is called as one of the data's."""
    data = {*DataParams.__dataclass_fields__, "a"}
    for name in methods.entries():
        facts = methods.facts(name)
        fit = set(methods.facts(methods.trained_as(name)).fit_params.__dataclass_fields__)
        explaining = set(facts.explain_params.__dataclass_fields__)
        assert not fit & explaining and not (fit | explaining) & data, name
    assert SPLITTING == {"per_type", "max_train"}


def test_python_and_the_command_refuse_a_damaged_model_alike(trained, tmp_path, capsys):
    trained.save(tmp_path / "model")
    tensors = tmp_path / "model" / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4])
    with pytest.raises(UserError) as error:
        aexad.load_model(tmp_path / "model")
    image = tmp_path / "x.png"
    Image.fromarray(IMAGES[0]).save(image)
    assert explain(tmp_path / "model", tmp_path / "out", image) == 2
    assert refused(capsys) == f"error: {error.value}"


def test_what_is_read_is_what_is_on_disk(category):
    """One's own size in, one's own size out."""
    [first, *_] = sorted((category / "test" / "good").glob("*.png"))
    model = aexad.AEXAD(**SMALL).fit(*examples())
    found = model.explain([Path(first)])
    assert found.heatmaps[0].shape == read_rgb(first).shape[:2]

"""Models of anomalib as methods. What needs anomalib is skipped where it is not installed, and says
so; the rest of these tests is about being without it."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import aexad
from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.base.params import from_json, parse
from aexad.bench.plan.settings import Settings
from aexad.bench.results.store import read_json
from aexad.methods import anomalib_params
from aexad.methods.base import Context, TrainingDiverged, TrainingSet

from conftest import needs_anomalib, training_set
from running import BOTTLE, TINY
from test_contract import holds

NAMED = {"padim": "Padim", "patchcore": "Patchcore", "supersimplenet": "Supersimplenet"}
DEFAULTS = {"supersimplenet": {"supervised": True}}  # all else is as anomalib has it
# Small networks for those whose own are large; any model is asked for in the same way.
ANY = {"Padim": "backbone=resnet18 layers=layer1,layer2 n_features=30",
       "Patchcore": "backbone=resnet18 layers=layer1,layer2",
       "Supersimplenet": "backbone=resnet18 layers=layer1,layer2 supervised=true",
       "Dfm": "backbone=resnet18", "Fastflow": "backbone=resnet18", "Stfpm": "backbone=resnet18",
       "ReverseDistillation": "backbone=resnet18",
       "Glass": "backbone=resnet18 pretrain_embed_dim=64 target_embed_dim=64",
       "Uflow": "backbone=resnet18", "Rad": "backbone=vit_tiny_patch16_224 layers=2,5",
       "AnomalyDINO": "encoder_name=vit_small_patch14_dinov2"}


def settings(name: str, *sets: str, protocol: str = "smoke") -> Settings:
    return Settings(protocol, sets=["*.batch_size=4", "*.weights=random",
                                    *(f"{name}.{s}" for s in sets)])


def made(name: str, *sets: str, ctx: Context | None = None):
    chosen = settings(name, *sets)
    return methods.load(name)(chosen.fit(name), chosen.explain(name), ctx or Context("cpu", 3))


# -- without anomalib --

@pytest.fixture
def without(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """The command line where anomalib is not installed."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "anomalib.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'anomalib'\", name='anomalib')\n")

    def call(*words: str) -> subprocess.CompletedProcess:
        module = () if words[0] == "-c" else ("-m", "aexad.bench")
        return subprocess.run([sys.executable, "-P", *module, *words], text=True,
                              env={**os.environ, "PYTHONPATH": str(place)}, capture_output=True)
    return call


REMEDY = ("need anomalib, which is not installed here: AEXAD_EXTRAS=anomalib ./reproduce.sh …, or "
          "pip install '.[anomalib]'")


def test_they_are_listed_with_their_parameters_and_planned(without, root, tmp_path):
    listed = without("methods")
    assert listed.returncode == 0, listed.stderr
    assert "SuperSimpleNet" in listed.stdout and "anomalib:Model" in listed.stdout
    shown = without("methods", "patchcore", "--protocol", "brief", "--set",
                    "patchcore.num_neighbors=3")
    assert "patchcore.coreset_sampling_ratio" in shown.stdout and shown.returncode == 0
    planned = without("table2", "--data-root", str(root), "--results", str(tmp_path / "r"), *TINY,
                      *BOTTLE, "--methods", "padim,supersimplenet", "--dry-run")
    assert planned.returncode == 0 and "2 fits to do" in planned.stdout, planned.stderr


@pytest.mark.parametrize("name", ["padim", "anomalib:Dfm"])
def test_using_one_is_refused_with_the_remedy_before_anything_is_trained(without, root, tmp_path,
                                                                         name):
    done = without("table2", "--data-root", str(root), "--results", str(tmp_path / "r"), *TINY,
                   *BOTTLE, "--methods", f"ae_xad,{name}")
    assert done.returncode == 2
    [line] = [li for li in done.stderr.splitlines() if li.startswith("error: ")]
    assert line == f"error: padim, patchcore, supersimplenet and anomalib:… {REMEDY}"
    assert not list(tmp_path.rglob("fit.json"))


def test_the_unsupervised_ones_are_skipped_with_the_reason_on_anomalies_only(without, root,
                                                                             tmp_path):
    done = without("table4", "--data-root", str(root), "--results", str(tmp_path / "r"), *TINY,
                   *BOTTLE, "--methods", "padim,patchcore")
    assert done.returncode == 0, done.stderr
    assert "skipped, unsupervised: it trains on normal images alone, and there are none" in (
        " ".join(done.stdout.split()))


def test_python_says_the_same(without):
    said = without("-c", """
import numpy as np
import aexad
model = aexad.Detector("padim", n_features=50, protocol="smoke")
try:
    model.fit(np.zeros((2, 32, 32, 3), "u1"))
except aexad.UserError as error:
    print(error)
""")
    assert said.stdout == f"padim, patchcore, supersimplenet and anomalib:… {REMEDY}\n", said.stderr
    with pytest.raises(UserError, match="padim has no parameter 'n_feature'; did you mean"):
        aexad.Detector("padim", n_feature=50)


def test_what_is_set_for_every_method_reaches_those_that_have_it():
    chosen = Settings("paper", epochs=7, sets=["*.num_neighbors=3", "*.batch_size=8"])
    assert chosen.fit("supersimplenet").epochs == 7 and chosen.fit("padim").batch_size == 8
    assert chosen.fit("patchcore").num_neighbors == 3
    assert Settings("paper").fit("patchcore").coreset_sampling_ratio == 0.1
    with pytest.raises(UserError, match="did you mean 'coreset_sampling_ratio'"):
        Settings("paper", sets=["patchcore.coreset_ratio=0.1"])
    with pytest.raises(UserError, match="unknown method 'anomalib'"):
        methods.entry("anomalib")


def test_a_note_says_what_trained_and_which_network():
    def note(name: str, *sets: str) -> str:
        return methods.facts(name).note(Settings("paper", sets=sets).fit(name))

    assert note("padim", "padim.layers=layer1") == (
        "unsupervised, trained on the normal images alone; anomalib's Padim, resnet18 layer1")
    assert note("supersimplenet").startswith("supervised, trained with the anomalies")
    assert note("supersimplenet", "supersimplenet.supervised=no").startswith("unsupervised")


# -- with it --

@needs_anomalib
@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["standard", "anomalies_only"])
@pytest.mark.parametrize("model", ANY)
def test_any_model_keeps_the_promises_of_a_method(model, scenario):
    name = f"anomalib:{model}"
    holds(name, scenario, settings(name, *ANY[model].split()))


@needs_anomalib
@pytest.mark.parametrize("name", NAMED)
def test_the_named_ones_have_the_librarys_defaults(name):
    found = anomalib_params.arguments(NAMED[name], Settings("paper").fit(name))
    assert found == DEFAULTS.get(name, {})


@needs_anomalib
def test_parameters_of_every_model_are_text_and_back_again():
    import anomalib.models

    for model in anomalib.models.__all__:
        kind = methods.facts(f"anomalib:{model}").fit_params
        values = kind()
        assert anomalib_params.arguments(model, values) == {}, model
        assert pickle.loads(pickle.dumps(values)) == values
        assert from_json(kind, dataclasses.asdict(values), "it") == values
        for field in dataclasses.fields(kind):
            assert field.metadata["doc"]
            read = parse(kind, field, str(getattr(values, field.name)), field.name)
            assert read == getattr(values, field.name), (model, field.name)


@needs_anomalib
def test_arguments_are_as_the_constructor_takes_them():
    def given(model: str, *sets: str) -> dict:
        name = f"anomalib:{model}"
        return anomalib_params.arguments(model, Settings("paper", sets=[
            f"{name}.{s}" for s in sets]).fit(name))

    assert given("Padim", "layers=layer1, layer2", "n_features=7") == {
        "layers": ["layer1", "layer2"], "n_features": 7}
    assert given("Draem", "beta=0.2,0.3") == {"beta": (0.2, 0.3)}
    assert given("L2BT", "layers=3,4") == {"layers": (3, 4)}
    assert given("ReverseDistillation", "anomaly_map_mode=multiply")["anomaly_map_mode"].value == (
        "multiply")


@needs_anomalib
@pytest.mark.parametrize("name, sets, reason", [
    ("anomalib:Dfmm", (), "unknown method 'anomalib:Dfmm'; did you mean 'anomalib:Dfm'?"),
    ("anomalib:Any", (), "unknown method 'anomalib:Any'"),
    ("anomalib:parameters", (), "unknown method 'anomalib:parameters'"),
    ("anomalib:Dfm", ("pca_levle=0.9",), "anomalib:Dfm has no field 'pca_levle'; did you mean "
     "'pca_level'?"),
    ("anomalib:Dfm", ("pca_level=much",), "anomalib:Dfm.pca_level=much: expected a number"),
    ("padim", ("backbone=resnt18",), "backbone=resnt18: timm has no such network; did you mean "
     "'resnet18'?"),
    ("padim", ("backbone=resnet18", "layers=layer1,layer9"), "Layer layer9 not found in model "
     "resnet18"),
    ("padim", ("backbone=resnet50", "layers=layer1", "n_features=none"), "n_features must be "
     "specified for backbone resnet50"),
    ("anomalib:ReverseDistillation", ("anomaly_map_mode=plus",), "'plus' is not a valid")])
def test_what_is_wrong_is_said_in_one_line(name, sets, reason):
    with pytest.raises(UserError) as raised:
        made(name, *sets)
    assert reason in str(raised.value) and "\n" not in str(raised.value)


@needs_anomalib
def test_padim_is_what_anomalib_makes_of_the_same_batches():
    """The oracle: anomalib's own modules, called one by one, with the random choice of ours."""
    from anomalib.models import Padim

    train, ours = training_set(64), made("padim", "layers=blocks.1,blocks.2")
    ours.fit(train)
    model = Padim("tf_efficientnet_lite0", ["blocks.1", "blocks.2"], False, 64, visualizer=False)
    theirs = model.model
    ours_now = dict(ours.net.state_dict())
    for name, tensor in theirs.state_dict().items():
        if "gaussian" not in name:
            tensor.copy_(ours_now[f"model.{name}"])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406),
                                                         (0.229, 0.224, 0.225)))

    def scaled(images: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std

    theirs.train()
    theirs.feature_extractor.eval()
    theirs(scaled(train.images[train.normals]))
    theirs.fit()
    theirs.eval()
    expected = theirs(scaled(train.images))
    found = ours.explain(train.images)
    assert np.allclose(found.heatmaps, expected.anomaly_map.squeeze(1), rtol=1e-3)
    assert np.allclose(found.scores, expected.pred_score.ravel(), rtol=1e-3)


@needs_anomalib
@pytest.mark.parametrize("name, sees", [("padim", False), ("supersimplenet", True)])
def test_who_is_unsupervised_sees_normal_images_alone(name, sees):
    train = training_set(64)
    painted = train.images.copy()
    painted[train.anomalies] = 0
    maps = []
    for images in (train.images, painted):
        method = made(name)
        method.fit(TrainingSet(images, train.masks, train.anomalous))
        maps.append(method.explain(train.images[:2]).heatmaps)
    assert np.array_equal(*maps) != sees
    with pytest.raises(UserError, match="trains on normal images alone"):
        made("padim").fit(TrainingSet(images[5:], train.masks[5:], train.anomalous[5:]))


@needs_anomalib
def test_an_epoch_has_the_share_of_anomalies_that_is_asked_for():
    from aexad.methods.anomalib_training import Data

    train = training_set(16, normals=10, anomalies=3)
    every = np.arange(13)
    drawn = Data(Context("cpu", 4), train, every, 4, 0.5).positions(0)
    counts = np.bincount(drawn, minlength=13)
    assert counts.sum() == 13 and counts[10:].sum() == 6 and set(counts[10:]) == {2}
    assert counts[:10].max() == 1  # seven of ten normals
    plain = Data(Context("cpu", 4), train, every, 4, None)
    assert sorted(plain.positions(0)) == list(every)
    assert not np.array_equal(plain.positions(0), plain.positions(1))
    assert np.array_equal(plain.positions(1), plain.positions(1))


class Kept(Context):
    """Ends after an epoch, or goes on from what was kept then."""

    def __init__(self, stop: int | None = None, kept: dict | None = None,
                 error: type[BaseException] = InterruptedError, factor: float = 1.0) -> None:
        super().__init__("cpu", 3)
        self.stop, self.kept, self.error, self.factor = stop, kept, error, factor

    def epochs(self, total, state):
        first = 0
        if self.kept:
            first = self.stop
            for name, part in state.items():
                part.load_state_dict(self.kept[name])
        for epoch in range(first, total):
            yield epoch
            if not self.kept and epoch + 1 == self.stop:
                self.kept = pickle.loads(pickle.dumps(
                    {name: part.state_dict() for name, part in state.items()}))
                raise self.error

    def report(self, epoch, loss):
        super().report(epoch, loss * self.factor)


@needs_anomalib
def test_a_training_that_was_interrupted_goes_on_to_the_same_bits():
    train = training_set(64)
    whole = made("supersimplenet", "epochs=4")
    whole.fit(train)
    ctx = Kept(stop=2)
    with pytest.raises(InterruptedError):
        made("supersimplenet", "epochs=4", ctx=ctx).fit(train)
    assert len(ctx.losses) == 2
    rest = made("supersimplenet", "epochs=4", ctx=Kept(stop=2, kept=ctx.kept))
    rest.fit(train)
    assert rest.ctx.losses == whole.ctx.losses[2:]
    assert np.array_equal(rest.explain(train.images).heatmaps,
                          whole.explain(train.images).heatmaps)


@needs_anomalib
def test_ctrl_c_and_a_loss_that_is_no_number_end_a_training_as_they_do_elsewhere():
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        made("supersimplenet", ctx=Kept(1, error=KeyboardInterrupt)).fit(training_set(64))
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(TrainingDiverged, match="loss is nan in epoch 1"):
        made("supersimplenet", ctx=Kept(factor=float("nan"))).fit(training_set(64))


@needs_anomalib
def test_the_factor_on_the_learning_rates():
    still = made("supersimplenet", "lr_factor=0")
    still.fit(training_set(64))
    weights = {name: tensor.clone() for name, tensor in still.net.named_parameters()}
    still.build((64, 64))
    assert all(torch.equal(weights[name], tensor) for name, tensor in still.net.named_parameters())
    moved = made("supersimplenet")
    moved.fit(training_set(64))
    assert any(not torch.equal(weights[n], tensor) for n, tensor in moved.net.named_parameters())


@needs_anomalib
def test_random_generators_of_others_are_left_alone():
    import random

    def state() -> tuple:
        name, keys, *rest = np.random.get_state()  # noqa: NPY002  the one that is shared
        return name, keys.tolist(), *rest, random.getstate()

    before = state()
    made("patchcore").fit(training_set(64))
    assert state() == before


@needs_anomalib
def test_a_whole_command_leaves_results_alone_and_says_what_the_numbers_stand_on(root, tmp_path):
    place = tmp_path / "where the user is"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aexad.bench", "table2", "--data-root", str(root), "--results",
         str(tmp_path / "r"), *TINY, "--set", "data.size=64", *BOTTLE, "--methods",
         "padim,anomalib:Stfpm", "--set", "*.weights=random", "--jobs", "1"],
        capture_output=True, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
    assert not list(place.iterdir())
    ours = ("mvtec/bottle: ", "[1/2] ", "[2/2] ", "2 fits to do", "warning: mvtec/bottle: ")
    strange = [li for li in done.stderr.splitlines() if li and not li.startswith(ours)]
    assert not [li for li in strange if "Trainer" in li or "GPU" in li or "it/s" in li], strange
    text = " ".join(done.stdout.split())
    assert "PaDiM AUC" in text and "Stfpm of anomalib AUC" in text
    assert ("PaDiM on mvtec/bottle: unsupervised, trained on the normal images alone; anomalib's "
            "Padim, tf_efficientnet_lite0 blocks.1,blocks.2") in text
    fits = [read_json(path) for path in (tmp_path / "r").rglob("fit.json")]
    assert len(fits) == 2
    for fit in fits:
        versions = fit["provenance"]["method_libraries"]
        assert versions["anomalib"][0].isdigit() and versions["lightning"][0].isdigit()
        assert fit["provenance"]["libraries"]["timm"][0].isdigit()


@needs_anomalib
def test_from_python_trained_saved_and_opened(tmp_path):
    train = training_set(64)
    model = aexad.Detector("anomalib:Stfpm", protocol="smoke", weights=None, size=64, epochs=1,
                           backbone="resnet18", batch_size=4)
    assert model.set_params(layers="layer1,layer2").settings.fit(model.method).layers == (
        "layer1,layer2")
    with pytest.raises(UserError, match="anomalib:Stfpm has no parameter 'layer'; did you mean"):
        aexad.Detector("anomalib:Stfpm", layer="layer1")
    model = aexad.Detector("padim", protocol="smoke", size=64)  # its network comes from PyPI
    found = model.fit(train.images, train.masks).explain(train.images[:3])
    model.save(tmp_path / "model")
    again = aexad.load_model(tmp_path / "model").explain(train.images[:3])
    assert np.array_equal(found.heatmaps, again.heatmaps)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 9e6  # not the network


@needs_anomalib
def test_features_that_are_too_coarse_for_the_noise():
    with pytest.raises(UserError, match="features of 16 x 16 are too coarse for its noise"):
        made("supersimplenet", "layers=blocks.2").fit(training_set(64))
    made("supersimplenet", "layers=blocks.2", "epochs=1").fit(training_set(72))


@needs_anomalib
def test_a_model_without_a_map_is_refused():
    method = made("anomalib:Dfkde", "backbone=resnet18", "layers=layer1", "n_pca_components=2")
    method.fit(training_set(64))
    with pytest.raises(UserError, match="Dfkde: says which image is anomalous, not where"):
        method.explain(training_set(64).images)

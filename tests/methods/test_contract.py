"""What every method promises (methods/base.py), for every method that is registered."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from aexad import methods
from aexad.bench.plan.cells import SCENARIOS
from aexad.bench.plan.settings import Settings
from aexad.methods.ae_xad_params import AEFit
from aexad.methods.ae_xad_vit import TRANSFORMERS
from aexad.methods.ae_xad_vit_params import ViTFit
from aexad.methods.base import Context, TrainingSet
from aexad.methods.bgad_params import BGADFit
from aexad.methods.encoders import ENCODERS, PYRAMIDS

from conftest import needs_anomalib

# Random weights: not every method's can be had everywhere, and a contract is not about numbers.
SETTINGS = Settings("smoke", sets=["*.batch_size=4", "*.weights=random"])
SIDE = 64
NAMES = [pytest.param(name, marks=needs_anomalib if "anomalib" in entry.libraries else ())
         for name, entry in methods.entries().items()]
CASES = [pytest.param(*name.values, scenario, marks=name.marks)
         for name in NAMES for scenario in SCENARIOS]


def training_set(scenario: str) -> TrainingSet:
    rng = np.random.default_rng(5)
    normals, anomalies = (6 if scenario == "standard" else 0), 3
    n = normals + anomalies
    images = rng.integers(40, 160, (n, SIDE, SIDE, 3), dtype=np.uint8)
    masks = np.zeros((n, SIDE, SIDE), bool)
    masks[normals:, 20:36, 10:30] = True
    images[masks] = 230
    return TrainingSet(images, masks, np.arange(n) >= normals)


def trained(name: str, scenario: str, settings: Settings):
    method = methods.load(name)(settings.fit(name), settings.explain(name), Context("cpu", 3))
    method.fit(training_set(scenario))
    return method


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_frozen_and_documented(name):
    facts, cls = methods.facts(name), methods.load(name)
    assert isinstance(facts.version, int) and issubclass(cls, facts)
    for of_both in ("version", "fit_params", "explain_params", "skip"):
        assert getattr(cls, of_both, None) is getattr(facts, of_both, None)
    for params in (SETTINGS.fit(name), SETTINGS.explain(name)):
        assert type(params).__dataclass_params__.frozen
        for field in dataclasses.fields(params):
            assert field.metadata.get("doc"), f"{name}: {field.name} has no doc"


@pytest.mark.parametrize("params, field, networks", [
    (AEFit, "encoder", ENCODERS), (BGADFit, "backbone", PYRAMIDS),
    (ViTFit, "encoder", TRANSFORMERS)])
def test_the_networks_to_choose_from_are_those_there_are(params, field, networks):
    [found] = [f for f in dataclasses.fields(params) if f.name == field]
    assert found.metadata["choices"] == tuple(networks)


@pytest.mark.parametrize("name, scenario", CASES)
def test_fit_explain_and_state(name, scenario):
    holds(name, scenario, SETTINGS)


def holds(name: str, scenario: str, settings: Settings) -> None:
    """The promises about training, explaining and what is stored."""
    cls = methods.load(name)
    reason = getattr(cls, "skip", lambda _: None)(scenario)
    if reason:
        assert isinstance(reason, str) and len(reason) > 10
        return
    data = training_set(scenario)
    before = data.images.copy(), data.masks.copy()
    method = trained(name, scenario, settings)
    images = np.random.default_rng(8).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    state = {k: v.clone() for k, v in method.state_dict().items()}
    found = method.explain(images)

    assert found.heatmaps.shape == (5, SIDE, SIDE) and found.heatmaps.dtype == np.float32
    assert found.scores.shape == (5,) and found.scores.dtype == np.float64
    assert np.isfinite(found.heatmaps).all() and np.isfinite(found.scores).all()
    assert all(len(v) == 5 for v in found.extras.values())
    assert np.array_equal(data.images, before[0]) and np.array_equal(data.masks, before[1])

    assert state and all(isinstance(v, torch.Tensor) for v in state.values())
    other = cls(settings.fit(name), settings.explain(name), Context("cpu", 99))
    other.load_state_dict(state)
    again = other.explain(images)
    assert np.array_equal(found.heatmaps, again.heatmaps)
    assert np.array_equal(found.scores, again.scores)

    # the same seed gives the same bits, and an image's map does not depend on its neighbours
    repeated = trained(name, scenario, settings).explain(images)
    assert np.array_equal(found.heatmaps, repeated.heatmaps)
    later = cls(settings.fit(name), settings.explain(name), Context("cpu", 7))
    later.load_state_dict(method.state_dict())  # with what explaining the five added to it
    for explainer in (other, later):
        alone = explainer.explain(images[2:3])
        assert np.allclose(alone.heatmaps[0], found.heatmaps[2], atol=1e-4)


def test_unknown_method_and_broken_plug_in(monkeypatch):
    from aexad.bench.base.errors import UserError

    with pytest.raises(UserError, match="did you mean 'ae_xad'"):
        methods.load("ae_xadd")
    monkeypatch.setitem(methods.REGISTRY, "gone", methods.Entry("Gone", "no.such.module:Class"))
    methods.entries.cache_clear()
    with pytest.raises(UserError, match="method 'gone': cannot import no.such.module:Class"):
        methods.load("gone")
    methods.entries.cache_clear()

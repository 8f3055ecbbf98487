"""What a frozen network makes of the training's images, stored or computed in each step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from aexad import methods
from aexad.methods.ae_xad import AEXAD
from aexad.methods.ae_xad_params import CHANNELS, AEExplain, AEXADFit
from aexad.methods.base import Computed, Context
from aexad.methods.bgad_params import CHANNELS as PYRAMID_CHANNELS, BGADFit
from aexad.methods.encoders import ENCODERS, PYRAMIDS

from conftest import training_set

LIGHT = {"ae_xad": {"encoder": "efficientnet_lite0", "weights": "random", "epochs": 2},
         "ae": {"encoder": "efficientnet_lite0", "weights": "random", "epochs": 2},
         "fcdd": {"net": "efficientnet_lite0", "weights": "random", "epochs": 2, "augment": False,
                  "freeze_bn_stats": True},
         "bgad": {"backbone": "efficientnet_lite0", "weights": "random", "meta_epochs": 2,
                  "sub_epochs": 1, "batch_size": 4, "n_positions": 64, "blocks": 2}}


class Shifts(nn.Module):
    """Two outputs whose rows depend on no rounding."""

    def forward(self, x):
        return [x[:, :, ::2, ::2] * 4, x.sum(dim=1, keepdim=True)]


def trained(name: str, **more):
    cls = methods.load(name)
    method = cls(cls.fit_params(**LIGHT[name], **more), cls.explain_params(), Context())
    method.fit(training_set())
    return method


@pytest.mark.parametrize("positions", [[3], [0, 6, 6, 2], list(range(7)) * 5])
def test_computed_rows_are_the_stored_ones(positions):
    images, ctx, at = training_set().images, Context(), np.array(positions)
    stored = ctx.features(images, Shifts(), 1.0)
    computed = ctx.features(images, Shifts(), 0.0)
    assert isinstance(stored, list) and isinstance(computed, Computed)
    for rows, found in zip(stored, computed(at), strict=True):
        assert torch.equal(rows[at], found)
    assert torch.equal(stored[0][at], computed[at])


def test_the_limit_is_what_is_stored():
    images, ctx = training_set().images, Context()
    size = 4 * len(images) * (3 * 16 * 16 + 32 * 32)
    assert isinstance(ctx.features(images, Shifts(), size / 1e9), list)
    assert isinstance(ctx.features(images, Shifts(), (size - 1) / 1e9), Computed)


@pytest.mark.parametrize("name", LIGHT)
def test_a_training_that_computes_them_is_the_same_up_to_rounding(name, monkeypatch):
    asked = []
    call = Computed.__call__
    monkeypatch.setattr(Computed, "__call__",
                        lambda self, at: asked.append(len(at)) or call(self, at))
    stored = trained(name)
    assert not asked
    computed = trained(name, feature_gb=0.0)
    assert asked
    np.testing.assert_allclose(computed.ctx.losses, stored.ctx.losses, rtol=1e-3)
    images = training_set().images
    a, b = (method.explain(images).heatmaps for method in (computed, stored))
    assert np.abs(a - b).max() <= 2e-2 * np.ptp(b)


def test_computed_again_they_are_the_same_bits():
    first, second = (trained("ae_xad", feature_gb=0.0) for _ in range(2))
    assert first.ctx.losses == second.ctx.losses


def test_mixed_precision_leaves_the_frozen_encoder_alone():
    method = AEXAD(AEXADFit(**LIGHT["ae_xad"], amp=True, feature_gb=0.0), AEExplain(), Context())
    pool = method.pool(method.prepare(training_set())[0])
    with torch.autocast("cpu", torch.bfloat16):
        found = pool.features[np.arange(7)]
    assert found.dtype == torch.float32
    assert torch.equal(found, method.ctx.extract(training_set().images, method.frozen)[0][
        np.arange(7)])


@pytest.mark.parametrize("size", [32, 40, 64])
def test_what_parameters_say_of_the_stored_bytes(size):
    """Without a network, for `--dry-run`: as large as what is stored."""
    assert CHANNELS == {name: spec.channels for name, spec in ENCODERS.items()}
    assert PYRAMID_CHANNELS == {name: spec.channels for name, spec in PYRAMIDS.items()}
    images = training_set(side=size).images
    for name in ("ae_xad", "bgad"):
        cls = methods.load(name)
        method = cls(cls.fit_params(**LIGHT[name]), cls.explain_params(), Context())
        network = method.frozen if name == "ae_xad" else method.features
        stored = sum(rows.array.nbytes for rows in method.ctx.extract(images, network))
        assert stored == len(images) * method.p.stored_bytes(size)
    assert AEXADFit().stored_bytes(224) == 512 * 28 * 28 * 4
    assert AEXADFit(freeze=False).stored_bytes(224) == 0
    assert BGADFit().stored_bytes(224) == 4 * (40 * 56**2 + 72 * 28**2 + 200 * 14**2)

"""AE-XAD green: AE-XAD with other defaults, which the protocols know."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aexad.bench.plan.settings import Settings
from aexad.methods.ae_xad import AEXAD, AEXADGreen
from aexad.methods.ae_xad_params import AEExplain, AEXADFit, GreenFit
from aexad.methods.base import Context

from conftest import training_set

LIGHT = AEXADFit(encoder="resnet18", weights="random", epochs=2, batch_size=5)


def test_green_is_ae_xad_with_other_defaults():
    defaults = [{f.name: f.default for f in dataclasses.fields(kind)}
                for kind in (AEXADFit, GreenFit)]
    assert {name: pair for name in defaults[0]
            if (pair := tuple(d[name] for d in defaults)) != (defaults[0][name],) * 2} == {
        "epochs": (200, 60), "batch_size": (16, 4), "schedule": ("exponential", "cosine")}
    data, same = training_set(), dataclasses.asdict(LIGHT)
    one, other = (cls(fit(**same), AEExplain(), Context("cpu", 0))
                  for cls, fit in ((AEXAD, AEXADFit), (AEXADGreen, GreenFit)))
    for m in (one, other):
        m.fit(data)
    assert np.array_equal(*(m.explain(data.images).heatmaps for m in (one, other)))


@pytest.mark.parametrize("protocol, epochs, passes", [
    ("paper", None, 60), ("brief", None, 60), ("mini", None, 20), ("paper", 5, 5)])
def test_the_protocols_know_green(protocol, epochs, passes):
    fit = Settings(protocol, epochs).fit("ae_xad_green")
    assert (fit.epochs, fit.batch_size, fit.schedule) == (passes, 4, "cosine")

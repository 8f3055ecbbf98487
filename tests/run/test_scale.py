"""Large sets: nothing is copied or held whole, and every bit is that of a small one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aexad.bench.base import mapped
from aexad.bench.results.store import read_json
from aexad.methods import base

from running import BOTTLE, heatmaps, run

METHODS = ("ae", "ae_xad", "fcdd", "bgad")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["standard", "anomalies_only"])
def test_a_large_set_gives_the_bits_of_a_small_one(root, tmp_path, monkeypatch, scenario):
    """The whole command twice; the second time everything counts as large."""
    words = (*BOTTLE, "--methods", ",".join(METHODS), "--keep-maps", "--scenario", scenario)
    assert run(root, tmp_path / "small", *words) == 0
    monkeypatch.setattr(mapped, "LARGE", 0)
    monkeypatch.setattr(base, "IN_MEMORY", 0)
    monkeypatch.setenv("AEXAD_CACHE", str(tmp_path / "other cache"))
    assert run(root, tmp_path / "large", *words) == 0
    small, large = (heatmaps(tmp_path / name) for name in ("small", "large"))
    assert small.keys() == large.keys() and len(small) == 4 - (scenario != "standard")
    for name, maps in small.items():
        np.testing.assert_array_equal(large[name], maps, strict=True)
        folders = [tmp_path / size / name for size in ("small", "large")]
        rows = [pd.read_parquet(folder / "images.parquet") for folder in folders]
        pd.testing.assert_frame_equal(*rows, check_exact=True)
        numbers = [read_json(folder / "cell.json")["numbers"] for folder in folders]
        assert numbers[0] == numbers[1]
    models = [sorted((tmp_path / size).rglob("model.safetensors")) for size in ("small", "large")]
    assert [p.read_bytes() for p in models[0]] == [p.read_bytes() for p in models[1]]

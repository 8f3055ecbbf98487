"""Large sets: nothing is copied or held whole, and every bit is that of a small one."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest

from aexad import methods
from aexad.bench.base import mapped
from aexad.bench.results.store import read_json
from aexad.bench.run import disk, task
from aexad.methods import base, tiled

from running import BOTTLE, heatmaps, refused, run

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


@pytest.mark.parametrize("images", [1, 16, 17, 40])
@pytest.mark.parametrize("name", ["ae_xad", "ae", "fcdd", "bgad"])
def test_explained_in_parts_they_are_the_same_bits(monkeypatch, tmp_path, name, images):
    cls = methods.load(name)
    params = {"bgad": {"backbone": "efficientnet_lite0", "blocks": 1},
              "fcdd": {"net": "efficientnet_lite0"}}.get(name, {"encoder": "efficientnet_lite0"})

    def explained(large):
        monkeypatch.setattr(mapped, "LARGE", large)
        monkeypatch.setattr(tiled, "PART", base.EXPLAIN_BATCH)
        method = cls(cls.fit_params(weights="random", **params), cls.explain_params(),
                     base.Context())
        return tiled.explain(method, shown, task.map_file(tmp_path / "cell"))

    shown = np.random.default_rng(2).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    whole, parts = explained(10**9), explained(0)
    np.testing.assert_array_equal(parts.heatmaps, whole.heatmaps, strict=True)
    np.testing.assert_array_equal(parts.scores, whole.scores, strict=True)
    assert isinstance(parts.heatmaps.base, np.memmap) and not any((tmp_path / "cell").iterdir())
    assert parts.extras.keys() == whole.extras.keys()
    for key, values in whole.extras.items():
        np.testing.assert_array_equal(parts.extras[key], values, strict=True)


def test_a_dry_run_says_what_a_large_set_takes(root, tmp_path, monkeypatch, capsys):
    words = (*BOTTLE, "--methods", "ae_xad", "--set", "ae_xad.encoder=efficientnet_lite0")
    assert run(root, tmp_path / "r", *words, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"MB under {tmp_path / 'r'}")
    assert disk.IN_MEMORY == base.IN_MEMORY
    monkeypatch.setattr(mapped, "LARGE", 0)
    monkeypatch.setattr(disk, "IN_MEMORY", 0)
    assert run(root, tmp_path / "r", *words, "--set", "data.size=224", "--dry-run") == 0
    # 6 normals, 3 of each of two types and 10 copies of each of these: 72 images of 40 x 28 x 28
    # floats, 9.03 MB; 13 maps of 224 x 224 take less; 19 images and masks, 3.8 MB
    assert capsys.readouterr().out.splitlines()[-1].endswith(
        "MB under " + str(tmp_path / "r") + ", and meanwhile up to 10 MB of features or maps; "
        f"about 4 MB of decoded images in the cache {os.environ['AEXAD_CACHE']}, up to 8 MB "
        "while they are decoded")


def test_a_disk_without_room_for_features_is_one_line_before_training(root, tmp_path, monkeypatch,
                                                                      capsys):
    monkeypatch.setattr(disk, "IN_MEMORY", 0)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000))
    words = (*BOTTLE, "--methods", "ae_xad", "--set", "ae_xad.encoder=efficientnet_lite0")
    assert run(root, tmp_path / "r", *words) == 2
    said = refused(capsys)
    assert "needs about 0.0 GB there while it is made" in said and "feature_gb=0" in said
    assert run(root, tmp_path / "r", *words, "--set", "ae_xad.feature_gb=0") == 0

"""Shared data: real images and weights where they are, and small folders made on the spot."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from aexad.bench.measure import busy
from aexad.bench.stress.category import make_category
from aexad.methods.base import TrainingSet

REPOSITORY = Path(__file__).resolve().parent.parent

needs_anomalib = pytest.mark.skipif(
    importlib.util.find_spec("anomalib") is None,
    reason="ANOMALIB NOT TESTED: it is not installed here; "
           "AEXAD_EXTRAS=anomalib ./reproduce.sh test tests/methods")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights: $AEXAD_SHARED, or ../shared beside the repository."""
    place = Path(os.environ.get("AEXAD_SHARED", REPOSITORY.parent / "shared"))
    if not (place / "data").is_dir():
        pytest.skip(f"REAL DATA NOT TESTED: no folder {place}; set AEXAD_SHARED")
    return place


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing that a test does is found, or left, in the repository's own cache and results."""
    place = tmp_path_factory.mktemp("cache")
    os.environ["AEXAD_CACHE"] = str(place)
    for name in ("AEXAD_DATA", "AEXAD_RESULTS"):
        os.environ.pop(name, None)
    return place


@pytest.fixture(scope="session", autouse=True)
def quiet() -> Iterator[None]:
    """What is tested does not depend on what runs beside it on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(busy, "others", lambda before, after: 0.0)
        yield


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our code in double precision: what it creates is, and what it makes float32 is double."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def training_set(side: int = 32, normals: int = 5, anomalies: int = 2) -> TrainingSet:
    """Noise; the anomalies have one marked block."""
    rng = np.random.default_rng(1)
    n = normals + anomalies
    images = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    masks = np.zeros((n, side, side), bool)
    masks[normals:, 8:16, 4:20] = True
    return TrainingSet(images, masks, np.arange(n) >= normals)


@pytest.fixture
def category(tmp_path: Path) -> Path:
    """A data root with mvtec/bottle; returns the category's folder (root: parents[1])."""
    return make_category(tmp_path / "data" / "mvtec" / "bottle")


@pytest.fixture
def root(category: Path) -> Path:
    """The data root that holds `category`."""
    return category.parents[1]

"""Resizing in an exported graph against Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from aexad.bench.deploy.resizing import Resize
from aexad.datasets.images import resized

SIZES = (32, 56, 96, 224)


def cases(n: int = 60):
    """Images of any shape, larger and smaller than the working size, at last some whose sides are
    in simple ratios to it, where the place of a pixel is a whole number."""
    rng = np.random.default_rng(0)
    for i in range(n):
        size = SIZES[i % len(SIZES)]
        shape = rng.integers(1, 300, 2) if i < n // 2 else size * rng.integers(1, 8, 2) // 2
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        yield size, np.where(image > 127, 255, 0).astype(np.uint8) if i % 5 == 0 else image


def both(size: int, image: np.ndarray, way: str) -> tuple[np.ndarray, np.ndarray]:
    found = Resize(size, way)(torch.from_numpy(image)[None])[0]
    assert found.dtype == torch.uint8
    return found.numpy().astype(int), resized(Image.fromarray(image), size, way).astype(int)


@pytest.mark.parametrize("way", ["nearest", "bilinear"])
def test_the_same_bytes(way):
    for size, image in cases():
        found, expected = both(size, image, way)
        assert np.array_equal(found, expected), (size, image.shape)


def test_antialias_the_same_bytes_but_for_tall_images():
    for size, image in cases():
        found, expected = both(size, image, "antialias")
        if image.shape[0] <= image.shape[1]:
            assert np.array_equal(found, expected), (size, image.shape)
        else:  # Pillow may take the axes in the other order
            assert np.abs(found - expected).max() <= 1, (size, image.shape)


@pytest.mark.parametrize("way", ["nearest", "bilinear", "antialias"])
def test_the_working_size_stays_as_it_is(way):
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(*both(64, image, way))
    assert np.array_equal(both(64, image, way)[0], image)

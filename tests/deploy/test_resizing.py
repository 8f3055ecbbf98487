"""Resizing in an exported graph against Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from aexad.bench.deploy.resizing import Resize
from aexad.datasets.images import resized

SIZES = (32, 56, 96, 224)
Shape = tuple[int, int]


def cases(n: int = 60):
    """Images of any shape, larger and smaller than the working size, at last some whose sides are
    in simple ratios to it, where the place of a pixel is a whole number; half of them to squares,
    half to working sizes of their own."""
    rng = np.random.default_rng(0)
    for i in range(n):
        size = SIZES[i % len(SIZES)]
        shape = rng.integers(1, 300, 2) if i < n // 2 else size * rng.integers(1, 8, 2) // 2
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        wanted = (size, size) if i % 3 else (size, int(rng.integers(1, 300)))
        yield wanted, np.where(image > 127, 255, 0).astype(np.uint8) if i % 5 == 0 else image


def both(shape: Shape, image: np.ndarray, way: str) -> tuple[np.ndarray, np.ndarray]:
    found = Resize(shape, way)(torch.from_numpy(image)[None])[0]
    assert found.dtype == torch.uint8
    expected = resized(Image.fromarray(image), shape[::-1], way)
    return found.numpy().astype(int), expected.astype(int)


@pytest.mark.parametrize("way", ["nearest", "bilinear"])
def test_the_same_bytes(way):
    for shape, image in cases():
        found, expected = both(shape, image, way)
        assert np.array_equal(found, expected), (shape, image.shape)


def test_antialias_the_same_bytes_where_the_axes_come_in_that_order():
    for shape, image in cases():
        found, expected = both(shape, image, "antialias")
        if image.shape[0] <= image.shape[1] and shape[0] == shape[1]:
            assert np.array_equal(found, expected), (shape, image.shape)
        else:  # Pillow may take the axes in the other order
            assert np.abs(found - expected).max() <= 1, (shape, image.shape)


@pytest.mark.parametrize("way", ["nearest", "bilinear", "antialias"])
def test_the_working_size_stays_as_it_is(way):
    image = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    assert np.array_equal(*both((64, 48), image, way))
    assert np.array_equal(both((64, 48), image, way)[0], image)

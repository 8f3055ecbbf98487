"""FCDD's augmentation (official pipeline 'lcnaug1')."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aexad.methods import fcdd
from aexad.methods.vision import torchvision


def test_crop_keeps_image_and_mask_together():
    rng = np.random.default_rng(0)
    masks = rng.random((40, 56, 112)) < 0.5  # sides of their own
    images = np.repeat(masks[..., None], 3, axis=3).astype(np.uint8) * 255
    before = images.copy()
    seen = fcdd.crop(rng, *masks.shape)
    cut, cut_masks = images[seen], masks[seen]
    assert np.array_equal(cut[..., 0] > 0, cut_masks) and cut_masks.shape == masks.shape
    assert np.array_equal(images, before)
    same = [np.array_equal(a, b) for a, b in zip(masks, cut_masks)]
    assert 10 < sum(same) < 30


def test_crop_is_224_of_an_image_enlarged_to_240():
    ramp = np.tile(np.arange(224, dtype=np.uint8), (60, 224, 1))
    cut = np.stack([ramp] * 3, axis=-1)[fcdd.crop(np.random.default_rng(3), *ramp.shape)]
    nearest = F.interpolate(torch.arange(224.0).view(1, 1, -1), 240)[0, 0].numpy()
    possible = {tuple(nearest[i:i + 224]) for i in range(17)} | {tuple(range(224))}
    found = {tuple(row) for row in cut[:, 0, :, 0]}
    assert found <= possible and len(found) > 8


def test_jitter_by_torchvision(monkeypatch):
    functional = torchvision.transforms.functional
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    steps = (functional.adjust_brightness, functional.adjust_contrast,
             functional.adjust_saturation, functional.adjust_hue)
    monkeypatch.setattr(fcdd, "JITTER", ((0.3,) * 4,) * 2)
    found = fcdd.jitter(np.random.default_rng(7), x)
    rng = np.random.default_rng(7)
    rng.random(2)
    amounts, order = 0.3 * rng.uniform(-1, 1, (2, 4)), rng.permutation(4)
    for image, ours, amount in zip(x, found, amounts):
        for i in order:
            image = steps[i](image, amount[i] + (0 if i == 3 else 1))
        assert torch.allclose(image, ours, atol=2e-4)


def test_jitter_is_strong_for_half_of_the_images_and_slight_for_the_others():
    x = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    change = (fcdd.jitter(np.random.default_rng(0), x) - x).abs().amax(dim=(1, 2, 3))
    assert 20 < (change > 0.008).sum() < 44 and change.max() < 0.25


def test_noise_is_a_tenth_of_the_deviation_on_half_of_the_images():
    x = 0.5 + 0.1 * torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x = x.clamp(0, 1)
    change = (fcdd.add_noise(np.random.default_rng(0), x) - x).std(dim=(1, 2, 3))
    noisy = change[change > 0]
    assert 10 < len(noisy) < 30 and noisy.mean().item() == pytest.approx(0.01, rel=0.03)
    assert fcdd.add_noise(np.random.default_rng(0), torch.ones(9, 3, 4, 4)).max() == 1

"""Methods on tiles: one tile an image is the same as none, and no more is at work at a time than a
batch of tiles and the images that they are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aexad import methods
from aexad.bench.base import mapped
from aexad.bench.base.errors import UserError
from aexad.bench.measure.tiles import Ragged, Tiling
from aexad.bench.plan.settings import Settings
from aexad.methods import base, tiled
from aexad.methods.base import EXPLAIN_BATCH, Context, Explanation, TrainingSet

from conftest import training_set

SETTINGS = Settings("smoke", sets=["*.batch_size=4", "*.weights=random"])
SIDE = 64
WHOLE = Tiling(SIDE, 0.25)
OURS = [name for name, entry in methods.REGISTRY.items()
        if not entry.libraries]  # anomalib's models explain whole images


def trained(name, train):
    method = methods.load(name)(SETTINGS.fit(name), SETTINGS.explain(name), Context("cpu", 3))
    method.fit(train)
    return method


@pytest.mark.parametrize("name", OURS)
def test_a_tile_of_the_whole_image_is_none_bit_for_bit(name):
    """Training, maps, scores and what a method adds; of more images than a batch."""
    train = training_set(SIDE)
    of_tiles = tiled.training_set(Ragged(train.images, WHOLE), Ragged(train.masks, WHOLE),
                                  train.anomalous)
    for ours, theirs in ((of_tiles.images, train.images), (of_tiles.masks, train.masks),
                         (of_tiles.anomalous, train.anomalous)):
        assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype
    images = np.random.default_rng(8).integers(0, 256, (EXPLAIN_BATCH + 3, SIDE, SIDE, 3), np.uint8)
    expected = trained(name, train).explain(images)
    found = tiled.explain(trained(name, of_tiles), Ragged(images, WHOLE))
    assert isinstance(found.heatmaps, list)
    assert np.array_equal(np.stack(found.heatmaps), expected.heatmaps)
    assert np.array_equal(found.scores, expected.scores)
    assert found.extras.keys() == expected.extras.keys()
    assert all(np.array_equal(found.extras[k], expected.extras[k]) for k in found.extras)


@pytest.mark.parametrize("name", ["ae_xad", "fcdd", "bgad"])
def test_images_of_mixed_sizes_get_maps_of_theirs(name):
    method = trained(name, training_set(SIDE))
    rng = np.random.default_rng(0)
    shapes = [(100, 150), (64, 64), (40, 90), (100, 150), (130, 71)]
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    found = tiled.explain(method, Ragged(images, WHOLE))
    assert [h.shape for h in found.heatmaps] == shapes
    assert all(h.dtype == np.float32 and np.isfinite(h).all() for h in found.heatmaps)
    assert found.scores.dtype == np.float64 and len(found.scores) == len(shapes)
    for i in (0, 4):  # explained alone, by what the first call measured
        alone = tiled.explain(method, Ragged([images[i]], WHOLE))
        assert np.allclose(alone.heatmaps[0], found.heatmaps[i], atol=1e-4)
        assert alone.scores[0] == pytest.approx(found.scores[i], rel=1e-4)


def test_moving_the_grid_changes_the_map_of_a_network_little():
    """By 16 pixels: less than half of what it does to tiles set side by side. Tiles as small as
    these are seen whole by every pixel, which larger ones are not."""
    method = trained("ae_xad", training_set(SIDE))
    rng = np.random.default_rng(4)
    image = rng.integers(60, 190, (160, 224, 3), np.uint8)
    moved = np.pad(image, ((16, 0), (16, 0), (0, 0)), mode="symmetric")
    changes = {}
    for overlap in (0.0, 0.5):
        a, b = (next(tiled.joined(method, [i], Tiling(SIDE, overlap)))[0][0][0]
                for i in (image, moved))
        inside = np.abs(b[16:, 16:] - a)[16:-16, 16:-16]
        changes[overlap] = inside.mean() / a.std(), inside.max() / a.std()
    assert changes[0.5][0] < 0.06 and changes[0.5][1] < 0.5
    assert changes[0.5][1] < 0.5 * changes[0.0][1]


class Counting:
    """Says how much is at work: a map is the image's red, a score its sum."""

    def __init__(self):
        self.log = []

    def raw_maps(self, images):
        self.log.append(("tiles", len(images)))
        return (images[..., 0].astype(np.float32),)

    def finish(self, maps, shape):
        assert maps[0].shape[1:] == shape
        self.log.append(("finished", len(maps[0])))
        return Explanation(maps[0], maps[0].sum(axis=(1, 2), dtype=np.float64))


def test_no_more_is_at_work_than_a_batch_of_tiles():
    """Images are read when their tiles are due, and finished when their last tile is there."""
    method, count = Counting(), WHOLE.count((200, 200))
    assert count == 16 and EXPLAIN_BATCH == 16
    shapes = [(200, 200), (200, 184), (64, 64), (64, 64), (200, 200)]

    def images():
        for i, shape in enumerate(shapes):
            method.log.append(("read", i))
            yield np.full((*shape, 3), i, np.uint8)

    found = []
    for maps, shape in tiled.joined(method, images(), WHOLE):
        explained = method.finish(maps, shape)
        found += explained.heatmaps.tolist()
    assert [len(h) for h in found] == [s[0] for s in shapes]
    assert all(np.allclose(h, i, atol=1e-5) for i, h in enumerate(found))
    assert max(n for what, n in method.log if what == "tiles") == EXPLAIN_BATCH
    held = 0
    for what, n in method.log:
        held += {"read": 1, "tiles": 0, "finished": -n}[what]
        assert held <= 4  # one of 12 tiles, two of one, and the next, of which a batch is full
    assert method.log[:4] == [("read", 0), ("tiles", 16), ("finished", 1), ("read", 1)]


def test_tiles_without_marks_are_normal():
    image = np.zeros((64, 160, 3), np.uint8)
    mask = np.zeros((64, 160), bool)
    mask[10, 150] = True  # in the last tile alone
    anomalous = np.array([True, False])
    made = tiled.training_set(Ragged([image, image + 9], WHOLE),
                              Ragged([mask, np.zeros_like(mask)], WHOLE), anomalous)
    count = WHOLE.count((64, 160))
    assert made.anomalous.tolist() == [False] * (count - 1) + [True] + [False] * count
    assert made.masks.sum() == 1 and made.masks[count - 1, 10, 150 - 96]
    assert (made.images[:count] == 0).all() and (made.images[count:] == 9).all()
    rooms = []
    tiled.training_set(Ragged([image], WHOLE), Ragged([mask], WHOLE), anomalous[:1],
                       lambda shape, kind: rooms.append((shape, kind)) or np.empty(shape, kind))
    assert rooms == [((count, 64, 64, 3), np.uint8), ((count, 64, 64), bool)]


def test_what_lies_in_files_is_augmented_into_files(tmp_path, monkeypatch, capsys):
    """A set too large for memory; the training is the same."""
    monkeypatch.setattr(base, "IN_MEMORY", 1000)
    monkeypatch.setattr(mapped, "LARGE", 1000)
    train = training_set(SIDE)
    ctx = Context("cpu", 3, scratch=tmp_path)
    kept = tiled.training_set(Ragged(train.images, WHOLE), Ragged(train.masks, WHOLE),
                              train.anomalous, ctx.array)
    assert isinstance(kept.images, np.memmap) and isinstance(kept.masks, np.memmap)
    method = methods.load("ae_xad")(SETTINGS.fit("ae_xad"), SETTINGS.explain("ae_xad"), ctx)
    data, _ = method.prepare(kept)
    for looked_up in (data.images, data.masks):  # the tiles, and what was pasted
        assert len(looked_up.arrays) == 2
        assert all(isinstance(array, np.memmap) for array in looked_up.arrays)
    method.fit(kept)
    state = trained("ae_xad", train).state_dict()
    assert all(torch.equal(state[k], v) for k, v in method.state_dict().items())
    assert str(tmp_path) in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_no_disk_holds_is_refused_before_it_is_written(tmp_path):
    with pytest.raises(UserError, match=r"8000000\.0 GB are needed there .*data.max_train"):
        Context(scratch=tmp_path).array((10**9, 10**6, 8), np.uint8)
    assert not list(tmp_path.iterdir())


def test_without_tiles_a_training_set_is_what_it_was():
    train = training_set(32)
    made = tiled.training_set(train.images, train.masks, train.anomalous)
    assert isinstance(made, TrainingSet) and made.images is train.images


def test_a_method_without_the_two_steps_is_refused_by_its_name():
    class Whole:
        def explain(self, images):
            return None

    with pytest.raises(UserError, match="data.tile: mean_image can't explain tiles"):
        tiled.check("mean_image", Whole)
    tiled.check("counting", Counting)
    for name in OURS:
        tiled.check(name, methods.load(name))

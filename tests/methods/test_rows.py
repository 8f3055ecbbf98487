"""Gathering rows where the training is: the same rows whatever lies where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from aexad.bench.base import mapped
from aexad.methods.augment import augment
from aexad.methods.graphs import Graphs
from aexad.methods.rows import Chosen, Pool, Rows, chosen, joined

from conftest import training_set

ARRAY = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
BATCHES = [np.array([3, 0, 3]), np.array([6]), np.array([1, 2, 5, 4])]


def kinds(tmp_path) -> dict[str, Rows]:
    """An array in memory, in a mapped file, where the training is, and sent by a thread."""
    mapped = np.memmap(tmp_path / "array", np.uint8, "w+", shape=ARRAY.shape)
    mapped[:] = ARRAY
    sent = Rows(ARRAY)
    sent.sent = True
    return {"memory": Rows(ARRAY), "mapped": Rows(mapped), "there": Rows(torch.from_numpy(ARRAY)),
            "sent": sent}


@pytest.mark.parametrize("as_tensor", [False, True])
def test_rows_are_the_arrays(tmp_path, as_tensor):
    for name, rows in kinds(tmp_path).items():
        assert rows.shape == ARRAY.shape and len(rows) == 7
        for batch in BATCHES:
            found = rows[torch.from_numpy(batch) if as_tensor else batch]
            assert found.dtype == torch.uint8 and np.array_equal(found, ARRAY[batch]), name


def test_joined_axes(tmp_path):
    for name, rows in kinds(tmp_path).items():
        flat = rows.flatten(3)
        assert flat.shape == (7 * 4 * 5, 3), name
        assert np.array_equal(flat[np.array([25, 0])], ARRAY.reshape(-1, 3)[[25, 0]]), name
        assert rows.flatten(4).shape == (7 * 4 * 5 * 3,)
        assert flat.resident == rows.resident


def test_what_is_announced_is_gathered_once_and_by_a_thread(tmp_path, monkeypatch):
    rows, calls = kinds(tmp_path)["sent"], []
    gathered = rows._gathered
    monkeypatch.setattr(rows, "_gathered", lambda p: calls.append(p) or gathered(p))
    for batch in Pool(rows, Rows(ARRAY)).announced(BATCHES):
        assert np.array_equal(rows[batch], ARRAY[batch])
    assert len(calls) == len(BATCHES)  # never on demand
    assert np.array_equal(rows[BATCHES[0]], ARRAY[BATCHES[0]])
    assert len(calls) == len(BATCHES) + 1


def test_every_batch_comes_once_and_in_order():
    pool = Pool(Rows(ARRAY), Rows(ARRAY), Rows(ARRAY))
    assert [b.tolist() for b in pool.announced(BATCHES)] == [b.tolist() for b in BATCHES]
    assert list(pool.announced([])) == []


def test_elsewhere_than_on_a_gpu_a_step_is_just_done():
    seen, graphs = [], Graphs(torch.device("cpu"))
    for i in range(6):
        loss = graphs.run("kind", lambda rows: seen.append(rows) or rows.sum(), torch.full((2,), i))
        assert loss == 2 * i
    assert len(seen) == 6


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_chosen_and_joined_rows_are_those_of_copies(data):
    """Random choices out of random joins, as numpy copies them."""
    def some(length):
        places = st.lists(st.integers(0, length - 1), min_size=1, max_size=9)
        return np.array(data.draw(places), np.int64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "LARGE", 0)
        first, second, third = some(7), some(7), some(9)
        lazy = joined(chosen(ARRAY, first), ARRAY[second], chosen(ARRAY, second))
        copy = np.concatenate([ARRAY[first], ARRAY[second], ARRAY[second]])
        third = third % len(copy)
        for found, whole in ((lazy, copy), (chosen(lazy, third), copy[third])):
            assert isinstance(found, Chosen) and len(found) == len(whole)
            assert (found.shape, found.dtype, found.nbytes) == (
                whole.shape, whole.dtype, whole.nbytes)
            at = some(len(whole))
            for key in (at, at[0], int(at[0]), slice(1, 4), slice(None, None, 2)):
                np.testing.assert_array_equal(found[key], whole[key], strict=True)
            np.testing.assert_array_equal(np.asarray(found), whole, strict=True)
            assert np.array_equal(Rows(found)[at], whole[at])


def test_small_ones_are_copied():
    assert isinstance(chosen(ARRAY, np.array([1, 2])), np.ndarray)
    assert isinstance(joined(ARRAY, ARRAY), np.ndarray)


@pytest.mark.parametrize("n_paste", [0, 3])
def test_an_augmented_set_that_is_looked_up_is_the_same(monkeypatch, n_paste):
    train = training_set()
    drawn = {"n_raw": 2, "n_paste": n_paste, "rotate": 45, "scale": (0.8, 1.2),
             "position": "uniform"}
    copied = augment(train, np.random.default_rng(5), **drawn)
    monkeypatch.setattr(mapped, "LARGE", 0)
    order = np.arange(len(train.images))
    large = replace(train, images=chosen(train.images, order), masks=chosen(train.masks, order))
    looked_up = augment(large, np.random.default_rng(5), **drawn)
    assert isinstance(looked_up.images, Chosen) and isinstance(looked_up.masks, Chosen)
    for name in ("images", "masks", "normals", "anomalies"):
        np.testing.assert_array_equal(np.asarray(getattr(looked_up, name)), getattr(copied, name))

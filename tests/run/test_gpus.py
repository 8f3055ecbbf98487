"""Several GPUs, one fit each; told how many there are, so that no GPU is needed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest
import torch

from aexad.bench.results.store import Store
from aexad.bench.run import gpus

from running import BOTTLE, run

TWO = ("GPU-a", "GPU-b")


def test_each_fit_takes_the_first_free_gpu(tmp_path):
    with gpus.one("cuda", TWO, tmp_path) as first:
        with gpus.one("cuda", TWO, tmp_path) as second:
            assert (first, second) == ("cuda:0", "cuda:1")
        with gpus.one("cuda", TWO, tmp_path) as again:
            assert again == "cuda:1"
    with gpus.one("cuda", TWO, tmp_path) as again:
        assert again == "cuda:0"


def test_one_gpu_is_the_same_under_another_number(tmp_path):
    """Another process may see the same cards in another order, or not all of them."""
    with gpus.one("cuda", TWO, tmp_path) as device:
        assert device == "cuda:0"
        with gpus.one("cuda", ("GPU-c", "GPU-a"), tmp_path) as other:
            assert other == "cuda:0"  # GPU-c
        with gpus.one("cuda", ("GPU-a", "GPU-b"), tmp_path) as other:
            assert other == "cuda:1"


@pytest.mark.parametrize("device, count", [("cpu", 2), ("cuda:1", 2), ("cuda", 1), ("cuda", 0)])
def test_what_is_given_or_the_only_one_stays_as_it_is(tmp_path, device, count):
    with gpus.one(device, TWO[:count], tmp_path) as first:
        with gpus.one(device, TWO[:count], tmp_path) as second:
            assert first == second == device
    assert not os.listdir(tmp_path)


def test_a_fit_waits_for_a_gpu_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "POLL", 0.01)
    said, got, told = [], [], threading.Event()

    def wait() -> None:
        with gpus.one("cuda", TWO, tmp_path, lambda line: (said.append(line), told.set())) as mine:
            got.append(mine)

    with gpus.one("cuda", TWO, tmp_path):
        with gpus.one("cuda", TWO, tmp_path):
            waiting = threading.Thread(target=wait)
            waiting.start()
            assert told.wait(30) and not got
        waiting.join(30)
    assert got == ["cuda:1"] and said == ["waits for one of 2 GPUs"]


def test_a_killed_process_leaves_its_gpu_free(tmp_path):
    fork = multiprocessing.get_context("fork")
    has = fork.Event()

    def hold() -> None:
        with gpus.one("cuda", TWO, tmp_path):
            has.set()
            signal.pause()

    process = fork.Process(target=hold)
    process.start()
    assert has.wait(30)
    with gpus.one("cuda", TWO, tmp_path) as device:
        assert device == "cuda:1"
    process.kill()
    process.join(30)
    with gpus.one("cuda", TWO, tmp_path) as device:
        assert device == "cuda:0"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="GPU NAMES NOT TESTED: no GPU here")
def test_visible_gpus_have_names_of_their_own():
    assert len(set(gpus.visible())) == torch.cuda.device_count()


def test_auto_becomes_a_device_when_something_runs(root, tmp_path, monkeypatch):
    """The last --device wins: without one it is auto."""
    asked, found = [], gpus.default_device()
    monkeypatch.setattr("aexad.bench.run.job.default_device", lambda: asked.append(1) or found)
    words = (*BOTTLE, "--methods", "ae", "--device", "auto")
    assert run(root, tmp_path, *words) == 0 and len(asked) == 1
    [info] = Store(tmp_path).all_fits()
    assert info["provenance"]["device"].startswith("cpu: ") == (found == "cpu")
    assert run(root, tmp_path, *words) == 0 and len(asked) == 1  # stored: nobody asks

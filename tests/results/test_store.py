"""Whole files or none; damage counts as absence."""

from __future__ import annotations

import errno
import os

import pandas as pd
import pytest
import torch

from aexad.bench.base.errors import UserError
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.results import store
from aexad.bench.results.store import Store, read_json, write_file, write_json

from stored import info_of


@pytest.fixture
def cell():
    return all_cells(Settings("smoke"), ["ae_xad"], [("mvtec", "bottle")], "standard", [40])[0]


def test_fit_round_trip(tmp_path, cell):
    kept = Store(tmp_path)
    assert kept.fit_info(cell.fit) is None
    state = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(3)}
    kept.checkpoint(cell.fit).parent.mkdir(parents=True)
    kept.checkpoint(cell.fit).write_text("x")
    kept.save_fit(cell.fit, state, info_of(cell.fit))
    assert kept.fit_info(cell.fit)["losses"] == [1.0]
    assert all(torch.equal(v, state[k]) for k, v in kept.load_model(cell.fit).items())
    assert not kept.checkpoint(cell.fit).exists()


def test_a_fit_without_its_model_is_not_done(tmp_path, cell):
    kept = Store(tmp_path)
    kept.save_fit(cell.fit, {"a": torch.zeros(1)}, info_of(cell.fit))
    assert kept.fit_info(cell.fit)
    (kept.fit_dir(cell.fit) / "model.safetensors").unlink()
    assert kept.fit_info(cell.fit) is None


def test_cell_round_trip_and_failure(tmp_path, cell):
    kept = Store(tmp_path)
    kept.save_failure(cell, {"error": "ValueError: no", "traceback": "…"})
    assert kept.cell_info(cell) is None and kept.failure(cell) == "ValueError: no"
    images = pd.DataFrame({"id": ["a"], "auc": [0.5]})
    kept.save_cell(cell, images, info_of(cell))
    assert kept.cell_info(cell)["numbers"]["auc"] == 0.5 and kept.failure(cell) is None
    assert pd.read_parquet(kept.cell_dir(cell) / "images.parquet").equals(images)


def test_failed_fit_is_the_reason_of_its_cells(tmp_path, cell):
    kept = Store(tmp_path)
    kept.save_failure(cell.fit, {"error": "TrainingDiverged: loss is nan in epoch 3"})
    assert "epoch 3" in kept.failure(cell) and kept.fit_info(cell.fit) is None


@pytest.mark.parametrize("text", ["", "{", '{"status": "do', "[1]", "\xff"])
def test_damaged_json_counts_as_not_there_and_is_said(tmp_path, capsys, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin1"))
    assert read_json(tmp_path / "x.json") is None
    assert "x.json: damaged" in capsys.readouterr().err


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def half(building):
        building.write_text('{"a"')
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"x\.json: cannot write \(No space left on device\); free"):
        write_file(path, half)
    assert read_json(path) == {"a": 1} and os.listdir(tmp_path) == ["x.json"]


def test_nan_never_enters_a_file(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_full_disk_while_a_model_is_written(tmp_path, cell, monkeypatch):
    def full(tensors, path):
        path.write_bytes(b"half")
        raise store.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    kept = Store(tmp_path)
    with pytest.raises(UserError, match="model.safetensors: cannot write .*No space left"):
        kept.save_fit(cell.fit, {"a": torch.zeros(1)}, {})
    assert kept.fit_info(cell.fit) is None and not os.listdir(kept.fit_dir(cell.fit))

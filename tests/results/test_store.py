"""Whole files or none; damage counts as absence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from aexad.bench.base.errors import UserError
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
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


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_disks_that_know_no_modes_and_no_syncing(tmp_path, cell, monkeypatch, number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    for name in ("chmod", "fchmod", "lchmod", "fsync", "utime"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    kept = Store(tmp_path)
    kept.check_writable()
    kept.save_fit(cell.fit, {"a": torch.arange(3.0)}, {})
    write_json(tmp_path / "x.json", {"a": 1})
    assert kept.load_model(cell.fit)["a"].tolist() == [0, 1, 2]
    assert read_json(tmp_path / "x.json") == {"a": 1}


def test_chmod_refused(tmp_path, cell, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    write_json(tmp_path / "x.json", {"a": 1})
    Store(tmp_path).save_model(cell.fit, {"a": torch.zeros(1)})
    assert "a" in Store(tmp_path).load_model(cell.fit)


def test_a_disk_that_fails_to_sync_has_not_written(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match="x.json: cannot write .Input/output error.; choose another "
                                        "folder .--results, or the option that named this one"):
        write_json(tmp_path / "x.json", {"a": 1})
    assert os.listdir(tmp_path) == []


def test_models_are_for_all_that_the_users_mask_lets(tmp_path, cell):
    before = os.umask(0o027)
    try:
        Store(tmp_path).save_model(cell.fit, {"a": torch.zeros(1)})
    finally:
        os.umask(before)
    [path] = tmp_path.rglob("model.safetensors")
    assert path.stat().st_mode & 0o777 == 0o640


def test_full_disk_while_a_model_is_written(tmp_path, cell, monkeypatch):
    def full(path, content):
        path.open("wb").write(content[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    kept = Store(tmp_path)
    with pytest.raises(UserError, match="model.safetensors: cannot write .*No space left"):
        kept.save_fit(cell.fit, {"a": torch.zeros(1)}, {})
    assert kept.fit_info(cell.fit) is None and not os.listdir(kept.fit_dir(cell.fit))

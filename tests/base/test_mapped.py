"""Arrays in files: the numbers of numpy's own reader, and nothing left behind."""

from __future__ import annotations

import errno
import os
import zipfile

import numpy as np
import pytest

from aexad.bench.base import mapped

RNG = np.random.default_rng(0)
ARRAYS = {"images": RNG.integers(0, 256, (50, 7, 3), dtype=np.uint8),
          "masks": RNG.random((50, 7)) < 0.5, "ids": np.array(["a", "größer"]),
          "digest": np.array("00ff"), "none": np.empty((0, 3)),
          "columns": np.asfortranarray(RNG.random((9, 5)).astype(np.float32))}


@pytest.mark.parametrize("large", [0, 200, 10**6])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_are_read_as_numpy_reads_them(tmp_path, monkeypatch, large, save):
    monkeypatch.setattr(mapped, "LARGE", large)
    save(tmp_path / "a.npz", **ARRAYS)
    found = mapped.read_npz(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        assert array.dtype == ARRAYS[name].dtype and array.flags.writeable
        np.testing.assert_array_equal(array, ARRAYS[name], strict=True)
    in_file = isinstance(found["images"].base, np.memmap)
    assert in_file == (large < 10**6 and save is np.savez)
    before = (tmp_path / "a.npz").read_bytes()
    found["images"][:] = 0
    assert (tmp_path / "a.npz").read_bytes() == before  # what is written stays here


@pytest.mark.parametrize("name", ["images", "masks"])
def test_a_changed_byte_is_noticed_before_anything_is_mapped(tmp_path, monkeypatch, name):
    monkeypatch.setattr(mapped, "LARGE", 0)
    np.savez(tmp_path / "a.npz", **ARRAYS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(ARRAYS[name].tobytes()) + 100] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        mapped.read_npz(tmp_path / "a.npz")


def test_a_new_array_has_its_room_and_leaves_no_file(tmp_path):
    array = mapped.new_array(tmp_path / "a", (3, 4), np.float32)
    array[:] = np.arange(12).reshape(3, 4)
    assert array.sum() == 66 and list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_and_no_signal(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="space"):
        mapped.new_array(tmp_path / "a", (3, 4), np.float32)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_reserved_the_array_is_made_all_the_same(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    assert mapped.new_array(tmp_path / "a", (3,), bool).tolist() == [False] * 3


def test_what_lies_one_behind_the_other_is_taken_apart():
    parts = [np.arange(6).reshape(2, 3), np.arange(4).reshape(1, 2, 2), np.arange(1)]
    flat = np.concatenate([part.ravel() for part in parts])
    found = mapped.apart(flat, [part.shape for part in parts])
    assert all(map(np.array_equal, found, parts)) and found[0].base is not None
    for wrong in (flat[:-1], np.tile(flat, 2), flat[None]):
        with pytest.raises(ValueError, match="its 3 parts"):
            mapped.apart(wrong, [part.shape for part in parts])

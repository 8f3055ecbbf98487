"""What the system refuses of a file, in one line with the true cause."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from aexad.bench.base.csv_files import read_text
from aexad.bench.base.errors import UserError
from aexad.bench.base.npy import read_npy
from aexad.bench.base.refusals import encodable, files_below, listed, misnamed, nowhere, refusal
from aexad.datasets import images
from aexad.methods.weights import read_state

LATIN = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("number, said", [
    (errno.EACCES, "no permission"), (errno.EPERM, "no permission"),
    (errno.ENOSPC, "no space left"), (errno.EDQUOT, "no space left"),
    (errno.ESTALE, "Stale file handle"), (errno.EIO, "Input/output error"),
    (errno.ENOENT, "not there")])
def test_each_cause_by_its_name(tmp_path, number, said):
    error = OSError(number, os.strerror(number), str(tmp_path / "a"))
    assert str(refusal(error)).startswith(f"{tmp_path / 'a'}: ") and said in str(refusal(error))
    assert said in str(refusal(OSError(number, os.strerror(number))))  # of no file


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "annex").symlink_to(".git/annex/objects/XX/a.png")  # never fetched
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "chain").symlink_to("annex")
    (tmp_path / "mounted").symlink_to(tmp_path / "not mounted")
    (tmp_path / "good").symlink_to(tmp_path)
    for name in ("annex", "round", "chain", "mounted"):
        assert nowhere(tmp_path / name) == tmp_path / name
    assert nowhere(tmp_path / "mounted" / "x" / "y.png") == tmp_path / "mounted"
    for name in ("good", "good/nothing", "nothing"):
        assert nowhere(tmp_path / name) is None
    for read in (images.read_rgb, images.marks_something, read_npy, read_state, read_text):
        for name in ("annex", "round", "chain", "mounted/y.npy"):
            with pytest.raises(UserError, match="a link to .*, which is not there; fetch"):
                read(tmp_path / name)
    with pytest.raises(UserError, match="mounted: a link to"):
        listed(tmp_path / "mounted")


@pytest.mark.parametrize("name, said", [("a.png", "Git LFS"), ("a.pth", "Git LFS")])
def test_a_pointer_in_place_of_a_file(tmp_path, name, said):
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n")
    with pytest.raises(UserError, match="a pointer of Git LFS; fetch it with git lfs pull"):
        (images.read_rgb if name == "a.png" else read_state)(path)
    path.write_text("/annex/objects/SHA256E-s12345--00.png\n")
    with pytest.raises(UserError, match="a pointer of git-annex"):
        (images.read_rgb if name == "a.png" else read_state)(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_without_permission_is_not_damaged(tmp_path, monkeypatch, number):
    """As root, who is refused nothing, the system's answer is made up."""
    np.save(tmp_path / "a.npy", np.ones(3))
    for name in ("a.png", "a.pth", "a.csv"):
        (tmp_path / name).write_bytes(b"x")
    real = open

    def closed(file, *args, **kwargs):
        if str(file).startswith(str(tmp_path)):
            raise OSError(number, os.strerror(number), str(file))
        return real(file, *args, **kwargs)

    monkeypatch.setattr("builtins.open", closed)
    monkeypatch.setattr("io.open", closed)  # pathlib's
    for name, read in (("a.png", images.read_rgb), ("a.npy", read_npy), ("a.pth", read_state),
                       ("a.csv", read_text)):
        with pytest.raises(UserError) as caught:
            read(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: no permission; give yourself")


def test_folders_that_can_not_be_read_are_not_empty(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()

    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    assert listed(tmp_path / "none") == [] and list(files_below(tmp_path)) == []
    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(os, "listdir", closed)
    for read in (listed, lambda folder: list(files_below(folder))):
        with pytest.raises(UserError, match="no permission"):
            read(tmp_path)
    told = []
    assert list(files_below(tmp_path, told.append)) == [] and len(told) == 1


@pytest.mark.parametrize("name, shown", [(LATIN, r"caf\xe9"),
                                         (os.fsdecode(b"\xff\xfe"), r"\xff\xfe")])
def test_names_that_are_not_utf8_are_shown_escaped(name, shown):
    assert not encodable(name) and not encodable(Path("a") / name) and encodable("é漢")
    assert str(misnamed(Path("a") / name)).startswith(f"a/{shown}: the name is not UTF-8")

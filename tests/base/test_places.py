"""Where things are kept, in a checkout; without one: tests/test_install.py."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from aexad.bench.base import places, provenance
from aexad.bench.base.errors import UserError

from conftest import REPOSITORY


def test_in_a_checkout_all_is_in_its_folders():
    assert places.CHECKOUT and places.ROOT == REPOSITORY
    assert (places.RESULTS, places.DATA) == (REPOSITORY / "results", REPOSITORY / "data")
    assert places.cache() == REPOSITORY / ".cache"
    assert (places.BASELINES / "mini.json").is_file()


@pytest.mark.parametrize("named, place", [("/big/cache", "/big/cache/aexad-bench"),
                                          ("", "/home/me/.cache/aexad-bench"),
                                          ("relative", "/home/me/.cache/aexad-bench")])
def test_without_one_the_cache_is_in_the_users_cache_folder(monkeypatch, named, place):
    monkeypatch.setattr(places, "CHECKOUT", False)
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", "/home/me")
    assert places.cache() == Path(place)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    monkeypatch.setattr(places, "CHECKOUT", False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with pytest.raises(UserError, match="AEXAD_CACHE"):
        places.cache()


@pytest.mark.parametrize("path, place", [("~", "/home/me"), ("~/a b", "/home/me/a b"),
                                         ("./~/a", "./~/a"), ("a~b/~", "a~b/~"), ("", "")])
def test_a_tilde_that_no_shell_has_read_is_the_home_folder(monkeypatch, path, place):
    monkeypatch.setenv("HOME", "/home/me")
    assert places.expanded(path) == place


def test_no_folder_is_made_for_a_user_who_is_not_there():
    with pytest.raises(UserError, match=r"^~no-such-user/x: no home folder for ~no-such-user; "
                                        r"write the folder out, or \./~no-such-user/x"):
        places.expanded("~no-such-user/x")


def test_variables_are_read_as_options_are(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("AEXAD_CACHE", "~/c")
    assert places.given("AEXAD_CACHE") == "/home/me/c"
    monkeypatch.setenv("AEXAD_CACHE", "")
    assert places.given("AEXAD_CACHE") is None


def test_the_commit_is_never_that_of_a_repository_around_this_one(monkeypatch):
    inside = REPOSITORY / "bench"
    monkeypatch.setattr(provenance, "ROOT", inside)
    assert provenance.commit.__wrapped__() == version("aexad-bench")

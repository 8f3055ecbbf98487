"""The version is one wherever it stands, and the lines that a plug-in changes are right."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest

from conftest import REPOSITORY

CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
LINES = re.findall(r"^ *\| `(from .*?)` \| `(from .*?)` \|$", CHANGELOG, re.M)


def test_the_version_is_one():
    config = ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    cited = re.findall(r"^version: (.*)$", (REPOSITORY / "CITATION.cff").read_text(), re.M)
    newest = re.search(r"^## (\S+) - ", CHANGELOG, re.M)
    assert cited == [newest[1]] == [config["metadata"]["version"]]


@pytest.mark.parametrize("before, now", LINES)
def test_what_plug_ins_imported_is_where_it_is_said_to_be(before, now):
    assert before.partition(" import ")[2] == now.partition(" import ")[2]
    names: dict[str, object] = {}
    exec(now, names)
    assert all(name in names for name in now.partition(" import ")[2].split(", "))


def test_lines_to_change_are_named():
    assert len(LINES) >= 7

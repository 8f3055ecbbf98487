"""Tests and faults that docs/stress.md names are there."""

from __future__ import annotations

import ast
import re

import pytest

from aexad.bench.stress import faults

from conftest import REPOSITORY

STRESS = REPOSITORY / "docs" / "stress.md"
TEXT = STRESS.read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (\d+) \|(.*)$", TEXT, re.M))
LINK = re.compile(r"\[(test_\w+\.py)::(test_\w+)\]\((\S+?)\)")


def test_each_of_the_twenty_kinds_has_its_row():
    assert list(ROWS) == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize("number", ROWS)
def test_the_tests_that_hold_a_kind_exist(number):
    held_by = ROWS[number].split(" | ")[-1]
    links = LINK.findall(held_by)
    assert links and len(links) == held_by.count("](")
    for name, test, link in links:
        path = (STRESS.parent / link).resolve()
        assert path.name == name and path.is_relative_to(REPOSITORY / "tests")
        functions = [node.name for node in ast.parse(path.read_text("utf-8")).body
                     if isinstance(node, ast.FunctionDef)]
        assert functions.count(test) == 1, f"{link} has no {test}"


def test_each_fault_is_described():
    described = re.findall(r"^\| ([^|]+?) \|", TEXT.replace("`", ""), re.M)
    for name in faults.FAULTS:
        assert any(re.match(rf"{name}\b", cell) for cell in described), name

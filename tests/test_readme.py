"""What the README shows runs as it is printed there."""

from __future__ import annotations

import re

import numpy as np
import pytest

from aexad import methods
from aexad.bench.commands import cli
from aexad.datasets import catalog

from conftest import REPOSITORY, make_category

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def recipe() -> tuple[str, str]:
    """A plug-in's code and entry, as the README has them, for a module mean_image_package."""
    [code] = re.findall(r"```python\n(# methods/.*?)```", README, re.S)
    [entry] = re.findall(r"^    ENTRY = (Entry\(.*?\))$", README, re.M)
    return code, entry.replace("my_package.mean_image", "mean_image_package")


@pytest.fixture
def written_down(tmp_path, monkeypatch):
    """The README's method and dataset, added as it says."""
    [code] = re.findall(r"```python\n(# methods/.*?)```", README, re.S)
    (tmp_path / "mean_image.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    [entry] = re.findall(r'^    "mean_image": (Entry\(.*?\)),', README, re.M)
    line = entry.replace("aexad.methods.mean_image", "mean_image")
    monkeypatch.setitem(methods.REGISTRY, "mean_image", eval(line, {"Entry": methods.Entry}))
    [dataset] = re.findall(r'^    "mpdd": (Dataset\(.*?\)\)),', README, re.M)
    monkeypatch.setitem(catalog.DATASETS, "mpdd", eval(dataset, vars(catalog)))
    methods.entries.cache_clear()
    yield
    methods.entries.cache_clear()


def test_the_example_method_and_dataset_work(written_down, tmp_path, capsys):
    make_category(tmp_path / "data" / "mpdd" / "metal_plate")
    assert cli.main(["table2", "--data-root", str(tmp_path / "data"), "--results",
                     str(tmp_path / "r"), "--datasets", "mpdd", "--methods", "mean_image",
                     "--set", "mean_image.power=1", "--set", "data.size=64"]) == 0
    line = next(li for li in capsys.readouterr().out.splitlines() if "metal_plate" in li)
    assert float(re.findall(r"\d\.\d+", line)[0]) > 0.9  # bright squares on even noise
    assert np.isfinite(float(re.findall(r"\d\.\d+", line)[2]))


def test_every_command_shown_is_one_that_exists():
    shown = set(re.findall(r"^    \./reproduce\.sh ([a-z0-9-]+)", README, re.M))
    [table] = re.findall(r"\| command \|.*?\n\n", README, re.S)
    for first in re.findall(r"^\| (`.*?) \|", table, re.M):
        shown |= set(re.findall(r"`([a-z0-9-]+)", first))
    commands = cli.parser()[1]
    assert shown <= {*commands, "test"} and len(shown) >= 18
    options = set(re.findall(r"(--[a-z][a-z-]+)", README))
    known = {o for p in commands.values() for a in p._actions for o in a.option_strings}
    assert options <= known, options - known

"""Methods of packages installed beside this one: README's recipe, and packages that don't work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aexad.bench.results.store import read_json

from conftest import make_category
from running import TINY
from test_readme import recipe


class Site:
    """A folder of installed packages, and the command line of a process that has them."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def install(self, name: str, code: str, value: str, version: str = "1.5") -> None:
        """A package of one module, with an entry point `name`."""
        (self.place / f"{name}_package.py").write_text(code)
        facts = self.place / f"{name}_package-{version}.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-package\nVersion: {version}\n")
        (facts / "entry_points.txt").write_text(
            f"[aexad_bench.methods]\n{name} = {name}_package:{value}\n")

    def call(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-P", "-m", "aexad.bench", *words], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(self.place)})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site")


OLD = ("import numpy as np\nfrom bench import maps, params as p, errors\n"
       "from bench.params import param\nfrom methods.base import Explanation\n")


def test_the_readmes_package_is_in_tables_under_its_label(site, tmp_path):
    code, entry = recipe()
    site.install("mean_image", code + "\nfrom aexad.methods.entry import Entry\n\nENTRY = " + entry,
                 "ENTRY")
    root = make_category(tmp_path / "data" / "mvtec" / "bottle").parents[1]
    done = site.call("table2", "--data-root", str(root), "--results", str(tmp_path / "r"), *TINY,
                     "--categories", "mvtec/bottle", "--methods", "mean_image",
                     "--set", "*.power=1")
    assert done.returncode == 0, done.stderr
    assert "Mean image" in done.stdout
    [fit] = (tmp_path / "r").rglob("fit.json")
    found = read_json(fit)
    assert found["declared"]["params"] == {"power": 1.0}
    assert found["provenance"]["method_libraries"] == {
        "mean_image-package": "1.5", "numpy": found["provenance"]["libraries"]["numpy"]}
    assert "mean_image-package" not in found["provenance"]["libraries"]


def test_a_package_with_the_old_imports_is_named_with_the_lines_to_change(site, tmp_path):
    site.install("old", OLD, "Old")
    listed = site.call("methods")
    assert listed.returncode == 0, listed.stderr
    assert "AE-XAD ViT frozen" in listed.stdout
    assert "old: cannot be used, old_package:Old: ModuleNotFoundError: No module named 'bench'" in (
        listed.stdout)
    path = site.place / "old_package.py"
    assert (f"  {path}:2: from bench import maps, params as p, errors\n"
            f"    to: from aexad.bench.measure import maps; "
            f"from aexad.bench.base import params as p, errors\n"
            f"  {path}:3: from bench.params import param\n"
            f"    to: from aexad.bench.base.params import param\n"
            f"  {path}:4: from methods.base import Explanation\n"
            f"    to: from aexad.methods.base import Explanation\n") in listed.stdout


@pytest.mark.parametrize("code, reason", [
    (OLD, "ModuleNotFoundError: No module named 'bench'"),
    ("1 +", "SyntaxError: invalid syntax (broken_package.py, line 1)"),
    ("raise OSError('no licence\\nhere')", "OSError: no licence"),
    ("class Other: pass", "AttributeError: module 'broken_package' has no attribute 'Method'"),
    ("class Method: version = 1", "TypeError: Method has no fit_params, explain_params")])
def test_a_package_that_does_not_work_is_refused_only_when_it_is_asked_for(site, code, reason):
    site.install("broken", code, "Method")
    everyone = site.call("methods", "ae_xad", "--set", "*.epochs=7")
    assert everyone.returncode == 0 and "7" in everyone.stdout, everyone.stderr
    asked = site.call("methods", "broken")
    assert asked.returncode == 2 and asked.stdout == ""
    [line] = asked.stderr.splitlines()
    assert line.startswith(f"error: method 'broken': cannot import broken_package:Method ({reason}")


def test_no_package_takes_one_of_our_names(site):
    site.install("ae_xad", "class Method:\n    fit_params = explain_params = version = 1", "Method")
    listed = site.call("methods", "ae_xad")
    assert listed.returncode == 0 and "ae_xad.lr_gamma" in listed.stdout


def test_a_package_may_import_torchvision_whatever_torch_there_is(site):
    site.install("seeing", "import torchvision\nfrom torchvision.models import resnet18\n"
                 "from aexad.methods.ae_xad import AEXAD as Method\n", "Method")
    listed = site.call("methods")
    assert listed.returncode == 0 and "cannot be used" not in listed.stdout
    assert "\nseeing " in listed.stdout

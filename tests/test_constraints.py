"""constraints.txt: it fits setup.cfg and what is installed, whatever build torch is of."""

from __future__ import annotations

import configparser
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import REPOSITORY
from make_constraints import HEAD, PROJECT, required


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    text = (REPOSITORY / "constraints.txt").read_text()
    assert text.startswith(HEAD)
    return dict(line.split("==") for line in text.removeprefix(HEAD).splitlines())


def test_it_agrees_with_every_pin_of_the_setup(pinned):
    config = configparser.ConfigParser(interpolation=None)
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    listed = config["options"]["install_requires"] + "".join(
        config["options.extras_require"][extra] for extra in PROJECT.extras)
    asked = [Requirement(line) for line in listed.splitlines()
             if line.strip() and not line.startswith("#")]
    assert len(asked) > 20
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        assert f"=={pinned.get(name)}" == str(requirement.specifier), requirement


def test_it_has_everything_that_is_required_here(pinned):
    assert required().keys() <= pinned.keys()


def test_torch_of_any_build_fits_it(pinned):
    assert pinned["torch"] and not [v for v in pinned.values() if "+" in v]
    assert not [n for n in pinned if re.match("nvidia|cuda|triton", n) and n != "nvidia-ml-py"]

"""What README, docs/python.md and the notebook show runs as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aexad
from aexad.bench.base import places
from aexad.bench.figures import plotting  # a backend that needs no screen

from conftest import REPOSITORY

assert plotting


def blocks(page: str) -> list[str]:
    """The Python of a page that begins with, or goes on after, `import aexad`."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found: list[str] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for block in found if "aexad." in block and "from aexad" not in block]


@pytest.fixture
def brief(monkeypatch, tmp_path):
    """In an empty folder, with a few of the example's images and the protocol for tests."""
    whole = aexad.example()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "RESULTS", tmp_path / "results")
    keep = np.r_[:4, -4:0]
    monkeypatch.setattr("aexad.harness.example", lambda category="part": type(whole)(
        whole.images[keep], whole.masks[keep], whole.new_images[::4], whole.new_masks[::4]))
    init = aexad.AEXAD.__init__
    monkeypatch.setattr(aexad.AEXAD, "__init__", lambda self, **options: init(
        self, **{**options, "protocol": "smoke"} if "epochs" not in options else options))


def executed(*sources: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for source in sources:
        exec(compile(source, "docs", "exec"), names)
    return names


@pytest.mark.parametrize("page, count", [("README.md", 1), ("docs/python.md", 2)])
def test_pages(page, count, brief):
    found = blocks(page)
    assert len(found) == count
    names = executed(*found)
    assert names["heatmaps"].shape == names["found"].shape == names["new_images"].shape[:3]
    assert Path("model", "model.json").exists()
    if count == 2:
        assert set(names["frame"].metric) == {"auc", "f1", "iou"} and len(names["stored"]) > 20


def test_the_notebook(brief, capsys):
    notebook = json.loads((REPOSITORY / "docs" / "python.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names = executed(*("".join(cell["source"]) for cell in cells))
    assert "detection AUC" in capsys.readouterr().out and len(names["axes"]) == 4
    assert names["again"].method == "ae_xad"

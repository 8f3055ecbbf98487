"""The lines of docs/deploy.md, as they stand, where neither this package nor PyTorch is."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

import aexad

from conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
ALONE = """
import runpy, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("aexad", "bench", "torch", "onnx", "scipy"):
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
runpy.run_path("lines.py")
"""


@pytest.fixture(scope="module")
def lines() -> str:
    [block] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return block


def test_they_are_few(lines):
    assert len(lines.splitlines()) <= 15
    imported = re.findall(r"^(?:import|from) (\w+)", lines, re.MULTILINE)
    assert imported == ["numpy", "onnxruntime", "PIL"]


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("onnxruntime"), reason="THE LINES OF docs/deploy.md WERE NOT RUN:"
                    " no onnxruntime; pip install '.[onnx]'")
def test_they_write_an_overlay(lines, tmp_path):
    images, masks, new_images, _ = aexad.example()
    keep = np.r_[:4, -4:0]
    model = aexad.AEXAD(protocol="smoke", size=64, threads=1).fit(images[keep], masks[keep])
    image = new_images[-1][:, :200]
    found = model.explain([image])
    model.export(tmp_path / "model.onnx")
    Image.fromarray(image).save(tmp_path / "image.png")
    (tmp_path / "lines.py").write_text(lines)
    done = subprocess.run([sys.executable, "-P", "-W", "error", "-c", ALONE], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    share = f"{found.masks[0].mean():.1%}"
    assert done.stdout == f"score {found.scores[0]:.4g}; {share} of the pixels are anomalous\n"
    drawn = np.asarray(Image.open(tmp_path / "overlay.png")).astype(float)
    assert drawn.shape == image.shape
    heat = found.heatmaps[0]  # red where it is high, in the image's grey
    assert drawn[heat > np.quantile(heat, 0.99), 0].mean() > 150
    grey = np.asarray(Image.fromarray(image).convert("L"))
    low = heat <= heat.min() + 0.01 * (np.quantile(heat, 0.995) - heat.min())
    assert np.abs(drawn[low] - 0.35 * grey[low, None]).max() <= 0.65 * 8 + 1


def test_the_page_names_every_output_and_refusal():
    for name in ("images", "heatmap", "mask", "score", "k", "segments=components",
                 "score_map=prob_sum"):
        assert f"`{name}`" in PAGE

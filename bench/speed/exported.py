"""`./reproduce.sh benchmark --exported MODEL`: images per second of a trained method as `explain`
runs it (PyTorch, NumPy, SciPy), by torch.export and by ONNX Runtime, in turn in the same run."""

from __future__ import annotations

import io
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from aexad.bench.base.errors import UserError
from aexad.bench.base.provenance import collect
from aexad.bench.deploy import formats, graphs
from aexad.bench.measure import maps
from aexad.bench.results import model
from aexad.bench.results.store import write_json
from aexad.bench.run.task import repeatable
from aexad.bench.speed.case import images, seconds
from aexad.datasets.data_params import DataParams

BATCHES = (1, 16)
TILE_OVERLAP = DataParams().tile_overlap  # what it is without tiles
ROUNDS = 5
Way = Callable[[np.ndarray], dict[str, np.ndarray]]


def main(folder: Path, weights: Path | None, threads: int, out: Path | None = None) -> int:
    """Print what was measured; of a model that cuts images into tiles, on images of one tile."""
    repeatable("cpu", threads)
    known = model.read(folder)
    known = replace(known, data=replace(known.data, tile=None, tile_overlap=TILE_OVERLAP))
    with threadpool_limits(threads):
        ways = _ways(folder, known, weights, threads)
        rows = [row for batch in BATCHES for row in _measure(ways, known.data.size, batch)]
    where = collect(torch.device("cpu"), threads)
    print(f"{known.method}, {known.data.size} px, {where['device']}, {threads} threads, torch "
          f"{torch.__version__}, commit {where['commit']}\n")
    print(tabulate([(row["way"], row["batch"], f"{row['images_per_s']:.2f}",
                     f"{row['ratio']:.2f}x", row["other_k"], row["other_pixels"],
                     f"{row['difference']:.1e}") for row in rows],
                   ("way", "images at once", "images/s", "of PyTorch's", "other k",
                    "other mask pixels", "largest difference of maps"), disable_numparse=True,
                   colalign=("left", *["right"] * 6)))
    if out:
        write_json(out, {"provenance": where, "model": known.sha256, "speed": rows})
        print(f"written: {out}", file=sys.stderr)
    return 0


def _ways(folder: Path, known: model.Model, weights: Path | None, threads: int
          ) -> dict[str, Way]:
    """How to explain images of the working size."""
    method = model.open_method(folder, known, weights, "cpu")
    program = graphs.taken_down(graphs.whole(method, known))
    loaded = torch.export.load(io.BytesIO(formats.torch_bytes(program, {}))).module()

    def explain(pixels: np.ndarray) -> dict[str, np.ndarray]:
        made = model.explain(method, pixels, "an image of noise")
        masks = np.stack([maps.binarize(h, known.a) for h in made.heatmaps])
        return {"heatmap": made.heatmaps, "mask": masks, "score": made.scores, **made.extras}

    @torch.inference_mode()
    def exported(pixels: np.ndarray) -> dict[str, np.ndarray]:
        return {name: v.numpy() for name, v in loaded(torch.from_numpy(pixels)).items()}

    session = _session(formats.onnx_bytes(program, formats.metadata(
        known, formats.outputs(program))), threads)
    names = [value.name for value in session.get_outputs()]

    def runtime(pixels: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {graphs.INPUT: pixels})))

    return {"PyTorch (explain)": explain, "torch.export": exported, "ONNX Runtime": runtime}


def _session(content: bytes, threads: int) -> Any:
    formats.check_packages()
    try:
        import onnxruntime
    except ImportError:
        raise UserError("--exported needs the package onnxruntime, which is not installed: pip "
                        "install 'aexad-bench[onnx]' (in a checkout '.[onnx]')") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def _measure(ways: dict[str, Way], size: int, batch: int) -> list[dict[str, Any]]:
    """What all say of the same images is compared, then they take turns, so that a busy moment of
    the machine hits all."""
    pixels = images(batch, size).images
    said = {name: way(pixels) for name, way in ways.items()}  # warms up, too
    times = [{name: seconds(lambda way=way: way(pixels)) for name, way in ways.items()}
             for _ in range(ROUNDS)]
    spent = {name: statistics.median(each[name] for each in times) for name in ways}
    first = next(iter(ways))
    return [{"way": name, "batch": batch, "images_per_s": batch / spent[name],
             "ratio": spent[first] / spent[name],
             "other_k": int((said[name].get("k", np.zeros(1)) != said[first].get("k", 0)).sum()),
             "other_pixels": int((said[name]["mask"] != said[first]["mask"]).sum()),
             "difference": float(np.abs(said[name]["heatmap"] - said[first]["heatmap"]).max())}
            for name in ways]

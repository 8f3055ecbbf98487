"""What a trained method says of images, as files: overlays of a test set; maps, binary maps,
overlays and scores of new images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from aexad.bench.figures import overlays, stored
from aexad.bench.measure import maps
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.new_images import New
from aexad.bench.results import model
from aexad.bench.results.store import write_file, write_json
from aexad.bench.run import task
from aexad.bench.run.job import Options
from aexad.datasets.images import narrow, read_image, read_rgb

BATCH = 64  # images read at a time; a multiple of what methods explain at a time, so that the
#             images of a folder get the same maps in parts as at once


def write_overlays(cell: Cell, options: Options, folder: Path) -> int:
    """An overlay of every test image of a stored cell, at its own resolution, the masks' outlines
    as the metrics see them. Returns how many; 0 where the cell's maps are not here."""
    heatmaps, fit = stored.heatmaps(cell, options), cell.fit
    if heatmaps is None:
        return 0
    tested = stored.tested(fit, options)
    files = {item.id: item.image for item in options.library.scan(fit.dataset, fit.category)}
    for name, heatmap, mask in zip(tested.ids.tolist(), heatmaps, tested.masks, strict=True):
        image = read_rgb(files[name], fit.data.bits)
        made = overlays.overlay(image, overlays.at_size(heatmap, image.shape[:2]),
                                overlays.mask_at_size(mask, image.shape[:2]))
        overlays.save(folder / f"{name.removeprefix('test/')}.png", made)
    return len(heatmaps)


def write_new(found: list[New], folder: Path, known: model.Model, weights: Path | None,
              device: str, threads: int, out: Path) -> None:
    """Explain new images with the model in `folder`, of which model.json says `known`, and write
    all that there is of each below `out`: maps/, masks/, overlays/ at the image's own size, and
    scores.csv and scores.json, which says of which model they are."""
    task.repeatable(device, threads)
    rows: list[dict[str, Any]] = []
    with threadpool_limits(threads):
        method = model.open_method(folder, known, weights, device)
        for i in range(0, len(found), BATCH):
            rows += _explained(method, known, found[i:i + BATCH], out)
            print(f"{len(rows)} of {len(found)} images", file=sys.stderr)
    table = pd.DataFrame(rows)
    write_file(out / "scores.csv", lambda p: table.to_csv(p, index=False, lineterminator="\n"))
    write_json(out / "scores.json", {
        "model": {"folder": str(folder), "method": known.method, "sha256": known.sha256,
                  "binary_maps": model.RULE, "a": known.a}, "images": rows})


def _explained(method: Any, known: model.Model, found: list[New], out: Path
               ) -> list[dict[str, Any]]:
    """Explain a few images and write what there is of each but the scores, which are returned."""
    data = known.data
    read = np.stack([read_image(new.path, data.size, data.image_interp, data.bits)[0]
                     for new in found])
    _warn(read, found)
    made = model.explain(method, read, [str(new.path) for new in found])
    rows = []
    for i, new in enumerate(found):
        image = read_rgb(new.path, data.bits)
        heatmap = overlays.at_size(made.heatmaps[i], image.shape[:2])
        [threshold] = maps.thresholds(maps.mean_std(made.heatmaps[i]), [known.a], heatmap.dtype)
        binary = heatmap > threshold
        overlays.save_map(out / "maps" / f"{new.id}.npy", heatmap)
        overlays.save(out / "masks" / f"{new.id}.png", binary)
        overlays.save(out / "overlays" / f"{new.id}.png", overlays.overlay(image, heatmap))
        rows.append({"id": new.id, "file": str(new.path), "width": image.shape[1],
                     "height": image.shape[0], "score": float(made.scores[i]),
                     "threshold": float(threshold), "share": float(binary.mean()),
                     **{name: values[i].item() for name, values in made.extras.items()}})
    return rows


def _warn(images: np.ndarray, found: list[New]) -> None:
    """Say that images are nearly black or without contrast as they are read."""
    few = np.flatnonzero(narrow(images))
    if len(few):
        low, high = int(images[few[0]].min()), int(images[few[0]].max())
        print(f"warning: {len(few)} images use a small part of their range ({found[few[0]].path}: "
              f"{low} to {high} of 255, as it is read); scale their values as those of the images "
              f"that trained", file=sys.stderr)

"""What a trained method says of images, as files: overlays of a test set; maps, binary maps,
overlays and scores of new images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from aexad.bench.base.errors import UserError, say
from aexad.bench.figures import overlays, stored
from aexad.bench.measure import maps
from aexad.bench.measure.tiles import Ragged
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.new_images import Found, New
from aexad.bench.results import model
from aexad.bench.results.store import write_file, write_json
from aexad.bench.run import task
from aexad.bench.run.job import Options
from aexad.datasets.images import narrow, narrow_range, read_rgb, read_working
from aexad.methods.base import finite
from aexad.methods.tiled import Images

BATCH = 64  # images read at a time; a multiple of what methods explain at a time, so that the
#             images of a folder get the same maps in parts as at once


def write_overlays(cell: Cell, options: Options, folder: Path) -> int:
    """An overlay of every test image of a stored cell, at its own resolution, the masks' outlines
    as the metrics see them. Returns how many; 0 where the cell's maps are not here."""
    fit = cell.fit
    tested = stored.tested(fit, options)
    heatmaps = stored.heatmaps(cell, options, tested)
    if heatmaps is None:
        return 0
    files = {item.id: item.image for item in options.library.scan(fit.dataset, fit.category)}
    for name, heatmap, mask in zip(tested.ids.tolist(), heatmaps, tested.masks, strict=True):
        image = read_rgb(files[name], fit.data.bits)
        made = overlays.overlay(image, overlays.at_size(heatmap, image.shape[:2]),
                                overlays.mask_at_size(mask, image.shape[:2]),
                                overlays.top_of(heatmap, fit.data.tiling))
        overlays.save(folder / f"{name.removeprefix('test/')}.png", made)
    return len(heatmaps)


def write_new(found: Found, folder: Path, known: model.Model, weights: Path | None,
              device: str, threads: int, out: Path) -> int:
    """Explain new images with the model in `folder`, of which model.json says `known`, and write
    all that there is of each below `out`: maps/, masks/, overlays/ at the image's own size, and
    scores.csv and scores.json, which says of which model they are. Returns how many are left out,
    as they can't be read or their maps are no numbers; that is said. UserError where all are."""
    task.repeatable(device, threads)
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []

    def leave_out(reason: str) -> None:
        left_out.append(reason)
        say(f"left out: {reason}")

    for reason in found.left_out:
        leave_out(reason)
    with threadpool_limits(threads):
        method = model.open_method(folder, known, weights, device)
        try:
            for batch in _batches(found.images, known, leave_out):
                for row in _explained(method, known, batch, out, leave_out):
                    rows.append(row)
                print(f"{len(rows)} of {len(found.images)} images", file=sys.stderr)
        finally:  # also after Ctrl-C: the maps that are there have their scores
            if rows:
                _write_scores(rows, folder, known, out)
    if not rows:
        raise UserError(left_out[0])
    return len(left_out)


def _write_scores(rows: list[dict[str, Any]], folder: Path, known: model.Model, out: Path) -> None:
    table = pd.DataFrame(rows)
    write_file(out / "scores.csv", lambda p: table.to_csv(p, index=False, lineterminator="\n"))
    write_json(out / "scores.json", {
        "model": {"folder": str(folder), "method": known.method, "sha256": known.sha256,
                  "binary_maps": model.RULE, "a": known.a}, "images": rows})


def _batches(images: list[New], known: model.Model, leave_out: Callable[[str], None]
             ) -> Iterator[list[tuple[New, np.ndarray]]]:
    """The images that can be read, BATCH at a time, with their pixels at the working size; of
    images that are cut into tiles as many as have that many tiles."""
    batch, size, tiling = [], 0, known.data.tiling
    for new in images:
        try:
            pixels, _ = read_working(new.path, known.data)
        except UserError as error:
            leave_out(str(error))
            continue
        batch.append((new, pixels))
        size += tiling.count(pixels.shape) if tiling else 1
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _explained(method: Any, known: model.Model, batch: list[tuple[New, np.ndarray]], out: Path,
               leave_out: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Explain a few images and write what there is of each but its row of the scores, which comes
    back."""
    found = [new for new, _ in batch]
    pixels, tiling = [pixels for _, pixels in batch], known.data.tiling
    read = Ragged(pixels, tiling) if tiling else np.stack(pixels)
    _warn(read, found)
    made = model.explain(method, read, str(found[0].path))
    numbers = finite(made)
    for i, new in enumerate(found):
        if not numbers[i]:
            leave_out(f"{new.path}: the model gives values that are no numbers; train it again")
            continue
        try:
            image = read_rgb(new.path, known.data.bits)
        except UserError as error:  # gone since
            leave_out(str(error))
            continue
        heatmap = overlays.at_size(made.heatmaps[i], image.shape[:2])
        [threshold] = maps.thresholds(maps.mean_std(made.heatmaps[i]), [known.a], heatmap.dtype)
        binary = heatmap > threshold
        overlays.save_map(out / "maps" / f"{new.id}.npy", heatmap)
        overlays.save(out / "masks" / f"{new.id}.png", binary)
        top = overlays.top_of(made.heatmaps[i], known.data.tiling)
        overlays.save(out / "overlays" / f"{new.id}.png",
                      overlays.overlay(image, heatmap, top=top))
        yield {"id": new.id, "file": str(new.path), "width": image.shape[1],
               "height": image.shape[0], "score": float(made.scores[i]),
               "threshold": float(threshold), "share": float(binary.mean()),
               **{name: values[i].item() for name, values in made.extras.items()}}


def _warn(images: Images, found: list[New]) -> None:
    """Say that images are nearly black or without contrast as they are read."""
    few = np.flatnonzero(narrow(images))
    if len(few):
        said = narrow_range(images[few[0]], found[few[0]].path)
        say(f"warning: {len(few)} images {said}; scale their values as those of the images that "
            f"trained")

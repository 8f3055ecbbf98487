"""What is on disk under results/. Everything is written to a neighbour first and then renamed, the
file that says 'done' last, so that whatever exists is whole."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aexad.bench.base.errors import UserError, one_line
from aexad.bench.base.files import neighbour, sweep
from aexad.bench.base.json_files import read_object
from aexad.bench.base.refusals import FULL, listed, nowhere, reading, refusal
from aexad.bench.plan.cells import Cell, Fit
from aexad.bench.results import shapes

if TYPE_CHECKING:
    import pandas as pd
    import torch

FIT, CELL, HEATMAPS = "fit.json", "cell.json", "heatmaps.npy"
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # to a file system
SHAPES = {FIT: shapes.FIT, CELL: shapes.CELL}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = ("free some space" if error.errno in FULL else
                  "choose another folder (--results, or the option that named this one)")
        raise UserError(f"{path}: cannot write ({error.strerror or error}); {remedy} and run the "
                        f"same command again, nothing finished is lost") from None


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Create `path` whole or not at all; `write` gets the path of a temporary neighbour."""
    write_files({path: write})


def as_bytes(state: dict[str, torch.Tensor]) -> bytes:
    """The file model.safetensors of what training produced."""
    from safetensors.torch import save  # which needs torch: who reads numbers doesn't

    return save({k: v.detach().cpu().contiguous().clone() for k, v in state.items()})


def write_files(writers: dict[Path, Callable[[Path], None]]) -> None:
    """As `write_file`, several that belong together: each is whole on the disk before the first
    is renamed, so that a disk that is full leaves all of them as they were."""
    begun: list[Path] = []
    try:
        for path, write in writers.items():
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                begun.append(path)
                building = neighbour(path)
                write(building)
                _sync(building)
        for path in writers:
            with writing(path):
                os.replace(neighbour(path), path)
    finally:
        for path in begun:
            with writing(path):
                neighbour(path).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Whole on the disk from now on, as far as that can be had: some network disks (CIFS, FUSE)
    know no syncing, and what was written is there all the same."""
    with open(path, "rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """A table without its index. The file is opened here: the system's encoding of its name may be
    another than Arrow's, which is UTF-8."""
    with open(path, "wb") as file:
        table.to_parquet(file, index=False)


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_file(path, json_writer(content))


def json_writer(content: dict[str, Any]) -> Callable[[Path], None]:
    """What `write_file` needs to write an object as JSON."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    return lambda path: path.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is none. A damaged one counts as not there, and is
    said: what it stood for is made again. UserError where there is one that can't be read for want
    of permission, or a link to one that was not fetched: it may be whole."""
    try:
        return read_object(path)
    except PermissionError as error:
        raise refusal(error, path) from None
    except FileNotFoundError as error:
        if nowhere(path):
            raise refusal(error, path) from None
        return None
    except (OSError, ValueError) as error:
        _say_damaged(path, str(error))
    return None


def read_info(path: Path) -> dict[str, Any] | None:
    """The content of a fit.json or cell.json, as `read_json`; one that lacks a field that is read
    from it, or has another type there, is damaged, too."""
    info = read_json(path)
    wrong = info and shapes.wrong_in(info, SHAPES[path.name])
    if wrong:
        _say_damaged(path, f"field {wrong[:80]}")
    return None if wrong else info


def done(path: Path) -> dict[str, Any] | None:
    """The fit.json or cell.json of something finished, else None."""
    info = read_info(path)
    return info if info and info["status"] == "done" else None


@cache  # once for each file, however often it is looked at
def _say_damaged(path: Path, reason: str) -> None:
    print(f"warning: {one_line(f'{path}: damaged ({reason})')}; it counts as not there",
          file=sys.stderr)


def _below(folder: Path, depth: int, name: str) -> list[Path]:
    """The files of a name that many folders below `folder`, sorted. UserError where a folder can't
    be read: glob would say that nothing is stored."""
    level = [folder]
    for _ in range(depth):
        level = [path for base in level for path in listed(base)]
    return [path / name for path in level if os.path.lexists(path / name)]


class Store:
    """The results folder. `guard` is called before a fit or cell is written, and raises when that
    is no longer the caller's to do (bench/run/claims.py)."""

    def __init__(self, root: Path, guard: Callable[[], None] = lambda: None) -> None:
        self.root, self.guard = Path(root), guard

    def check_writable(self) -> None:
        """UserError when nothing can be written below the root."""
        sweep(self.root)
        write_file(self.root / ".writable", lambda p: p.write_text(""))
        (self.root / ".writable").unlink(missing_ok=True)

    @property
    def read_only(self) -> bool:
        """Whether there are results in which nothing can be written, such as those on a mount."""
        return self.root.is_dir() and not os.access(self.root, os.W_OK)

    def write_table(self, stem: str, texts: dict[str, str]) -> None:
        """Write a table or report below tables/, a file for each ending of `texts`, and say where.
        In results that can't be written this is said, and nothing more is done: the table is
        printed."""
        folder = self.root / "tables"
        if self.read_only:
            print(f"note: {folder}: read-only; the table is not written there", file=sys.stderr)
            return
        sweep(folder)
        for ending, text in texts.items():
            write_file(folder / f"{stem}.{ending}",
                       lambda p, text=text: p.write_text(text, encoding="utf-8"))
        print(f"written: {folder / stem}.{', .'.join(texts)}", file=sys.stderr)

    # -- fits --

    def fit_dir(self, fit: Fit) -> Path:
        return self.root / "fits" / f"{fit.name}-{fit.key}"

    def fit_info(self, fit: Fit) -> dict[str, Any] | None:
        """fit.json of a finished fit whose model is there, else None."""
        folder = self.fit_dir(fit)
        return done(folder / FIT) if (folder / "model.safetensors").exists() else None

    def all_fits(self) -> Iterator[dict[str, Any]]:
        """fit.json of every finished fit."""
        for path in _below(self.root / "fits", 1, FIT):
            if info := done(path):
                yield info

    def save_fit(self, fit: Fit, state: dict[str, torch.Tensor], info: dict[str, Any]) -> None:
        self.save_model(fit, state)
        self.guard()
        write_json(self.fit_dir(fit) / FIT, {"status": "done", **info})
        self.checkpoint(fit).unlink(missing_ok=True)

    def save_model(self, fit: Fit, state: dict[str, torch.Tensor]) -> None:
        self.guard()
        # Not by safetensors' own writer, which makes files that only their owner can read, takes no
        # name but UTF-8 and hides the system's error.
        write_file(self.fit_dir(fit) / "model.safetensors",
                   lambda p: p.write_bytes(as_bytes(state)))

    def load_model(self, fit: Fit) -> dict[str, torch.Tensor]:
        from safetensors.torch import load  # as in as_bytes

        from aexad.methods.weights import LOAD_ERRORS

        path = self.fit_dir(fit) / "model.safetensors"
        try:
            with reading(path):
                return load(path.read_bytes())
        except LOAD_ERRORS as error:
            raise UserError(f"{path}: damaged model ({error}); delete its folder and run the same "
                            f"command again") from None

    def checkpoint(self, fit: Fit) -> Path:
        return self.fit_dir(fit) / "checkpoint.pt"

    def save_failure(self, work: Fit | Cell, error: dict[str, Any]) -> None:
        """Keep why a fit or cell failed; it is tried again at the next run."""
        self.guard()
        path = self.fit_dir(work) / FIT if isinstance(work, Fit) else self.cell_dir(work) / CELL
        write_json(path, {"status": "failed", **error})

    # -- cells --

    def cell_dir(self, cell: Cell) -> Path:
        fit = cell.fit
        return (self.root / "cells" / fit.dataset / fit.category / fit.scenario / cell.method
                / f"seed{fit.seed}-{cell.key}")

    def cell_info(self, cell: Cell) -> dict[str, Any] | None:
        """cell.json of a finished cell, else None."""
        return done(self.cell_dir(cell) / CELL)

    def all_cells(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The folder and cell.json of every finished cell."""
        for path in _below(self.root / "cells", 5, CELL):
            if info := done(path):
                yield path.parent, info

    def fit_behind(self, cell: dict[str, Any]) -> dict[str, Any]:
        """fit.json of the fit that a cell.json is of, {} where that is gone; the model may be."""
        fit = cell["fit"]
        name = Fit(fit["method"], fit["dataset"], fit["category"], fit["scenario"], fit["seed"],
                   None, None).name
        return done(self.root / "fits" / f"{name}-{cell['declared']['fit']}" / FIT) or {}

    def failures(self) -> Iterator[tuple[str, str, str, str, str]]:
        """(dataset, category, scenario, method, why) of every cell or fit that failed last time; of
        a fit the method that is trained."""
        for path in _below(self.root / "cells", 5, CELL):
            if (info := read_info(path)) and info["status"] == "failed":
                yield *path.relative_to(self.root / "cells").parts[:4], one_line(info["error"])
        for path in _below(self.root / "fits", 1, FIT):
            if (info := read_info(path)) and info["status"] == "failed":
                place = path.parent.name.split("-")
                yield *place[:3], "-".join(place[3:-2]), one_line(info["error"])

    def failure(self, cell: Cell) -> str | None:
        """Why the cell or its fit failed last time, or None."""
        for path in (self.cell_dir(cell) / CELL, self.fit_dir(cell.fit) / FIT):
            info = read_info(path)
            if info and info["status"] == "failed":
                return one_line(info["error"])
        return None

    def save_cell(self, cell: Cell, images: pd.DataFrame, info: dict[str, Any],
                  heatmaps: Sequence[np.ndarray] | None = None) -> None:
        """heatmaps: of mixed sizes they are kept one behind the other, flat."""
        self.guard()
        folder = self.cell_dir(cell)
        write_file(folder / "images.parquet", lambda p: write_parquet(p, images))
        if heatmaps is not None:
            def write(path: Path) -> None:
                with open(path, "wb") as file:
                    mixed = len({heatmap.shape for heatmap in heatmaps}) > 1
                    np.save(file, np.concatenate([h.ravel() for h in heatmaps]) if mixed
                            else np.stack(heatmaps))
            write_file(folder / HEATMAPS, write)
        self.guard()
        write_json(folder / CELL, {"status": "done", **info})

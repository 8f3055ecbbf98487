"""Numbers worth keeping in the repository: the cells of a table with all their provenance, in a
JSON file, and a row per test image in a parquet file beside it, which it names with its sha256.

The rows are those of image_rows.per_image, F1 and IoU rounded to float32: means move by less than
1e-7, no order of two images turns round, and equal numbers stay equal. All else is exact.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from aexad.bench.base.errors import UserError, first_line
from aexad.bench.base.json_files import mismatch, read_object
from aexad.bench.base.refusals import reading
from aexad.bench.measure import regression
from aexad.bench.measure.names import METRIC_COLUMNS
from aexad.bench.measure.regression import Entry
from aexad.bench.plan.cells import SCENARIOS, Cell, all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.results import readings
from aexad.bench.results.image_rows import KEYS, STORED, UNREADABLE, of_folder, read, read_columns
from aexad.bench.results.shapes import BASELINE
from aexad.bench.results.store import Store, json_writer, write_files
from aexad.datasets.catalog import DATASETS, all_categories

ROUNDED = [name for name in METRIC_COLUMNS if name.startswith(("f1_", "iou_"))]
TEXTS = ["dataset", "category", "scenario", "method", "key", "id", "kind"]
ANEW = "make it anew with check --update, or with --save-baseline of a table"


def save(path: Path, cells: Sequence[Cell], store: Store, command: str, note: str,
         settings: dict[str, Any]) -> int:
    """Write the finished ones of `cells`; returns how many there are. Without any, nothing is
    written. note: what a reader must know about the data; settings: protocol, epochs and set as
    they were given."""
    done = [cell for cell in cells if store.cell_info(cell)]
    if done:
        write(path, [entry(cell, store) for cell in done], rows(done, store), command, note,
              settings=settings)
    return len(done)


def add(path: Path, cells: Sequence[Cell], store: Store, command: str, note: str,
        settings: dict[str, Any]) -> tuple[int, int]:
    """As `save`, but what the file has stays, and its cells are not written again, but for energy
    that is now measured alone and was not before. Returns how many cells are new, and of how many
    the energy is. Its `command` becomes all commands that added to it."""
    if not path.exists():
        return save(path, cells, store, command, note, settings), 0
    before = load(path)
    done = [cell for cell in cells if store.cell_info(cell)]
    new = lacking(path, done, settings)
    unsound = _unsound(before)
    again = {cell.key: found for cell in done
             if cell.key in unsound and _sound(found := _emissions(cell, store))}
    if new or again:
        commands = dict.fromkeys([*(before.get("command") or "").split(" && "), command])
        write(path, [*(kept | ({"emissions": again[kept["key"]]} if kept["key"] in again else {})
                       for kept in before["cells"]), *(entry(cell, store) for cell in new)],
              pd.concat([images(path), *([rows(new, store)] if new else [])], ignore_index=True),
              " && ".join(filter(None, commands)), note, settings=settings)
    return len(new), len(again)


def lacking(path: Path, cells: Sequence[Cell], settings: dict[str, Any], strict: bool = False
            ) -> list[Cell]:
    """Those of `cells` that the file does not have; strict: or whose energy was not measured alone
    there. UserError when none can be added to it."""
    if not path.exists():
        return list(cells)
    there = load(path)
    if there.get("settings") != settings:
        raise UserError(f"{path}: has cells of other options than --protocol, --epochs and --set "
                        f"of now ({there.get('settings')}); name another file")
    kept = set(images(path)["key"])
    if strict:
        kept -= _unsound(there)
    return [cell for cell in cells if cell.key not in kept]


def _unsound(content: dict[str, Any]) -> set[str]:
    """Keys of a baseline's cells whose energy was not measured alone."""
    return {cell["key"] for cell in content["cells"] if not _sound(cell.get("emissions"))}


def _sound(emissions: dict[str, Any] | None) -> bool:
    return readings.sound(*((emissions or {}).get(what) for what in ("fit", "explain")))


def _emissions(cell: Cell, store: Store) -> dict[str, Any]:
    found = readings.of_cell(cell, store)
    return {"fit": found.fit, "explain": found.explain}


def write(path: Path, entries: Sequence[dict[str, Any]], frame: pd.DataFrame, command: str,
          note: str, **more: Any) -> None:
    """Write both files, whole, or neither. entries: of `entry`; frame: of `rows`."""
    content, beside = _parquet(frame), path.with_suffix(".parquet")
    named = {"file": beside.name, "sha256": hashlib.sha256(content).hexdigest()}
    write_files({beside: lambda p: p.write_bytes(content), path: json_writer(
        {"command": command, "note": note, "cells": entries, "images": named, **more})})


def _parquet(frame: pd.DataFrame) -> bytes:
    """Small: no copies of the schema, and the bytes of floats that change least together."""
    floats = [name for name in frame if frame[name].dtype.kind == "f"]
    table = pyarrow.Table.from_pandas(frame.astype(dict.fromkeys(ROUNDED, "float32")),
                                      preserve_index=False).replace_schema_metadata(None)
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd", use_dictionary=TEXTS,
                        use_byte_stream_split=floats, store_schema=False, write_statistics=False)
    return file.getvalue()


def load(path: Path) -> dict[str, Any]:
    """The content of the JSON file, which may be of before there were images. Raises UserError when
    it is none."""
    try:
        with reading(path):
            content = read_object(path)
        wrong = mismatch(content, BASELINE)
        if wrong is None:
            return content
        reason = f"field {wrong[:80]}"
    except FileNotFoundError:
        raise UserError(f"{path}: no such baseline; {ANEW.replace('it anew', 'one')}") from None
    except (OSError, ValueError) as error:
        reason = str(error)
    raise UserError(f"{path}: not a baseline ({reason}); {ANEW}")


def images(path: Path, content: dict[str, Any] | None = None) -> pd.DataFrame:
    """A row per test image of every cell of a baseline (`path`: its JSON file; content: what `load`
    gave of it): columns and dtypes as image_rows.per_image gives them, and behind `seed` the cell's
    key, which tells cells apart that differ in parameters alone. UserError where the rows are
    missing or not those of the file.
    """
    named = (content or load(path)).get("images")
    if named is None:
        raise UserError(f"{path}: has no rows per image, as it is older than these; {ANEW}")
    name = Path(named["file"]).name
    if not name:
        raise UserError(f"{path}: not a baseline (field images.file); {ANEW}")
    file = path.with_name(name)
    try:
        with reading(file):
            content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != named["sha256"]:
            raise ValueError("its sha256 is another")
        found = read_columns(file, (*KEYS, "key", *STORED, "used"), TEXTS)
    except FileNotFoundError:
        raise UserError(f"{file}: missing, the rows per image of {path.name}; get it from where "
                        f"that comes from, or {ANEW}") from None
    except UNREADABLE as error:
        raise UserError(f"{file}: not the rows per image of {path.name} ({first_line(error)}); get "
                        f"both from where they come from, or {ANEW}") from None
    return found.astype(dict.fromkeys(ROUNDED, "float64"))


def rows(cells: Sequence[Cell], store: Store) -> pd.DataFrame:
    """What `images` gives, of finished cells (one or more) in a store."""
    frames = []
    for cell in cells:
        frame = of_folder(store.cell_dir(cell))
        frame.insert(len(KEYS), "key", cell.key)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def entry(cell: Cell, store: Store) -> dict[str, Any]:
    """What a baseline says of a finished cell: what it and its fit declare, its numbers, the
    emissions of training and explaining, alone where they were measured so, and where it was
    computed."""
    info = store.cell_info(cell)
    return {**entry_of(info, store.fit_info(cell.fit) or {}), "key": cell.key,
            "emissions": _emissions(cell, store),
            "test_sha256": _test_images(store.cell_dir(cell) / "images.parquet")}


def entry_of(info: dict[str, Any], fit: dict[str, Any]) -> dict[str, Any]:
    """The same without the key and the tested images, of a cell.json and the fit.json behind it,
    {} where that is gone."""
    losses = fit.get("losses", [])
    return {"method": info["declared"]["method"], "declared": info["declared"],
            "fit": info["fit"], "numbers": info["numbers"], "n_train": fit.get("n_train"),
            "last_loss": losses[-1] if losses else None,
            "emissions": {"fit": fit.get("emissions"), "explain": info["emissions"]},
            "provenance": {"fit": fit.get("provenance"), "explain": info["provenance"]},
            "data_sha256": info["data_sha256"], "weights_sha256": info["weights_sha256"]}


def _test_images(path: Path) -> str:
    """A hash of which images were tested, in their order."""
    ids = read(path)["id"]
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def cells_of(entries: Sequence[Entry], settings: Settings, path: Path) -> list[Cell]:
    """The cells of a baseline (`path`) as they would be computed with `settings`."""
    known = all_categories(tuple(DATASETS))
    for entry in entries:
        fit = entry["fit"]
        if (fit["dataset"], fit["category"]) not in known or fit["scenario"] not in SCENARIOS:
            raise UserError(f"{path}: {regression.name(entry)}: no such category or scenario")
    return [all_cells(settings, [e["method"]], [(e["fit"]["dataset"], e["fit"]["category"])],
                      e["fit"]["scenario"], [e["fit"]["seed"]])[0] for e in entries]

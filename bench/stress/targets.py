"""What reads files and texts of others: for each reader good inputs, special cases, and a function
that takes an input through it. Whatever is not accepted must end in a UserError."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.base.npy import read_npy
from aexad.bench.measure import regression
from aexad.bench.measure.names import METRIC_COLUMNS
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.definitions import TABLES
from aexad.bench.plan.settings import PROTOCOLS, Settings
from aexad.bench.results import baseline, image_rows, map_files, model, store
from aexad.bench.results.records import records
from aexad.bench.results.store import Store
from aexad.bench.run import checkpoint
from aexad.bench.run.job import Options
from aexad.bench.stress import hostile_page, mutate, seeds
from aexad.bench.tables import render
from aexad.bench.tables.assemble import with_metrics
from aexad.bench.tables.build import build
from aexad.datasets.arrange import choose
from aexad.datasets.images import marks_something, read_image, read_mask, read_rgb
from aexad.methods.weights import load_matching, read_state

READING = {"kwh": 1e-3, "grams": 0.2, "seconds": 3.0, "country": "ITA", "mode": "constant",
           "codecarbon": "3", "shared": False, "problem": None}
ORIGIN = {"commit": "0", "device": "cpu", "threads": 1, "libraries": {"torch": "2"}, "system": "x"}
DIGESTS = {"data_sha256": "0" * 64, "weights_sha256": {"efficientnet_lite0": "1" * 64}}
TRACE = "code-was-run"  # the file that a pickle leaves behind when it is obeyed


@dataclass(frozen=True)
class Target:
    """One reader. good: inputs that it accepts; cases: special ones; read(input) raises UserError
    for what it refuses; mutated(rng, good); share: of all inputs of a campaign; python: whether it
    is mostly Python, so that a coverage-guided search can see into it."""

    name: str
    good: Sequence[bytes]
    cases: Sequence[bytes]
    read: Callable[[bytes], Any]
    mutated: Callable[[Any, Sequence[bytes]], bytes] = mutate.of_bytes
    share: float = 1.0
    python: bool = False


def all_targets(folder: Path) -> list[Target]:
    """All of them; inputs are written as files into `folder`."""
    return [*_pictures(folder), *_stored(folder), *_tensors(folder), *_texts(folder)]


def _file(path: Path, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """A reader of the file at `path`, from its content."""
    def take(content: bytes) -> Any:
        path.write_bytes(content)
        return read(path)
    return take


# -- pictures and maps --


def _pictures(folder: Path) -> list[Target]:
    def image(path: Path) -> None:
        small, shape = read_image(path, 32, "bilinear")
        assert small.shape == (32, 32, 3) and read_rgb(path).shape == (shape[1], shape[0], 3)

    def mask(path: Path) -> None:
        for grey in (False, True):
            assert read_mask(path, 32, (24, 16), 127, grey).shape == (32, 32)
        marks_something(path)

    wrong = [b"", *seeds.image_cases()]
    return [Target("image", seeds.images(), wrong, _file(folder / "image ∪ é.png", image),
                   share=1.5, python=True),
            Target("mask", seeds.masks(), [*wrong, *seeds.images()],
                   _file(folder / f"{'m' * 245}.png", mask), share=2, python=True),
            Target("map picture", [*seeds.images()[5:7], *seeds.float_maps()], wrong,
                   _file(folder / "map.tiff", map_files.read_map), share=1, python=True),
            Target("map array", seeds.arrays()[1:], seeds.array_cases(folder / TRACE),
                   _file(folder / "map.npy", map_files.read_map), share=2, python=True),
            Target("scores.csv", [b"id,score\ndent/000,0.5\ngood/001,1e-3\n"],
                   [b"", b"\x00", b"id,score\n", b"id,score\na,nan\n", b'id,score\n"a,1\n',
                    b"id,score\na,1\na,1\n", "id,score\n\ud800,1\n".encode("utf-8", "replace")],
                   _file(folder / "scores.csv", map_files.read_scores), share=0.2)]


# -- what the store keeps --


def _stored(folder: Path) -> list[Target]:
    options = Options(folder / "results", folder / "data", folder / "cache", None, "cpu", 1, "ITA")
    kept = options.store
    settings = Settings("smoke")
    [cell] = all_cells(settings, ["ae_xad"], [("mvtec", "bottle")], "standard", [40])
    (options.data_root / "mvtec" / "bottle" / "train").mkdir(parents=True, exist_ok=True)
    fit = {"declared": cell.fit.declared(), "losses": [2.0, 1.0], "emissions": READING,
           "n_train": {"normal": 3, "anomalous": 2}, "provenance": ORIGIN, **DIGESTS}
    numbers = dict.fromkeys((*METRIC_COLUMNS, "detection_auc", "mean_k"), 0.5)
    numbers |= {"n_images": 7, "n_normal": 3, "n_anomalous": 4, "n_used": 4, "n_dropped": 0}
    info = {"declared": cell.declared(), "fit": cell.fit.declared(), "numbers": numbers,
            "emissions": READING, "provenance": ORIGIN, **DIGESTS}
    rows = _rows()
    kept.save_fit(cell.fit, seeds.state(), fit)
    kept.save_cell(cell, rows, info, np.zeros((7, 64, 64), np.float32))
    fit_folder, cell_folder = kept.fit_dir(cell.fit), kept.cell_dir(cell)
    texts = {path: path.read_bytes() for path in (fit_folder / store.FIT, cell_folder / store.CELL,
                                                  cell_folder / "images.parquet")}
    failed = json.dumps({"status": "failed", "error": "ValueError: no", "traceback": "…"}).encode()

    def table() -> None:
        """What a table does with a finished cell, or with one that failed."""
        store._say_damaged.cache_clear()
        found = kept.cell_info(cell)
        if found is None and kept.failure(cell) is None:
            raise UserError(f"{cell_folder}: damaged, and said to be")
        made = with_metrics(records([cell], kept, options.library),
                            {m: settings.metrics.column(m) for m in ("f1", "iou")})
        for name in ("table2", "table5") if found else ("table2",):
            shown = build(made, TABLES[name], [("mvtec", "bottle")], ["ae_xad"], {"ae_xad": "A"})
            render.terminal(shown, 100, False).encode()

    def both() -> None:
        table()
        if store.read_info(fit_folder / store.FIT) is None:
            raise UserError(f"{fit_folder}: damaged, and said to be")

    def parquet() -> None:
        image_rows.per_image([cell], kept)

    def array(path: Path) -> None:
        try:
            read_npy(path)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None

    def restored(target: Path, read: Callable[[], Any]) -> Callable[[bytes], Any]:
        def take(content: bytes) -> None:
            target.write_bytes(content)
            try:
                read()
            finally:
                target.write_bytes(texts[target])
        return take

    other = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10**6, b'{"status": "done"}', failed,
             b'{"status": "failed"}', b'{"status": ["done"]}', b" " * 10**6]
    return [Target("cell.json", [texts[cell_folder / store.CELL]], other,
                   restored(cell_folder / store.CELL, table), mutate.of_json, 0.4, True),
            Target("fit.json", [texts[fit_folder / store.FIT]], other,
                   restored(fit_folder / store.FIT, both), mutate.of_json, 0.4, True),
            Target("images.parquet", [texts[cell_folder / "images.parquet"], *_parquets(rows)],
                   [b"", b"PAR1", b"PAR1PAR1", *_odd_parquets(rows)],
                   restored(cell_folder / "images.parquet", parquet),
                   share=0.3),
            Target("heatmaps.npy", seeds.arrays(), seeds.array_cases(folder / TRACE),
                   _file(folder / "heatmaps.npy", array), share=2, python=True),
            _checkpoint(folder)]


def _rows() -> pd.DataFrame:
    rows = pd.DataFrame({"id": [f"test/dent/{i:03d}" for i in range(7)], "kind": "dent"})
    rows["label"], rows["score"], rows["area"] = 1, 0.5, 0.1
    return rows.assign(**dict.fromkeys(METRIC_COLUMNS, 0.5), k=3)


def _parquets(rows: pd.DataFrame) -> list[bytes]:
    return [rows.to_parquet(index=False, compression=c) for c in (None, "gzip", "zstd")]


def _odd_parquets(rows: pd.DataFrame) -> list[bytes]:
    odd = [rows.drop(columns="auc"), rows.assign(id=3), rows.assign(score="x"), rows.iloc[:0],
           rows.assign(label=None), rows.assign(kind=[["a"]] * 7), rows.assign(kind=None),
           rows.assign(id=pd.Timestamp(0)), rows.assign(auc=np.nan), rows.assign(dataset="x"),
           rows.assign(used=True), pd.DataFrame({"id": np.zeros(10**6)})]
    return [frame.to_parquet(index=False) for frame in odd]


def _checkpoint(folder: Path) -> Target:
    path = folder / "checkpoint.pt"
    checkpoint.write(path, {"same": {"digest": "0"}, "epoch": 3, "losses": [1.0, 0.5],
                            "emissions": READING, "state": {"net": seeds.state()}})
    good = path.read_bytes()
    known = checkpoint._sha256(checkpoint.read(path, torch.device("cpu")))

    def read(path: Path) -> None:
        content = checkpoint.read(path, torch.device("cpu"))
        if content is None:
            raise UserError(f"{path}: damaged, the fit begins anew")
        assert checkpoint._sha256(content) == known, "another state than was written"

    return Target("checkpoint.pt", [good], seeds.weight_cases(folder / TRACE), _file(path, read),
                  share=0.8)


# -- tensors --


def _tensors(folder: Path) -> list[Target]:
    class Network(torch.nn.Module):
        """One whose weights the good files hold."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 2, 2, bias=False)

    network = Network()

    def weights(path: Path) -> None:
        state = read_state(path)
        assert all(tensor.numel() >= 0 for tensor in state.values())
        load_matching(network, state, path, "a network")

    [cell] = all_cells(Settings("smoke"), ["ae_xad"], [("mvtec", "bottle")], "standard", [40])
    kept = Store(folder / "models")
    kept.save_model(cell.fit, seeds.state())
    return [Target("weights .pth", seeds.weights(), seeds.weight_cases(folder / TRACE),
                   _file(folder / "weights.pth", weights), share=0.8),
            Target("weights .safetensors", seeds.tensors(), seeds.tensor_cases(),
                   _file(folder / "weights.safetensors", weights), share=3),
            Target("model.safetensors", seeds.tensors(), seeds.tensor_cases(),
                   _file(kept.fit_dir(cell.fit) / "model.safetensors",
                         lambda path: kept.load_model(cell.fit)), share=2)]


# -- texts --


def _choice(folder: Path) -> Target:
    """The CSV file of `fetch --choice`, of a tree with images whose names are not all ASCII."""
    tree, chosen = folder / "tree", folder / "chosen"
    for name in ("a.png", "é/b.png", "é/mask.png"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(seeds.images()[0])

    def read(path: Path) -> None:
        shutil.rmtree(chosen, ignore_errors=True)
        choose(tree, path, chosen)

    return Target("choice of fetch", seeds.choices(), [b"", b"\xff\xfe", b"sep=;\n", b"image\n"],
                  _file(folder / "choice.csv", read), share=0.5, python=True)


def _texts(folder: Path) -> list[Target]:
    settings = Settings("smoke")
    facts = [{"format": model.FORMAT, "method": name, "version": methods.facts(name).version,
              "fit": asdict(settings.fit(name)), "explain": asdict(settings.explain(name)),
              "data": asdict(settings.data), "seed": 40, "a": 1.0, "sha256": "0" * 64,
              "weights": {}, "about": {"label": name}} for name in ("ae_xad", "fcdd", "bgad")]
    place = folder / "model"
    place.mkdir(exist_ok=True)

    def assigned(content: bytes) -> None:
        text = content.decode("utf-8", "surrogateescape")  # as options come from a shell
        for protocol in ("paper", "smoke"):
            given = Settings(protocol, None, [text])
            for name in ("ae_xad", "ae_xad_raw", "fcdd", "bgad", "ae_xad_vit"):
                given.fit(name), given.explain(name)

    sets = [f"{name}.{field}={value}" for name in ("ae_xad", "fcdd", "bgad")
            for params in (settings.fit(name), settings.explain(name))
            for field, value in asdict(params).items()]
    sets += [f"{key}={value}" for values in PROTOCOLS.values() for key, value in values.items()]
    return [Target("model.json", [json.dumps(f).encode() for f in facts],
                   [b"", b"[" * 10**6, b" " * 2**21, b"{}", b'{"format": 1}'],
                   _file(place / model.FACTS, lambda path: model.read(place)),
                   mutate.of_json, 1.5, True),
            Target("--set", [text.encode() for text in sets],
                   [text.encode("utf-8", "surrogatepass") for text in mutate.NASTY_TEXTS],
                   assigned, mutate.of_text, 2, True),
            _baseline(folder), _choice(folder),
            Target("report page", [text.encode() for text in hostile_page.TEXTS],
                   [b"\xff\xfe", b"\xed\xa0\x80"], hostile_page.reader(folder), mutate.of_text,
                   0.5, True)]


def _baseline(folder: Path) -> Target:
    [cell] = all_cells(Settings("smoke"), ["ae_xad"], [("mvtec", "bottle")], "standard", [40])
    numbers = dict.fromkeys((*METRIC_COLUMNS, "detection_auc"), 0.5)
    numbers |= {"n_images": 7, "n_normal": 3, "n_anomalous": 4, "n_used": 4, "n_dropped": 0}
    entry = {"method": "ae_xad", "key": cell.key, "declared": cell.declared(),
             "fit": cell.fit.declared(), "numbers": numbers,
             "n_train": {"normal": 3, "anomalous": 2}, "test_sha256": "2" * 64,
             "tolerance": {"auc": 0.01}, **DIGESTS}
    good = {"command": "x", "note": "", "cells": [entry],
            "settings": {"protocol": "smoke", "epochs": None, "set": []}}

    def read(path: Path) -> None:
        content = baseline.load(path)
        given = content.get("settings") or {}
        settings = Settings(given.get("protocol") or "paper", given.get("epochs"),
                            given.get("set") or [])
        cells = baseline.cells_of(content["cells"], settings, path)
        for before, cell in zip(content["cells"], cells):
            now = {**entry, "fit": cell.fit.declared(), "declared": cell.declared()}
            if not regression.differences(before, now):
                [c.fell or c.rose for c in regression.changes(before, now)]

    return Target("baseline of check", [json.dumps(good).encode()],
                  [b"", b"{}", b'{"cells": 1}', b'{"cells": []}', b"[" * 10**6],
                  _file(folder / "baseline.json", read), mutate.of_json, 1.0, True)


def workplace() -> tempfile.TemporaryDirectory:
    """A folder for inputs, in memory where that is possible: they are many."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="stress-", dir=memory if memory.is_dir() else None)

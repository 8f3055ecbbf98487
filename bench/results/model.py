"""A trained method as a folder that can be given away: model.safetensors (what training produced)
and model.json (everything else). Neither can run code: one holds tensors, of the other every field
is checked before it is used."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from aexad import methods
from aexad.bench.base import params, provenance
from aexad.bench.base.errors import UserError, first_line
from aexad.bench.base.json_files import read_object
from aexad.bench.base.refusals import reading
from aexad.bench.plan.cells import Cell
from aexad.bench.results.store import Store, write_file, write_json
from aexad.datasets.data_params import DataParams
from aexad.methods import tiled
from aexad.methods.base import Context, Explanation
from aexad.methods.weights import Weights

FORMAT = 1
TENSORS, FACTS = "model.safetensors", "model.json"
LARGEST = 1 << 20  # bytes of a model.json; one that was written here has about 6000
RULE = "a pixel is anomalous where the heatmap is above mean + a * std of the image's own heatmap"


@dataclass(frozen=True)
class Model:
    """What model.json says.

    method: its name; version: of the method's code. fit, explain: its parameters; data: how images
    are read. a: of the binary maps, mean + a * std (Section 4.3). sha256: of model.safetensors;
    weights: of the pre-trained weights, by architecture. about: provenance, used for nothing.
    """

    method: str
    version: int
    fit: Any
    explain: Any
    data: DataParams
    seed: int
    a: float
    sha256: str
    weights: dict[str, str]
    about: dict[str, Any]


# -- writing --


def check_folder(folder: Path) -> None:
    """UserError where a model can't be written because something else is there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FACTS).exists():
        raise UserError(f"--out {folder}: holds something else; give a new folder")


def write(cell: Cell, store: Store, folder: Path, a: float) -> None:
    """The stored fit of `cell`, as the cell's method explains with it, as a folder. What the method
    measured over the test set is in it, as in the fit. UserError where the fit is not there."""
    check_folder(folder)
    info = store.fit_info(cell.fit)
    if info is None:
        raise UserError(f"{store.fit_dir(cell.fit)}: no model there, although a cell made from it "
                        f"is stored; delete that cell and run the same command again")
    content = (store.fit_dir(cell.fit) / TENSORS).read_bytes()
    trained = {key: info["declared"][key] for key in ("dataset", "category", "scenario", "seed")}
    model = Model(cell.method, methods.facts(cell.method).version, cell.fit.params, cell.params,
                  cell.fit.data, cell.fit.seed, a, hashlib.sha256(content).hexdigest(),
                  info["weights_sha256"],
                  {"trained_on": {**trained, "images": info["n_train"],
                                  "data_sha256": info["data_sha256"]},
                   "last_loss": info["losses"][-1] if info["losses"] else None,
                   "emissions": info["emissions"], "provenance": info["provenance"]})
    save(model, content, folder)


def save(model: Model, content: bytes, folder: Path) -> None:
    """The two files; `content`: the tensors, as safetensors writes them."""
    check_folder(folder)
    write_file(folder / TENSORS, lambda p: p.write_bytes(content))
    write_json(folder / FACTS, {  # last: it says that the other is whole, and which it is
        "format": FORMAT, "method": model.method, "version": model.version,
        "fit": asdict(model.fit), "explain": asdict(model.explain),
        "data": asdict(model.data), "seed": model.seed, "a": model.a, "sha256": model.sha256,
        "weights": model.weights,
        "about": {"label": methods.entry(model.method).label, "binary_maps": RULE, **model.about,
                  "written_by": provenance.commit()}})


# -- reading --


def read(folder: Path) -> Model:
    """model.json, checked. UserError in one line for whatever is wrong with it."""
    path = folder / FACTS
    content = _json(path)
    if content.get("format") != FORMAT:
        raise UserError(f"{path}: format {ascii(content.get('format'))[:20]}, this version reads "
                        f"{FORMAT}; write the model anew with fit")
    kinds = {"method": str, "version": int, "seed": int, "sha256": str, "weights": dict,
             "about": dict}
    for key, kind in kinds.items():
        if type(content.get(key)) is not kind:
            raise UserError(f"{path}: '{key}' is missing or of the wrong type; write the model "
                            f"anew with fit")
    a, name = content.get("a"), content["method"]
    if type(a) not in (int, float) or not -100 <= a <= 100:  # neither is NaN
        raise UserError(f"{path}: 'a' is not a number in -100 .. 100; write the model anew "
                        f"with fit")
    if not 0 <= content["seed"] < 2**32:
        raise UserError(f"{path}: 'seed' is not in 0 .. 2^32 - 1; write the model anew with fit")
    if not methods.known(name):
        raise UserError(f"{path}: unknown method {ascii(name[:40])}; is its package installed?")
    kind, trained = methods.facts(name), methods.facts(methods.trained_as(name))
    if content["version"] != kind.version:
        raise UserError(f"{path}: made by version {content['version']} of {name}, this is version "
                        f"{kind.version}; train it again")
    given = [params.from_json(owner, content.get(key), f"{path}: {key}") for owner, key in (
        (trained.fit_params, "fit"), (kind.explain_params, "explain"), (DataParams, "data"))]
    return Model(name, kind.version, *given, content["seed"], float(a), content["sha256"],
                 content["weights"], content["about"])


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        with reading(path):
            return read_object(path, LARGEST)
    except FileNotFoundError:
        raise UserError(f"{path.parent}: no {FACTS} there, not a model folder; make one with fit"
                        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: damaged ({str(error)[:80]}); write the model anew with fit"
                        ) from None


def open_method(folder: Path, model: Model, weights: Path | None, device: str) -> Any:
    """The method with what it learned. UserError where the tensors are not those that model.json
    speaks of, do not fit the method, or its pre-trained weights are others than in training."""
    path = folder / TENSORS
    try:
        with reading(path):
            content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != model.sha256:
            raise UserError(f"{path}: not the file that {FACTS} speaks of (SHA-256); copy the "
                            f"model again")
        state = load(content)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({error}); copy the model again") from None
    ctx = Context(device, model.seed, Weights(weights))
    if model.data.tile:
        tiled.check(model.method, methods.load(model.method))
    method = methods.load(model.method)(model.fit, model.explain, ctx)
    if ctx.weights.used != model.weights:
        raise UserError(f"{folder}: trained with other pre-trained weights than those found now "
                        f"({', '.join(ctx.weights.used) or 'none'}); give the same with --weights")
    load_trained(method, state, path, model.method)
    return method


def load_trained(method: Any, state: dict[str, torch.Tensor], path: Path, name: str) -> None:
    """Give the method `name` what training made, from the file `path`; UserError where that is of
    another method."""
    try:
        method.load_state_dict(state)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()[:120]
        raise UserError(f"{path}: not tensors of {name} ({reason})") from None
    if method.state_dict().keys() != state.keys():  # what lacks would be as it was drawn
        raise UserError(f"{path}: not tensors of {name} (some are missing)")


def explain(method: Any, images: tiled.Images, first: str) -> Explanation:
    """What the method says of images (N, H, W, 3) uint8, of which `first` is the first one's name;
    values may be no numbers. UserError where it fails."""
    try:
        return tiled.explain(method, images)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        raise UserError(f"{first}: the model can't explain it ({type(error).__name__}: "
                        f"{first_line(error, 'no message')[:120]})") from None

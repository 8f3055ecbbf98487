"""`fetch`: datasets from their sources, and pre-trained weights."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import sys
from pathlib import Path

import requests

from aexad.bench.base import places
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.parsers import WEIGHTS
from aexad.bench.commands.request import words
from aexad.bench.results.store import read_json, write_json
from aexad.datasets import folder
from aexad.datasets.arrange import check_tree, choose, find_categories, lay_out
from aexad.datasets.catalog import DATASETS
from aexad.datasets.download import download, file_sha256
from aexad.datasets.sources import SOURCES, Source
from aexad.datasets.unpack import unpack

WORK = ".fetch"  # below the data root: what is on its way, and the records


def run(args: argparse.Namespace) -> int:
    root = Path(args.data_root or places.given("AEXAD_DATA") or places.DATA)
    names = list(dict.fromkeys(n for name in args.names
                               for n in (SOURCES if name == "all" else (name,))))
    for name in names:
        if name not in (*SOURCES, WEIGHTS):
            raise UserError(f"unknown dataset '{name}'{nearest(name, (*SOURCES, WEIGHTS, 'all'))}")
    if len(names) > 1 and (args.archive or args.url or args.choice):
        raise UserError("--from, --url and --choice are for one dataset at a time")
    wanted = [name for name in names if name != WEIGHTS]
    if wanted:
        _licences(root, wanted, args.accept_licence)
    failures = []
    for name in names:
        try:
            fetch_weights(root, args) if name == WEIGHTS else fetch(name, root, args)
        except UserError as error:
            failures.append(error)
            if len(names) > 1:
                where = "" if str(error).startswith(name) else f"{name}: "
                print(f"error: {where}{error}", file=sys.stderr)
    if failures and len(names) == 1:
        raise failures[0]
    return 1 if failures else 0


def _licences(root: Path, names: list[str], accepted: bool) -> None:
    """Show what is not accepted yet; UserError where it isn't now."""
    record = root / WORK / "licences.json"
    before = _recorded(record)
    new = [n for n in names if before.get(n, {}).get("licence") != SOURCES[n].licence]
    for name in new:
        print(f"{DATASETS[name].title}: {SOURCES[name].licence}\n  {SOURCES[name].page}")
    if new and not accepted:
        raise UserError("read the licences above, and accept them with --accept-licence")
    if new:
        now = _now()
        write_json(record, {**before, **{n: {"licence": SOURCES[n].licence, "accepted": now}
                                         for n in new}})


def fetch(name: str, root: Path, args: argparse.Namespace) -> None:
    """Get one dataset: archive or Kaggle, unpacked beside, moved to where the reader looks."""
    source, work = SOURCES[name], root / WORK
    missing = [c for c in DATASETS[name].categories if folder.locate(root, name, c) is None]
    if not missing:
        print(f"{name}: already there; {COMMAND} verify --datasets {name} checks it")
        return
    tree = work / f"{name}-unpacked"
    archive, facts = _get(name, source, work, tree, args)
    if archive:
        print(f"{name}: unpacking {archive}", file=sys.stderr)
        try:
            unpack(archive, tree)
        except UserError:
            shutil.rmtree(tree, ignore_errors=True)
            if archive != args.archive and not facts["checked"]:
                archive.unlink()
            raise
    check_tree(tree)
    _record(work, name, facts)
    moved = lay_out(_arranged(name, source, tree, work, args.choice), root, name)
    shutil.rmtree(tree)
    if archive and archive != args.archive:
        archive.unlink()
    print(f"{name}: {len(moved)} of {len(missing)} missing categories put into "
          f"{root / DATASETS[name].folders[0]}; {COMMAND} verify --datasets {name} checks them")


def _get(name: str, source: Source, work: Path, tree: Path, args: argparse.Namespace
         ) -> tuple[Path | None, dict]:
    """The archive (None: its files are in `tree` already), and what there is to record of it."""
    url = args.url or source.url
    if args.choice and tree.is_dir():  # fetched before, when the choice was missing
        return None, _recorded(work / "fetched.json").get(name, {})
    shutil.rmtree(tree, ignore_errors=True)
    if args.archive:
        if not args.archive.is_file():
            raise UserError(f"--from {args.archive}: no such file")
        archive, digest, url = args.archive, file_sha256(args.archive), ""
    elif url:
        archive = work / source.file
        try:
            digest = _whole(archive, source.sha256) or download(url, archive, source.sha256)
        except UserError as error:
            raise UserError(f"{error}; or by hand: {_by_hand(name, source)}") from None
    else:
        _kaggle(name, source, tree)
        return None, {"from": source.page, "sha256": None, "checked": False}
    checked = bool(source.sha256) and digest == source.sha256
    if not checked:
        why = ("not that of the published archive" if source.sha256
               else "no published checksum is known to compare it with")
        print(f"{name}: SHA-256 {digest}, {why}; recorded", file=sys.stderr)
    return archive, {"from": url or str(args.archive), "sha256": digest, "checked": checked}


def _whole(archive: Path, sha256: str) -> str:
    """The checksum of an archive that an interrupted run has left, '' where it can't be used."""
    return sha256 if sha256 and archive.exists() and file_sha256(archive) == sha256 else ""


def _record(work: Path, name: str, facts: dict) -> None:
    """Remember where a dataset is from, with its hash."""
    path = work / "fetched.json"
    write_json(path, {**_recorded(path), name: {"when": _now(), **facts}})


def _recorded(path: Path) -> dict[str, dict]:
    """What was remembered of each dataset in a file; what is no record there counts as none."""
    return {name: facts for name, facts in (read_json(path) or {}).items()
            if isinstance(facts, dict)}


def _kaggle(name: str, source: Source, tree: Path) -> None:
    """Download and unpack a dataset of Kaggle's into `tree`."""
    by_hand = f"or by hand: {_by_hand(name, source)}"
    try:
        import kagglehub
        from kagglehub import exceptions
    except ImportError:
        raise UserError(f"{name}: comes from Kaggle, which needs kagglehub ({sys.executable} -m "
                        f"pip install kagglehub); {by_hand}") from None
    cache = tree.parent / "kagglehub"  # stays after a break, so that kagglehub continues there
    os.environ["KAGGLEHUB_CACHE"] = str(cache)
    try:
        tree.parent.mkdir(parents=True, exist_ok=True)
        Path(kagglehub.dataset_download(source.kaggle)).rename(tree)
        shutil.rmtree(cache)
    except (exceptions.CredentialError, exceptions.UnauthenticatedError, exceptions.BackendError,
            exceptions.NotFoundError, exceptions.DataCorruptionError, requests.RequestException,
            OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{name}: Kaggle refused {source.kaggle} ({reason}). Where it asks who you "
                        f"are: make an account, accept the dataset's terms on {source.page}, "
                        f"create an API token on https://www.kaggle.com/settings and put its "
                        f"kaggle.json into ~/.kaggle/; {by_hand}") from None


def _by_hand(name: str, source: Source) -> str:
    return (f"download {source.file} from {source.page}, then {COMMAND} fetch {name} --from "
            f"{source.file}")


def _arranged(name: str, source: Source, tree: Path, work: Path, choice: Path | None
              ) -> dict[str, Path]:
    """Categories in the MVTec layout: those in the tree, or chosen from it."""
    if choice:
        if not source.chosen:
            raise UserError(f"--choice: {name} is used whole")
        chosen = work / f"{name}-chosen"
        shutil.rmtree(chosen, ignore_errors=True)
        choose(tree, choice, chosen, DATASETS[name].good)
        return {name: chosen}
    found = find_categories(tree, name)
    if found:
        return found
    if source.chosen:
        raise UserError(
            f"{name}: the paper used {source.chosen}, and which, with which masks, is not "
            f"published. What the source has is in {tree}; name images of it and your masks in a "
            f"CSV file (docs/data.md) and go on with {COMMAND} fetch {name} --choice FILE")
    raise UserError(f"{name}: none of its categories ({', '.join(DATASETS[name].categories)}) is "
                    f"in what was fetched, see {tree}; put them into "
                    f"{folder.expected(work.parent, name, next(iter(DATASETS[name].categories)))} "
                    f"and so on by hand")


def fetch_weights(root: Path, args: argparse.Namespace) -> None:
    """The official files of pre-trained weights, into a folder for --weights."""
    known = networks()
    names = words(args.networks) or list(known)
    for name in names:
        if name not in known:
            raise UserError(f"--networks: unknown '{name}'{nearest(name, known)}")
    place = args.to or root / WEIGHTS
    for official in dict.fromkeys(known[name] for name in names):
        url, _, own = official.partition("#")
        path = place / (own or url.rsplit("/", 1)[-1])
        if path.exists():
            print(f"{path}: already there")
            continue
        # torchvision's and timm's file names end in the beginning of their SHA-256
        stated = re.search(r"-([0-9a-f]{8})$", path.stem)
        digest = download(url, path, stated[1] if stated else "")
        print(f"{path}: SHA-256 {digest}, " + ("begins as its name says" if stated else
                                               "no published checksum is known"))
    print(f"use them with --weights {place}")


def networks() -> dict[str, str]:
    """Name -> official address of every network that a method can start from."""
    from aexad.methods.ae_xad_vit import TRANSFORMERS
    from aexad.methods.encoders import ENCODERS, PYRAMIDS
    return {**{name: spec.official for name, spec in (ENCODERS | PYRAMIDS).items()},
            **{name: official for name, (_, official) in TRANSFORMERS.items()}}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

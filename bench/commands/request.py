"""What the options of a command line mean: settings, rows, places and how to run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from aexad import methods
from aexad.bench.base import places
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.measure.energy import check_country
from aexad.bench.plan import own_images
from aexad.bench.plan.cells import Cell, all_cells
from aexad.bench.plan.definitions import TableDef
from aexad.bench.plan.settings import Settings
from aexad.bench.results import external
from aexad.bench.run import engines
from aexad.bench.run.gpus import default_device
from aexad.bench.run.job import Options
from aexad.datasets import folder
from aexad.datasets.catalog import DATASETS, all_categories
from aexad.datasets.category import Library


@dataclass(frozen=True)
class Request:
    """A command line understood: settings, rows, and how to run."""

    settings: Settings
    options: Options
    rows: list[tuple[str, str]] | None  # None: the table's own
    embedded: bool
    looked_in: Path
    seeds: list[int]
    choice: engines.Choice
    args: argparse.Namespace

    def stem(self, name: str, named_for: str = "standard") -> str:
        """The file name of a table or figure: what does not have the paper's data or parameters, or
        another scenario than the one the name stands for (named_for), says so."""
        other = self.args.scenario not in (None, named_for)
        stem = name + (f"-{self.args.scenario}" if other else "")
        stem += "-embedded" if self.embedded else ""
        return stem if self.settings.protocol == "paper" else f"{stem}-{self.settings.protocol}"


def understand(args: argparse.Namespace) -> Request:
    """Check every option before anything runs (UserError)."""
    root = data_root(args.data_root)
    cache = places.chosen_cache()
    mine = own_images.chosen(args, cache)
    own_images.register(mine)
    rows = own_images.rows(mine) if mine else chosen_rows(args.datasets, args.categories)
    library = Library(root, cache)
    found = any(library.locate(d, c) for d, c in all_categories(tuple(DATASETS)) if d != "embedded")
    embedded = not found if rows is None else all(d == "embedded" for d, _ in rows)
    results = results_folder(args.results)
    external.register(results)
    settings = Settings(args.protocol or ("mini" if embedded else "paper"), args.epochs, args.set)
    check_at_least_one("threads", args.threads)
    check_at_least_one("jobs", 1 if args.jobs is None else args.jobs)
    if not args.checkpoint_every >= 0:  # NaN neither
        raise UserError(f"--checkpoint-every {args.checkpoint_every}: must be 0 or more seconds")
    choice = engines.chosen(args.engine, args.jobs, args.scheduler, args.address)
    engines.check_device(choice, args.device)
    options = Options(results, root, cache, Path(args.weights) if args.weights else None,
                      "auto" if args.device == "auto" else
                      device(args.device, here=not choice.remote), args.threads,
                      check_country(args.country), keep_maps=args.keep_maps,
                      checkpoint_every=args.checkpoint_every, own=mine)
    return Request(settings, options, rows, embedded, root, _seeds(args.seeds or "40"), choice,
                   args)


def data_root(given: str | None) -> Path:
    """The folder of the datasets; UserError where the one asked for is not there."""
    asked = given or places.given("AEXAD_DATA")
    option = f"{'--data-root' if given else 'AEXAD_DATA'} {asked}"
    if asked and not Path(asked).is_dir():
        raise UserError(f"{option}: no such folder")
    dataset = folder.dataset_itself(Path(asked)) if asked else None
    if dataset:  # MVTec's wood and hazelnut would pass for the datasets of these names
        raise UserError(f"{option}: holds categories of {dataset} themselves; give the folder that "
                        f"{DATASETS[dataset].folders[0]}/ is in")
    return Path(asked) if asked else places.DATA


def results_folder(given: str | None) -> Path:
    """The folder of the results, which need not be there; UserError where it can't be a folder."""
    results = Path(given or places.given("AEXAD_RESULTS") or places.RESULTS)
    check_folder("--results", results)
    return results


def check_folder(option: str, path: Path) -> None:
    """UserError where a file stands in the way of a folder that may be made later."""
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise UserError(f"{option} {path}: {there} is a file; give a folder")


def check_file(option: str, path: str | None) -> None:
    """UserError where a file that is to be written can't be one."""
    if path and Path(path).is_dir():
        raise UserError(f"{option} {path}: is a folder; name a file in it")
    if path:
        check_folder(option, Path(path).parent)


def chosen_rows(datasets: str | None, categories: str | None) -> list[tuple[str, str]] | None:
    """The (dataset, category) pairs asked for, in the paper's order; None: nothing was asked."""
    names = words(datasets) or list(DATASETS)
    for name in names:
        if name not in DATASETS:
            raise UserError(f"unknown dataset '{name}'{nearest(name, DATASETS)}")
    pairs = all_categories(tuple(d for d in DATASETS if d in names))
    if not categories:
        return pairs if datasets else None
    wanted = set()
    for word in words(categories):
        found = [p for p in pairs if word in (p[1], "/".join(p))]
        exact = [p for p in found if word == "/".join(p)]
        if not found:
            known = ["/".join(p) for p in pairs] + [p[1] for p in pairs]
            raise UserError(f"unknown category '{word}'{nearest(word, known)}")
        if len(found) > 1 and not exact:
            raise UserError(f"category '{word}' is in several datasets: write "
                            f"{' or '.join('/'.join(p) for p in found)}")
        wanted.add((exact or found)[0])
    return [p for p in pairs if p in wanted]


def check_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"--{name} {value}: must be at least 1")


def words(text: str | None) -> list[str]:
    return [w for w in (text or "").replace(",", " ").split() if w]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(w) for w in words(text)]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**32:
        raise UserError(f"--seeds {text}: expected whole numbers such as 40,41,42")
    return list(dict.fromkeys(seeds))


def device(text: str, here: bool = True) -> str:
    """The device that --device names, which must be there, if it is `here` that it is used."""
    if text == "auto":
        return default_device()
    if text == "cpu":
        return text
    import torch  # a table of stored results needs none

    try:
        kind = torch.device(text).type
    except RuntimeError:
        kind = "unknown"
    if kind not in ("cpu", "cuda"):
        raise UserError(f"--device {text}: expected cpu or cuda")
    if kind == "cuda" and here and not torch.cuda.is_available():
        raise UserError(f"--device {text}: no CUDA device is visible to torch")
    return text


def table_cells(request: Request, definition: TableDef
                ) -> tuple[list[Cell], list[tuple[str, str]], list[str]]:
    """The cells of a table as asked for, its rows and its methods."""
    args = request.args
    names = words(args.methods) or [m for m in definition.methods if m in methods.entries()]
    for name in names:
        methods.entry(name)
    datasets = ("embedded",) if request.embedded else definition.datasets
    rows = request.rows if request.rows is not None else all_categories(datasets)
    scenario = args.scenario or definition.scenario
    return (all_cells(request.settings, names, rows, scenario, request.seeds), rows, names)

"""What commands have in common: the options that choose the work, and what they mean."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from aexad import methods
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.base.provenance import REPOSITORY
from aexad.bench.measure.energy import check_country
from aexad.bench.plan import own_images
from aexad.bench.plan.cells import SCENARIOS, Cell, all_cells
from aexad.bench.plan.settings import PROTOCOLS, Settings
from aexad.bench.results import external
from aexad.bench.run import engines
from aexad.bench.run.runner import default_device
from aexad.bench.run.task import Options
from aexad.bench.tables.build import TableDef
from aexad.datasets import folder
from aexad.datasets.catalog import DATASETS, all_categories
from aexad.datasets.category import Library

COMMAND = os.environ.get("AEXAD_COMMAND", "aexad-bench")


def parameter_options(p: argparse._ActionsContainer) -> None:
    """The options that say with which parameters."""
    p.add_argument("--protocol", help=f"parameters: {', '.join(PROTOCOLS)} (default paper; "
                                      f"mini on the embedded suite)")
    p.add_argument("--epochs", type=int,
                   help="epochs of every method (of BGAD: --set bgad.meta_epochs=N)")
    p.add_argument("--set", action="append", default=[], metavar="OWNER.FIELD=VALUE",
                   help="one parameter, OWNER a method, data or metrics; repeatable")


def threads_option(p: argparse._ActionsContainer) -> None:
    p.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 8),
                   help="threads of each fit (default %(default)s)")


def selection_options(p: argparse._ActionsContainer) -> None:
    """The options that choose datasets and categories."""
    p.add_argument("--datasets", help=f"comma-separated, of {', '.join(DATASETS)}")
    p.add_argument("--categories", help="comma-separated, as mvtec/bottle or bottle")


def data_root_option(p: argparse._ActionsContainer) -> None:
    p.add_argument("--data-root", help="folder of the datasets (default $AEXAD_DATA, else data/)")


def results_option(p: argparse._ActionsContainer) -> None:
    p.add_argument("--results", help="where results are kept (default $AEXAD_RESULTS, else "
                                     "results/)")


def machine_options(p: argparse._ActionsContainer) -> None:
    """The options that say what networks run on and start from."""
    p.add_argument("--weights", help="folder of pre-trained weights, looked into first; or a "
                   "file, which serves one network")
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, … (default: cuda where "
                                                    "there is one)")
    threads_option(p)


def work_options() -> argparse.ArgumentParser:
    """The options of all commands that are about cells: what to compute, and how. A parent of
    their parsers."""
    p = argparse.ArgumentParser(add_help=False)
    what = p.add_argument_group("what to compute")
    what.add_argument("--methods", help="comma-separated; default: those of the table")
    selection_options(what)
    own_images.add_options(what)
    what.add_argument("--scenario", choices=SCENARIOS, help="default: the table's")
    what.add_argument("--seeds", default="40", help="comma-separated (default 40, the authors')")
    parameter_options(what)
    how = p.add_argument_group("how to compute it")
    data_root_option(how)
    results_option(how)
    machine_options(how)
    how.add_argument("--jobs", type=int, help="fits at a time (default 1)")
    how.add_argument("--engine", choices=engines.NAMES, help="what runs them: processes of this "
                     "machine (loky, the default), or a cluster's workers: docs/machines.md")
    how.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of --engine dask")
    how.add_argument("--address", metavar="HOST:PORT", help="of --engine ray")
    how.add_argument("--country", default="ITA", help="whose energy mix (default ITA, the paper's)")
    how.add_argument("--checkpoint-every", type=float, default=20.0, metavar="SECONDS",
                     help="how much of a fit an interruption may cost (default 20)")
    how.add_argument("--keep-maps", action="store_true", help="keep the heatmaps (float32)")
    how.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    return p


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
    cache = Path(os.environ.get("AEXAD_CACHE", REPOSITORY / ".cache"))
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
                      device(args.device, here=not choice.remote), args.threads,
                      check_country(args.country), keep_maps=args.keep_maps,
                      checkpoint_every=args.checkpoint_every, own=mine)
    return Request(settings, options, rows, embedded, root, _seeds(args.seeds or "40"), choice,
                   args)


def data_root(given: str | None) -> Path:
    """The folder of the datasets; UserError where the one asked for is not there."""
    asked = given or os.environ.get("AEXAD_DATA")
    option = f"{'--data-root' if given else 'AEXAD_DATA'} {asked}"
    if asked and not Path(asked).is_dir():
        raise UserError(f"{option}: no such folder")
    dataset = folder.dataset_itself(Path(asked)) if asked else None
    if dataset:  # MVTec's wood and hazelnut would pass for the datasets of these names
        raise UserError(f"{option}: holds categories of {dataset} themselves; give the folder that "
                        f"{DATASETS[dataset].folders[0]}/ is in")
    return Path(asked) if asked else REPOSITORY / "data"


def results_folder(given: str | None) -> Path:
    """The folder of the results, which need not be there; UserError where it can't be a folder."""
    results = Path(given or os.environ.get("AEXAD_RESULTS", REPOSITORY / "results"))
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

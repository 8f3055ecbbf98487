"""The options that commands have in common. What they mean is in request.py: this module imports
nothing that computes, so that --help answers at once."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from aexad.bench.base.places import expanded
from aexad.bench.plan.cells import SCENARIOS
from aexad.bench.plan.settings import PROTOCOLS
from aexad.datasets.catalog import DATASETS

COMMAND = os.environ.get("AEXAD_COMMAND", "aexad-bench")
ENGINES = ("loky", "dask", "ray")  # those of bench/run/engines
COMMA_SEPARATED = ("methods", "datasets", "categories", "seeds", "points", "repeat")


def path(text: str) -> Path:
    """The type of options that are paths; as text where '' stands for the default: expanded."""
    return Path(expanded(text))


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
    p.add_argument("--data-root", type=expanded, metavar="DIR",
                   help="folder of the datasets (default $AEXAD_DATA, else data/)")


def results_option(p: argparse._ActionsContainer) -> None:
    p.add_argument("--results", type=expanded, metavar="DIR",
                   help="where results are kept (default $AEXAD_RESULTS, else results/)")


def weights_option(p: argparse._ActionsContainer) -> None:
    p.add_argument("--weights", type=expanded, metavar="FILE_OR_DIR", help="folder of pre-trained "
                   "weights, looked into first; or a file, which serves one network")


def machine_options(p: argparse._ActionsContainer) -> None:
    """The options that say what networks run on and start from."""
    weights_option(p)
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, … (default: cuda where "
                                                    "there is one)")
    threads_option(p)


def own_images_options(p: argparse._ActionsContainer) -> None:
    """The options that give one's own images."""
    p.add_argument("--data", type=expanded, metavar="DIR", help="own images in MVTec layout: "
                   "DIR/train/good, DIR/test/<defect>, DIR/ground_truth/<defect>")
    p.add_argument("--images", type=expanded, metavar="DIR",
                   help="own images in one folder, with --masks")
    p.add_argument("--masks", type=expanded, metavar="DIR", help="their masks, named as the "
                   "images; an image without a mask, or with a black one, is normal")
    p.add_argument("--data-name", metavar="NAME", help="what own images are called in results "
                   "(default: their folder's name)")


def work_options(p: argparse.ArgumentParser) -> None:
    """The options of all commands that are about cells: what to compute, and how."""
    p.add_argument("--config", type=expanded, metavar="FILE", help="a TOML file with options of "
                   "this command by their names (docs/tables.md); the command line wins over it")
    what = p.add_argument_group("what to compute")
    what.add_argument("--methods", help="comma-separated; default: those of the table")
    selection_options(what)
    own_images_options(what)
    what.add_argument("--scenario", choices=SCENARIOS, help="default: the table's")
    what.add_argument("--seeds", default="40", help="comma-separated (default 40, the authors')")
    parameter_options(what)
    how = p.add_argument_group("how to compute it")
    data_root_option(how)
    results_option(how)
    machine_options(how)
    how.add_argument("--jobs", type=int, help="fits at a time (default 1)")
    how.add_argument("--engine", choices=ENGINES, help="what runs them: processes of this "
                     "machine (loky, the default), or a cluster's workers: docs/machines.md")
    how.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of --engine dask")
    how.add_argument("--address", metavar="HOST:PORT", help="of --engine ray")
    how.add_argument("--country", default="ITA", help="whose energy mix (default ITA, the paper's)")
    how.add_argument("--checkpoint-every", type=float, default=20.0, metavar="SECONDS",
                     help="how much of a fit an interruption may cost (default 20)")
    how.add_argument("--keep-maps", action="store_true", help="keep the heatmaps (float32)")
    how.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")


def json_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def saving_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--save-baseline", type=expanded, metavar="FILE", help="write the cells with "
                   "their provenance to FILE.json, and a row per image to FILE.parquet")
    p.add_argument("--note", default="", help="what a reader of that file must know")
    p.set_defaults(unless_saved=False)


def unless_saved_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--unless-saved", action="store_true", help="with --save-baseline: what the "
                   "file has stays in it and is not computed; the rest is added fit by fit")

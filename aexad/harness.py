"""The harness from Python: what is stored as a table, and commands whose tables are DataFrames."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from aexad.arrays import Place
from aexad.bench.base import places
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.commands import cli, table as table_command
from aexad.bench.commands.options import COMMA_SEPARATED
from aexad.bench.commands.request import results_folder
from aexad.bench.plan.cells import SCENARIOS
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.everything import everything
from aexad.bench.results.store import Store
from aexad.datasets.category import Library, split
from aexad.datasets.data_params import DataParams
from aexad.datasets.suite import CATEGORIES

WITHOUT = ("json", "help", "dry_run", "config")  # options that make no sense here


class Example(NamedTuple):
    """Images (N, 224, 224, 3) uint8 and masks (N, 224, 224) bool, to train with and to explain."""

    images: np.ndarray
    masks: np.ndarray
    new_images: np.ndarray
    new_masks: np.ndarray


def example(category: str = "part") -> Example:
    """A category of the embedded suite of generated images, `fabric`, `wood` or `part`, split as
    the commands split it with seed 40: 3 anomalies of each kind train."""
    if category not in CATEGORIES:
        raise UserError(f"unknown category '{category}'{nearest(category, CATEGORIES)}")
    cache = places.chosen_cache()
    data = DataParams()
    found = Library(cache, cache).load("embedded", category, data)
    parts = split(found, "embedded", 40, SCENARIOS[0], data)
    images, masks = np.asarray(found.images), np.asarray(found.masks)
    return Example(images[parts.train], masks[parts.train], images[parts.test], masks[parts.test])


def load_results(folder: Place | None = None) -> pd.DataFrame:
    """Everything stored in a folder of results, a row per test image and cell, as the command
    `export` writes it (bench/results/everything.py). None: the default place."""
    place = results_folder(None if folder is None else os.fspath(folder))
    if not place.is_dir():
        raise UserError(f"{place}: no such folder")
    return everything(Store(place))


def run(table: str = "table2", *, verbose: bool = False, **options: Any) -> pd.DataFrame:
    """The same as the command `table`, such as "table4", with its options as keywords:
    `run(methods=["ae_xad"], data="folder", seeds=[40], protocol="mini")`. set: a dict,
    {"ae_xad.epochs": 100}. What is stored is not computed again.

    Returns a row per dataset, category, method and metric, unrounded: value (mean over the seeds),
    std, n_seeds, published (the paper's), difference, status and reason. What the paper's table
    says below it is in `.attrs["notes"]`. verbose: show what the command shows.

    UserError for a mistake; a warning names what failed, the rest is in the table.
    """
    if table not in TABLES:
        raise UserError(f"unknown table '{table}'{nearest(table, TABLES)}")
    args = cli.understand([table, *_words(table, options), "--json"])
    printed = io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(printed))
        if not verbose:
            stack.enter_context(redirect_stderr(io.StringIO()))
        table_command.run(args)
    found = json.loads(printed.getvalue())
    for line in found["failures"]:
        warnings.warn(f"failed: {line}", stacklevel=2)
    return _frame(found["tables"][0])


def _words(table: str, options: dict[str, Any]) -> list[str]:
    """Keywords as a command line has them; UserError with the nearest for one that is none."""
    _, commands = cli.parser(only=table)
    known = {action.dest: action for action in commands[table]._actions
             if action.dest not in WITHOUT}
    words = []
    for name, value in options.items():
        if name not in known:
            raise UserError(f"{table} has no option '{name}'{nearest(name, known)}")
        action = known[name]
        option = action.option_strings[0]
        if action.nargs == 0:  # a switch
            words += [option] if value else []
        elif name == "set":
            words += [f"{option}={owner}={parameter}" for owner, parameter in value.items()]
        elif value is not None:
            words.append(f"{option}={_text(name, value)}")
    return words


def _text(name: str, value: Any) -> str:
    if name in COMMA_SEPARATED and not isinstance(value, str):
        return ",".join(map(str, value if isinstance(value, Sequence) else [value]))
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _frame(table: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(table["cells"])
    numbers = ["value", "std", "published", "difference"]
    frame[numbers] = frame[numbers].astype(float)  # null is NaN, "Infinity" infinite
    frame.attrs = {key: table[key] for key in ("name", "title", "scenario", "notes")}
    return frame

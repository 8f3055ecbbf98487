"""Everything stored as one tidy table: a row per test image and cell."""

from __future__ import annotations

from typing import Any

import pandas as pd

from aexad.bench.results.image_rows import KEYS, of_folder
from aexad.bench.results.store import Store


def everything(store: Store) -> pd.DataFrame:
    """The rows of all finished cells under the results folder, whatever their parameters.

    Columns as image_rows.per_image gives them; behind `seed` also key and fit (hashes of all
    that is declared of the cell and of its fit), and every declared parameter in which two cells
    of one method differ, called as its owner and field (fit.epochs, data.size, explain.k).
    UserError when a file is damaged.
    """
    frames, declared = [], []
    for folder, info in store.all_cells():
        images = of_folder(folder)
        if images is not None:
            images.insert(len(KEYS), "key", folder.name.rpartition("-")[2])
            images.insert(len(KEYS) + 1, "fit", info["declared"]["fit"])
            frames.append(images)
            declared.append(_declared(info))
    if not frames:
        return pd.DataFrame(columns=[*KEYS, "key", "fit", "id"])
    names = _differing(declared)
    for i, name in enumerate(names, len(KEYS) + 2):
        values = [facts.get(name) for facts in declared]
        if len({type(value) for value in values if value is not None}) > 1:
            # A column of a parquet file has one type.
            values = [None if value is None else str(value) for value in values]
        for images, value in zip(frames, values):
            images.insert(i, name, value)
    return pd.concat(frames, ignore_index=True)


def _declared(info: dict[str, Any]) -> dict[str, Any]:
    """What a cell and its fit declare, flat."""
    own, fit = info["declared"], info["fit"]
    groups = {"fit": fit["params"], "data": fit["data"], "explain": own["params"]}
    flat = {f"{owner}.{name}": value for owner, params in groups.items()
            for name, value in params.items()}
    return {"method": own["method"], "version": fit["version"], "metrics": own["metrics"],
            "generator": fit.get("generator"), **flat}


def _differing(declared: list[dict[str, Any]]) -> list[str]:
    """Names in which cells of one method differ, in the order of their first appearance."""
    table = pd.DataFrame([{k: repr(v) for k, v in facts.items()} for facts in declared])
    several = table.groupby("method").nunique(dropna=False).max()
    return [name for name in table if name != "method" and several[name] > 1]

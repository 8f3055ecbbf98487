"""Stored cells -> the tables that a definition shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from aexad import methods
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.definitions import TableDef
from aexad.bench.plan.settings import MetricsParams
from aexad.bench.results.image_rows import per_image
from aexad.bench.results.store import Store
from aexad.bench.tables import emissions, winrates
from aexad.bench.tables.build import Table, build
from aexad.bench.tables.notes import Place


def labels(names: Sequence[str] = ()) -> dict[str, str]:
    """What methods are called in tables and figures, those of the results folder's external ones
    and any other `names` that is known too."""
    return {name: methods.entry(name).label for name in (*methods.entries(), *names)}


def with_metrics(records: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Records (results.records) with the metrics that a table shows: metric -> its stored column.
    A column that no cell has is NaN."""
    return records.assign(**{
        metric: pd.to_numeric(records[column]) if column in records else float("nan")
        for metric, column in columns.items()})


def tables(definition: TableDef, cells: Sequence[Cell], rows: list[Place], names: list[str],
           records: pd.DataFrame, chosen: MetricsParams, store: Store, about: str) -> list[Table]:
    """The table of `rows` x `names`, and where it is about emissions the one relative to AE-XAD.

    records: of `cells`; chosen: which of the stored numbers are shown; about: what stands behind
    the titles.
    """
    columns = {metric: chosen.column(metric) for metric in definition.metrics}
    records, called = with_metrics(records, columns), labels(names)
    title = f"{definition.title} {about}"
    if definition.shows == "winrates":
        images = per_image(cells, store)
        return [winrates.table(images[images["used"].astype(bool)], records, definition, rows,
                               names, called, columns, chosen.winrate == "pooled", title)]
    if not definition.about_emissions:
        return [build(records, definition, rows, names, called, title)]
    records = emissions.measured(records)
    if definition.shows == "tradeoff":
        records = emissions.tradeoffs(records, definition.metrics)
    made = [build(records, definition, rows, names, called, title)]
    with_grams = replace(definition, metrics=(*dict.fromkeys((*definition.metrics, "grams")),))
    title = f"{definition.title}, relative to {called[emissions.BASE]} {about}"
    beside = emissions.relative(build(records, with_grams, rows, names, called), title)
    return made + [beside] if beside else made

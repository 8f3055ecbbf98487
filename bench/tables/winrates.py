"""Table 3: on which share of the test images one method beats another. Pure functions of frames
with a row per image, as aexad.bench.results.image_rows.per_image gives them."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from statistics import fmean, stdev

import pandas as pd

from aexad.bench.paper.printed_tables import win_rate
from aexad.bench.plan.definitions import TableDef
from aexad.bench.tables.build import Cell, Row, Table
from aexad.bench.tables.notes import (
    Footnotes,
    Place,
    image_notes,
    lacking,
    listed,
    remarks,
    seed_notes,
    span,
    warnings,
)

SHARES = ("wins", "losses", "ties")
PLACE = ["dataset", "category", "seed"]


def pair_up(images: pd.DataFrame, first: str, second: str, metric: str) -> pd.DataFrame:
    """A row per image that both methods explained: dataset, category, seed, id, and `metric` of
    the two in the columns first and second. Of one scenario. ValueError when an image is there
    twice."""
    of = {name: images.loc[images["method"] == method, [*PLACE, "id", metric]].rename(
        columns={metric: name}) for name, method in (("first", first), ("second", second))}
    return of["first"].merge(of["second"], on=[*PLACE, "id"], validate="one_to_one")


def shares(images: pd.DataFrame, first: str, second: str, metric: str,
           pooled: bool = False) -> pd.DataFrame:
    """A row per dataset and seed: `wins`, share of the images on which `first` is strictly better
    (higher) than `second`; `losses`, strictly worse; `ties`; n, the number of pairs; and
    categories, how many they are of.

    Shares of a dataset are means of its categories' shares, as in the paper's Table 3, or with
    `pooled` shares of all its images. images: the used rows of `per_image`.
    """
    pairs = pair_up(images, first, second, metric)
    better = (pairs["first"] > pairs["second"]).astype(float)
    worse = (pairs["first"] < pairs["second"]).astype(float)
    each = pairs[PLACE].assign(wins=better, losses=worse, ties=1 - better - worse, n=1)
    by = ["dataset", "seed"]
    means = each if pooled else each.groupby(PLACE, as_index=False)[list(SHARES)].mean()
    counts = each.groupby(by).agg(n=("n", "sum"), categories=("category", "nunique"))
    return means.groupby(by)[list(SHARES)].mean().join(counts).reset_index()


def table(images: pd.DataFrame, records: pd.DataFrame, definition: TableDef, rows: list[Place],
          methods: list[str], labels: dict[str, str], columns: dict[str, str],
          pooled: bool = False, title: str | None = None) -> Table:
    """Win rates of each pair of `methods`: a row per dataset and pair, a group of columns per
    metric, each with wins, losses and ties of the pair's first method.

    images: the used rows of `per_image`. records: a row per cell and seed, as for tables.build.
    columns: metric -> its column of `images`.
    """
    records = records[records["scenario"] == definition.scenario]
    found = defaultdict(list)
    for record in records.sort_values("seed", kind="stable").itertuples():
        found[(record.dataset, record.category), record.method].append(record)
    seeds = sorted(set(records["seed"]))
    why = Footnotes(methods, rows, labels, seeds)
    won = {(pair, metric): shares(images, *pair, columns[metric], pooled)
           for pair in combinations(methods, 2) for metric in definition.metrics}
    body, counts = [], defaultdict(list)
    for dataset in dict.fromkeys(dataset for dataset, _ in rows):
        for pair in combinations(methods, 2):
            notes = [why.add(reason, place, method, seed) for place in rows if place[0] == dataset
                     for method in pair for reason, seed in lacking(found[place, method], seeds)]
            groups = []
            for metric in definition.metrics:
                by_seed = won[pair, metric]
                by_seed = by_seed[by_seed["dataset"] == dataset]
                counts[dataset] += by_seed["n"].tolist()
                groups.append(_cells(by_seed, dataset, pair, metric, definition, notes))
            names = " – ".join(labels.get(method, method) for method in pair)
            body.append(Row(dataset, names, tuple(groups)))
    done = [record for cell in found.values() for record in cell if record.status == "done"]
    counted = [f"{dataset} {span(ns)}" for dataset, ns in counts.items() if ns]
    notes = [*seed_notes(found, seeds, why.where), *image_notes(done),
             "wins: the first method of the pair is strictly better; losses: the second; "
             + ("shares of all images of a dataset" if pooled
                else "means of the categories' shares"),
             *([f"pairs of images: {listed(counted)}"] if counted else []),
             *([_EXCHANGED] if _printed(body) else []),
             *remarks(found, why.where), *warnings(done), *why.texts()]
    return Table(definition.name, title or definition.title,
                 tuple((metric, _TITLES[metric]) for metric in definition.metrics), SHARES,
                 tuple(body), tuple(notes), definition.decimals,
                 keys=("dataset", "pair", "metric", "share"), best="more than half",
                 among="of the images", scenario=definition.scenario)


_TITLES = {"auc": "AUC", "f1": "F1", "iou": "IoU"}
_EXCHANGED = ("the paper's labels BGAD and FCDD are read exchanged: as printed, its Table 3 "
              "contradicts its Table 2 and its text")


def _printed(body: list[Row]) -> bool:
    return any(c.published is not None and c.value is not None
               for row in body for group in row.cells for c in group)


def _cells(by_seed: pd.DataFrame, dataset: str, pair: tuple[str, str], metric: str,
           definition: TableDef, notes: list[int]) -> tuple[Cell, ...]:
    """wins, losses and ties of a pair: means over seeds, beside the paper's."""
    paper: dict[str, float | None] = dict.fromkeys(SHARES)
    if definition.printed_in is None:
        wins, losses = (win_rate(dataset, *p, metric) for p in (pair, pair[::-1]))
        if None not in (wins, losses):
            paper = {"wins": wins, "losses": losses, "ties": round(1 - wins - losses, 3) + 0.0}
    notes = tuple(dict.fromkeys(notes))
    # As for the means of other tables: a spread needs every seed to have all categories.
    spread = len(by_seed) > 1 and by_seed["categories"].nunique() == 1
    cells = []
    for share in SHARES:
        numbers = by_seed[share].tolist()
        if not numbers:
            cells.append(Cell(None, published=paper[share], status="missing", notes=notes))
            continue
        value = fmean(numbers)
        cells.append(Cell(value, stdev(numbers) if spread else None, len(numbers),
                          paper[share], "best" if value > 0.5 and share != "ties" else None,
                          notes=notes, by_seed=tuple(zip(by_seed["seed"].tolist(), numbers))))
    return tuple(cells)

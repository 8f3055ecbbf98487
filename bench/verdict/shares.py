"""The verdict on the shares of Table 3: on how many test images one method beats another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from statistics import fmean

import numpy as np
import pandas as pd

from aexad.bench.measure import intervals
from aexad.bench.paper.printed_tables import win_rate
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.evidence import Place
from aexad.bench.tables.notes import listed
from aexad.bench.verdict import conditions
from aexad.bench.verdict.chosen import Chosen, Where
from aexad.bench.verdict.numbers import COLUMNS, Judged, Number, spread
from aexad.datasets.catalog import DATASETS

TABLE = TABLES["table3"]


def numbers() -> Iterator[Number]:
    """Every share that Table 3 prints, with its labels exchanged (printed_tables.win_rate)."""
    for dataset in TABLE.datasets:
        for metric in TABLE.metrics:
            for winner, loser in permutations(TABLE.methods, 2):
                value = win_rate(dataset, winner, loser, metric)
                if value is not None:
                    yield Number(TABLE.name, dataset, "", winner, metric, TABLE.scenario, value,
                                 loser)


def judge(number: Number, chosen: dict[Where, Chosen], why: dict[Where, str]) -> Judged:
    """Ours is the mean of the categories' shares, as in the table. It is compared where only some
    of the categories are there, too, and that is one of the conditions."""
    places = [(number.dataset, c) for c in DATASETS[number.dataset].categories]
    met = {place: both for place in places if (both := _both(number, place, chosen))}
    wins = {place: won(*both, COLUMNS.get(number.metric, number.metric))
            for place, both in met.items()}
    wins = {place: frame for place, frame in wins.items() if len(frame)}
    if not wins:
        return Judged(number, reason=_lacking(number, places, chosen, why))
    seeds = [frame.groupby(level="seed").mean().to_numpy() for frame in wins.values()]
    images = [frame.groupby(level="id").mean() for frame in wins.values()]
    by_seed = _over_categories(wins)
    value = float(np.mean([s.mean() for s in seeds]))
    found = intervals.of_share([float(i.mean()) for i in images], [len(i) for i in images], seeds)
    words = {word for place in wins for cells in met[place]
             for word in cells.conditions(number.metric)}
    words |= {conditions.IMAGES} if len(wins) < len(places) else set()
    named = listed([place[1] for place in wins])
    return Judged(number, value, spread(by_seed), found and found.within(0, 1),
                  sum(map(len, images)), _seeds(wins), conditions.ordered(words),
                  tuple(dict.fromkeys(s for place in wins for c in met[place] for s in c.sources)),
                  remark="" if len(wins) == len(places) else
                  f"{len(wins)} of {len(places)} categories: {named}")


def won(first: Chosen, second: Chosen, column: str) -> pd.Series:
    """(seed, id) -> 1 where the first is strictly better, else 0, of images that both explained."""
    seeds = [seed for seed in first.seeds if seed in second.runs]
    both = {seed: [c.runs[seed].used[column].dropna() for c in (first, second)] for seed in seeds}
    met = {seed: a.index.intersection(b.index) for seed, (a, b) in both.items()}
    return pd.concat({seed: (a[met[seed]] > b[met[seed]]).astype(float)
                      for seed, (a, b) in both.items()} or {0: pd.Series(dtype=float)},
                     names=["seed", "id"])


def _both(number: Number, place: Place, chosen: dict[Where, Chosen]
          ) -> tuple[Chosen, Chosen] | None:
    """The cells of both methods in a category, where both have rows per image."""
    both = [chosen.get((method, place, number.scenario))
            for method in (number.method, number.against)]
    first, second = both
    return (first, second) if first and second and first.has_rows and second.has_rows else None


def _lacking(number: Number, places: list[Place], chosen: dict[Where, Chosen],
             why: dict[Where, str]) -> str:
    wheres = [(m, place, number.scenario) for place in places
              for m in (number.method, number.against)]
    there = [where[:2] for where in wheres if where in chosen]
    if any(sum(place == other for _, other in there) == 2 for place in places):
        return "no rows per image in common"
    return next((why[where] for where in wheres if where in why), "not run")


def _over_categories(wins: dict[Place, pd.Series]) -> list[float]:
    """The mean over categories under each seed, where all categories have the same seeds."""
    each = [frame.groupby(level="seed").mean() for frame in wins.values()]
    if len({tuple(e.index) for e in each}) > 1:
        return []
    return [fmean(float(e[seed]) for e in each) for seed in each[0].index]


def _seeds(wins: dict[Place, pd.Series]) -> tuple[int, ...]:
    return tuple(sorted({int(s) for frame in wins.values() for s in
                         frame.index.get_level_values("seed")}))

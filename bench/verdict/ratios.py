"""The verdict on emissions and trade-offs (Tables 5 to 8), as ratios to AE-XAD's: grams depend on
the machine, ratios less. Only readings of work that had the machine for itself are taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

from aexad.bench.measure import intervals
from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.printed_tables import METHODS, published
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.evidence import Place
from aexad.bench.tables.emissions import BASE
from aexad.bench.verdict import conditions
from aexad.bench.verdict.chosen import Chosen, Where
from aexad.bench.verdict.numbers import COLUMNS, NOT_RUN, Judged, Number, spread
from aexad.datasets.catalog import all_categories

NOT_ALONE = "not measured alone"
RATIOS = ("table5", "table6", "table7", "table8")
ONE_READING = "one reading, so no interval"


def numbers() -> Iterator[Number]:
    """The ratios of what Tables 5 to 8 print; of an infinite T and one by 0 there is none."""
    for name in RATIOS:
        table = TABLES[name]
        for dataset, category in all_categories(table.datasets):
            for method in table.methods:
                for metric in table.metrics:
                    mine, base = (published(name, dataset, category, m, metric)
                                  for m in (method, BASE))
                    if method != BASE and mine is not None and base and math.isfinite(mine / base):
                        yield Number(name, dataset, category, method, metric, table.scenario,
                                     mine / base, BASE)


def judge(number: Number, chosen: dict[Where, Chosen], why: dict[Where, str]) -> Judged:
    place = (number.dataset, number.category)
    wheres = [(method, place, number.scenario) for method in (number.method, number.against)]
    for where in wheres:
        if where not in chosen:
            return Judged(number, reason=why.get(where, NOT_RUN))
    mine, base = (values(chosen[where], number.metric) for where in wheres)
    found = {seed: mine[seed] / base[seed] for seed in mine if base.get(seed)}
    found = {seed: ratio for seed, ratio in found.items() if math.isfinite(ratio)}
    if not found:
        return Judged(number, reason=NOT_ALONE if not (mine and base) else "undefined")
    ratios = list(found.values())
    both = [chosen[where] for where in wheres]
    return Judged(
        number, fmean(ratios), spread(ratios), intervals.of_seeds(ratios), 0, tuple(sorted(found)),
        conditions.ordered({word for cells in both for word in cells.conditions(number.metric)}),
        tuple(dict.fromkeys(source for cells in both for source in cells.sources)),
        remark="" if len(ratios) > 1 else ONE_READING)


def values(cells: Chosen, metric: str) -> dict[int, float]:
    """seed -> grams, or T of another metric, of what was measured alone."""
    if metric == "grams":
        return dict(cells.grams)
    column = COLUMNS.get(metric, metric)
    return {seed: tradeoff(grams, number) for seed, grams in cells.grams.items()
            if seed in cells.runs and (number := cells.runs[seed].number(column)) is not None}


def tables(chosen: dict[Where, Chosen], strict: bool) -> dict[str, dict[str, dict]]:
    """Tables 5 to 8 of ours in the form of paper_tables.json, in grams: what sentences are about.
    strict: of cells as published alone."""
    found: dict[str, dict[str, dict]] = {}
    for name in RATIOS:
        table = TABLES[name]
        rows = found.setdefault(name, {})
        for place in all_categories(table.datasets):
            for method in table.methods:
                cells = chosen.get((method, place, table.scenario))
                if cells and not (strict and cells.conditions()):
                    _add(rows, place, method, cells, table.metrics)
    return found


def _add(rows: dict[str, dict], place: Place, method: str, cells: Chosen,
         metrics: tuple[str, ...]) -> None:
    numbers = {m: fmean(v.values()) for m in metrics if (v := values(cells, m))}
    if len(numbers) == len(metrics):
        rows.setdefault("/".join(place), {})[METHODS[method]] = (
            numbers["grams"] if metrics == ("grams",) else numbers)

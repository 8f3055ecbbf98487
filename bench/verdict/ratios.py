"""The verdict on emissions and trade-offs (Tables 5 to 8), as ratios to AE-XAD's: grams depend on
the machine, ratios less. Only readings of work that had the machine for itself are taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from statistics import fmean

from aexad.bench.measure import intervals
from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.printed_tables import METHODS, published
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.evidence import Evidence, Place
from aexad.bench.tables.emissions import BASE
from aexad.bench.verdict import conditions
from aexad.bench.verdict.chosen import Chosen, Where, choose
from aexad.bench.verdict.numbers import COLUMNS, NOT_RUN, Judged, Number, printed, spread
from aexad.datasets.catalog import all_categories

NOT_ALONE = "not measured alone"
RATIOS = ("table5", "table6", "table7", "table8")
ONE_READING = "one reading, so no interval"


def numbers() -> Iterator[Number]:
    """The ratios of what Tables 5 to 8 print; of an infinite T and one by 0 there is none."""
    for mine in printed(RATIOS):
        base = published(mine.table, mine.dataset, mine.category, BASE, mine.metric)
        if mine.method != BASE and base and math.isfinite(mine.value / base):
            yield replace(mine, value=mine.value / base, against=BASE)


def by_device(evidence: Iterable[Evidence]) -> dict[str, dict[Where, Chosen]]:
    """The cells that were measured alone, chosen among those of each device: what one emitted and
    what another did have no ratio."""
    alone: dict[str, list[Evidence]] = {}
    for one in evidence:
        if one.grams is not None:
            alone.setdefault(one.device, []).append(one)
    return {device: choose(found) for device, found in alone.items()}


def judge(number: Number, measured: dict[str, dict[Where, Chosen]], chosen: dict[Where, Chosen],
          why: dict[Where, str]) -> Judged:
    """measured: `by_device`. Of several devices that with the conditions nearest to the published
    ones, then that with more seeds; the others' ratios are remarked."""
    place = (number.dataset, number.category)
    wheres = [(method, place, number.scenario) for method in (number.method, number.against)]
    found = [judged for device, cells in measured.items() if all(w in cells for w in wheres)
             if (judged := _on(device, number, *(cells[w] for w in wheres)))]
    if not found:
        missing = [where for where in wheres if where not in chosen]
        return Judged(number, reason=why.get(missing[0], NOT_RUN) if missing else NOT_ALONE)
    found.sort(key=lambda j: (*(word in j.conditions for word in conditions.WORDS), -len(j.seeds)))
    return replace(found[0], remark="; ".join(
        [found[0].remark, *(f"{j.value:.3f} {j.remark.split('; ')[-1]}" for j in found[1:])]))


def _on(device: str, number: Number, *both: Chosen) -> Judged | None:
    """The ratio of two methods on a device, of the seeds that both have; None where there is none.
    """
    mine, base = (values(cells, number.metric) for cells in both)
    found = {seed: mine[seed] / base[seed] for seed in mine if base.get(seed)}
    found = {seed: ratio for seed, ratio in found.items() if math.isfinite(ratio)}
    if not found:
        return None
    ratios = list(found.values())
    return Judged(
        number, fmean(ratios), spread(ratios), intervals.of_seeds(ratios), 0, tuple(sorted(found)),
        conditions.ordered({word for cells in both for word in cells.conditions(number.metric)}),
        tuple(dict.fromkeys(source for cells in both for source in cells.sources)),
        remark="; ".join([*([ONE_READING] if len(ratios) == 1 else []), f"on {device}"]))


def values(cells: Chosen, metric: str) -> dict[int, float]:
    """seed -> grams, or T of another metric, of cells that were measured alone."""
    column, found = COLUMNS.get(metric, metric), {}
    for seed, run in cells.runs.items():
        number = run.number(column) if metric != "grams" else math.nan
        if run.grams is not None and number is not None:
            found[seed] = run.grams if metric == "grams" else tradeoff(run.grams, number)
    return found


def tables(measured: dict[str, dict[Where, Chosen]], strict: bool) -> dict[str, dict[str, dict]]:
    """Tables 5 to 8 of ours in the form of paper_tables.json, in grams: what sentences are about.
    Of the device that measured most. strict: of cells as published alone."""
    chosen = max(measured.values(), key=len, default={})
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

"""Tables 7 and 8 against the emissions and metrics that they are made of (Equation 5)."""

from __future__ import annotations

import math

from aexad.bench.measure.names import METRICS
from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.audit.check import Check, Disagreement, Listing, listed
from aexad.bench.paper.audit.printed import (
    LABELS,
    Number,
    Tables,
    cell,
    groups,
    interval,
    meet,
    numbers,
    place,
    short,
    table_name,
    text,
)

MADE_OF = {"table7": ("table5", "table2"), "table8": ("table6", "table4")}
Interval = tuple[float, float]
# (row, method) -> the emission that each metric's score implies, and what these have in common
Explained = dict[tuple[str, str], tuple[dict[str, Interval], Interval]]


def attainable_tradeoff(grams: Interval, metric: Interval) -> Interval:
    """All T(m) of emissions and a metric within intervals: T grows with E and falls with m."""
    low, high = (min(max(m, 0.0), 1.0) for m in metric)
    return tradeoff(grams[0], high), tradeoff(grams[1], low)


def implied_emissions(score: Interval, metric: Interval) -> Interval:
    """All E = T m / (1 - m) of a score and a metric within intervals, in grams: Equation 5 solved
    for E. Nothing is known where T is infinite."""
    if math.isinf(score[0]):
        return 0.0, math.inf
    low, high = (min(max(m, 0.0), 1.0) for m in metric)
    return score[0] * low / (1 - low), score[1] * high / (1 - high) if high < 1 else math.inf


def check_tradeoffs(tables: Tables, table: str) -> Check:
    """T(m) of every cell of Table 7 or 8 within what rounding allows."""
    emissions, quality = MADE_OF[table]
    checked, off = 0, []
    for number in numbers(tables[table]):
        grams = tables[emissions][number.row][number.method]
        metric = tables[quality][number.row][number.method][number.metric]
        possible = attainable_tradeoff(interval(emissions, grams), interval(quality, metric))
        checked += 1
        if not meet(possible, interval(table, number.value)):
            off.append((number, grams, metric, possible))
    disagreements = tuple(
        Disagreement(cell(number, table), text(table, number.value),
                     f"{short(tradeoff(grams, metric))} (between {short(low)} and {short(high)}), "
                     f"from E = {text(emissions, grams)} g and m = {text(quality, metric)}")
        for number, grams, metric, (low, high) in off)
    explained = _explained(tables, table, [number for number, *_ in off])
    return Check(
        f"tradeoff-{table}",
        f"Trade-off scores of {table_name(table)}, recomputed from Tables {emissions[5:]} and "
        f"{quality[5:]}",
        f"Equation 5 (Section 5.4): T(m) = E (1 − m) / m. E (of {table_name(emissions)}) and m (of "
        f"{table_name(quality)}) are printed rounded, so each can be up to half a unit of its last "
        f"digit higher or lower; some such E and m must give a T that is printed as in "
        f"{table_name(table)}.",
        "scores", checked, disagreements, _meaning(table, explained), _more(table, explained),
        (_listing(explained, table),) if explained else ())


def _explained(tables: Tables, table: str, off: list[Number]) -> Explained:
    """The rows and methods with a disagreeing score."""
    _, quality = MADE_OF[table]
    found = {}
    for row, method in dict.fromkeys((number.row, number.method) for number in off):
        implied = {
            metric: implied_emissions(
                interval(table, float(score)),
                interval(quality, tables[quality][row][method][metric]))
            for metric, score in tables[table][row][method].items()}
        overlap = (max(low for low, _ in implied.values()),
                   min(high for _, high in implied.values()))
        found[row, method] = implied, overlap
    return found


def _meaning(table: str, explained: Explained) -> str:
    emissions, quality = map(table_name, MADE_OF[table])
    if not explained:
        return f"Every score follows from what {emissions} and {quality} print."
    methods: dict[str, list[str]] = {}
    for row, method in explained:
        methods.setdefault(place(row, table), []).append(LABELS[method])
    rows: dict[tuple[str, ...], list[str]] = {}
    for row, names in methods.items():
        rows.setdefault(tuple(names), []).append(row)
    where = "; ".join(f"{listed(list(names))} on {listed(where)}" for names, where in rows.items())
    return f"These scores were not computed from what {emissions} and {quality} print: {where}."


def _more(table: str, explained: Explained) -> str:
    if not explained:
        return ""
    quality, pairs = table_name(MADE_OF[table][1]), len(explained)
    metrics = sum(low > high for _, (low, high) in explained.values())
    return (f"Of the {pairs} pairs of method and category, {pairs - metrics} could be explained by "
            f"another emission; for {metrics} no emission fits all their scores, so that at least "
            f"one metric behind them was another than {quality} prints.")


def _listing(explained: Explained, table: str) -> Listing:
    def span(low: float, high: float) -> str:
        return f"{short(low)} to {short(high)}" if low <= high else "none"

    metrics = list(dict.fromkeys(m for implied, _ in explained.values() for m in implied))
    return Listing(
        f"Emissions (g) that the scores of {table_name(table)} and the printed metrics imply",
        ("where", *(f"by {METRICS[m]}" for m in metrics), "one E that explains all"),
        tuple((cell(Number(row, method, "", 0), table), *(span(*implied[m]) for m in metrics),
               span(*overlap)) for (row, method), (implied, overlap) in explained.items()))


def check_winners(tables: Tables) -> Check:
    """Rows where the method that is printed with the lowest T can not have it."""
    off, checked = [], 0
    for table, (emissions, quality) in MADE_OF.items():
        for (row, metric), printed in groups(tables.get(table, {})).items():
            made_of = {m: (tables[emissions][row][m], tables[quality][row][m][metric])
                       for m in printed}
            ranges = {m: attainable_tradeoff(interval(emissions, grams), interval(quality, value))
                      for m, (grams, value) in made_of.items()}
            best = min(printed, key=printed.__getitem__)
            checked += 1
            if any(high < ranges[best][0] for _, high in ranges.values()):
                computed = {m: tradeoff(*numbers) for m, numbers in made_of.items()}
                off.append(Disagreement(
                    f"{table_name(table)}, {place(row, table)}, {METRICS[metric]}",
                    _ranking({m: text(table, v) for m, v in printed.items()}, best),
                    _ranking({m: short(v) for m, v in computed.items()},
                             min(computed, key=computed.__getitem__))))
    meaning = (
        f"In {len(off)} comparisons the best trade-off belongs to another method than the printed "
        f"one; all other first places stand." if off else
        "The method with the best trade-off is everywhere the printed one.")
    return Check(
        "tradeoff-winners", "Which method has the best trade-off, printed and recomputed",
        "The lowest T(m) of a row is the best (Section 5.4). A row disagrees when the method with "
        "the lowest printed T is beaten by another for all E and m that the printed ones can "
        "stand for (Equation 5).",
        "comparisons", checked, tuple(off), meaning)


def _ranking(scores: dict[str, str], best: str) -> str:
    return (f"{LABELS[best]} ("
            + ", ".join(f"{LABELS[m]} {score}" for m, score in scores.items()) + ")")

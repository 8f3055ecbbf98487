"""Ours minus the paper's as a heat map: categories x methods, in colours around 0."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aexad.bench.measure.names import METRICS
from aexad.bench.report.data import Key
from aexad.bench.tables.build import Table

ABOVE, BELOW, MIDDLE = (33, 102, 172), (179, 88, 6), (247, 247, 247)
"""Blue, orange and a near white: with any of the common colour vision deficiencies they differ."""

LEAST, MOST = 0.05, 0.25  # the smallest and largest end of the scale: smaller differences are no
#                           news, and one that is far off would leave all others white


@dataclass(frozen=True)
class Square:
    """A cell: its difference, None where there is none; colours as CSS has them."""

    value: float | None
    method: str
    ground: str = ""
    ink: str = ""
    hatched: bool = False


@dataclass(frozen=True)
class HeatMap:
    """One metric of a scenario. limit: where the colours end. rows: (dataset, label), squares."""

    scenario: str
    title: str
    methods: list[str]
    limit: float
    rows: list[tuple[tuple[str, str], list[Square]]]


def heat_maps(tables: Sequence[Table], reduced: Collection[Key]) -> list[HeatMap]:
    """A map for each metric of the tables that have a difference, all on one scale. reduced:
    the cells whose budget or network is not the paper's."""
    tables = [table for table in tables if _differences(table)]
    found = [size for table in tables for size in _differences(table)]
    if not found:
        return []
    limit = min(max(LEAST, math.ceil(max(found) * 20) / 20), MOST)
    return [_heat_map(table, j, limit, reduced) for table in tables
            for j in range(len(table.metrics))]


def _differences(table: Table) -> list[float]:
    return [abs(cell.difference) for row in table.rows if not row.is_mean for group in row.cells
            for cell in group if cell.difference is not None]


def _heat_map(table: Table, j: int, limit: float, reduced: Collection[Key]) -> HeatMap:
    rows = [((row.dataset, row.label),
             [_square(group[j].difference, method, limit,
                      (table.scenario, row.dataset, row.label, method) in reduced)
              for (method, _), group in zip(table.groups, row.cells)])
            for row in table.rows if not row.is_mean]
    metric = table.metrics[j]
    return HeatMap(table.scenario, METRICS.get(metric, metric),
                   [label for _, label in table.groups], limit, rows)


def _square(value: float | None, method: str, limit: float, hatched: bool) -> Square:
    if value is None:
        return Square(None, method)
    ground = colour(value / limit)
    return Square(value, method, css(ground), css(ink_on(ground)), hatched)


def colour(share: float) -> tuple[int, int, int]:
    """-1 … 1 -> red, green, blue: from BELOW over MIDDLE to ABOVE; beyond, the ends."""
    end = ABOVE if share > 0 else BELOW
    weight = min(1.0, abs(share))
    return tuple(round(m + weight * (e - m)) for m, e in zip(MIDDLE, end))


def ink_on(ground: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever is read better on a ground."""
    black, white = (0, 0, 0), (255, 255, 255)
    return max(black, white, key=lambda ink: contrast(ink, ground))


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: tuple[int, int, int]) -> float:
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)

"""Printed numbers: where they stand, how they are written, and what they can stand for."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aexad import methods
from aexad.bench.measure.names import METRICS
from aexad.bench.paper.printed_tables import METHODS
from aexad.datasets.catalog import DATASETS

Tables = dict[str, Any]  # bench.paper.printed_tables.tables()

COMPARED = ("aexad", "fcdd", "bgad")  # in the order of the paper's columns
LABELS = {name: methods.entry(ours).label for ours, name in METHODS.items()}
ANOMALIES_ONLY = ("table4", "table6", "table8")  # marked * in the paper
LOWER_IS_BETTER = ("table5", "table6", "table7", "table8")
_SLACK = 1e-9  # relative; for sums of decimals that binary numbers don't hit exactly


class Number(NamedTuple):
    """One number of Tables 1, 2 and 4 to 9. metric: '' where the table has only one."""

    row: str
    method: str
    metric: str
    value: float


def numbers(table: dict[str, Any]) -> Iterator[Number]:
    """All numbers of a table other than Table 3 (whose rows are pairs)."""
    for row, by_method in table.items():
        for method, found in by_method.items():
            for metric, value in (found if isinstance(found, dict) else {"": found}).items():
                yield Number(row, method, metric, float(value))


def groups(table: dict[str, Any]) -> dict[tuple[str, str], dict[str, float]]:
    """(row, metric) -> method -> number: what is compared, and marked, with each other."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row, method, metric, value in numbers(table):
        found.setdefault((row, metric), {})[method] = value
    return found


@functools.cache
def facts() -> dict[str, Any]:
    """paper_facts.json: numbers of images, with their sources."""
    path = Path(__file__).parents[1] / "paper_facts.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def decimals(table: str, value: float) -> int:
    """How many decimals `value` is printed with: three; in the trade-off tables four at most and
    five digits in all (0.1020, 11.043, 13887), or more where more were stored (157.455)."""
    if table not in ("table7", "table8"):
        return 3
    digits = len(str(int(value)))
    stored = len(repr(value).rstrip("0").partition(".")[2])
    return max(min(4, 5 - digits), stored, 0)


def text(table: str, value: float) -> str:
    """The number with the digits that the paper prints."""
    return "inf" if math.isinf(value) else f"{value:.{decimals(table, value)}f}"


def interval(table: str, value: float) -> tuple[float, float]:
    """What a printed number can stand for: half a unit of its last digit either way."""
    if math.isinf(value):
        return value, value
    half = 0.5 * 10.0 ** -decimals(table, value)
    return max(value - half, 0.0), value + half


def meet(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether two intervals have a number in common."""
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return low <= high or low - high <= _SLACK * abs(high)


def attainable(table: str, value: float, n: int) -> bool:
    """Whether some k/n is printed as `value`."""
    low, high = interval(table, value)
    return math.ceil(low * n - 1e-6) <= math.floor(high * n + 1e-6)


def short(value: float) -> str:
    """Four significant digits of a computed number."""
    return f"{value:.4g}" if abs(value) < 1000 or math.isinf(value) else f"{value:.0f}"


def mean_text(value: float) -> str:
    """A mean of printed numbers with three decimals, halves up."""
    return f"{value + _SLACK:.3f}"


def table_name(table: str) -> str:
    """'table7' -> 'Table 7'."""
    return f"Table {table.removeprefix('table')}"


def place(row: str, table: str = "") -> str:
    """'mvtec/metal_nut' -> 'MVTec AD metal nut'; with a * in the tables of anomalies only."""
    dataset, _, category = row.rpartition("/")
    title = DATASETS[dataset].title if dataset in DATASETS else dataset
    category = "" if category == dataset else category.removeprefix(f"{dataset}_")
    star = "*" if table in ANOMALIES_ONLY else ""
    return f"{title} {category.replace('_', ' ')}".strip() + star


def cell(number: Number, table: str) -> str:
    """'BTAD btad 01, FCDD, AUC'."""
    words = (place(number.row, table), LABELS[number.method], METRICS.get(number.metric, ""))
    return ", ".join(filter(None, words))

"""Bold and italic type against the numbers that it marks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from aexad.bench.measure.names import METRICS
from aexad.bench.paper.audit.check import Check, Disagreement, listed
from aexad.bench.paper.audit.printed import (
    LABELS,
    LOWER_IS_BETTER,
    Tables,
    groups,
    place,
    table_name,
    text,
)
from aexad.datasets.catalog import DATASETS

BOLD, ITALIC = "b", "i"


def compared(tables: Tables) -> Iterator[tuple[str, str, str, dict[str, float], dict[str, str]]]:
    """(table, row, metric, method -> number, method -> mark) of Tables 1, 2 and 4 to 9."""
    for table, marks in tables["_marks"].items():
        if table == "table3" or table not in tables:
            continue
        for (row, metric), values in groups(tables[table]).items():
            yield table, row, metric, values, {
                method: found.get(metric, "") if isinstance(found, dict) else found
                for method, found in marks[row].items()}


def ranks(values: dict[str, float], lower: bool) -> tuple[float, float | None]:
    """The best number, and the next other one (None where all are equal)."""
    order = sorted(set(values.values()), reverse=not lower)
    return order[0], order[1] if len(order) > 1 else None


def _where(table: str, row: str, metric: str) -> str:
    name = row.replace("_", " ") if table == "table1" else place(row, table)
    return ", ".join(filter(None, (table_name(table), name, METRICS.get(metric, ""))))


def _named(table: str, values: dict[str, float], chosen: list[str]) -> str:
    return listed([f"{LABELS[m]} {text(table, values[m])}" for m in chosen]) or "none"


def _meaning(mark: str, rank: str, wrong: int, missing: int) -> str:
    right = (f"{wrong} {mark} numbers are not the {rank}" if wrong else
             f"Every {mark} number is the {rank}")
    return f"{right}; in {missing} comparisons nothing is {mark}." if missing else f"{right}."


def check_best(tables: Tables) -> Check:
    """Bold numbers are the best ones."""
    off, checked = [], 0
    for table, row, metric, values, marks in compared(tables):
        best, _ = ranks(values, table in LOWER_IS_BETTER)
        bold = [m for m, mark in marks.items() if mark == BOLD]
        checked += 1
        if not bold or any(values[m] != best for m in bold):
            off.append(Disagreement(
                _where(table, row, metric), f"bold: {_named(table, values, bold)}",
                f"best: {_named(table, values, [m for m in values if values[m] == best])}"))
    wrong = sum(not d.printed.endswith("none") for d in off)
    return Check(
        "marks-best", "Bold type of Tables 1, 2 and 4 to 9",
        "Captions of Tables 1, 2, 4, 5 and 6, and as it seems the other tables: the best result "
        "of a row is bold (the highest in Tables 1, 2, 4, 9, the lowest in Tables 5 to 8). Where "
        "several are equal, any of them may be.",
        "comparisons", checked, tuple(off),
        _meaning("bold", "best", wrong, len(off) - wrong))


def check_runner_up(tables: Tables) -> Check:
    """Italic numbers are the runners-up. A table without any italics counts once."""
    off, checked = [], 0
    lacking: dict[str, list[tuple[str, str, str]]] = {}  # table -> (row, metric, runner-up)
    for table, row, metric, values, marks in compared(tables):
        best, second = ranks(values, table in LOWER_IS_BETTER)
        italic = [m for m, mark in marks.items() if mark == ITALIC]
        tied = sum(v == best for v in values.values()) > 1
        checked += 1
        if not italic and second is not None:
            expected = _named(table, values, [m for m in values if values[m] == second])
            lacking.setdefault(table, []).append((row, metric, expected))
        elif any(values[m] != second and not (tied and values[m] == best) for m in italic):
            off.append(Disagreement(
                _where(table, row, metric), f"italic: {_named(table, values, italic)}",
                "second: " + (f"{text(table, second)}" if second is not None else "none")))
    wrong = len(off)
    for table, rows in lacking.items():
        if not any(ITALIC in _flat(marks) for marks in tables["_marks"][table].values()):
            off.append(Disagreement(f"{table_name(table)}, all rows", "no italics at all",
                                    f"{len(rows)} runners-up", len(rows)))
        else:
            off += [Disagreement(_where(table, row, metric), "no italics", f"second: {expected}")
                    for row, metric, expected in rows]
    missing = sum(map(len, lacking.values()))
    return Check(
        "marks-runner-up", "Italic type of Tables 1, 2 and 4 to 9",
        "Captions of Tables 1, 2, 4, 5 and 6, and as it seems the other tables: the runner-up of "
        "a row is italic, that is the next number after the best (or one that equals a bold "
        "best).",
        "comparisons", checked, tuple(off),
        _meaning("italic", "runner-up", wrong, missing),
        "Marks may also have been lost when the text of the paper was extracted." if missing
        else "")


def _flat(marks: dict[str, Any]) -> list[str]:
    return [mark for found in marks.values()
            for mark in (found.values() if isinstance(found, dict) else (found,))]


def check_win_rates(tables: Tables) -> Check:
    """Bold win rates are those above one half."""
    off, checked = [], 0
    for dataset, metrics in tables["table3"].items():
        for metric, block in metrics.items():
            for a, others in block.items():
                for b, value in others.items():
                    bold = tables["_marks"]["table3"][dataset][metric][a][b] == BOLD
                    checked += 1
                    if bold != (value > 0.5) and not math.isclose(value, 0.5):
                        off.append(Disagreement(
                            f"{DATASETS[dataset].title}, {METRICS[metric]}, {LABELS[a]} over "
                            f"{LABELS[b]}", "bold" if bold else "not bold", text("table3", value)))
    return Check(
        "marks-win-rates", "Bold type of Table 3",
        "Caption of Table 3: values greater than 0.5 are bold.", "shares", checked, tuple(off),
        "These marks and numbers contradict each other." if off else
        "Exactly the shares above one half are bold.")

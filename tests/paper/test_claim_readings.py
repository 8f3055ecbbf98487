"""The readings of sentences: on some rows, and on many tables at once."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from aexad.bench.paper.audit.claims import READINGS
from aexad.bench.paper.audit.readings import Columns
from aexad.bench.paper.printed_tables import tables

PRINTED = tables()


def shaken(seed: int) -> dict:
    """The printed tables with noise on every number, rounded so that some are equal."""
    rng = np.random.default_rng(seed)

    def other(value):
        if isinstance(value, dict):
            return {key: other(item) for key, item in value.items()}
        return round(float(abs(min(float(value), 1e6) * rng.lognormal(0, 0.3))), 2)

    return {name: other(table) for name, table in PRINTED.items() if name[5:].isdigit()}


@pytest.mark.parametrize("reading", READINGS, ids=lambda r: r.reading[:60])
def test_many_tables_at_once_are_judged_as_one_by_one(reading):
    drawn = [shaken(seed) for seed in range(25)]
    one_by_one = [reading.judge(each).verdict for each in drawn]
    each = [{n: Columns.of(n, t) for n, t in reading.rows(d).items()} for d in drawn]
    stack = {n: Columns(each[0][n].rows, {key: np.stack([e[n].values[key] for e in each])
                                          for key in each[0][n].values}) for n in reading.needs}
    strict, tied = reading.holds(stack)
    assert strict.shape == tied.shape == (25,)
    assert ["holds" if s else "only with ties" if t else "does not hold"
            for s, t in zip(strict, tied)] == one_by_one


def test_rows_without_all_methods_are_not_read():
    some = copy.deepcopy({name: PRINTED[name] for name in ("table1", "table2", "table3")})
    del some["table2"]["mvtec/bottle"]["bgad"], some["table1"]["bottle"]["ae"]
    del some["table3"]["btad"]["f1"]["fcdd"]
    by_table = {tuple(r.needs): r.rows(some) for r in READINGS}
    assert "mvtec/bottle" not in by_table["table2",]["table2"]
    assert "btad" not in by_table["table3",]["table3"] and "mvtec" in by_table["table3",]["table3"]
    first = next(r for r in READINGS if r.needs == {"table1": ("aexad_nofilter", "aexad")})
    assert "bottle" in first.rows(some)["table1"]
    assert [r.judge(some) for r in READINGS if "table5" in r.needs] == [None] * 4

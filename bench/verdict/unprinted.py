"""Sentences about figures, of which the paper prints no numbers: they are read over ours alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from aexad import methods
from aexad.bench.measure.names import A_VALUES, METRICS
from aexad.bench.paper.audit.printed import COMPARED, Tables, place
from aexad.bench.paper.audit.readings import Reading, Stack, Truth, alike, almost_all
from aexad.bench.plan.definitions import FIGURES
from aexad.bench.results.evidence import Evidence
from aexad.bench.tables.notes import listed
from aexad.bench.verdict import conditions
from aexad.datasets.catalog import DATASETS

THRESHOLDS, RADII = "thresholds", "radii"
SHOWN = replace(FIGURES["figure4"].shown, metrics=tuple(
    f"{metric}_a{a}" for metric in ("f1", "iou") for a in A_VALUES))
"""What Figures 4 and 5 show: the metrics at each threshold."""


def rows_of(reading: Reading) -> int:
    """On how many rows the paper has what is read."""
    return len(DATASETS["mvtec"].categories)


def _above_found(metric: str):
    def found(tables: Tables) -> str:
        rows = tables[THRESHOLDS]
        off = {place(row): [f"{a:g}" for a in A_VALUES if v["aexad"][f"{metric}_a{a}"] <= max(
            v[m][f"{metric}_a{a}"] for m in COMPARED[1:])] for row, v in rows.items()}
        not_on = [f"{where} (a = {', '.join(at)})" for where, at in off.items() if at]
        return f"{len(rows) - len(not_on)} of {len(rows)}; not on {listed(not_on) or 'none'}"
    return found


def _above_holds(metric: str):
    def holds(stack: Stack) -> Truth:
        t = stack[THRESHOLDS]
        above = [t("aexad", f"{metric}_a{a}") > np.maximum(
            *(t(m, f"{metric}_a{a}") for m in COMPARED[1:])) for a in A_VALUES]
        return almost_all(np.all(above, axis=0))
    return holds


def _radii_found(tables: Tables) -> str:
    rows = tables[RADII]
    return "best: " + ", ".join(
        f"{place(row)} {max(v['radii'], key=v['radii'].__getitem__).removeprefix('k=')}"
        for row, v in rows.items()) + f" px, of {_tried(rows)}"


def _tried(rows: dict[str, dict]) -> str:
    return listed([k.removeprefix("k=") for k in next(iter(rows.values()))["radii"]])


def _radii_hold(stack: Stack) -> Truth:
    columns = stack[RADII]
    best = np.argmax([columns("radii", k) for k, _ in columns.values], axis=0)
    return alike((best != best[..., :1]).any(axis=-1))


READINGS = (
    *(Reading("5.3", "AE-XAD consistently outperforms the competing methods at all evaluated "
                     "thresholds",
              f"AE-XAD's {METRICS[metric]} above both others' at every a, in almost all rows of "
              f"{figure}", {THRESHOLDS: COMPARED}, _above_holds(metric), _above_found(metric))
      for metric, figure in (("f1", "Figure 4"), ("iou", "Figure 5"))),
    Reading("5.2", "smaller filters are preferable to use; differently, for other ones, applying "
                   "wider filters results in improved AUCs",
            "the best of several fixed radii differs between the rows of Figure 3",
            {RADII: ("radii",)}, _radii_hold, _radii_found),
)


def radii(evidence: Iterable[Evidence], strict: bool) -> dict[str, dict[str, Any]]:
    """Figure 3 in the form of a table: row -> the AUC at each fixed radius of one fit, of the
    radii that all rows have. Of several fits the one with the most radii; none of a single row.
    strict: of fits as published alone, but for the radius."""
    fits: dict[str, dict[tuple, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for one in evidence:
        k = one.parameters.get("explain.k")
        if (one.method, one.scenario, one.place[0]) != ("ae_xad", "standard", "mvtec") or not k:
            continue
        of_now = one.version == methods.facts(one.method).version
        if strict and not (of_now and conditions.differing(one) <= {"explain.k"}):
            continue
        rest = tuple(item for item in one.configuration[1] if item[0] != "explain.k")
        auc = one.number("auc")
        if auc is not None:
            fits["/".join(one.place)][one.version, rest, one.seed][f"k={k}"] = auc
    best = {row: max(found.values(), key=len) for row, found in fits.items()}
    common = sorted(set.intersection(*(set(found) for found in best.values()))
                    if best else set(), key=lambda k: int(k[2:]))
    if len(best) < 2 or len(common) < 2:
        return {}
    return {row: {"radii": {k: found[k] for k in common}} for row, found in best.items()}

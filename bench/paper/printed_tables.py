"""The paper's printed numbers. They stand beside ours, never in place of them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

# Our names of methods -> the names in paper_tables.json. This is the one place that knows both.
METHODS = {"ae_xad": "aexad", "ae_xad_raw": "aexad_nofilter", "ae": "ae",
           "ae_filtered": "ae_filter", "fcdd": "fcdd", "bgad": "bgad",
           # The report's 'trainable' column was trained from scratch by its code.
           "ae_xad_vit": "vit_frozen", "ae_xad_vit_scratch": "vit_trainable"}

# Tables that print one number per method, and what it is.
_ONE_METRIC = {"table1": "auc", "table5": "grams", "table6": "grams", "table9": "detection_auc"}

_EMISSIONS = {"table7": "table5", "table8": "table6"}


@functools.cache
def tables() -> dict[str, Any]:
    """paper_tables.json as it is (table3, the win rates, has another shape than the others)."""
    text = Path(__file__).with_name("paper_tables.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def published(table: str, dataset: str, category: str, method: str, metric: str) -> float | None:
    """The number printed in `table` ('table1' ...), or None where the paper has none.

    Metrics are auc, f1 and iou (in tables 7 and 8: the trade-off T of each), grams in tables 5
    and 6 (of 7 and 8: the emissions that their T is of), detection_auc in table 9.
    """
    if metric == "grams":
        table = _EMISSIONS.get(table, table)
    # Table 1 is about MVTec alone, so that its rows are bare categories.
    row = f"{dataset}/{category}" if table != "table1" else category if dataset == "mvtec" else ""
    found = tables().get(table, {}).get(row, {}).get(METHODS.get(method, method))
    if found is None:
        return None
    if table in _ONE_METRIC:
        found = {_ONE_METRIC[table]: found}
    return float(found[metric]) if metric in found else None  # float("inf") is math.inf


def win_rate(dataset: str, winner: str, loser: str, metric: str) -> float | None:
    """Table 3: the share of a dataset's images on which `winner` beats `loser`, None where the
    paper has none. Read with the labels BGAD and FCDD exchanged (table3_relabelled): as printed,
    they contradict the paper's Table 2 and its text."""
    names = (METHODS.get(method, method) for method in (winner, loser))
    block = tables()["table3_relabelled"].get(dataset, {}).get(metric, {})
    share: float | None = block.get(next(names), {}).get(next(names))
    return share

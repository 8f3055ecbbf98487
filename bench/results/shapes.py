"""What is read of the JSON files that the bench writes: the fields, and of which type they are."""

from __future__ import annotations

from typing import Any

from aexad.bench.base.json_files import Each, Maybe, Number, mismatch
from aexad.bench.measure.names import METRIC_COLUMNS

COUNT = Number(0, 1e9)
SCORE = Number(0, 1 + 1e-9)  # a mean of ones can be a bit above
PARAMS = Each(dict, Maybe((str, int, float, bool)))

READING = {"kwh": Number(0), "grams": Number(0), "seconds": Number(0), "country": str, "mode": str,
           "codecarbon": str, "shared": bool, "problem": Maybe(str),
           "others": Maybe(Number(0, 1), absent=True)}
ORIGIN = {"commit": Maybe(str), "device": Maybe(str), "threads": Maybe(int),
          "libraries": Each(dict, str), "method_libraries": Maybe(Each(dict, str), absent=True)}
DECLARED_FIT = {"method": str, "version": int, "dataset": str, "category": str, "scenario": str,
                "seed": Number(0, 2**32 - 1), "params": PARAMS, "data": PARAMS}
DECLARED_CELL = {"fit": str, "method": str, "metrics": int, "params": PARAMS,
                 "set": Maybe(str, absent=True)}
NUMBERS = {**dict.fromkeys((*METRIC_COLUMNS, "detection_auc"), Maybe(SCORE)),
           **dict.fromkeys(("n_images", "n_used", "n_dropped", "n_normal", "n_anomalous"), COUNT),
           **dict.fromkeys(("n_empty", "n_full"), Maybe(COUNT, absent=True))}
TRAINED_ON = {"normal": COUNT, "anomalous": COUNT}
DIGESTS = {"data_sha256": str, "weights_sha256": Each(dict, str)}

FAILED = {"error": str}
FIT = {"declared": DECLARED_FIT, "losses": Each(list, Number(-1e300, 1e300)), "n_train": TRAINED_ON,
       "n_tiles": Maybe(TRAINED_ON, absent=True),
       **dict.fromkeys(("vanished", "empty"), Maybe(Each(list, str), absent=True)),
       "emissions": READING, "provenance": ORIGIN, **DIGESTS}
CELL = {"declared": DECLARED_CELL, "fit": DECLARED_FIT, "numbers": NUMBERS,
        "emissions": Maybe(READING), "provenance": ORIGIN, **DIGESTS}
BASELINE_ENTRY = {
    "method": str, "declared": DECLARED_CELL, "fit": DECLARED_FIT, "numbers": NUMBERS,
    **dict.fromkeys(("key", "test_sha256"), Maybe(str, absent=True)),
    "n_train": Maybe(TRAINED_ON, absent=True),
    "tolerance": Maybe(Each(dict, Number(0)), absent=True), **DIGESTS}
SETTINGS = {"protocol": Maybe(str, absent=True), "epochs": Maybe(Number(1, 1e9), absent=True),
            "set": Maybe(Each(list, str), absent=True)}
BASELINE = {"cells": Each(list, BASELINE_ENTRY), "settings": Maybe(SETTINGS, absent=True),
            "images": Maybe({"file": str, "sha256": str}, absent=True),
            **dict.fromkeys(("command", "note"), Maybe(str, absent=True))}


def wrong_in(info: dict[str, Any], kind: dict[str, Any]) -> str | None:
    """Which field of a fit.json (kind FIT) or cell.json (CELL) is not what it should be, or None.
    A failed one has to say why, no more."""
    if info.get("status") == "failed":
        return mismatch(info, FAILED)
    if info.get("status") != "done":
        return "status"
    return mismatch(info, kind) or mismatch(info.get("numbers", {}), Each(dict, Maybe(Number())),
                                            "numbers")

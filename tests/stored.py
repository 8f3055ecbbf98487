"""What the files of results say, in the least."""

from __future__ import annotations

from aexad.bench.measure.names import METRIC_COLUMNS
from aexad.bench.plan.cells import Fit


def info_of(work, **more):
    """What a finished fit's or cell's file says, in the least."""
    fit = isinstance(work, Fit)
    reading = {"kwh": 1e-3, "grams": 0.2, "seconds": 3.0, "country": "ITA", "mode": "constant",
               "codecarbon": "3", "shared": False, "problem": None}
    info = {"declared": work.declared(), "emissions": reading, "data_sha256": "0" * 64,
            "weights_sha256": {}, "provenance": {"commit": None, "device": "cpu", "threads": 1,
                                                 "libraries": {"torch": "2"}}}
    if fit:
        return info | {"losses": [1.0], "n_train": {"normal": 3, "anomalous": 2}} | more
    numbers = dict.fromkeys((*METRIC_COLUMNS, "detection_auc"), 0.5)
    counts = dict.fromkeys(("n_images", "n_used", "n_dropped", "n_normal", "n_anomalous"), 3)
    return info | {"fit": work.fit.declared(), "numbers": numbers | counts} | more

"""The paper's trade-off between CO2 and quality. It stands here once, for tables and audit."""

from __future__ import annotations

import math


def tradeoff(emissions_grams: float, metric: float) -> float:
    """T(m) = E / (m / (1 - m)), in grams: Equation 5 (Section 5.4). Lower is better.

    emissions_grams: E, what training and explaining emitted. metric: m in [0, 1] (AUC, F1, IoU).
    0 where m = 1, infinity where m = 0 (whatever E, as the paper prints it), NaN where one of them
    is NaN. ValueError for a metric outside [0, 1] and for emissions below zero.
    """
    if math.isnan(emissions_grams) or math.isnan(metric):
        return math.nan
    if not 0 <= metric <= 1:
        raise ValueError(f"metric {metric}: must be between 0 and 1")
    if emissions_grams < 0:
        raise ValueError(f"emissions {emissions_grams}: must not be negative")
    return emissions_grams * (1 - metric) / metric if metric else math.inf

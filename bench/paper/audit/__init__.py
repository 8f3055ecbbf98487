"""The paper's printed numbers checked against each other: pure functions, no training.

Nothing here knows what is wrong with them: each check computes what a printed number should be, or
between which bounds it must lie, from other printed numbers and public facts.
"""

from __future__ import annotations

from aexad.bench.paper.audit import (
    claims,
    emissions,
    images,
    marks,
    metrics,
    splits,
    tradeoffs,
    winrates,
)
from aexad.bench.paper.audit.check import Check
from aexad.bench.paper.audit.printed import Tables


def audit(tables: Tables) -> list[Check]:
    """All checks, of bench.paper.printed_tables.tables()."""
    return [
        images.check_rows(tables),
        tradeoffs.check_tradeoffs(tables, "table7"),
        tradeoffs.check_tradeoffs(tables, "table8"),
        tradeoffs.check_winners(tables),
        emissions.check_emissions(tables, "table5"),
        emissions.check_emissions(tables, "table6"),
        winrates.check_labels(tables),
        winrates.check_zero_categories(tables),
        winrates.check_blocks(tables),
        winrates.check_sums(tables),
        winrates.check_image_counts(tables),
        splits.check_training_anomalies(tables),
        splits.check_detection(tables),
        images.check_stated_sizes(tables),
        metrics.check_same_auc(tables),
        metrics.check_chance(tables),
        metrics.check_bounds(tables),
        metrics.check_empty(tables),
        claims.check_claims(tables),
        marks.check_best(tables),
        marks.check_runner_up(tables),
        marks.check_win_rates(tables),
    ]

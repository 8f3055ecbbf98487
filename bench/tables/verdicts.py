"""What `check` says of each cell of a baseline, as text and for `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from aexad.bench.measure import regression
from aexad.bench.measure.regression import Change, Entry

_HEADS = ("category", "method", "metric", "baseline", "now", "difference", "tolerance", "")


@dataclass(frozen=True)
class Verdict:
    """Of one cell: its entry in the baseline; its metrics then and now, or the reasons why these
    can't be compared."""

    before: Entry
    changes: Sequence[Change] = ()
    reasons: Sequence[str] = ()

    @classmethod
    def of(cls, before: Entry, now: Entry | None) -> Verdict:
        """now: None where the cell is not stored."""
        if now is None:
            return cls(before, reasons=["not stored with the parameters of now"])
        why = regression.differences(before, now)
        return cls(before, reasons=why) if why else cls(before, regression.changes(before, now))

    @property
    def place(self) -> dict[str, str | int]:
        fit = self.before["fit"]
        return {"dataset": fit["dataset"], "category": fit["category"],
                "scenario": fit["scenario"], "method": self.before["method"], "seed": fit["seed"]}

    @property
    def verdict(self) -> str:
        """'not comparable', or the worst of its metrics'."""
        if self.reasons:
            return "not comparable"
        verdicts = {change.verdict for change in self.changes}
        return next((v for v in ("fell", "rose") if v in verdicts), "within")


def text(found: Sequence[Verdict]) -> str:
    """What fell and rose as a table, what is not comparable and why, and how many of each."""
    changes = [change for v in found for change in v.changes]
    fell, rose = ([c for c in changes if c.verdict == verdict] for verdict in ("fell", "rose"))
    apart = [v for v in found if v.reasons]
    rows = [(c.place, c.method, c.metric, f"{c.before:.4f}", f"{c.now:.4f}",
             f"{c.difference:+.4f}", f"{c.tolerance:.4f}", "FELL" if c.fell else "rose")
            for c in [*fell, *rose]]
    lines = [tabulate(rows, _HEADS, disable_numparse=True)] if rows else []
    lines += [f"not comparable: {regression.name(v.before)}: {'; '.join(v.reasons[:4])}"
              for v in apart]
    lines.append(
        f"{len(changes)} numbers of {len(found) - len(apart)} cells compared: {len(fell)} fell, "
        f"{len(rose)} rose, {len(changes) - len(fell) - len(rose)} within their tolerance"
        + (f"; {len(apart)} cells not comparable" if apart else ""))
    return "\n".join(lines)


def as_json(found: Sequence[Verdict]) -> dict[str, Any]:
    """Every cell of the baseline, and how many numbers went where."""
    changes = Counter(change.verdict for v in found for change in v.changes)
    return {"cells": [{**v.place, "verdict": v.verdict, "reasons": v.reasons, "metrics": [
                {"metric": c.metric, "baseline": c.before, "now": c.now,
                 "difference": c.difference, "tolerance": c.tolerance, "verdict": c.verdict}
                for c in v.changes]} for v in found],
            "numbers": {verdict: changes[verdict] for verdict in ("fell", "rose", "within")},
            "not_comparable": sum(bool(v.reasons) for v in found)}

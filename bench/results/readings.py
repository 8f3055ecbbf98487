"""What a cell emitted: the readings stored with it and with its fit, or those of the same work
done again alone (`--emissions strict`), which are kept in a store of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aexad.bench.measure.energy import MISSING
from aexad.bench.plan.cells import Cell
from aexad.bench.results.store import CELL, FIT, Store, done

ALONE = "alone"  # folder of that store, below the results


@dataclass(frozen=True)
class Emitted:
    """Readings (as measure.energy.Reading.as_dict) of a cell's fit and of its explanation; None
    where there is none. remark: what must be known about them."""

    cell: Cell
    fit: dict[str, Any] | None
    explain: dict[str, Any] | None
    remark: str = ""

    @property
    def problem(self) -> str | None:
        """Why the sum of the two is no number, or None."""
        for what, reading in (("training", self.fit), ("explaining", self.explain)):
            problem = reading["problem"] if reading else MISSING
            if problem:
                first = "mend that, then " if problem.startswith(f"{MISSING}:") else ""
                return (f"the reading of {what} is {problem}; {first}--emissions strict measures "
                        f"again")
        return None

    @property
    def shared(self) -> bool:
        """Whether other fits or programs ran on the machine beside one of the two."""
        return any(reading and reading["shared"] for reading in (self.fit, self.explain))

    @property
    def sound(self) -> bool:
        return sound(self.fit, self.explain)

    def columns(self) -> dict[str, Any]:
        """Columns of a cell's record: grams, in all; fit_… and explain_… grams and kwh; fit (its
        key, as cells share it); meter; shared; problem; emission_note. Numbers are NaN where there
        is a problem, in whichever of the two it is."""
        row = {"fit": self.cell.fit.key, "shared": self.shared, "problem": self.problem or "",
               "emission_note": self.remark, "meter": ""}
        for what, reading in (("fit", self.fit), ("explain", self.explain)):
            for unit in ("grams", "kwh"):
                row[f"{what}_{unit}"] = math.nan if self.problem else reading[unit]
        row["grams"] = row["fit_grams"] + row["explain_grams"]
        if not self.problem:
            row["meter"] = " and ".join(dict.fromkeys(
                f"CodeCarbon {r['codecarbon']} ({r['mode']}, energy mix of {r['country']})"
                for r in (self.fit, self.explain)))
        return row


def sound(*found: dict[str, Any] | None) -> bool:
    """Whether all of these readings are there, without a problem and of the work alone."""
    return all(one and not one["problem"] and not one["shared"] for one in found)


def of_cell(cell: Cell, store: Store) -> Emitted:
    """A finished cell's readings: those of the work alone where they are sound, else its own."""
    stored = _stored(cell, store)
    if stored.sound:
        return stored
    alone = alone_store(store)
    again = _stored(cell, alone)
    if not again.sound:
        return stored
    numbers, now = ((s.cell_info(cell) or {}).get("numbers") for s in (store, alone))
    other = "" if numbers == now else (
        ", by a training whose numbers differ from these (another device or environment?)")
    return Emitted(cell, again.fit, again.explain, f"emissions measured again, alone{other}")


def alone_store(store: Store) -> Store:
    """Where work is kept that is done again only to measure it."""
    return Store(store.root / ALONE)


def _stored(cell: Cell, store: Store) -> Emitted:
    # Not store.fit_info: the reading is good without the model.
    fit, own = done(store.fit_dir(cell.fit) / FIT), done(store.cell_dir(cell) / CELL)
    return Emitted(cell, *(info["emissions"] if info else None for info in (fit, own)))

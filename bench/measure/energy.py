"""Energy and CO2 of a piece of work, measured with CodeCarbon's offline tracker (Section 5.4)."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from aexad.bench.base.errors import UserError, first_line, nearest, one_line
from aexad.bench.measure import busy

ZERO = "zero"  # CodeCarbon now and then reads no energy at all; such a reading is marked
MISSING = "missing"


@dataclass(frozen=True)
class Reading:
    """What one piece of work took.

    kwh: energy, kWh. grams: CO2-equivalent, g. seconds: wall time. mode: how CodeCarbon got the
    CPU's power (rapl, cpu_load, constant, ...). shared: other fits, or other programs for more than
    busy.MOST of the machine's busy time, ran beside it, so the energy is not its own alone. others:
    their part of that time, 0 to 1; None in readings of before it was measured. problem: None,
    'zero' or 'missing', with the cause behind it where it is known; such readings are never
    averaged.
    """

    kwh: float
    grams: float
    seconds: float
    country: str
    mode: str
    codecarbon: str
    shared: bool
    problem: str | None
    others: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Meter:
    """Measures what happens inside its `with` block. `before`: an earlier part of the same work
    (from a checkpoint), added to it. `reading()` works inside the block and after it."""

    def __init__(self, country: str, shared: bool = False,
                 before: dict[str, Any] | None = None) -> None:
        self.country, self.shared, self.before = country, shared, before
        self._data: Any = None
        self._tracker: Any = None
        self._mode = "unknown"
        self.cause = ""  # why CodeCarbon did not start

    def __enter__(self) -> Meter:
        # Imported here: the import alone takes a second that a finished table need not wait.
        from unittest.mock import patch

        import codecarbon
        from codecarbon import emissions_tracker
        from codecarbon.output_methods.base_output import BaseOutput

        meter = self

        class Keep(BaseOutput):
            """Hands CodeCarbon's totals to the meter in place of a file."""

            def out(self, total: Any, delta: Any) -> None:
                meter._data = total

            def live_out(self, total: Any, delta: Any) -> None:
                meter._data = total

        self.version = version("codecarbon")
        self._began, self._before_it = time.perf_counter(), busy.Times.now()
        with _Cause() as told:
            # A user's settings (~/.codecarbon.config, ./.codecarbon.config, CODECARBON_…) change
            # the grams tenfold, and say nothing: they are not read. output_dir: it must exist.
            with patch.object(emissions_tracker, "get_hierarchical_config", dict):
                self._tracker = codecarbon.OfflineEmissionsTracker(
                    country_iso_code=self.country, output_methods=[], output_handlers=[Keep()],
                    allow_multiple_runs=True, log_level="warning", measure_power_secs=5,
                    output_dir=os.sep)
            self._tracker.start()
        self.cause = told.cause
        modes = [getattr(h, "_mode", None) for h in getattr(self._tracker, "_hardware", [])]
        self._mode = next((m for m in modes if m), "unknown")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._tracker.stop()
        self._tracker = None

    def reading(self) -> Reading:
        """The work so far."""
        if self._tracker is not None:
            self._end()
            self._tracker.flush()
        before = self.before or {"kwh": 0.0, "grams": 0.0, "seconds": 0.0, "problem": None,
                                 "shared": False}
        data = self._data
        kwh = data.energy_consumed if data else 0.0
        grams = data.emissions * 1000 if data else 0.0
        missing = f"{MISSING}: CodeCarbon did not start ({self.cause})" if self.cause else MISSING
        problem = missing if data is None else ZERO if not kwh > 0 else before["problem"]
        return Reading(before["kwh"] + kwh, before["grams"] + grams,
                       before["seconds"] + self._seconds, self.country, self._mode, self.version,
                       self.shared or before["shared"] or self._others > busy.MOST, problem,
                       self._others_with(before))

    def _end(self) -> None:
        """The end so far."""
        self._seconds = time.perf_counter() - self._began
        self._others = busy.share(self._before_it, busy.Times.now())

    def _others_with(self, before: dict[str, Any]) -> float:
        """Others' part over all; of an earlier part that does not say, nothing is known."""
        if before.get("others") is None:
            return self._others
        parts = [(self._others, self._seconds), (float(before["others"]), float(before["seconds"]))]
        return sum(part * seconds for part, seconds in parts) / sum(s for _, s in parts)


class _Cause(logging.Filter):
    """Inside, what CodeCarbon warns of is kept and not shown: it suppresses what happens at its
    start, and only logs it. cause: the first, in a line."""

    def __init__(self) -> None:
        super().__init__()
        self.cause, self._log = "", logging.getLogger("codecarbon")

    def __enter__(self) -> _Cause:
        self._log.setLevel(logging.WARNING)
        self._log.addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeFilter(self)
        self._log.setLevel(logging.ERROR)

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error and not self.cause:
            self.cause = one_line(f"{type(error).__name__}: {first_line(error)}")[:200]
        return record.levelno >= logging.ERROR


def cannot_start(country: str) -> str:
    """Why CodeCarbon cannot measure anything here, or ''."""
    with Meter(country) as meter:
        pass
    return meter.cause


@cache
def _countries() -> dict[str, Any]:
    from codecarbon.input import DataSource

    source = DataSource()  # type: ignore[no-untyped-call]  # theirs has no annotations
    mixes: dict[str, Any] = source.get_global_energy_mix_data()
    return mixes


def check_country(code: str) -> str:
    """The three-letter ISO code, upper case; UserError when CodeCarbon has no energy mix for it."""
    if code.upper() not in _countries():
        raise UserError(f"--country {code}: no energy mix of that country (three-letter ISO code)"
                        f"{nearest(code.upper(), _countries()) if len(code) == 3 else ''}"[:200])
    return code.upper()

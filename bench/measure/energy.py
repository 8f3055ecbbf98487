"""Energy and CO2 of a piece of work, measured with CodeCarbon's offline tracker (Section 5.4)."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from aexad.bench.base.errors import UserError, nearest

ZERO = "zero"  # CodeCarbon now and then reads no energy at all; such a reading is marked
MISSING = "missing"


@dataclass(frozen=True)
class Reading:
    """What one piece of work took.

    kwh: energy, kWh. grams: CO2-equivalent, g. seconds: wall time. mode: how CodeCarbon got the
    CPU's power (rapl, cpu_load, constant, ...). shared: other fits ran on the machine beside it,
    so the energy is not its own alone. problem: None, 'zero' or 'missing'; such readings are
    never averaged.
    """

    kwh: float
    grams: float
    seconds: float
    country: str
    mode: str
    codecarbon: str
    shared: bool
    problem: str | None

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

    def __enter__(self) -> Meter:
        # Imported here: the import alone takes a second that a finished table need not wait.
        import codecarbon
        from codecarbon.output_methods.base_output import BaseOutput

        meter = self

        class Keep(BaseOutput):
            """Hands CodeCarbon's totals to the meter in place of a file."""

            def out(self, total: Any, delta: Any) -> None:
                meter._data = total

            def live_out(self, total: Any, delta: Any) -> None:
                meter._data = total

        logging.getLogger("codecarbon").setLevel(logging.ERROR)
        self.version = version("codecarbon")
        self._began = time.perf_counter()
        self._tracker = codecarbon.OfflineEmissionsTracker(
            country_iso_code=self.country, output_methods=[], output_handlers=[Keep()],
            allow_multiple_runs=True, log_level="error", measure_power_secs=5)
        self._tracker.start()
        modes = [getattr(h, "_mode", None) for h in getattr(self._tracker, "_hardware", [])]
        self._mode = next((m for m in modes if m), "unknown")
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._began
        self._tracker.stop()
        self._tracker = None

    def reading(self) -> Reading:
        """The work so far."""
        if self._tracker is not None:
            self._seconds = time.perf_counter() - self._began
            self._tracker.flush()
        before = self.before or {"kwh": 0.0, "grams": 0.0, "seconds": 0.0, "problem": None,
                                 "shared": False}
        data = self._data
        kwh = data.energy_consumed if data else 0.0
        grams = data.emissions * 1000 if data else 0.0
        problem = MISSING if data is None else ZERO if not kwh > 0 else before["problem"]
        return Reading(before["kwh"] + kwh, before["grams"] + grams,
                       before["seconds"] + self._seconds, self.country, self._mode, self.version,
                       self.shared or before["shared"], problem)


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

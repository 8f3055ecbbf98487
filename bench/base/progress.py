"""What a person sees while fits run: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

PLAIN_EVERY = 20.0  # seconds between the plain lines of one fit


class Progress:
    """Progress of one fit. `label`: '[2/10] mvtec/bottle ae_xad'."""

    def __init__(self, label: str, stream: TextIO | None = None,
                 moving: bool | None = None) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.moving = self.stream.isatty() if moving is None else moving
        self._width = 0
        self._began: tuple[float, int] | None = None
        self._last = -PLAIN_EVERY

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        print(f"{self.label}: {text}", file=self.stream, flush=True)

    def epoch(self, done: int, total: int, loss: float) -> None:
        """`done` epochs of `total` are finished, the last with this mean loss. total 0: nobody has
        said how many there are."""
        now = time.monotonic()
        if self._began is None:  # the first epoch holds one-off work; time counts from its end
            self._began = (now, done)
        elapsed, counted = now - self._began[0], done - self._began[1]
        known = counted and total
        left = f", {duration(elapsed / counted * (total - done))} left" if known else ""
        text = f"epoch {done}{f'/{total}' if total else ''}, loss {loss:.4g}{left}"
        if self.moving:
            line = f"{self.label}: {text}"
            print("\r" + line.ljust(self._width), end="", file=self.stream, flush=True)
            self._width = len(line)
        elif now - self._last >= PLAIN_EVERY or done == total:
            self._last = now
            self.say(text)

    def _clear(self) -> None:
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=self.stream)
            self._width = 0


def duration(seconds: float) -> str:
    """'45 s', '3 min', '2 h 05 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"

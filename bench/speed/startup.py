"""`./reproduce.sh benchmark --startup`: how long commands that compute nothing take to answer, in
CPU seconds of their process, and which imports cost it."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tabulate import tabulate

from aexad.bench.base.provenance import collect
from aexad.bench.results.store import write_json

REPEATS = 3
SHOWN = 4  # imports
STORED = ("table2", "--protocol", "smoke", "--methods", "ae_xad", "--categories", "embedded/part")
COMMANDS = {  # words -> CPU seconds that are enough
    ("--help",): 0.3, ("table2", "--help"): 0.3, ("tabel2",): 0.3,
    ("completion", "bash"): 0.3, ("status",): 1.0, ("audit",): 1.0, STORED: 1.0,
    ("verdict", "--baselines"): 3.0}
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*([\w.]+)")


@dataclass(frozen=True)
class Answer:
    """A command's CPU seconds, the limit, and the imports that cost most: (package, seconds)."""

    command: str
    seconds: float
    enough: float
    imports: list[tuple[str, float]]


def main(out: Path | None = None) -> int:
    """Print what was measured; 1 where a command is slower than is enough."""
    with tempfile.TemporaryDirectory() as folder:
        place = {**os.environ, "AEXAD_RESULTS": folder}
        print("computing the table that is then read from what is stored", file=sys.stderr)
        _call(STORED, place)
        answers = [_measure(words, enough, place) for words, enough in COMMANDS.items()]
    print(tabulate([(a.command, f"{a.seconds:.2f}", a.enough,
                     ", ".join(f"{name} {seconds:.2f}" for name, seconds in a.imports))
                    for a in answers],
                   ("command", "CPU, s", "enough", "dearest imports, s (with -X importtime)"),
                   disable_numparse=True))
    if out:
        import torch  # what is measured above need not wait for it

        write_json(out, {"provenance": collect(torch.device("cpu"), 1),
                         "startup": [vars(a) for a in answers]})
        print(f"written: {out}", file=sys.stderr)
    slow = [a for a in answers if a.seconds > a.enough]
    for a in slow:
        dearest = a.imports[0] if a.imports else ("nothing", 0.0)
        print(f"failed: {a.command}: {a.seconds:.2f} s, {a.enough} are enough; its dearest import "
              f"is {dearest[0]}, {dearest[1]:.2f} s", file=sys.stderr)
    return 1 if slow else 0


def _measure(words: tuple[str, ...], enough: float, place: dict[str, str]) -> Answer:
    seconds = median(_call(words, place)[0] for _ in range(REPEATS))
    return Answer(" ".join(words), seconds, enough, imports(_call(words, place, imports=True)[1]))


def _call(words: tuple[str, ...], place: dict[str, str], imports: bool = False
          ) -> tuple[float, str]:
    """CPU seconds of the process, and what it wrote to stderr."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-P", *(["-X", "importtime"] if imports else []), "-m", "aexad.bench",
         *words], env=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


def imports(report: str) -> list[tuple[str, float]]:
    """The packages whose modules cost most themselves, (name, seconds), of what -X importtime
    wrote."""
    costs: dict[str, float] = defaultdict(float)
    for microseconds, module in _IMPORT.findall(report):
        costs[module.partition(".")[0]] += int(microseconds) / 1e6
    return sorted(costs.items(), key=lambda item: -item[1])[:SHOWN]

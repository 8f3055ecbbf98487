"""Coverage-guided inputs: libFuzzer's, through atheris, where it is installed. As it never returns,
it has a process of its own: python -m aexad.bench.stress.coverage TARGET KEEP FOLDER OPTION..."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INSTRUMENTED = ("PIL", "bench", "datasets")


def installed() -> bool:
    return importlib.util.find_spec("atheris") is not None


def search(name: str, seconds: int, seed: int, keep: Path) -> tuple[int, str | None]:
    """Search the target `name` for so many seconds: how many inputs that were, and, where one was
    neither accepted nor refused in one clear line, what happened. It is kept in `keep`."""
    with tempfile.TemporaryDirectory() as corpus:
        words = [sys.executable, "-m", "aexad.bench.stress.coverage", name, str(keep), corpus,
                 f"-max_total_time={seconds}", f"-seed={seed}", "-timeout=30", "-rss_limit_mb=4096",
                 "-print_final_stats=1", f"-artifact_prefix={keep}/coverage-"]
        ended = subprocess.run(words, capture_output=True, text=True, errors="replace")
    found = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
    why = None if ended.returncode == 0 else ended.stderr.strip().splitlines()[-1]
    for line in ended.stderr.splitlines():
        if line.startswith("failed: "):
            why = line.removeprefix("failed: ")
    return int(found[1]) if found else 0, why


def main() -> None:
    """The process of one search."""
    import atheris
    import pandas  # noqa: F401  here, so that it and the next are not instrumented
    import torch

    from aexad.methods import vision  # noqa: F401

    torch.set_num_threads(1)
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from aexad.bench.stress import fuzz, targets
    name, _, corpus = sys.argv[1:4]
    with targets.workplace() as place:
        [target] = [t for t in targets.all_targets(Path(place)) if t.name == name]
        for i, content in enumerate([*target.good, *target.cases]):
            if len(content) < 10_000:
                (Path(corpus) / f"{i:03d}").write_bytes(content)

        def one(content: bytes) -> None:
            happened = fuzz.outcome(target, content)
            if happened not in ("accepted", "refused"):
                print(f"failed: {happened.splitlines()[0]}", file=sys.stderr, flush=True)
                raise AssertionError(happened)

        atheris.Setup([sys.argv[0], *sys.argv[4:], corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

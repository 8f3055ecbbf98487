"""`stress`: faults and hostile input, for as long as one likes."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tabulate import tabulate

from aexad.bench.base.errors import UserError, nearest, say
from aexad.bench.base.progress import duration
from aexad.bench.commands.request import check_at_least_one

BATCH = 1000  # inputs of a target before the next one has its turn
FIRST = 2000  # inputs of a campaign that is not over when its time is
OFTEN = 15  # rounds of SIGKILL for one of each other fault


def run(args: argparse.Namespace) -> int:
    if args.scale:
        return _scale(args)
    # Imported here, as the readers of everything are: no other command waits for them.
    import torch

    from aexad.bench.stress import faults, fuzz, targets

    if not hasattr(os, "fork"):
        raise UserError("stress: needs a system with fork")
    for name in ("kills", "inputs", "minutes"):
        if getattr(args, name):
            check_at_least_one(name, getattr(args, name))
    torch.set_num_threads(1)  # forked children have this thread alone
    faults.die_with_parent()
    with targets.workplace() as place:
        readers = targets.all_targets(Path(place))
        wanted = _chosen(args.only, [t.name for t in readers] + list(faults.FAULTS))
        readers = [t for t in readers if t.name in wanted]
        if args.input:
            return _again(args.input, readers, fuzz)
        keep = args.keep or Path(tempfile.mkdtemp(prefix="stress-kept-"))
        keep.mkdir(parents=True, exist_ok=True)
        # A third of the time each for our own mutations, libFuzzer's, and faults.
        until = time.monotonic() + 60 * args.minutes
        counts = _fuzz(readers, args, time.monotonic() + 20 * args.minutes, keep, Path(place))
    searches = _search([t.name for t in readers if t.python], args, keep)
    outcomes = _faults([f for f in faults.FAULTS if f in wanted], args, until)
    return _report(counts, searches, outcomes, keep, args)


def _scale(args: argparse.Namespace) -> int:
    """The table of large sets, a row as soon as it is measured."""
    from aexad.bench.stress import scale

    try:
        asked = scale.sizes(args.scale)
    except ValueError as error:
        raise UserError(f"--scale {args.scale}: expected IMAGESxPIXELS, at least 100 images of a "
                        f"multiple of 8 pixels, as {scale.SIZES} ({error})") from None
    if sys.platform != "linux":
        raise UserError("stress --scale: reads /proc, which only Linux has")
    made = []
    for row in scale.rows(_chosen(args.only, scale.METHODS), asked):
        made.append(row)
        say(" ".join(map(str, row)))
    print(tabulate(made, scale.COLUMNS, floatfmt=".2f"))
    return 0


def _chosen(text: str, known: Sequence[str]) -> list[str]:
    names = [w.strip() for w in text.split(",") if w.strip()]
    for name in names:
        if name not in known:
            raise UserError(f"--only {name}: no such target or fault{nearest(name, known)}")
    return names or list(known)


def _again(path: Path, readers: Sequence, fuzz: object) -> int:
    if len(readers) != 1 or not path.is_file():
        raise UserError("--input FILE: needs a file, and the one target of it with --only")
    happened = fuzz.outcome(readers[0], path.read_bytes())
    print(happened)
    return 0 if happened in ("accepted", "refused") else 1


def _fuzz(readers: Sequence, args: argparse.Namespace, until: float, keep: Path, place: Path
          ) -> list:
    """All targets in turn, until the time is over and there were enough inputs."""
    from aexad.bench.stress import fuzz

    counts = [fuzz.Count(t.name) for t in readers]
    wanted = {t.name: n for t, n in fuzz.shares(readers, args.inputs or FIRST)}
    rest = True
    while readers and (rest or time.monotonic() < until):
        rest = False
        for target, count in zip(readers, counts):
            stop = min(wanted[target.name], count.inputs + BATCH)
            if count.inputs >= wanted[target.name]:
                stop = count.inputs + max(int(BATCH * target.share / 3), 10)
                if time.monotonic() > until:
                    continue
            fuzz.run(target, args.seed, range(count.inputs, stop), keep, count, place)
            rest |= count.inputs < wanted[target.name]
        print(f"{sum(c.inputs for c in counts)} inputs, "
              f"{sum(len(c.failures) for c in counts)} failures", file=sys.stderr)
    return counts


def _search(names: Sequence[str], args: argparse.Namespace, keep: Path
            ) -> list[tuple[str, int, str | None]]:
    """Coverage-guided searches: target, inputs, and what one of them ended in."""
    from aexad.bench.stress import coverage

    if not names or not args.minutes:
        return []
    if not coverage.installed():
        print("note: no coverage-guided inputs: atheris is not installed (it has wheels for Linux "
              "on x86-64)", file=sys.stderr)
        return []
    seconds = max(int(20 * args.minutes / len(names)), 1)
    return [(name, *coverage.search(name, seconds, args.seed, keep)) for name in names]


def _faults(names: Sequence[str], args: argparse.Namespace, until: float) -> list:
    """All faults in turn, until the time is over and there were enough kills."""
    from aexad.bench.stress import faults
    from aexad.bench.stress.field import Field, Outcome

    outcomes = {name: Outcome(name) for name in names}
    cache = os.environ.get("AEXAD_CACHE")
    with tempfile.TemporaryDirectory(prefix="stress-") as folder:
        os.environ["AEXAD_CACHE"] = str(Path(folder) / "cache")
        try:
            field = Field(Path(folder), args.seed, args.main) if names else None
            number, often = 0, OFTEN if "SIGKILL" in names else 1
            kills = args.kills if any(name in faults.KILLING for name in names) else 0
            while names and (number == 0 or time.monotonic() < until
                             or sum(o.kills for o in outcomes.values()) < kills):
                for name in names:
                    if name == "SIGKILL" or number % often == 0:
                        faults.one_round(field, name, number, outcomes[name])
                number += 1
                print(f"round {number}: {sum(o.kills for o in outcomes.values())} kills, "
                      f"{sum(len(o.lost) for o in outcomes.values())} lost", file=sys.stderr)
        finally:
            os.environ.pop("AEXAD_CACHE")
            if cache is not None:
                os.environ["AEXAD_CACHE"] = cache
    return list(outcomes.values())


def _report(counts: Sequence, searches: Sequence, outcomes: Sequence, keep: Path,
            args: argparse.Namespace) -> int:
    if counts:
        rows = [(c.name, c.inputs, c.accepted, c.refused, len(c.failures), f"{c.peak:.0f}",
                 duration(c.seconds)) for c in counts]
        total = [sum(row[i] for row in rows) for i in range(1, 5)]
        rows.append(("all", *total, "", duration(sum(c.seconds for c in counts))))
        print(tabulate(rows, ("input", "inputs", "accepted", "refused in one clear line",
                              "anything else", "peak memory, MB", "time")))
    if searches:
        print()
        print(tabulate([(name, inputs, int(why is not None)) for name, inputs, why in searches],
                       ("coverage-guided", "inputs", "anything else")))
    if outcomes:
        print()
        print(tabulate([(o.name, o.rounds, o.kills, len(o.lost)) for o in outcomes]
                       + [("all", sum(o.rounds for o in outcomes), sum(o.kills for o in outcomes),
                           sum(len(o.lost) for o in outcomes))],
                       ("fault", "rounds", "kills", "lost")))
    for outcome in outcomes:
        if outcome.untried:
            print(f"note: not tried: {outcome.name}: {outcome.untried}", file=sys.stderr)
    failed = [(c.name, *failure) for c in counts for failure in c.failures]
    for name, path, why in failed[:50]:
        print(f"failed: {name}: {why[:200]}; again: stress --only '{name}' --input {path}",
              file=sys.stderr)
    for name, _, why in searches:
        if why is not None:
            failed.append((name, str(keep), why))
            print(f"failed: {name}: {why[:200]}; the input: {keep}/coverage-*", file=sys.stderr)
    lost = [(o.name, text) for o in outcomes for text in o.lost]
    for name, text in lost[:50]:
        print(f"lost: {name}, seed {args.seed}, {text}", file=sys.stderr)
    if not failed and not args.keep:
        with suppress(OSError):  # a search left something, or somebody has tidied up
            keep.rmdir()
    return 1 if failed or lost else 0

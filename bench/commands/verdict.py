"""`verdict`: which of the paper's numbers and sentences what is stored reproduces."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from shutil import get_terminal_size

from aexad.bench.base.errors import UserError
from aexad.bench.base.json_files import read_object
from aexad.bench.base.places import BASELINES
from aexad.bench.base.provenance import commit
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import check_file, results_folder
from aexad.bench.measure import interval_coverage
from aexad.bench.measure.interval_coverage import Coverage
from aexad.bench.results import evidence
from aexad.bench.results.store import Store, write_file, write_json
from aexad.bench.tables import grids, json_shapes
from aexad.bench.tables.grids import Page
from aexad.bench.verdict import pages
from aexad.bench.verdict.judgement import Judgement, judge

COVERAGE = BASELINES / "interval-coverage.json"
SCRIPT = "./reproduce.sh"  # what a document calls the bench, whatever it was started by
FILE_WIDTH = 160  # columns, where the output goes to a file


def run(args: argparse.Namespace) -> int:
    """Write the verdict and print it. Always 0: that a number is not reproduced is no failure."""
    check_file("--out", args.out)
    check_file("--measure-coverage", args.measure_coverage)
    if args.measure_coverage:
        return measure(Path(args.measure_coverage))
    store = Store(results_folder(args.results))
    if args.baselines:
        found, notes = evidence.of_baselines(Path(args.baselines))
        made = judge(found, (), coverage(), notes)
    else:
        found = evidence.of_store(store)
        if not found:
            raise UserError(f"{store.root}: nothing is stored there; run {COMMAND} tables first, "
                            f"or see the committed numbers with --baselines")
        made = judge(found, store.failures(), coverage())
    page = pages.page(made, COMMAND)
    try:
        _write(args, made, page, store)
    finally:  # shown, too, where the disk has no room for it
        if args.json:
            source = args.baselines or str(store.root)
            print(json_shapes.text("verdict", {"source": source, **pages.as_json(made, COMMAND)}))
        else:
            shown = sys.stdout.isatty()
            print(grids.terminal(page, get_terminal_size().columns if shown else FILE_WIDTH),
                  end="")
    return 0


def _write(args: argparse.Namespace, made: Judgement, page: Page, store: Store) -> None:
    """Beside the results; and --out: the report alone."""
    stem = f"{page.name}-baselines" if args.baselines else page.name
    store.write_table(stem, {"md": grids.markdown(page), "tex": grids.latex(page),
                             "csv": pages.csv(made, COMMAND)})
    store.write_table(f"{stem}-sentences", {"csv": pages.sentences_csv(made)})
    if args.out:
        text = document(made)
        write_file(Path(args.out), lambda p: p.write_text(text, encoding="utf-8"))
        print(f"written: {args.out}", file=sys.stderr)


def document(made: Judgement) -> str:
    """The report as a document of its own, the same wherever it is made."""
    page = pages.page(made, SCRIPT)
    written = (f"Made by {SCRIPT} verdict --baselines --out docs/verdict.md, from "
               "results/baselines alone; a test holds the two together.")
    return grids.markdown(replace(page, lead=[*page.lead, written]), level=1)


def coverage() -> list[Coverage]:
    """What `measure` stored; none where it never did."""
    try:
        return [Coverage(**row) for row in read_object(COVERAGE)["coverage"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{COVERAGE}: damaged ({error}); make it again with {COMMAND} verdict "
                        f"--measure-coverage {COVERAGE}") from None


def measure(path: Path) -> int:
    """Measure how often intervals hold the truth, and keep that in a file."""
    found = []
    for one in interval_coverage.measure():
        print(f"{one.kind}, seeds' spread {one.ratio:g}, {one.seeds} seeds, {one.truth}: "
              f"{one.share:.3f} of {one.n}", file=sys.stderr)
        found.append(one)
    write_json(path, {"coverage": [asdict(one) for one in found], "commit": commit()})
    print(f"written: {path}", file=sys.stderr)
    return 0

"""`verify`: what of the datasets is on disk, complete and sound."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aexad.bench.base.errors import UserError, one_line
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import check_at_least_one, chosen_rows, data_root
from aexad.bench.paper.audit.printed import facts
from aexad.datasets import folder
from aexad.datasets.catalog import DATASETS, PAPER, all_categories
from aexad.datasets.verify import Finding, Report, different_counts, verify


def run(args: argparse.Namespace) -> int:
    check_at_least_one("threads", args.threads)
    root = data_root(args.data_root)
    asked = chosen_rows(args.datasets, args.categories)
    places = {row: folder.locate(root, *row) for row in asked or all_categories(PAPER)
              if row[0] != "embedded"}
    if not places:
        raise UserError("the embedded suite is generated, there is nothing to verify")
    if asked is None and not any(places.values()):
        raise UserError(f"{root}: none of the datasets is there; give --data-root, or get them "
                        f"with {COMMAND} fetch")
    missing = [row for row, place in places.items() if place is None]
    reports = {row: _show(row, place, args.threads) for row, place in places.items() if place}
    faults = sum(len(report.findings) for report in reports.values())
    faults += _say(_totals(reports))
    if asked is not None:
        faults += _say(Finding("folder", f"{folder.expected(root, *row)}: not there")
                       for row in missing)
    others = sorted(_others(root))
    if others:
        print(one_line(f"not looked at, no dataset of datasets/catalog.py: {', '.join(others)}"))
    print(f"{len(reports)} categories looked at, {faults} fault{'s' * (faults != 1)}"
          + _absent(missing))
    return 1 if faults else 0


def _show(row: tuple[str, str], place: Path, threads: int) -> Report:
    """Verify one category and print what was found."""
    name = "/".join(row)
    known = facts()["images"].get(name) or facts()["stated"].get(name, {})
    report = verify(place, DATASETS[row[0]], known, threads)
    n = report.counts
    other = any(f.kind == "count" for f in report.findings)
    compared = ("not the published numbers" if other else "as published" if known
                else "no published numbers")
    print(f"{name:<20} {n['train_normals']:>4} + {n['test_normals']:>3} normal (train + test), "
          f"{n['anomalies']:>3} anomalous of {n['types']} type{'s' * (n['types'] != 1)}, "
          f"{compared}", flush=True)
    _say(report.findings)
    return report


def _say(findings: Sequence[Finding]) -> int:
    count = 0
    for count, finding in enumerate(findings, 1):
        print(f"  {finding.kind}: {one_line(finding.text)}", flush=True)
    return count


def _totals(reports: dict[tuple[str, str], Report]) -> list[Finding]:
    """Sums over datasets of which only sums are published, where all categories are there."""
    found = []
    for dataset, published in facts()["totals"].items():
        own = [reports.get(row) for row in all_categories((dataset,))]
        if all(own):
            sums = sum((Counter(report.counts) for report in own), Counter())
            found += different_counts(DATASETS[dataset].title, sums, published)
    return found


def _others(root: Path) -> list[str]:
    known = {"weights", *(name for spec in DATASETS.values() for name in spec.folders)}
    return [p.name for p in (root.iterdir() if root.is_dir() else ())
            if p.is_dir() and p.name[0] != "." and p.name not in known]


def _absent(missing: Sequence[tuple[str, str]]) -> str:
    counts = Counter(dataset for dataset, _ in missing)
    return "; not there: " + ", ".join(
        f"{n} of {dataset}" for dataset, n in counts.items()) if counts else ""

"""The checks as text: Markdown for files, plain for the terminal."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from tabulate import tabulate

from aexad.bench.paper.audit.check import Check

TITLE = "Audit of the published numbers"
INTRODUCTION = (
    "The numbers printed in Tables 1 to 9 of 'Explaining Anomalies through Semi-supervised "
    "Autoencoders' (AE-XAD), checked against each other, against the paper's own equations and "
    "sentences, and against the public sizes of its datasets. Nothing was trained or measured: "
    "everything here can be recomputed from the printed paper.",
    "A disagreement means that two things in the paper do not fit together. It does not say which "
    "of them is right, and nothing about how good a method is.",
    "A printed number stands for every number that is rounded to it; a disagreement is counted "
    "only where no such numbers fit. A star marks the scenario in which only anomalies train "
    "(Tables 4, 6 and 8). AE∪F is the autoencoder with the filter, AE-XAD∖F is AE-XAD without it. "
    "E is an emission in grams of CO2, m a metric (AUC, F1 or IoU), T the trade-off score.")
WRITTEN_BY = ("Written by `./reproduce.sh audit --out FILE`; `--json FILE` writes the findings for "
              "programs. The command's exit status is 0 whatever it finds.")
SUMMARY = ("check", "numbers", "disagree", "what it means")
_PADDING = 2  # tabulate's, of headers
COLUMNS = ("where", "printed", "computed or expected")


def markdown(checks: Sequence[Check]) -> str:
    """The whole report in GitHub's Markdown."""
    parts = [f"# {TITLE}", *INTRODUCTION, WRITTEN_BY,
             _grid(_md, SUMMARY, [
                 (f"[{k}. {check.title}](#{_anchor(k, check)})", *_counts(check))
                 for k, check in enumerate(checks, 1)])]
    for k, check in enumerate(checks, 1):
        parts += [f"## {k}. {check.title}", f"**Rule.** {_md(check.rule)}",
                  f"**Result.** {_md(_result(check))}"]
        if check.disagreements:
            parts.append(_grid(_md, COLUMNS, _rows(check)))
        for listing in check.listings:
            parts += [f"{_md(listing.title)}:", _grid(_md, listing.columns, listing.rows)]
    return "\n\n".join(parts) + "\n"


def terminal(checks: Sequence[Check], width: int) -> str:
    """The whole report for `width` columns."""
    def wrap(paragraph: str) -> str:
        return textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False)

    parts = [TITLE.upper(), *map(wrap, INTRODUCTION),
             _plain(width, SUMMARY, [
                 (f"{k}. {check.title}", *_counts(check)) for k, check in enumerate(checks, 1)])]
    for k, check in enumerate(checks, 1):
        title = wrap(f"{k}. {check.title}")
        parts += [f"{title}\n{'=' * min(width, max(map(len, title.splitlines())))}",
                  wrap(f"Rule: {check.rule}"), wrap(f"Result: {_result(check)}")]
        if check.disagreements:
            parts.append(_plain(width, COLUMNS, _rows(check)))
        for listing in check.listings:
            parts.append(f"{wrap(listing.title)}:\n\n"
                         f"{_plain(width, listing.columns, listing.rows)}")
    return "\n\n".join(parts) + "\n"


def as_json(checks: Sequence[Check]) -> dict[str, list[dict[str, Any]]]:
    """The checks as a JSON object, with the count of what disagrees."""
    return {"checks": [{**dataclasses.asdict(check), "disagreeing": check.disagreeing}
                       for check in checks]}


def _counts(check: Check) -> tuple[str, str, str]:
    return f"{check.checked} {check.unit}", str(check.disagreeing or "–"), check.meaning


def _result(check: Check) -> str:
    n = check.disagreeing
    count = (f"{n} of {check.checked} {check.unit} disagree{'s' if n == 1 else ''}." if n else
             f"None of {check.checked} {check.unit} disagrees.")
    return " ".join(filter(None, (count, check.meaning, check.more)))


def _rows(check: Check) -> list[tuple[str, ...]]:
    return [(d.where, d.printed, d.computed) for d in check.disagreements]


def _md(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")


def _anchor(k: int, check: Check) -> str:
    """GitHub's name of a heading: lower case, letters, digits and hyphens."""
    heading = f"{k}. {check.title}".lower().replace(" ", "-")
    return "".join(c for c in heading if c.isalnum() or c in "-_")


def _grid(escape: Callable[[str], str], columns: Sequence[str],
          rows: Sequence[Sequence[str]]) -> str:
    cells = [[escape(cell) for cell in row] for row in rows]
    lines = [list(columns), ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(width: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table within `width`: the widest columns give way first."""
    widths = [max(len(column) + _PADDING, *(len(row[j]) for row in rows))
              for j, column in enumerate(columns)]
    room = max(width - 2 * (len(columns) - 1), 8 * len(columns))
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    return str(tabulate(rows, columns, "simple", disable_numparse=True, maxcolwidths=widths,
                        maxheadercolwidths=[w - _PADDING for w in widths]))

"""Everything that is said of stored numbers, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aexad import methods
from aexad.bench.measure.interval_coverage import Coverage
from aexad.bench.paper import printed_tables
from aexad.bench.results.evidence import Evidence
from aexad.bench.verdict import numbers, ratios, sentences, shares, why
from aexad.bench.verdict.chosen import Where, choose
from aexad.bench.verdict.numbers import PLAIN, Judged
from aexad.bench.verdict.sentences import Sentence

Failure = tuple[str, str, str, str, str]  # dataset, category, scenario, method, why


@dataclass(frozen=True)
class Judgement:
    """judged: every published number, in the order of the tables. moved: of those that are not
    reproduced, what moves them most. notes: where the evidence is kept, and what a reader must know
    of it."""

    judged: list[Judged]
    moved: dict[int, str]
    sentences: list[Sentence]
    coverage: Sequence[Coverage]
    notes: dict[str, str]

    @property
    def compared(self) -> list[Judged]:
        return [j for j in self.judged if j.value is not None]

    @property
    def lacking(self) -> list[Judged]:
        return [j for j in self.judged if j.value is None]


def judge(evidence: Sequence[Evidence], failures: Iterable[Failure] = (),
          coverage: Sequence[Coverage] = (), notes: dict[str, str] | None = None) -> Judgement:
    """evidence: all there is; failures: why cells that are not there failed."""
    chosen, reasons = choose(evidence), _reasons(failures)
    judged = [numbers.judge(n, chosen, reasons) for n in numbers.plain_numbers()]
    judged += [shares.judge(n, chosen, reasons) for n in shares.numbers()]
    measured = ratios.by_device(evidence)
    judged += [ratios.judge(n, measured, chosen, reasons) for n in ratios.numbers()]
    judged.sort(key=lambda j: j.number.table)  # stable
    moved = {i: text for i, j in enumerate(judged) if (text := why.explain(j, chosen, evidence))}
    read = sentences.read_all(chosen, evidence, printed_tables.tables())
    used = {source for j in judged for source in j.sources}
    return Judgement(judged, moved, read, coverage,
                     {name: note for name, note in (notes or {}).items() if name in used})


def _reasons(failures: Iterable[Failure]) -> dict[Where, str]:
    """By cell; a fit that failed is that of all methods that it is trained for."""
    found: dict[Where, str] = {}
    for dataset, category, scenario, method, reason in failures:
        for name in methods.entries():
            if method in (name, methods.trained_as(name)):
                found[name, (dataset, category), scenario] = f"failed: {reason}"
    return found


def headline(made: Judgement, command: str) -> list[str]:
    """Three lines: as published, under other conditions, without a number."""
    published = [j for j in made.compared if j.as_published]
    others = [j for j in made.compared if not j.as_published]
    words = Counter(word for j in others for word in j.conditions)
    reasons = Counter("failed" if j.reason.startswith("failed") else j.reason
                      for j in made.lacking)
    return [
        f"As published: {len(published)} of the paper's {len(made.judged)} numbers have one of "
        f"ours under the published conditions; {_split(published)}.",
        f"Under other conditions: {len(others)} more"
        + (f" ({_counts(words)}); {_split(others)}." if others else "."),
        f"Without a number: {len(made.lacking)} ({_counts(reasons)}); {command} tables "
        f"--data-root DIR --emissions strict computes them."
        if made.lacking else "Without a number: none."]


def _split(judged: Sequence[Judged]) -> str:
    """'20 reproduced, 2 above, 1 below'."""
    counts = Counter(j.comparison for j in judged)
    return ", ".join(f"{counts[word]} {word}" for word in numbers.WORDS)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {n}" for word, n in counts.most_common())


def tables() -> list[str]:
    return sorted({*PLAIN, shares.TABLE.name, *ratios.RATIOS})

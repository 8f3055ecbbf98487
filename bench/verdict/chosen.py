"""Of all that is stored, the cells that speak for a published number: one configuration, all its
seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from aexad.bench.paper.printed_tables import METHODS
from aexad.bench.results.evidence import Evidence, Place
from aexad.bench.verdict import conditions

Where = tuple[str, Place, str]  # method, place, scenario


@dataclass(frozen=True)
class Chosen:
    """The cells of one method in one place and scenario, of one configuration. runs: seed -> its
    cell. again: the same cells computed once more."""

    runs: dict[int, Evidence]
    again: tuple[Evidence, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted(self.runs))

    @property
    def first(self) -> Evidence:
        return self.runs[self.seeds[0]]

    @property
    def has_rows(self) -> bool:
        """Whether the numbers of each image are there, under every seed."""
        return all(run.images is not None for run in self.runs.values())

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.runs[seed].source for seed in self.seeds))

    def other_runs(self, column: str) -> str:
        """What the same cells have where they were computed once more, as on other hardware, and
        other numbers came out."""
        found = {f"{number:.3f} ({one.source}, seed {one.seed})" for one in self.again
                 if (number := one.number(column)) is not None
                 and (mine := self.runs[one.seed].number(column)) is not None
                 and f"{number:.3f}" != f"{mine:.3f}"}
        return f"computed once more: {', '.join(sorted(found))}" if found else ""

    def conditions(self, metric: str = "") -> tuple[str, ...]:
        """Of the seed that is worst off: a verdict is about all of them."""
        return conditions.ordered({word for run in self.runs.values()
                                   for word in conditions.of_number(run, metric)})


def choose(evidence: Iterable[Evidence]) -> dict[Where, Chosen]:
    """For each method of the paper, place and scenario the configuration nearest to the published
    one; of equally near ones that with more seeds, then with more passes, then the first.

    Two files may have the same cell, computed twice: the first with rows per image counts, so that
    no seed counts twice.
    """
    found: dict[Where, dict[tuple, dict[int, Evidence]]] = defaultdict(lambda: defaultdict(dict))
    everything: dict[tuple[Where, tuple], list[Evidence]] = defaultdict(list)
    for one in evidence:
        if one.method not in METHODS:
            continue
        where, configuration = (one.method, one.place, one.scenario), one.configuration
        runs = found[where][configuration]
        everything[where, configuration].append(one)
        if one.seed not in runs or (runs[one.seed].images is None and one.images is not None):
            runs[one.seed] = one
    chosen = {}
    for where, configurations in found.items():
        best = min(configurations, key=lambda c: _rank(configurations[c]))
        runs = configurations[best]
        again = [e for e in everything[where, best] if e is not runs[e.seed]]
        chosen[where] = Chosen(runs, tuple(again))
    return chosen


def _rank(runs: dict[int, Evidence]) -> tuple:
    one = next(iter(runs.values()))
    words = conditions.of_cell(one)
    return (*(word in words for word in conditions.WORDS), -len(runs),
            -conditions.passes(one.parameters))

"""What a check of printed numbers finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Disagreement:
    """One place where the paper does not agree with itself: as printed, and as computed.

    count: how many of the checked numbers it stands for.
    """

    where: str
    printed: str
    computed: str
    count: int = 1


@dataclass(frozen=True)
class Listing:
    """Numbers that stand beside a check: a small table, all of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Check:
    """One check.

    rule: what must hold, with the paper's own section, equation or table. checked: how many
    `unit`s ('cells'). meaning: one plain sentence, what the result means. more: what else there is
    to say.
    """

    id: str
    title: str
    rule: str
    unit: str
    checked: int
    disagreements: tuple[Disagreement, ...]
    meaning: str
    more: str = ""
    listings: tuple[Listing, ...] = ()

    @property
    def disagreeing(self) -> int:
        return sum(d.count for d in self.disagreements)


def listed(names: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

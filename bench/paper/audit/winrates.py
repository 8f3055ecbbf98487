"""Table 3, the share of images on which one method beats another, against itself and Table 2."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from statistics import fmean
from typing import Any, NamedTuple

from aexad.bench.measure.names import METRICS
from aexad.bench.paper.audit.check import Check, Disagreement, Listing, listed
from aexad.bench.paper.audit.printed import (
    COMPARED,
    LABELS,
    Tables,
    attainable,
    facts,
    mean_text,
    place,
    text,
)
from aexad.datasets.catalog import DATASETS

TABLE = "table3"
_ROUNDING = 0.0005  # half a unit of the last printed digit
_EPS = 1e-9


class Pair(NamedTuple):
    """Two methods on a dataset: how often the first beats the second, and the other way round."""

    dataset: str
    metric: str
    a: str
    b: str
    wins: float
    losses: float

    @property
    def where(self) -> str:
        return (f"{DATASETS[self.dataset].title}, {METRICS[self.metric]}, "
                f"{LABELS[self.a]} against {LABELS[self.b]}")


def pairs(table: dict[str, Any]) -> Iterator[Pair]:
    """The pairs of methods of every dataset and metric, each once."""
    for dataset, metrics in table.items():
        for metric, block in metrics.items():
            for a, b in itertools.combinations([m for m in COMPARED if m in block], 2):
                yield Pair(dataset, metric, a, b, block[a][b], block[b][a])


def check_blocks(tables: Tables) -> Check:
    """F1 and IoU rank two heatmaps of an image alike, so their win rates are the same numbers."""
    off, checked = [], 0
    for dataset, metrics in tables[TABLE].items():
        for a, others in metrics["f1"].items():
            for b, f1 in others.items():
                iou = metrics["iou"][a][b]
                checked += 1
                if abs(f1 - iou) > _EPS:
                    off.append(Disagreement(
                        f"{DATASETS[dataset].title}, {LABELS[a]} over {LABELS[b]}",
                        f"F1 {text(TABLE, f1)}, IoU {text(TABLE, iou)}", "the same number twice"))
    titles = listed(list(dict.fromkeys(d.where.split(",")[0] for d in off)))
    return Check(
        "win-rates-f1-iou", "F1 and IoU parts of Table 3",
        "For one image IoU = F1 / (2 − F1), which grows with F1. So one method beats another in "
        "IoU on exactly the images on which it does in F1, and both parts hold the same numbers.",
        "pairs of cells", checked, tuple(off),
        f"On {titles} F1 and IoU were not computed from the same binary heatmaps and images."
        if off else "The two parts coincide, as they must.")


def check_sums(tables: Tables) -> Check:
    """Shares of images that can belong together: sums, and chains of three methods."""
    off, checked, rows = [], 0, []
    for pair in pairs(tables[TABLE]):
        total = pair.wins + pair.losses
        ties = max(1 - total, 0.0)
        checked += 1
        if total > 1 + 2 * _ROUNDING + _EPS:
            off.append(Disagreement(pair.where, f"{text(TABLE, pair.wins)} + "
                                    f"{text(TABLE, pair.losses)}", f"{total:.3f}, more than 1"))
        elif ties > 2 * _ROUNDING + _EPS:
            rows.append((pair.where, text(TABLE, pair.wins), text(TABLE, pair.losses),
                         f"{ties:.3f}"))
    for dataset, metrics in tables[TABLE].items():
        for metric, block in metrics.items():
            for a, b, c in itertools.permutations(block, 3):
                most = block[a][b] + block[b][c]
                checked += 1
                if block[a][c] > most + 3 * _ROUNDING + _EPS:
                    off.append(Disagreement(
                        f"{DATASETS[dataset].title}, {METRICS[metric]}, {LABELS[a]} over "
                        f"{LABELS[c]}", text(TABLE, block[a][c]),
                        f"at most {most:.3f}, by way of {LABELS[b]}"))
    auc = any(f", {METRICS['auc']}," in row[0] for row in rows)
    return Check(
        "win-rates-sums", "Sums and chains of Table 3",
        "On one image A cannot both beat B and lose to it, so p(A > B) + p(B > A) is at most 1; "
        "what is missing to 1 are ties. And where A beats C, it also beats B or B beats C: "
        "p(A > C) ≤ p(A > B) + p(B > C). Both within rounding.",
        "inequalities", checked, tuple(off),
        "No set of images has such shares." if off else "All shares are possible.",
        (f"In {len(rows)} comparisons shares are missing to 1{'' if auc else ', none of AUC'}: "
         f"ties, which need equal F1 of two methods on one image, in practice two empty or "
         f"entirely misplaced binary heatmaps (F1 = 0)." if rows else ""),
        (Listing("Ties that Table 3 implies", ("where", "wins", "losses", "ties"), tuple(rows)),)
        if rows else ())


def _winners(tables: Tables) -> list[tuple[Pair, dict[str, float], str]]:
    """(pair, mean over the categories of Table 2 by method, the better one); not where the
    means are equal within rounding."""
    found = []
    for pair in pairs(tables[TABLE]):
        rows = [row for row in tables["table2"] if row.startswith(f"{pair.dataset}/")]
        means = {m: fmean(tables["table2"][row][m][pair.metric] for row in rows) for m in COMPARED}
        if abs(means[pair.a] - means[pair.b]) > 2 * _ROUNDING - _EPS:
            found.append((pair, means, max(pair.a, pair.b, key=means.__getitem__)))
    return found


def _agrees(tables: Tables, pair: Pair, winner: str, reading: dict[str, str]) -> bool:
    """Whether the winner by Table 2's means also wins more images, when the name printed in
    Table 3 for method m is reading[m]."""
    block = tables[TABLE][pair.dataset][pair.metric]
    a, b = reading[pair.a], reading[pair.b]
    first_wins: bool = block[a][b] > block[b][a]
    return first_wins == (winner == pair.a)


def check_labels(tables: Tables) -> Check:
    """Whether Table 3's method names fit Table 2, and whether others fit better."""
    compared = _winners(tables)
    readings = [dict(zip(COMPARED, names)) for names in itertools.permutations(COMPARED)]
    counts = [sum(_agrees(tables, pair, winner, reading) for pair, _, winner in compared)
              for reading in readings]
    printed, best = readings[0], readings[counts.index(max(counts))]
    off = []
    for pair, means, winner in compared:
        if not _agrees(tables, pair, winner, printed):
            other = _agrees(tables, pair, winner, best)
            off.append(Disagreement(
                pair.where, f"{text(TABLE, pair.wins)} to {text(TABLE, pair.losses)}",
                f"means {mean_text(means[pair.a])} to {mean_text(means[pair.b])}: "
                f"{LABELS[winner]} should win"
                + ("; agrees in the best reading below" if other else "")))
    if best == printed:
        meaning = (f"The names of the methods fit Table 2 best as they are printed "
                   f"({counts[0]} of {len(compared)} comparisons agree).")
    else:
        swapped = listed([LABELS[m] for m in COMPARED if best[m] != m])
        meaning = (f"The names {swapped} are most likely exchanged in Table 3: as printed "
                   f"{counts[0]} of {len(compared)} comparisons agree with Table 2, exchanged in "
                   f"rows and columns {max(counts)}.")
    return Check(
        "win-rates-labels", "Names of the methods in Table 3 against Table 2",
        "The method with the better mean over a dataset's categories (Table 2) is expected to win "
        "more of its images (Table 3). Not a law, since a mean can hang on few images, so it is "
        "counted for all six ways to assign the three names.",
        "comparisons", len(compared), tuple(off), meaning, "",
        (_readings_listing(readings, counts, len(compared)), _sizes_listing(tables, best)))


def _readings_listing(readings: list[dict[str, str]], counts: list[int], total: int) -> Listing:
    order = sorted(range(len(readings)), key=lambda k: -counts[k])
    return Listing(
        "The names as printed, and read otherwise: comparisons that agree",
        (*(f"'{LABELS[m]}' read as" for m in COMPARED), "agree"),
        tuple((*(LABELS[next(k for k, v in readings[i].items() if v == m)] for m in COMPARED),
               f"{counts[i]} of {total}") for i in order))


def _sizes_listing(tables: Tables, best: dict[str, str]) -> Listing:
    """Mean AUC, and how often AE-XAD wins by AUC: more often against the weaker competitor?"""
    rows = []
    for dataset, metrics in tables[TABLE].items():
        means = {m: fmean(tables["table2"][row][m]["auc"] for row in tables["table2"]
                          if row.startswith(f"{dataset}/")) for m in COMPARED}
        wins = [metrics["auc"]["aexad"][m] for m in COMPARED[1:]]
        read = [metrics["auc"][best["aexad"]][best[m]] for m in COMPARED[1:]]
        rows.append((DATASETS[dataset].title, *(mean_text(means[m]) for m in COMPARED),
                     *(text(TABLE, share) for share in (*wins, *read))))
    return Listing("AUC: AE-XAD should win more often against the competitor with the lower mean",
                   ("dataset", *(f"mean {LABELS[m]}" for m in COMPARED),
                    *(f"wins over {LABELS[m]}, as printed" for m in COMPARED[1:]),
                    *(f"wins over {LABELS[m]}, best reading" for m in COMPARED[1:])),
                   tuple(rows))


def check_zero_categories(tables: Tables) -> Check:
    """A method can't win images of categories where its metric is 0.000 in the mean."""
    off, checked = [], 0
    for pair in pairs(tables[TABLE]):
        rows = [row for row in tables["table2"] if row.startswith(f"{pair.dataset}/")]
        for winner, loser, share in ((pair.a, pair.b, pair.wins), (pair.b, pair.a, pair.losses)):
            zero = [row for row in rows if tables["table2"][row][winner][pair.metric] == 0]
            most = 1 - len(zero) / len(rows)
            checked += 1
            if share > most + _ROUNDING + _EPS:
                off.append(Disagreement(
                    f"{DATASETS[pair.dataset].title}, {METRICS[pair.metric]}, {LABELS[winner]} "
                    f"over {LABELS[loser]}", text(TABLE, share),
                    f"at most {most:.3f}: Table 2 prints 0.000 for "
                    f"{listed([place(row) for row in zero])}"))
    return Check(
        "win-rates-zeros", "Wins in Table 3 where Table 2 prints 0.000",
        "A method whose mean metric in a category is 0.000 wins next to none of its images. With "
        "categories of equal weight p(A > B) is then at most the share of the other categories.",
        "shares", checked, tuple(off),
        "The method that these wins are printed for cannot have them; exchanged names would "
        "explain it." if off else "No method wins where its metric is zero.")


def _available(dataset: str) -> int | None:
    """Most anomalies that a dataset can have in its test set, by public counts or the paper."""
    known = facts()
    counts: list[int] = [v["anomalies"] for row, v in known["images"].items()
                         if row.startswith(f"{dataset}/")]
    if counts:
        return sum(counts)
    stated: int | None = (
        known["totals"][dataset]["test"] if dataset in known["totals"]
        else known["stated"].get(f"{dataset}/{dataset}", {}).get("anomalies"))
    return stated


def possible_counts(values: list[float], most: int) -> list[int]:
    """All N up to `most` for which every value is some k/N as printed."""
    return [n for n in range(1, most + 1) if all(attainable(TABLE, v, n) for v in values)]


def check_image_counts(tables: Tables) -> Check:
    """From how many images the shares can come: k/N."""
    off, rows = [], []
    for dataset, metrics in tables[TABLE].items():
        values = sorted({v for block in metrics.values() for others in block.values()
                         for v in others.values()})
        available = _available(dataset)
        fitting = possible_counts(values, available or 2000)
        title = DATASETS[dataset].title
        if available and not fitting:
            first = next(iter(possible_counts(values, 2000)), None)
            off.append(Disagreement(title, ", ".join(text(TABLE, v) for v in values),
                                    f"no N up to {available}; the smallest is {first}"))
        shown = f"{fitting[0]} to {fitting[-1]} ({len(fitting)} values)" if len(fitting) > 6 else (
            ", ".join(map(str, fitting)) or "none")
        rows.append((title, str(available or "unknown"), shown))
    names = listed([d.where for d in off])
    return Check(
        "win-rates-images", "Numbers of images behind Table 3",
        "A share of N images is k/N with a whole k. All shares of a dataset must fit one N, at "
        "most its number of anomalous test images. (From N = 1000 on, every number of three "
        "decimals fits.)",
        "datasets", len(rows), tuple(off),
        f"The numbers of {names} cannot be percentages of the images, which the caption calls them."
        if off else "All shares can be shares of the dataset's images.",
        "Most likely they are means of the categories' percentages." if off else "",
        (Listing("Numbers of anomalous test images that fit all shares",
                 ("dataset", "anomalous images, at most", "N that fit"), tuple(rows)),))

"""Tables 5 and 6: grams of CO2 against the numbers of training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import correlation, linear_regression, median

from aexad.bench.measure.names import METRICS
from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.paper.audit.check import Check, Disagreement, Listing, listed
from aexad.bench.paper.audit.images import PER_TYPE
from aexad.bench.paper.audit.printed import (
    COMPARED,
    LABELS,
    Tables,
    facts,
    place,
    short,
    table_name,
    text,
)
from aexad.bench.paper.audit.tradeoffs import MADE_OF

FACTOR = 2.0  # how far off the line a printed emission is called out of line
SMALL = 0.1  # grams, of which a fixed cost can be a large part
COPIES = 15  # Section 4.2: 5 copies of each anomaly and 10 cut and pasted


@dataclass(frozen=True)
class Line:
    """grams = intercept + slope * images, over MVTec's categories but those left out."""

    slope: float
    intercept: float
    r2: float
    left_out: tuple[str, ...]

    def grams(self, images: float) -> float:
        return self.intercept + self.slope * images

    def images(self, grams: float) -> float:
        return (grams - self.intercept) / self.slope


def training_images(table: str, copies: int = 1, anomalies: bool = True) -> dict[str, int]:
    """row -> number of training images by public counts: normals (not in Table 6) and three of
    each kind of anomaly, each counted `copies` times."""
    normals = table != "table6"
    return {row: normals * v["train_normals"] + anomalies * copies * PER_TYPE * v["types"]
            for row, v in facts()["images"].items()}


def out_of_line(printed: float, expected: float) -> bool:
    return not expected / FACTOR <= printed <= expected * FACTOR


def fit_line(grams: dict[str, float], images: dict[str, int]) -> Line:
    """Least squares over MVTec's rows, without those that are out of line of a robust first fit
    (Theil and Sen: median slope), which a few wild numbers don't move."""
    rows = [row for row in grams if row.startswith("mvtec/")]
    slope, intercept = theil_sen([images[r] for r in rows], [grams[r] for r in rows])
    kept = [r for r in rows if not out_of_line(grams[r], intercept + slope * images[r])]
    x, y = [images[r] for r in kept], [grams[r] for r in kept]
    line = linear_regression(x, y)
    return Line(line.slope, line.intercept, correlation(x, y) ** 2,
                tuple(r for r in rows if r not in kept))


def theil_sen(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept: the median slope of all pairs, through the medians of both. (As
    scipy.stats.theilslopes, whose import takes longer than the whole audit.)"""
    pairs = combinations(zip(x, y, strict=True), 2)
    slope = median((d - b) / (c - a) for (a, b), (c, d) in pairs if a != c)
    return slope, median(y) - slope * median(x)


def lines(tables: Tables, table: str) -> dict[str, Line]:
    """The line of each method."""
    images = training_images(table)
    return {m: fit_line({row: v[m] for row, v in tables[table].items()}, images) for m in COMPARED}


def row_sizes(tables: Tables, table: str, found: dict[str, Line]) -> dict[str, tuple[float, bool]]:
    """row -> (training images, whether publicly known); where not, the median of what the three
    methods' lines imply: all of them trained on the same images."""
    known = training_images(table)
    return {row: (known[row], True) if row in known else
            (median(found[m].images(v[m]) for m in COMPARED), False)
            for row, v in tables[table].items()}


def check_emissions(tables: Tables, table: str) -> Check:
    """Every emission against what the number of training images lets expect."""
    found = lines(tables, table)
    off, checked, again, largest = [], 0, [], 0.0
    wrong: dict[str, list[str]] = {}
    for row, (size, _) in row_sizes(tables, table, found).items():
        for method, grams in tables[table][row].items():
            expected = found[method].grams(size)
            checked += 1
            if out_of_line(grams, expected):
                ratio = max(grams / expected, expected / grams)
                off.append(Disagreement(
                    f"{place(row, table)}, {LABELS[method]}", f"{text(table, grams)} g",
                    f"{short(expected)} g expected for {size:.0f} images: {ratio:.3g} times too "
                    f"{'much' if grams > expected else 'little'}"))
                wrong.setdefault(LABELS[method], []).append(row)
                largest = max(largest, expected)
                again += _tradeoffs_again(tables, table, row, method, expected)
    listings = [_lines_listing(tables, table, found), _sizes_listing(tables, table, found)]
    if again:
        listings.append(Listing(
            f"{table_name(_scores(table))} with the expected emissions",
            ("where", "printed T", "T recomputed", "best T of the others",
             "best as printed", "best recomputed"), tuple(again)))
    of_what = "anomalies" if table == "table6" else "normal images and anomalies"
    return Check(
        f"emissions-{table}", f"Emissions of {table_name(table)} against the training sets",
        f"AE-XAD and FCDD train for 200 epochs (Section 5.1) and BGAD for a fixed number too, so "
        f"emissions grow with the number of training images. A straight line of grams against "
        f"training images ({of_what}, {PER_TYPE} of each kind) is fitted to MVTec AD's 15 "
        f"categories for each method; a number disagrees when it is more than {FACTOR:g} times or "
        f"less than 1/{FACTOR:g} of what the line says. Where sizes are not public, they are the "
        f"median of what the three methods' lines imply.",
        "emissions", checked, tuple(off),
        f"The emissions of {_named(table, wrong)} "
        + ("cannot be those of such a training." if largest > SMALL else
           "do not follow the size of the training set.") if off else
        "All emissions follow the sizes of the training sets.",
        "All others follow the sizes of the training sets."
        + ("" if largest > SMALL else f" With less than {SMALL:g} g expected, what a start costs "
           f"can explain the difference too.") if off else "", tuple(listings))


def _named(table: str, rows: dict[str, list[str]]) -> str:
    """'AE-XAD on MVTec AD leather and BTAD 03'."""
    return "; ".join(f"{method} on {listed([place(row, table) for row in where])}"
                     for method, where in rows.items())


def _scores(table: str) -> str:
    return next(scores for scores, (emissions, _) in MADE_OF.items() if emissions == table)


def _tradeoffs_again(tables: Tables, table: str, row: str, method: str, expected: float
                     ) -> list[tuple[str, ...]]:
    """What the trade-off scores would be with the expected emission."""
    scores = _scores(table)
    if row not in tables.get(scores, {}):
        return []
    rows: list[tuple[str, ...]] = []
    for metric, value in tables[MADE_OF[scores][1]][row][method].items():
        by_method = {m: float(v[metric]) for m, v in tables[scores][row].items()}
        other = min(v for m, v in by_method.items() if m != method)
        now = tradeoff(expected, value)
        rows.append((f"{place(row, table)}, {LABELS[method]}, {METRICS[metric]}",
                     text(scores, by_method[method]), short(now), text(scores, other),
                     _yes(by_method[method] < other), _yes(now < other)))
    return rows


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _lines_listing(tables: Tables, table: str, found: dict[str, Line]) -> Listing:
    rows = []
    for method, line in found.items():
        grams = {row: v[method] for row, v in tables[table].items() if row not in line.left_out}
        others = [f"{_r2(grams, training_images(table, copies)):.3f}"
                  for copies in ((COPIES, 0) if table != "table6" else ())]
        rows.append((LABELS[method], f"{line.intercept:.4f} + {line.slope:.5f} n",
                     f"{line.r2:.3f}", *others,
                     listed([place(row, table) for row in line.left_out]) or "–"))
    columns = (f"R² with every anomaly counted {COPIES} times", "R² with normal images alone")
    return Listing(f"Grams against training images n in {table_name(table)}, over MVTec AD",
                   ("method", "grams", "R²", *(columns if table != "table6" else ()), "left out"),
                   tuple(rows))


def _r2(grams: dict[str, float], images: dict[str, int]) -> float:
    rows = [row for row in grams if row.startswith("mvtec/")]
    return correlation([images[r] for r in rows], [grams[r] for r in rows]) ** 2


def _sizes_listing(tables: Tables, table: str, found: dict[str, Line]) -> Listing:
    known = training_images(table)
    digits = 1 if table == "table6" else 0
    rows = tuple(
        (place(row, table), *(f"{found[m].images(v[m]):.{digits}f}" for m in COMPARED),
         str(known.get(row, "not public")))
        for row, v in tables[table].items() if not row.startswith("mvtec/"))
    return Listing("Training images that the emissions imply outside MVTec AD",
                   ("category", *(f"by {LABELS[m]}" for m in COMPARED), "public count"), rows)

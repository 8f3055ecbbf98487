"""How many images Tables 9 and 3 were computed from: what is attainable by whole images."""

from __future__ import annotations

from statistics import median

from aexad.bench.paper.audit.check import Check, Disagreement, Listing, listed
from aexad.bench.paper.audit.emissions import FACTOR, lines, out_of_line
from aexad.bench.paper.audit.images import PER_TYPE
from aexad.bench.paper.audit.printed import COMPARED, Tables, attainable, facts, place, text
from aexad.bench.paper.audit.winrates import possible_counts
from aexad.datasets.catalog import DATASETS

TABLE = "table9"


def tested(images: dict[str, int]) -> int:
    """Anomalous test images of a category once the training anomalies are taken out."""
    return images["anomalies"] - PER_TYPE * images["types"]


def fits(values: list[float], anomalies: int, normals: int) -> bool:
    """Whether all AUCs are possible: k / (anomalies x normals), a tie counting 1/2."""
    return all(attainable(TABLE, value, 2 * anomalies * normals) for value in values)


def check_detection(tables: Tables) -> Check:
    """Whether the detection AUCs are possible with the public numbers of images."""
    known, off, rows, checked, kept = facts()["images"], [], [], 0, []
    for row, by_method in tables[TABLE].items():
        if row not in known:
            continue
        values, images = list(by_method.values()), known[row]
        normals, out, all_in = images["test_normals"], tested(images), images["anomalies"]
        checked += len(values)
        impossible = [v for v in values if not fits([v], out, normals)]
        if impossible:
            off.append(Disagreement(
                place(row), ", ".join(text(TABLE, v) for v in impossible),
                f"no multiple of 1/(2 × {out} × {normals}) is printed so", len(impossible)))
        if not fits(values, all_in, normals):
            kept.append(place(row))
            rows.append((place(row), ", ".join(text(TABLE, v) for v in values),
                         f"{out} × {normals}", f"{all_in} × {normals}: impossible"))
    without = (f"On {listed(kept)} they are possible only when the training anomalies are left "
               f"out of the test set (with all anomalies they are not), so they were left out."
               if kept and not off else "")
    return Check(
        "detection-images", "Detection AUCs of Table 9 and the numbers of test images",
        "An AUC over A anomalous and N normal images is a multiple of 1/(2AN), without ties of "
        "1/(AN). A: the public number of anomalies without the three of each kind that train "
        "(Section 5.1); N: all normal test images. Where AN is large every number fits, so only "
        "small categories can disagree.",
        "AUCs", checked, tuple(off),
        "These AUCs cannot come from the public test images." if off else
        "All AUCs are possible with the public test images.", without,
        (Listing("Impossible if the training anomalies were also tested",
                 ("category", "printed", "anomalies × normals", "with all anomalies"),
                 tuple(rows)),) if rows else ())


def check_training_anomalies(tables: Tables) -> Check:
    """Where the text is silent on the split: does what Table 3 leaves for training fit Table 6?"""
    off, rows, names, likely = [], [], [], []
    implied = lines(tables, "table6")
    for dataset, metrics in tables["table3"].items():
        total = facts()["stated"].get(f"{dataset}/{dataset}")
        if not total:
            continue
        row, title = f"{dataset}/{dataset}", DATASETS[dataset].title
        names.append(title)
        shares = [v for block in metrics.values() for others in block.values()
                  for v in others.values()]
        by_grams = median(implied[m].images(tables["table6"][row][m]) for m in COMPARED)
        left = [total["anomalies"] - n for n in possible_counts(shares, total["anomalies"])]
        trained = min(left, key=lambda n: abs(n - by_grams), default=0)
        if out_of_line(trained, by_grams):
            off.append(Disagreement(
                title, f"Table 3 leaves {' or '.join(map(str, left)) or 'no number'} anomalies",
                f"Table 6 implies {by_grams:.1f}"))
        likely.append(f"{trained} of {total['anomalies']} on {title}")
        rows += [(title, str(total["anomalies"]), str(total["anomalies"] - n), str(n),
                  f"{by_grams:.1f}", _normals(tables, row, total, total["anomalies"] - n))
                 for n in left]
    return Check(
        "training-anomalies", f"Training anomalies of {listed(names)}",
        f"Section 5.1 does not say how these datasets are divided. Table 3's shares are k/N with N "
        f"tested anomalies, so the others train; the emissions of Table 6 imply how many train too "
        f"(median of the three methods' lines). The two must be within a factor of {FACTOR:g}.",
        "datasets", len(names), tuple(off),
        "Tables 3 and 6 contradict each other about these training sets." if off else
        f"Most likely these anomalies train: {listed(likely)}.",
        "" if off else "Where that is most of them, “a few” (Section 5.3) does not describe the "
        "training set of the scenario without normal images.",
        (Listing("What the tables leave possible (normal test images: those for which Table 9's "
                 "AUCs are multiples of 1/(N × normals), without ties)",
                 ("dataset", "anomalies", "tested (N)", "so training", "training by Table 6",
                  "normal test images"), tuple(rows)),))


def _normals(tables: Tables, row: str, total: dict[str, int], tested: int) -> str:
    """The numbers of normal test images that fit the detection AUCs of a row."""
    aucs = tables[TABLE][row].values()
    return _span([n for n in range(1, total["normals"] + 1)
                  if all(attainable(TABLE, v, tested * n) for v in aucs)])


def _span(numbers: list[int]) -> str:
    if len(numbers) <= 6:
        return ", ".join(map(str, numbers)) or "none"
    return f"{len(numbers)} numbers, {numbers[0]} to {numbers[-1]}"

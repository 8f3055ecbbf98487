"""How many images Tables 9 and 3 were computed from: what is attainable by whole images."""

from __future__ import annotations

from statistics import median

from bench.audit.check import Check, Disagreement, Listing, listed
from bench.audit.emissions import lines
from bench.audit.images import PER_TYPE
from bench.audit.printed import COMPARED, Tables, attainable, facts, place, text
from bench.audit.winrates import possible_counts
from datasets.catalog import DATASETS

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
    without = (f" On {listed(kept)} they are possible only when the training anomalies are left "
               f"out of the test set (with all anomalies they are not), so they were left out."
               if kept and not off else "")
    return Check(
        "detection-images", "Detection AUCs of Table 9 and the numbers of test images",
        "An AUC over a anomalous and n normal images is a multiple of 1/(2an) (1/(an) without "
        "ties). a: the public number of anomalies without the three of each kind that train "
        "(Section 5.1); n: all normal test images. Where an is large every number fits, so only "
        "small categories can disagree.",
        "AUCs", checked, tuple(off),
        ("These AUCs cannot come from the public test images." if off else
         "All AUCs are possible.") + without,
        (Listing("Impossible if the training anomalies were also tested",
                 ("category", "printed", "anomalies × normals", "with all anomalies"),
                 tuple(rows)),) if rows else ())


def check_training_anomalies(tables: Tables) -> Check:
    """Whether 'three of each kind of anomaly train' fits the datasets without a public split."""
    off, rows, names, few = [], [], [], []
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
        if trained == 0 or trained % PER_TYPE:
            off.append(Disagreement(
                title, f"{PER_TYPE} of each kind", f"{trained or 'no possible number'} of "
                f"{total['anomalies']} anomalies train: not a multiple of {PER_TYPE}"))
        few.append(f"{trained} of {total['anomalies']} on {title}")
        aucs = tables["table9"][row].values()
        for n in left:
            tested = total["anomalies"] - n
            normals = [g for g in range(1, total["normals"] + 1)
                       if all(attainable("table9", v, tested * g) for v in aucs)]
            rows.append((title, str(total["anomalies"]), str(tested), str(n), f"{by_grams:.1f}",
                         _span(normals)))
    return Check(
        "training-anomalies", f"Training anomalies of {listed(names)}",
        f"Table 3's shares are k/N with N tested anomalies; the other anomalies of Section 5.1 "
        f"train. Of the possible numbers the one nearest to what the emissions of Table 6 imply "
        f"(median of the three methods' lines) is taken. By Section 5.1 it is {PER_TYPE} for each "
        f"kind of anomaly, a multiple of {PER_TYPE}.",
        "datasets", len(names), tuple(off),
        f"Most likely {listed(few)} train"
        + (f", so that {listed([d.where for d in off])} cannot have been divided as Section 5.1 "
           f"says." if off else ", as Section 5.1 says."),
        (Listing("What the tables leave possible (normal test images: those for which Table 9's "
                 "AUCs are multiples of 1/(N × normals), without ties)",
                 ("dataset", "anomalies", "tested (N)", "so training", "training by Table 6",
                  "normal test images"), tuple(rows)),))


def _span(numbers: list[int]) -> str:
    if len(numbers) <= 6:
        return ", ".join(map(str, numbers)) or "none"
    return f"{len(numbers)} numbers, {numbers[0]} to {numbers[-1]}"

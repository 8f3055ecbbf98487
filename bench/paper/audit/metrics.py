"""Tables 1, 2 and 4 against each other and against what the metrics allow."""

from __future__ import annotations

from aexad.bench.paper.audit.check import Check, Disagreement, Listing, listed
from aexad.bench.paper.audit.printed import (
    LABELS,
    Number,
    Tables,
    cell,
    interval,
    place,
    short,
    table_name,
    text,
)

QUALITY = ("table2", "table4")
NO_F1, HIGH_AUC = 0.005, 0.9
_EPS = 1e-9


def check_same_auc(tables: Tables) -> Check:
    """AE-XAD's AUC on MVTec is printed twice."""
    off = []
    for category, by_method in tables["table1"].items():
        other = tables["table2"][f"mvtec/{category}"]["aexad"]["auc"]
        if by_method["aexad"] != other:
            off.append(Disagreement(place(f"mvtec/{category}"),
                                    f"Table 1: {text('table1', by_method['aexad'])}",
                                    f"Table 2: {text('table2', other)}"))
    return Check(
        "auc-twice", "AE-XAD's AUC on MVTec AD in Tables 1 and 2",
        "The column AE-XAD of Table 1 and AE-XAD's AUC in Table 2 are the same experiment.",
        "categories", len(tables["table1"]), tuple(off),
        "The two tables report different runs." if off else "Both tables print the same numbers.")


def check_chance(tables: Tables) -> Check:
    """The plain autoencoder's maps against chance."""
    off = tuple(Disagreement(place(f"mvtec/{category}"), text("table1", v["ae"]), "at least 0.5")
                for category, v in tables["table1"].items() if v["ae"] < 0.5 - 0.0005)
    rows = tuple((place(f"mvtec/{category}"), f"{v['ae_filter'] - v['ae']:+.3f}",
                  f"{v['aexad'] - v['aexad_nofilter']:+.3f}")
                 for category, v in tables["table1"].items())
    lowers = sum(v["ae_filter"] < v["ae"] for v in tables["table1"].values())
    return Check(
        "ae-below-chance", "The plain autoencoder of Table 1 against chance",
        "Table 1 prints pixel-wise AUCs; a map of random numbers has 0.5. A trained autoencoder "
        "is expected to reconstruct anomalies no better than the rest of the image (Section 2.2), "
        "which gives 0.5 or more.",
        "categories", len(tables["table1"]), off,
        f"On {len(off)} of {len(tables['table1'])} categories the baseline of the ablation points "
        f"away from the anomaly." if off else "The baseline is nowhere worse than chance.",
        (f"That is unusual for a trained autoencoder, and makes AE-XAD's gain over it look larger. "
         f"Filtering lowers its AUC on {lowers} categories.") if off else "",
        (Listing("What filtering adds to the AUC (Table 1)", ("category", "to AE", "to AE-XAD∖F"),
                 rows),))


def iou_of(f1: float) -> float:
    """IoU of one image from its F1: both count the same pixels."""
    return f1 / (2 - f1)


def check_bounds(tables: Tables) -> Check:
    """Means of F1 and IoU that belong together."""
    off, checked, rows = [], 0, []
    for table in filter(tables.__contains__, QUALITY):
        for row, by_method in tables[table].items():
            for method, v in by_method.items():
                (f_low, f_high), (i_low, i_high) = (interval(table, v[k]) for k in ("f1", "iou"))
                checked += 1
                if i_high < iou_of(f_low) - _EPS or i_low > f_high + _EPS:
                    off.append(Disagreement(
                        cell(Number(row, method, "iou", v["iou"]), table), text(table, v["iou"]),
                        f"between {short(iou_of(f_low))} and {short(f_high)}, as F1 is "
                        f"{text(table, v['f1'])}"))
            orders = [sorted(by_method, key=lambda m: (-by_method[m][k], m))
                      for k in ("f1", "iou")]
            tied = any(len({v[k] for v in by_method.values()}) < len(by_method)
                       for k in ("f1", "iou"))
            if orders[0] != orders[1] and not tied:
                rows.append((f"{table_name(table)}, {place(row, table)}",
                             *(" > ".join(f"{LABELS[m]} {text(table, by_method[m][k])}"
                                          for m in order)
                               for order, k in zip(orders, ("f1", "iou")))))
    return Check(
        "f1-iou-means", "Mean F1 and mean IoU of Tables 2 and 4",
        "For one image IoU = F1 / (2 − F1), a convex function; so for means over images "
        "F1 / (2 − F1) ≤ IoU ≤ F1 (Jensen's inequality), within rounding.",
        "pairs of means", checked, tuple(off),
        "These means cannot come from the same images." if off else
        "Every pair of means is possible.",
        "Where the two metrics rank the methods differently (below), that is possible for means."
        if rows else "",
        (Listing("Ranked differently by mean F1 and mean IoU", ("row", "by F1", "by IoU"),
                 tuple(rows)),) if rows else ())


def check_empty(tables: Tables) -> Check:
    """F1 of zero beside a high AUC."""
    off, checked = [], 0
    concerned: dict[str, None] = {}  # an ordered set
    for table in filter(tables.__contains__, QUALITY):
        for row, by_method in tables[table].items():
            for method, v in by_method.items():
                checked += 1
                if v["f1"] < NO_F1 and v["auc"] >= HIGH_AUC:
                    concerned[LABELS[method]] = None
                    off.append(Disagreement(
                        f"{table_name(table)}, {cell(Number(row, method, 'f1', 0), table)}",
                        f"F1 {text(table, v['f1'])}, IoU {text(table, v['iou'])}",
                        f"AUC {text(table, v['auc'])}"))
    return Check(
        "f1-zero", "F1 of zero beside a high AUC in Tables 2 and 4",
        f"An AUC of {HIGH_AUC} or more says that the heatmap ranks anomalous pixels above the "
        f"others; F1 below {NO_F1} says that the binary heatmap finds none. The binary heatmap is "
        f"what exceeds the mean plus one standard deviation of the map (Section 4.3).",
        "cells", checked, tuple(off),
        f"F1 and AUC say opposite things about these maps of {listed(list(concerned))}: the "
        f"threshold finds nothing in a map that ranks the pixels well." if off else
        "No heatmap that ranks well is lost to the threshold.",
        "No error of computation, but a limit of the threshold: where half of a map or more is "
        "near its maximum, nothing exceeds mean plus standard deviation. F1 and IoU are then 0 and "
        "the trade-off scores infinite or huge. Comparisons in F1 and IoU depend on this "
        "threshold, those in AUC do not." if off else "")

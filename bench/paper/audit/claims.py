"""Sentences of the paper that say something about its tables, and what the tables say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from aexad.bench.measure.names import METRICS
from aexad.bench.paper.audit.check import Check, Disagreement, Listing, listed
from aexad.bench.paper.audit.printed import (
    COMPARED,
    LABELS,
    LOWER_IS_BETTER,
    Tables,
    groups,
    mean_text,
    place,
    table_name,
    text,
)
from aexad.bench.paper.audit.readings import (
    ABOUT,
    ALMOST_ALL,
    Reading,
    Stack,
    Truth,
    alike,
    almost_all,
    majority,
    ranked,
)
from aexad.datasets.catalog import DATASETS

OURS = "aexad"  # the paper's own method


@dataclass(frozen=True)
class Places:
    """The rows in which a method is alone best, best together with others, second, and last."""

    alone: list[str]
    tied: list[str]
    second: list[str]
    last: list[str]
    rows: int

    @property
    def best(self) -> int:
        return len(self.alone) + len(self.tied)

    def __str__(self) -> str:
        return f"{self.best} of {self.rows}" + (f" ({len(self.alone)} alone)" if self.tied else "")


def places(tables: Tables, table: str, metric: str, method: str = OURS) -> Places:
    """Where a method stands by one metric of a table, equal printed numbers sharing a place."""
    found = Places([], [], [], [], sum(m == metric for _, m in groups(tables[table])))
    for (row, name), values in groups(tables[table]).items():
        if name != metric:
            continue
        order = sorted(set(values.values()), reverse=table not in LOWER_IS_BETTER)
        rank = order.index(values[method])
        shared = list(values.values()).count(values[method]) > 1
        where = ((found.tied if shared else found.alone) if rank == 0 else
                 found.last if rank == len(order) - 1 else found.second)
        where.append(place(row, table))
    return found


def means(tables: Tables, table: str, metric: str, dataset: str = "",
          among: tuple[str, ...] = COMPARED) -> dict[str, float]:
    """method -> mean over the categories (of a dataset)."""
    chosen = [values for (row, name), values in groups(tables[table]).items()
              if name == metric and row.startswith(dataset)]
    return {m: fmean(values[m] for values in chosen) for m in among}


def check_claims(tables: Tables) -> Check:
    """The text's sentences about Tables 1 to 9."""
    claims = [claim for reading in READINGS if (claim := reading.judge(tables))]
    off = tuple(Disagreement(f"Section {c.section}: “{c.quote}”", c.reading, c.found)
                for c in claims if c.verdict == "does not hold")
    ties = sum(c.verdict == "only with ties" for c in claims)
    holding = len(claims) - len(off) - ties
    return Check(
        "claims", "What the text says about the tables",
        f"Each sentence is read as a count over rows. “More than half” and “majority” mean more "
        f"than half, “almost all” and “nearly all” at least {ALMOST_ALL:.0%}, “approximately” "
        f"within {ABOUT:g} of the ratio, “all” and “always” every row.",
        "claims", len(claims), off,
        f"{holding} claims hold, {ties} hold only when ties count in their favour, {len(off)} do "
        f"not hold as they are written.", "",
        (Listing("All claims", ("section", "the text says", "read as", "the tables say", "verdict"),
                 tuple((c.section, f"“{c.quote}”", c.reading, c.found, c.verdict)
                       for c in claims)),
         _means_listing(tables)))


def _means_listing(tables: Tables) -> Listing:
    rows = []
    for table, metrics in (("table2", ("auc", "f1", "iou")), ("table4", ("auc", "f1", "iou")),
                           ("table9", ("",))):
        for dataset in (*tables["table3"], ""):
            title = DATASETS[dataset].title if dataset else "all categories"
            found = {k: means(tables, table, k, f"{dataset}/" if dataset else "") for k in metrics}
            rows.append((table_name(table), title, *(
                " / ".join(mean_text(found[k][m]) for k in metrics) for m in COMPARED)))
    return Listing("Means over categories, which the paper does not print (AUC / F1 / IoU)",
                   ("table", "dataset", *(LABELS[m] for m in COMPARED)), tuple(rows))


# -- Section 5.2.1 --

def _above(tables: Tables, better: str, *worse: str) -> tuple[list[str], int]:
    """The rows of Table 1 in which a method is not above some others, and how many there are."""
    rows = tables["table1"]
    return [c for c, v in rows.items() if v[better] <= max(v[w] for w in worse)], len(rows)


def _filter_found(tables: Tables) -> str:
    same, n = _above(tables, OURS, "aexad_nofilter")
    return f"{n - len(same)} of {n}" + (
        f"; not on {listed([c.replace('_', ' ') for c in same])}" if same else "")


def _filter_holds(stack: Stack) -> Truth:
    with_it, without = (stack["table1"](m) for m in (OURS, "aexad_nofilter"))
    return np.asarray((with_it > without).all(axis=-1)), np.asarray(
        (with_it >= without).all(axis=-1))


def _worsened(tables: Tables) -> str:
    rows = tables["table1"]
    return f"{sum(v['ae_filter'] < v['ae'] for v in rows.values())} of {len(rows)}"


def _below_found(tables: Tables) -> str:
    not_below, n = _above(tables, OURS, "ae", "ae_filter")
    return f"{n - len(not_below)} of {n}"


ABLATION = (
    Reading("5.2.1", "the filtering used to post-process explanations always improves results "
                     "scored by the AE-XAD's raw heatmaps",
            "AE-XAD above AE-XAD∖F in every row of Table 1",
            {"table1": ("aexad_nofilter", "aexad")}, _filter_holds, _filter_found, every=True),
    Reading("5.2.1", "does not bring improvements in many cases even worsening performances",
            "AE∪F below AE in some rows of Table 1", {"table1": ("ae", "ae_filter")},
            lambda t: alike((t["table1"]("ae_filter") < t["table1"]("ae")).any(axis=-1)),
            _worsened),
    Reading("5.2.1", "AUCs scored by both the AE and AE∪F's resulting explanations are "
                     "furthermore considerably worse",
            "AE and AE∪F below AE-XAD in every row of Table 1",
            {"table1": ("ae", "ae_filter", "aexad")},
            lambda t: alike((np.maximum(t["table1"]("ae"), t["table1"]("ae_filter"))
                             < t["table1"](OURS)).all(axis=-1)),
            _below_found, every=True),
)


# -- Section 5.3 --

def _best_in_almost_all(section: str, quote: str, table: str, metric: str) -> Reading:
    def found(tables: Tables) -> str:
        where = places(tables, table, metric)
        return f"{where}; not on {listed(where.second + where.last) or 'none'}"

    return Reading(section, quote, f"best {METRICS[metric]} in almost all rows of "
                                   f"{table_name(table)}", {table: COMPARED},
                   lambda t: almost_all(ranked(t, table, metric, OURS)[0]), found)


def _rest_found(tables: Tables) -> str:
    auc = places(tables, "table2", "auc")
    return f"{len(auc.second)} of {auc.rows - auc.best}; last on {listed(auc.last) or 'none'}"


def _rest_holds(stack: Stack) -> Truth:
    best, _, second, _ = ranked(stack, "table2", "auc", OURS)
    return alike(second.sum(axis=-1) >= ALMOST_ALL * (~best).sum(axis=-1))


STANDARD = (
    Reading("5.3", "our method attains the highest AUC value in more than half of the classes",
            "AE-XAD best in more than half of Table 2's rows", {"table2": COMPARED},
            lambda t: majority(t, "table2", "auc", OURS),
            lambda t: f"{places(t, 'table2', 'auc')}; BGAD {places(t, 'table2', 'auc', 'bgad')}"),
    Reading("5.3", "and ranks as the runner-up in nearly all the remaining ones",
            "second in almost all of Table 2's rows where it is not best by AUC",
            {"table2": COMPARED}, _rest_holds, _rest_found),
    *(_best_in_almost_all("5.3", "AE-XAD clearly emerges as the best-performing method", "table2",
                          metric) for metric in ("f1", "iou")),
)


def _lost_found(tables: Tables) -> str:
    lost = [(dataset, metric, other) for dataset, metrics in tables["table3"].items()
            for metric, block in metrics.items() for other, share in block[OURS].items()
            if share < 0.5]
    named = [f"{METRICS[m]} against {LABELS[o]} on {DATASETS[d].title} "
             f"({text('table3', tables['table3'][d][m][OURS][o])})" for d, m, o in lost]
    return f"below 0.5: {listed(named) or 'none'}"


def _lost_holds(stack: Stack) -> Truth:
    """Of datasets that are not there nothing is asked."""
    columns = stack["table3"]
    right = [(share < 0.5) == np.array([(row, metric, pair) == ("wfdd", "auc", f"{OURS}/bgad")
                                        for row in columns.rows])
             for (metric, pair), share in columns.values.items() if pair.startswith(f"{OURS}/")]
    return alike(np.all(right, axis=0).all(axis=-1))


def _binary_found(tables: Tables) -> str:
    binary = [share for metrics in tables["table3"].values() for metric in ("f1", "iou")
              for share in metrics[metric][OURS].values()]
    return f"{sum(share > 0.5 for share in binary)} of {len(binary)}"


WIN_RATES = (
    Reading("5.3", "AE-XAD dominates in all cases except for the AUC comparison with BGAD on "
                   "the WFDD dataset",
            "AE-XAD's shares of Table 3 below 0.5: only AUC against BGAD on WFDD",
            {"table3": COMPARED}, _lost_holds, _lost_found, every=True),
    Reading("5.3", "it outperforms both competitors in terms of F1 and IoU",
            "all shares of AE-XAD in F1 and IoU above 0.5 in Table 3", {"table3": COMPARED},
            lambda t: alike(np.all([t["table3"](f"{OURS}/{other}", metric) > 0.5
                                    for other in COMPARED[1:] for metric in ("f1", "iou")],
                                   axis=0).all(axis=-1)),
            _binary_found, every=True),
)


def _runner_up(table: str, better: str, worse: str) -> Reading:
    def found(tables: Tables) -> str:
        compared = {k: means(tables, table, k, among=(better, worse)) for k in _QUALITY}
        return "; ".join(f"{METRICS[k]} {mean_text(v[better])} to {mean_text(v[worse])}"
                         for k, v in compared.items())

    return Reading("5.3", "the method that behaves better, besides AE-XAD, is FCCD, while in the "
                          "standard setting is BGAD",
                   f"{LABELS[better]} above {LABELS[worse]} in the means of {table_name(table)}",
                   {table: (better, worse)},
                   lambda t: alike(np.all([t[table](better, k).mean(axis=-1)
                                           > t[table](worse, k).mean(axis=-1)
                                           for k in _QUALITY], axis=0)), found)


_QUALITY = ("auc", "f1", "iou")

ANOMALIES_ONLY = (
    Reading("5.3", "AE-XAD achieves the best AUC in the majority of the classes",
            "best in more than half of Table 4's rows", {"table4": COMPARED},
            lambda t: majority(t, "table4", "auc", OURS),
            lambda t: str(places(t, "table4", "auc"))),
    *(_best_in_almost_all("5.3", "and the best F1 and IoU in almost all the classes", "table4",
                          metric) for metric in ("f1", "iou")),
    _runner_up("table4", "fcdd", "bgad"), _runner_up("table2", "bgad", "fcdd"),
)


# -- Sections 5.4 and 5.5 --

def _markedly_found(tables: Tables) -> str:
    more = [f"{place(row, 'table6')}, {LABELS[m]}" for row, v in tables["table6"].items()
            for m in v if v[m] >= tables["table5"][row][m]]
    total = sum(map(len, tables["table6"].values()))
    return f"{total - len(more)} of {total}; not {'; '.join(more) or 'any'}"


def _extreme(quote: str, method: str, pick: Callable[[Iterable[float]], float]) -> Reading:
    sign = 1 if pick is max else -1

    def found(tables: Tables) -> str:
        rows = [(table, row, v) for table in EMISSIONS for row, v in tables[table].items()]
        off = [place(row, table) for table, row, v in rows if v[method] != pick(v.values())]
        return f"{len(rows) - len(off)} of {len(rows)}; not on {listed(off) or 'none'}"

    def holds(stack: Stack) -> Truth:
        extreme = [sign * t(method) >= np.max([sign * t(m) for m in COMPARED], axis=0)
                   for t in (stack[table] for table in EMISSIONS)]
        return almost_all(np.concatenate(extreme, axis=-1))

    most = "most" if pick is max else "least"
    return Reading("5.4", quote,
                   f"{LABELS[method]} emits {most} in almost all rows of Tables 5 and 6",
                   dict.fromkeys(EMISSIONS, COMPARED), holds, found)


def _half_more(table: str) -> Reading:
    def found(tables: Tables) -> str:
        ratios = [v[OURS] / v["fcdd"] for v in tables[table].values()]
        return f"{median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"

    return Reading("5.4", "approximately 50% more CO2 than FCDD",
                   f"median ratio of {table_name(table)} near 1.5", {table: (OURS, "fcdd")},
                   lambda t: alike(np.abs(np.median(t[table](OURS) / t[table]("fcdd"), axis=-1)
                                          - 1.5) <= ABOUT), found)


EMISSIONS = ("table5", "table6")

EMITTED = (
    Reading("5.4", "markedly lower in the only-anomalies scenario",
            "almost every number of Table 6 below that of Table 5",
            dict.fromkeys(EMISSIONS, COMPARED),
            lambda t: almost_all(np.concatenate([t["table6"](m) < t["table5"](m)
                                                 for m in COMPARED], axis=-1)),
            _markedly_found, together=True),
    _extreme("BGAD stands out as the largest contributor to CO2 emissions", "bgad", max),
    _extreme("while FCDD exhibits the lowest environmental impact", "fcdd", min),
    *map(_half_more, EMISSIONS),
)


def _lowest(table: str, metric: str) -> Reading:
    return Reading("5.4", "AE-XAD consistently achieves the best results across almost all "
                          "datasets in both scenarios",
                   f"lowest T({METRICS[metric]}) in almost all rows of {table_name(table)}",
                   {table: COMPARED}, lambda t: almost_all(ranked(t, table, metric, OURS)[0]),
                   lambda t: str(places(t, table, metric)))


TRADE_OFFS = tuple(_lowest(table, metric) for table in ("table7", "table8")
                   for metric in _QUALITY)


def _detection_found(tables: Tables) -> str:
    mean = means(tables, "table9", "")
    return f"{places(tables, 'table9', '')}; means over rows: " + ", ".join(
        f"{LABELS[m]} {mean_text(mean[m])}" for m in COMPARED)


DETECTION = (
    Reading("5.5", "it achieves the highest AUC in more than half of the evaluated datasets",
            "best in more than half of Table 9's rows", {"table9": COMPARED},
            lambda t: majority(t, "table9", "", OURS), _detection_found),
)

READINGS = (*ABLATION, *STANDARD, *WIN_RATES, *ANOMALIES_ONLY, *EMITTED, *TRADE_OFFS, *DETECTION)

"""Sentences of the paper that say something about its tables, and what the tables say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

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
from aexad.datasets.catalog import DATASETS

OURS = "aexad"  # the paper's own method
ALMOST_ALL = 0.8  # how large a share "almost all" and "nearly all" must at least be
ABOUT = 0.1  # how far a ratio may be from an "approximately" stated one
Verdict = Literal["holds", "only with ties", "does not hold"]


@dataclass(frozen=True)
class Claim:
    """One sentence: how it is read as a count, what the tables give, and whether it holds."""

    section: str
    quote: str
    reading: str
    found: str
    verdict: Verdict


def _verdict(true: bool, with_ties: bool | None = None) -> Verdict:
    return "holds" if true else "only with ties" if with_ties else "does not hold"


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


def means(tables: Tables, table: str, metric: str, dataset: str = "") -> dict[str, float]:
    """method -> mean over the categories (of a dataset)."""
    chosen = [values for (row, name), values in groups(tables[table]).items()
              if name == metric and row.startswith(dataset)]
    return {m: fmean(values[m] for values in chosen) for m in COMPARED}


def check_claims(tables: Tables) -> Check:
    """The text's sentences about Tables 1 to 9."""
    claims = [claim for find in FINDERS for claim in find(tables)]
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


def ablation(tables: Tables) -> Iterator[Claim]:
    rows = tables.get("table1", {})
    same = [c for c, v in rows.items() if v["aexad"] <= v["aexad_nofilter"]]
    yield Claim("5.2.1", "the filtering used to post-process explanations always improves results "
                         "scored by the AE-XAD's raw heatmaps",
                "AE-XAD above AE-XAD∖F in every row of Table 1",
                f"{len(rows) - len(same)} of {len(rows)}"
                + (f"; not on {listed([c.replace('_', ' ') for c in same])}" if same else ""),
                _verdict(not same, all(rows[c]["aexad"] == rows[c]["aexad_nofilter"]
                                       for c in same)))
    worse = [c for c, v in rows.items() if v["ae_filter"] < v["ae"]]
    yield Claim("5.2.1", "does not bring improvements in many cases even worsening performances",
                "AE∪F below AE in some rows of Table 1", f"{len(worse)} of {len(rows)}",
                _verdict(bool(worse)))
    below = [c for c, v in rows.items() if max(v["ae"], v["ae_filter"]) < v["aexad"]]
    yield Claim("5.2.1", "AUCs scored by both the AE and AE∪F's resulting explanations are "
                         "furthermore considerably worse",
                "AE and AE∪F below AE-XAD in every row of Table 1",
                f"{len(below)} of {len(rows)}", _verdict(len(below) == len(rows)))


def standard(tables: Tables) -> Iterator[Claim]:
    auc = places(tables, "table2", "auc")
    yield Claim("5.3", "our method attains the highest AUC value in more than half of the classes",
                "AE-XAD best in more than half of Table 2's rows",
                f"{auc}; BGAD {places(tables, 'table2', 'auc', 'bgad')}",
                _verdict(2 * len(auc.alone) > auc.rows, 2 * auc.best > auc.rows))
    rest = auc.rows - auc.best
    yield Claim("5.3", "and ranks as the runner-up in nearly all the remaining ones",
                "second in almost all of Table 2's rows where it is not best by AUC",
                f"{len(auc.second)} of {rest}; last on {listed(auc.last) or 'none'}",
                _verdict(len(auc.second) >= ALMOST_ALL * rest))
    for metric in ("f1", "iou"):
        found = places(tables, "table2", metric)
        yield Claim("5.3", "AE-XAD clearly emerges as the best-performing method",
                    f"best {METRICS[metric]} in almost all rows of Table 2",
                    f"{found}; not on {listed(found.second + found.last) or 'none'}",
                    _verdict(found.best >= ALMOST_ALL * found.rows))


def win_rates(tables: Tables) -> Iterator[Claim]:
    lost = [(dataset, metric, other) for dataset, metrics in tables["table3"].items()
            for metric, block in metrics.items() for other, share in block[OURS].items()
            if share < 0.5]
    named = [f"{METRICS[m]} against {LABELS[o]} on {DATASETS[d].title} "
             f"({text('table3', tables['table3'][d][m][OURS][o])})" for d, m, o in lost]
    yield Claim("5.3", "AE-XAD dominates in all cases except for the AUC comparison with BGAD on "
                       "the WFDD dataset",
                "AE-XAD's shares of Table 3 below 0.5: only AUC against BGAD on WFDD",
                f"below 0.5: {listed(named) or 'none'}",
                _verdict(lost == [("wfdd", "auc", "bgad")]))
    binary = [share for metrics in tables["table3"].values() for metric in ("f1", "iou")
              for share in metrics[metric][OURS].values()]
    won = sum(share > 0.5 for share in binary)
    yield Claim("5.3", "it outperforms both competitors in terms of F1 and IoU",
                "all shares of AE-XAD in F1 and IoU above 0.5 in Table 3",
                f"{won} of {len(binary)}", _verdict(won == len(binary)))


def anomalies_only(tables: Tables) -> Iterator[Claim]:
    auc = places(tables, "table4", "auc")
    yield Claim("5.3", "AE-XAD achieves the best AUC in the majority of the classes",
                "best in more than half of Table 4's rows", str(auc),
                _verdict(2 * len(auc.alone) > auc.rows, 2 * auc.best > auc.rows))
    for metric in ("f1", "iou"):
        found = places(tables, "table4", metric)
        yield Claim("5.3", "and the best F1 and IoU in almost all the classes",
                    f"best {METRICS[metric]} in almost all rows of Table 4",
                    f"{found}; not on {listed(found.second + found.last) or 'none'}",
                    _verdict(found.best >= ALMOST_ALL * found.rows))
    for table, better, worse in (("table4", "fcdd", "bgad"), ("table2", "bgad", "fcdd")):
        compared = {k: means(tables, table, k) for k in ("auc", "f1", "iou")}
        yield Claim("5.3", "the method that behaves better, besides AE-XAD, is FCCD, while in the "
                           "standard setting is BGAD",
                    f"{LABELS[better]} above {LABELS[worse]} in the means of {table_name(table)}",
                    "; ".join(f"{METRICS[k]} {mean_text(v[better])} to {mean_text(v[worse])}"
                              for k, v in compared.items()),
                    _verdict(all(v[better] > v[worse] for v in compared.values())))


def emissions(tables: Tables) -> Iterator[Claim]:
    more = [f"{place(row, 'table6')}, {LABELS[m]}" for row, v in tables["table6"].items()
            for m in v if v[m] >= tables["table5"][row][m]]
    total = sum(map(len, tables["table6"].values()))
    yield Claim("5.4", "markedly lower in the only-anomalies scenario",
                "almost every number of Table 6 below that of Table 5",
                f"{total - len(more)} of {total}; not {'; '.join(more) or 'any'}",
                _verdict(total - len(more) >= ALMOST_ALL * total))
    for quote, method, pick in (
            ("BGAD stands out as the largest contributor to CO2 emissions", "bgad", max),
            ("while FCDD exhibits the lowest environmental impact", "fcdd", min)):
        yield _extreme(tables, quote, method, pick)
    for table in ("table5", "table6"):
        ratios = [v[OURS] / v["fcdd"] for v in tables[table].values()]
        yield Claim("5.4", "approximately 50% more CO2 than FCDD",
                    f"median ratio of {table_name(table)} near 1.5",
                    f"{median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})",
                    _verdict(abs(median(ratios) - 1.5) <= ABOUT))


def _extreme(tables: Tables, quote: str, method: str,
             pick: Callable[[Iterable[float]], float]) -> Claim:
    rows = [(table, row, v) for table in ("table5", "table6") for row, v in tables[table].items()]
    off = [place(row, table) for table, row, v in rows if v[method] != pick(v.values())]
    most = "most" if pick is max else "least"
    return Claim("5.4", quote,
                 f"{LABELS[method]} emits {most} in almost all rows of Tables 5 and 6",
                 f"{len(rows) - len(off)} of {len(rows)}; not on {listed(off) or 'none'}",
                 _verdict(len(rows) - len(off) >= ALMOST_ALL * len(rows)))


def tradeoffs(tables: Tables) -> Iterator[Claim]:
    for table in ("table7", "table8"):
        for metric in ("auc", "f1", "iou"):
            found = places(tables, table, metric)
            yield Claim("5.4", "AE-XAD consistently achieves the best results across almost all "
                               "datasets in both scenarios",
                        f"lowest T({METRICS[metric]}) in almost all rows of {table_name(table)}",
                        str(found), _verdict(found.best >= ALMOST_ALL * found.rows))


def detection(tables: Tables) -> Iterator[Claim]:
    found = places(tables, "table9", "")
    mean = means(tables, "table9", "")
    yield Claim("5.5", "it achieves the highest AUC in more than half of the evaluated datasets",
                "best in more than half of Table 9's rows",
                f"{found}; means over rows: "
                + ", ".join(f"{LABELS[m]} {mean_text(mean[m])}" for m in COMPARED),
                _verdict(2 * len(found.alone) > found.rows, 2 * found.best > found.rows))


FINDERS = (ablation, standard, win_rates, anomalies_only, emissions, tradeoffs, detection)

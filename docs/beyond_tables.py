"""The tables of docs/beyond.md, from the baselines in results/baselines:

    .venv/bin/python docs/beyond_tables.py [FOLDER_OF_BASELINES]     # prints them
    .venv/bin/python docs/beyond_tables.py --into docs/beyond.md     # puts them there

Today's detectors beside the paper's methods: means of AUC, F1 and IoU (Table 2), AE-XAD's win rates
(Table 3), and of what was measured alone grams and T(m) (Tables 5 and 7); seed 40, standard
scenario. A number that no baseline has is a dash.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from aexad.bench.measure.tradeoff import tradeoff
from aexad.bench.results.evidence import Evidence, of_baselines
from aexad.bench.tables.winrates import shares

PLACES = {("mvtec", "bottle"): "bottle", ("mvtec", "transistor"): "transistor",
          ("mvtec", "toothbrush"): "toothbrush", ("wood", "wood"): "wood"}
METRICS = {"auc": "AUC", "f1_a1.0": "F1", "iou_a1.0": "IoU"}
# Row -> method and the baselines that have it, the first one that has a category.
ROWS = {"AE-XAD, 200 epochs": ("ae_xad", ["evidence-01-ablation"]),
        "FCDD, VGG-16, 200 epochs": ("fcdd", ["evidence-04-fcdd", "evidence-14-fcdd-complete"]),
        "BGAD, Lite0, 200 passes": ("bgad", ["evidence-06-bgad", "evidence-10-bgad-transistor",
                                             "evidence-15-bgad-wood"]),
        "BGAD, Lite0, 8 passes": ("bgad", ["evidence-02-bgad-brief"]),
        "PaDiM": ("padim", ["beyond-01-methods"]),
        "PatchCore": ("patchcore", ["beyond-01-methods"]),
        "SuperSimpleNet": ("supersimplenet", ["beyond-01-methods", "beyond-02-grams"])}
ALONE = "beyond-02-grams"
BASELINES = Path(__file__).parents[1] / "results" / "baselines"
BEGIN, END = "<!-- made by docs/beyond_tables.py -->", "<!-- end -->"
Found = dict[tuple[str, tuple[str, str]], Evidence]


def find(folder: Path) -> Found:
    """(row, place) -> its cell."""
    cells: dict[tuple[str, str, tuple[str, str]], Evidence] = {}
    for one in of_baselines(folder)[0]:
        if one.seed == 40 and one.scenario == "standard":
            cells.setdefault((Path(one.source).stem, one.method, one.place), one)
    found = {}
    for row, (method, files) in ROWS.items():
        for place in PLACES:
            there = [cells[file, method, place] for file in files if (file, method, place) in cells]
            found |= {(row, place): there[0]} if there else {}
    for file, method, place in cells:
        if file == ALONE:
            found[f"alone {method}", place] = cells[file, method, place]
    return found


def numbers(found: Found) -> str:
    def cell(row: str, place: tuple[str, str]) -> str:
        one = found.get((row, place))
        return "–" if one is None else " / ".join(f"{one.number(m):.3f}" for m in METRICS)

    return _table([[row, *(cell(row, place) for place in PLACES)] for row in ROWS],
                  [" / ".join(METRICS.values()), *PLACES.values()])


def win_rates(found: Found) -> str:
    """On which share of the images AE-XAD is better than the row's method, worse in brackets."""
    base = next(iter(ROWS))
    rows = []
    for row in list(ROWS)[1:]:
        shown = [row]
        for place in PLACES:
            pair = [found.get((name, place)) for name in (base, row)]
            if None in pair or any(one.used is None for one in pair):
                shown.append("–")
                continue
            images = pd.concat([one.used.reset_index().assign(
                method=name, dataset=place[0], category=place[1], seed=40)
                for name, one in zip((base, row), pair)])
            each = [shares(images, base, row, metric).iloc[0] for metric in METRICS]
            shown.append(" / ".join(f"{s.wins:.2f} ({s.losses:.2f})" for s in each))
        rows.append(shown)
    return _table(rows, [f"AE-XAD better (worse): {' / '.join(METRICS.values())}",
                         *PLACES.values()])


def trade_offs(found: Found) -> str:
    """Grams and T(m) of what was measured alone."""
    rows = []
    for (row, place), one in found.items():
        if row.startswith("alone "):
            grams = one.grams
            rows.append([row.removeprefix("alone "), PLACES[place],
                         *(["not alone"] if grams is None else [
                             f"{grams:.3f}", *(f"{tradeoff(grams, one.number(m)):.4f}"
                                               for m in METRICS)])])
    return (_table(rows, ["method", "category", "g CO2", *(f"T({m})" for m in METRICS.values())])
            if rows else "Grams and T(m): not measured yet (`results/baselines/beyond.sh 2`).")


def text(folder: Path) -> str:
    found = find(folder)
    return "\n\n".join((numbers(found), win_rates(found), trade_offs(found)))


def put_into(document: Path, tables: str) -> None:
    before, rest = document.read_text(encoding="utf-8").split(BEGIN)
    document.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.partition(END)[2]}",
                        encoding="utf-8")


def _table(rows: list[list[str]], headers: list[str]) -> str:
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--into", document]:
            put_into(Path(document), text(BASELINES))
        case [folder]:
            print(text(Path(folder)))
        case _:
            print(text(BASELINES))

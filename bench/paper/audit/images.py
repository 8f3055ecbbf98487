"""What is printed at all: the rows of the tables, and the datasets' sizes in the text."""

from __future__ import annotations

from aexad.bench.paper.audit.check import Check, Disagreement, Listing
from aexad.bench.paper.audit.printed import Tables, facts
from aexad.datasets.catalog import DATASETS, Dataset

PER_TYPE = Dataset.per_type  # Section 5.1: three of each kind of anomaly train


def check_stated_sizes(tables: Tables) -> Check:
    """The sizes of the datasets in Section 5.1 against the public ones, and the tables' rows."""
    known, off, checked, rows = facts(), [], 0, []
    for name, stated in known["stated"].items():
        if "images" not in stated:
            continue
        categories = [v for row, v in known["images"].items() if row.startswith(f"{name}/")]
        count = sum(known["totals"].get(name, {}).values()) or sum(
            v["train_normals"] + v["test_normals"] + v["anomalies"] for v in categories)
        rows.append((DATASETS[name].title, str(stated["images"]), str(count),
                     known["sources"][name]))
        checked += 1
        if count != stated["images"]:
            off.append(Disagreement(f"{DATASETS[name].title}, images", str(stated["images"]),
                                    str(count)))
        if "types_per_category" in stated:
            mean = sum(v["types"] for v in categories) / len(categories)
            checked += 1
            if round(mean) != stated["types_per_category"]:
                off.append(Disagreement(f"{DATASETS[name].title}, kinds of anomalies per category",
                                        str(stated["types_per_category"]), f"{mean:.1f}"))
    return Check(
        "dataset-sizes", "Sizes of the datasets in Section 5.1",
        "Section 5.1 gives numbers of images (and 'on average 5' kinds of anomalies for MVTec AD); "
        "the public datasets give them too.",
        "numbers", checked, tuple(off),
        "The paper counts other images than the public datasets have." if off else
        "The paper's datasets have the sizes of the public ones.", "",
        (Listing("Numbers of images; the public ones also stand behind the checks above",
                 ("dataset", "Section 5.1", "public", "where the public number comes from"),
                 tuple(rows)),))


def check_rows(tables: Tables) -> Check:
    """Whether every table has a number for every category, method and metric."""
    off, checked = [], 0
    every = [f"{d}/{c}" for d in DATASETS if d != "embedded" for c in DATASETS[d].categories]
    for table in sorted(name for name in tables if name.startswith("table") and name[5:].isdigit()):
        expected = {"table1": [r.split("/")[1] for r in every if r.startswith("mvtec/")],
                    "table3": list(dict.fromkeys(r.split("/")[0] for r in every))}
        rows = expected.get(table, every)
        checked += len(rows)
        shape = {r: _shape(found) for r, found in tables[table].items()}
        usual = max(shape.values(), key=list(shape.values()).count) if shape else ()
        for row in dict.fromkeys((*rows, *shape)):
            if row not in shape or row not in rows or shape[row] != usual:
                off.append(Disagreement(f"Table {table[5:]}, {row}",
                                        "missing" if row not in shape else "row",
                                        "not a category" if row not in rows else
                                        "a row with all columns"))
    return Check(
        "rows", "Rows and columns of Tables 1 to 9",
        "Table 1 has the 15 categories of MVTec AD, Table 3 the six datasets, the other tables all "
        "25 categories (Section 5.1), with a number in every column.",
        "rows", checked, tuple(off),
        "Some rows are missing or incomplete." if off else
        "No number is missing, so that nothing below is left out.")


def _shape(found: object) -> object:
    return {k: _shape(v) for k, v in found.items()} if isinstance(found, dict) else None

"""What a page shows, as plain structures, from what is stored. Nothing is computed that a table
would not compute, and nothing is drawn here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import pandas as pd

from aexad import methods
from aexad.bench.base import provenance
from aexad.bench.measure import statistics
from aexad.bench.plan import own_images
from aexad.bench.plan.cells import SCENARIOS, Cell, all_cells
from aexad.bench.plan.definitions import TABLES, TableDef
from aexad.bench.plan.settings import Settings
from aexad.bench.report import changes
from aexad.bench.results import evidence, image_rows
from aexad.bench.results.evidence import Evidence
from aexad.bench.results.external import externals
from aexad.bench.results.readings import ALONE
from aexad.bench.results.records import records
from aexad.bench.run.job import Options
from aexad.bench.tables import winrates
from aexad.bench.tables.assemble import labels, tables
from aexad.bench.tables.build import Table
from aexad.bench.tables.comparison import Report
from aexad.bench.tables.notes import Place, listed
from aexad.bench.verdict import conditions, pages
from aexad.bench.verdict.judgement import judge
from aexad.datasets.catalog import PAPER, all_categories

Key = tuple[str, str, str, str]  # scenario, dataset, category, method
METRICS = ("auc", "f1", "iou")
QUALITY = {"standard": "table2", "anomalies_only": "table4"}
GRAMS = {"standard": "table5", "anomalies_only": "table6"}
STATUSES = ("done", "missing", "failed", "skipped", "no data")
CHOSEN = ("wood", "hazelnut", "road")  # datasets: which images the paper took is not published


@dataclass(frozen=True)
class Asked:
    """What a page is asked to show. chosen: (dataset, category) asked for by name, None for all;
    names: methods, () for all; scenario: of comparison, charts and gallery, None for the
    first of which something is stored; program: what starts the bench; command: from a
    command's name and other options (methods=…, categories=…) the line that runs it with these
    parameters."""

    settings: Settings
    options: Options
    chosen: list[Place] | None
    names: tuple[str, ...]
    seeds: list[int]
    scenario: str | None
    embedded: bool
    program: str
    command: Callable[..., str]


@dataclass(frozen=True)
class Part:
    """A table of the paper: its cells, rows, methods, and the records of its cells."""

    definition: TableDef
    cells: list[Cell]
    rows: list[Place]
    names: list[str]
    records: pd.DataFrame

    @property
    def done(self) -> bool:
        return bool((self.records["status"] == "done").any())


@dataclass(frozen=True)
class Compared:
    """Methods against each other. report: as `compare` shows it; wins: metric -> method -> method
    -> share of the images on which the first is strictly better, mean of the categories' shares.
    """

    report: Report
    wins: dict[str, dict[str, dict[str, float]]]

    @property
    def tied(self) -> list[tuple[str, str]]:
        """Of each metric which methods are not told apart by their ranks, in words."""
        called = self.report.labels
        return [(ranks.metric, "; ".join(
            f"{', '.join(called[name] for name in names)} are not told apart"
            for names in statistics.groups(ranks)) or ranks.reason or "every two methods differ by "
            "the critical difference or more") for ranks in self.report.ranks]


class Stored:
    """All that is stored of what is asked for."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.labels = asked, labels(asked.names)
        self.parts = {name: self._part(definition) for name, definition in TABLES.items()}
        with_some = [s for s in SCENARIOS if self.parts[QUALITY[s]].done]
        self.scenario = asked.scenario or (with_some or SCENARIOS)[0]
        self.empty = not any(part.done for part in self.parts.values())

    # -- which cells --

    @cached_property
    def rows(self) -> list[Place]:
        """The categories shown: those asked for, or else those with images or results here."""
        return self._everywhere if self.asked.chosen is not None else [
            place for place in self._everywhere
            if self.asked.options.library.locate(*place) or self._any(place)]

    @property
    def left_out(self) -> list[Place]:
        """Those of which nothing is here."""
        return [place for place in self._everywhere if place not in self.rows]

    @cached_property
    def _everywhere(self) -> list[Place]:
        chosen = self.asked.chosen
        return chosen if chosen is not None else all_categories(
            ("embedded",) if self.asked.embedded else PAPER)

    def _any(self, place: Place) -> bool:
        return (self.asked.options.results / "cells" / place[0] / place[1]).is_dir()

    @cached_property
    def guests(self) -> list[str]:
        """Methods of no table of the paper: of other tools, of plug-ins."""
        known = {name for definition in TABLES.values() for name in definition.methods}
        return [name for name in dict.fromkeys((*methods.entries(), *self.asked.names))
                if name not in known]

    def _part(self, definition: TableDef) -> Part:
        asked, store = self.asked, self.asked.options.store
        rows = [place for place in self.rows if asked.chosen is not None or asked.embedded
                or place[0] in definition.datasets]
        names = [name for name in definition.methods if name in methods.entries()]
        if definition.metrics != ("auc",):  # the ablation and the ViT are about themselves
            names += [name for name in self.guests if name in asked.names or (
                not asked.names and any(map(store.cell_info, all_cells(
                    asked.settings, [name], rows, definition.scenario, asked.seeds))))]
        names = [name for name in names if name in (asked.names or names)]
        cells = all_cells(asked.settings, names, rows, definition.scenario, asked.seeds)
        found = records(cells, store, asked.options.library)
        if not cells:
            found = pd.DataFrame(columns=["status"])
        return Part(definition, cells, rows, names, found)

    # -- (1) what this is --

    @cached_property
    def cells(self) -> dict[Cell, pd.Series]:
        """Every cell of every table that has something done, with its record."""
        return {cell: record for part in self.parts.values() if part.done
                for cell, (_, record) in zip(part.cells, part.records.iterrows())}

    def counts(self) -> dict[tuple[str, str], Counter[str]]:
        """(method, scenario) -> how many of its cells are done, missing, …"""
        found: dict[tuple[str, str], Counter[str]] = {}
        for cell, record in self.cells.items():
            key = (cell.method, cell.fit.scenario)
            found.setdefault(key, Counter())[record["status"]] += 1
        return found

    @cached_property
    def _everything(self) -> dict[str, Evidence]:
        """All of the results folder as the verdict takes it, whatever its parameters, by place."""
        return {e.source: e for e in evidence.of_store(self.asked.options.store)}

    @cached_property
    def evidence(self) -> dict[Cell, Evidence]:
        """The finished cells of the page, the same way."""
        store = self.asked.options.store
        where = {cell: store.cell_dir(cell).relative_to(store.root).as_posix()
                 for cell in self.cells}
        return {cell: self._everything[source] for cell, source in where.items()
                if source in self._everything}

    def verdict(self) -> list[str]:
        """The verdict's summary, of the cells of this page and of work that was measured alone;
        none where the paper prints none of their numbers."""
        alone = [e for source, e in self._everything.items() if source.startswith(f"{ALONE}/")]
        made = judge([*self.evidence.values(), *alone], self.asked.options.store.failures())
        return list(pages.page(made, self.asked.program).lead) if made.compared else []

    def conditions(self) -> dict[str, list[str]]:
        """What is not as in the paper, what -> in words; empty where all is."""
        where: dict[str, dict[str, list[str]]] = {}
        parameters: dict[str, list[str]] = {}
        for cell, found in self.evidence.items():
            label, place = self.labels[cell.method], "/".join(found.place)
            if cell.method in externals():
                continue
            for word in conditions.of_cell(found):
                where.setdefault(word, {}).setdefault(label, []).append(place)
            if changed := changes.listed(changes.from_paper(cell)):
                parameters.setdefault(changed, []).append(label)
        lines = {word: [f"{', '.join(names)}: {listed(list(dict.fromkeys(places)), 25)}"
                        for places, names in _alike(where[word])]
                 for word in conditions.WORDS if word in where}
        if parameters:
            lines["parameters"] = [f"{', '.join(dict.fromkeys(names))}: {text}"
                                   for text, names in parameters.items()]
        datasets = dict.fromkeys(dataset for dataset, _ in self.rows)
        images = lines.setdefault(conditions.IMAGES, [])
        if "embedded" in datasets:
            images.append("the embedded suite of generated images, not the paper's datasets")
        if own_images.NAME in datasets:
            images.append("one's own")
        if others := [name for name in datasets if name in CHOSEN]:
            images.append(f"{', '.join(others)}: which images of their source the paper took is "
                          f"not published")
        if elsewhere := [self.labels[name] for name in self._methods() if name in externals()]:
            lines["made elsewhere"] = [f"{', '.join(elsewhere)}: heatmaps of another tool, of "
                                       f"whose training nothing is known here"]
        return {what: texts for what, texts in lines.items() if texts}

    def _methods(self) -> list[str]:
        return list(dict.fromkeys(cell.method for cell in self.cells))

    def facts(self) -> list[tuple[str, str]]:
        """What the page stands on, as (what, in words)."""
        asked, done = self.asked, [c for c, r in self.cells.items() if r["status"] == "done"]
        infos = [asked.options.store.cell_info(cell) for cell in done]
        commits = sorted({info["provenance"]["commit"] or "unknown" for info in infos if info})
        shown = asked.settings.metrics
        threshold = "each map's own" if shown.binarize == "image" else "the whole test set's"
        found = [("protocol", asked.settings.protocol),
                 ("seeds", ", ".join(map(str, asked.seeds))),
                 ("images", f"{len(self.rows)} categories: "
                            f"{listed(['/'.join(place) for place in self.rows], 25)}"),
                 ("F1 and IoU", f"of the pixels above µ + {shown.a:g}·σ of {threshold}"),
                 ("results made by commit", ", ".join(commits)),
                 ("page made by commit", provenance.commit())]
        if self.left_out:
            found.insert(3, ("not shown", f"{len(self.left_out)} categories without images and "
                             f"results here: "
                             f"{listed(['/'.join(p) for p in self.left_out], 25)}"))
        return found

    # -- (2) tables --

    def tables(self) -> list[Table]:
        """The paper's tables of which there is something."""
        return [table for part in self.parts.values() if part.done and self._can_be(part)
                for table in self._tables(part)]

    def _tables(self, part: Part) -> list[Table]:
        made = tables(part.definition, part.cells, part.rows, part.names, part.records,
                      self.asked.settings.metrics, self.asked.options.store, "")
        return [replace(table, title=table.title.strip()) for table in made]

    @staticmethod
    def _can_be(part: Part) -> bool:
        return part.definition.shows != "winrates" or len(part.names) > 1

    def absent(self) -> list[tuple[str, str]]:
        """The tables of which nothing is stored, and the command that makes each."""
        asked = ",".join(self.asked.names)
        return [(part.definition.title, self.asked.command(
                     name, **({"methods": asked} if asked else {})))
                for name, part in self.parts.items()
                if not part.done and part.names and self._can_be(part)]

    def one_table(self, name: str) -> Table:
        """The first of what a table of the paper shows."""
        return self._tables(self.parts[name])[0]

    # -- (3) to (5) --

    @cached_property
    def reduced(self) -> set[Key]:
        """The cells whose budget or network is not the paper's."""
        return {(cell.fit.scenario, *found.place, cell.method)
                for cell, found in self.evidence.items() if cell.method not in externals()
                and {conditions.BUDGET, conditions.NETWORK} & set(conditions.of_cell(found))}

    def compared(self) -> Compared | None:
        """None where fewer than two methods are stored."""
        part = self.parts[QUALITY[self.scenario]]
        done = [name for name in part.names
                if ((part.records["method"] == name) & (part.records["status"] == "done")).any()]
        if len(done) < 2:
            return None
        images = image_rows.per_image(part.cells, self.asked.options.store)
        for metric in METRICS[1:]:
            images[metric] = images[self.asked.settings.metrics.column(metric)]
        pairs = statistics.compare(images, combinations(done, 2), METRICS, part.rows)
        ranks = [statistics.mean_ranks(images, done, metric, part.rows) for metric in METRICS]
        named = {name: self.labels[name] for name in part.names}
        return Compared(Report("compare", "", pairs, ranks, named, ()),
                        {metric: wins(images, done, metric) for metric in METRICS[:2]})


def _alike(places: dict[str, list[str]]) -> list[tuple[list[str], list[str]]]:
    """(places, methods that have just these)."""
    found: dict[tuple[str, ...], list[str]] = {}
    for method, mine in places.items():
        found.setdefault(tuple(dict.fromkeys(mine)), []).append(method)
    return [(list(mine), names) for mine, names in found.items()]


def wins(images: pd.DataFrame, names: Sequence[str], metric: str) -> dict[str, dict[str, float]]:
    """method -> other -> share of the used images on which the method is strictly better: the mean
    of the categories' shares, each over its images of all seeds. Pairs without a common image
    have none."""
    used = images[images["used"].astype(bool)]
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for first, second in combinations(names, 2):
        pairs = winrates.pair_up(used, first, second, metric)
        for one, other, better in ((first, second, pairs["first"] > pairs["second"]),
                                   (second, first, pairs["second"] > pairs["first"])):
            if len(pairs):
                each = better.groupby([pairs["dataset"], pairs["category"]]).mean()
                found[one][other] = float(each.mean())
    return found

"""A card for every cell: how its numbers were made, and how to make them again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aexad.bench.plan import own_images
from aexad.bench.plan.cells import Cell
from aexad.bench.plan.definitions import TABLES
from aexad.bench.report import changes
from aexad.bench.report.data import QUALITY, Key, Stored
from aexad.bench.results import readings
from aexad.bench.results.external import externals
from aexad.bench.results.store import FIT, done

NUMBERS = {"auc": "AUC", "f1": "F1", "iou": "IoU", "detection_auc": "detection AUC"}
MOST = 100  # points of a curve


@dataclass(frozen=True)
class Curve:
    """The loss over a training: `epochs` of them; points: (x, y) in 0 … 1, x to the right, y down;
    first, last: losses."""

    epochs: int
    points: list[tuple[float, float]]
    first: float
    last: float


@dataclass(frozen=True)
class Run:
    """A seed: why it lacks, or its numbers; facts: (what, in words)."""

    seed: int
    status: str
    reason: str
    numbers: list[tuple[str, str]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    curve: Curve | None = None


@dataclass(frozen=True)
class Card:
    """A method on a category under a scenario, all seeds. name: of its place in the page."""

    name: str
    method: str
    category: str
    scenario: str
    runs: list[Run]
    changes: list[changes.Change]
    command: str


def cards(stored: Stored) -> dict[Key, Card]:
    """The cards of all cells that the tables show."""
    found: dict[Key, list[Cell]] = {}
    for cell in stored.cells:
        fit = cell.fit
        found.setdefault((fit.scenario, fit.dataset, fit.category, cell.method), []).append(cell)
    return {key: _card(f"card-{n}", cells, stored)
            for n, (key, cells) in enumerate(found.items(), 1)}


def _card(name: str, cells: list[Cell], stored: Stored) -> Card:
    cell = cells[0]
    return Card(name, stored.labels[cell.method], f"{cell.fit.dataset}/{cell.fit.category}",
                cell.fit.scenario.replace("_", " "), [_run(c, stored) for c in cells],
                changes.from_defaults(cell), _command(cells, stored))


def _command(cells: list[Cell], stored: Stored) -> str:
    """The line that makes the cells again, from the table that has the method in this scenario."""
    cell, asked = cells[0], stored.asked
    fit = cell.fit
    options: dict[str, Any] = {"seeds": ",".join(str(c.fit.seed) for c in cells),
                               "scenario": None, "datasets": None}
    if fit.dataset != own_images.NAME:
        options["categories"] = f"{fit.dataset}/{fit.category}"
    if cell.method in externals():
        return asked.command("evaluate", "DIR", name=cell.method, methods=None,
                             **options | {"scenario": fit.scenario})
    info = asked.options.store.cell_info(cell)
    if info and info["provenance"]["threads"]:
        options["threads"] = info["provenance"]["threads"]
    table = QUALITY[fit.scenario]
    if cell.method not in TABLES[table].methods:
        table = next((n for n, part in stored.parts.items() if cell in part.cells), table)
    return asked.command(table, methods=cell.method, **options)


def _run(cell: Cell, stored: Stored) -> Run:
    record, store = stored.cells[cell], stored.asked.options.store
    info = store.cell_info(cell)
    if info is None:
        return Run(cell.fit.seed, record["status"], record["reason"])
    shown = stored.asked.settings.metrics
    numbers = [(label, info["numbers"][shown.column(metric)]) for metric, label in NUMBERS.items()]
    fit = done(store.fit_dir(cell.fit) / FIT)  # the card is good without the model
    return Run(cell.fit.seed, "done", "", [(label, _number(value)) for label, value in numbers],
               [*_facts(info, fit), *_energy(cell, stored)], _curve(fit["losses"]) if fit else None)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _facts(info: dict[str, Any], fit: dict[str, Any] | None) -> list[tuple[str, str]]:
    made, numbers = info["provenance"], info["numbers"]
    found = []
    if fit:
        n = fit["n_train"]
        found.append(("trained on", f"{n['normal']} normal and {n['anomalous']} anomalous images"))
    found += [("tested on", f"{numbers['n_used']} anomalous images, {numbers['n_normal']} normal; "
                            f"{numbers['n_dropped']} without a usable mask"),
              ("images, SHA-256", info["data_sha256"])]
    found += [(f"weights of {name}, SHA-256", digest)
              for name, digest in info["weights_sha256"].items()]
    if "external" in info:
        theirs = info["external"]
        found += [(what, str(theirs[key])) for what, key in (
            ("made elsewhere, in", "folder"), ("maps, SHA-256", "maps_sha256"),
            ("image score", "score")) if key in theirs]
    versions = made["libraries"] | made.get("method_libraries", {})
    found += [(what, str(value)) for what, value in (
        ("device", made["device"]), ("threads", made["threads"]), ("system", made.get("system")),
        ("commit", made["commit"]),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items()))) if value]
    return found


def _energy(cell: Cell, stored: Stored) -> Iterable[tuple[str, str]]:
    emitted = readings.of_cell(cell, stored.asked.options.store)
    for what, reading in (("training", emitted.fit), ("explaining", emitted.explain)):
        if reading and not reading["problem"]:
            yield f"energy of {what}", (
                f"{reading['kwh']:.3g} kWh, {reading['grams']:.3g} g CO₂ in "
                f"{reading['seconds']:.1f} s"
                + ("; other work ran beside it, so not to be compared" if reading["shared"] else "")
                + (f"; {emitted.remark}" if emitted.remark else ""))
        elif reading:
            yield f"energy of {what}", f"not measured: {reading['problem']}"


def _curve(losses: list[float]) -> Curve | None:
    """None without two epochs. Long ones are thinned, with both ends kept."""
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return None
    n, low, high = len(losses), min(losses), max(losses)
    chosen = sorted({round(i * (n - 1) / (min(n, MOST) - 1)) for i in range(min(n, MOST))})
    points = [(i / (n - 1), (high - losses[i]) / ((high - low) or 1)) for i in chosen]
    return Curve(n, points, losses[0], losses[-1])

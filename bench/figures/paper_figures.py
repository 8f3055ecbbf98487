"""The figures of the paper, and the gallery: what each is drawn from, and its drawing.

What draws (matplotlib) is imported by the figure that is drawn: to name the figures needs none.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from aexad import methods
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.measure.names import A_VALUES
from aexad.bench.plan.cells import Cell, Fit, all_cells
from aexad.bench.plan.definitions import TableDef
from aexad.bench.plan.settings import Settings
from aexad.bench.results import image_rows
from aexad.bench.results.external import externals
from aexad.bench.results.records import records
from aexad.bench.results.store import write_file
from aexad.bench.run.job import Options
from aexad.bench.tables.assemble import labels
from aexad.bench.tables.build import build
from aexad.bench.tables.notes import Place
from aexad.datasets.folder import form


@dataclass(frozen=True)
class Drawn:
    """A figure (matplotlib's), what its file name ends in, and the numbers of its lines."""

    figure: object
    suffix: str = ""
    numbers: pd.DataFrame | None = None

    def save(self, stem: Path) -> list[Path]:
        """Write it as PDF and PNG, its numbers as CSV; `stem` is without an ending. Returns the
        files."""
        from aexad.bench.figures import style

        paths = style.save(self.figure, stem)
        if self.numbers is not None:
            paths.append(stem.with_name(f"{stem.name}.csv"))
            write_file(paths[-1], lambda p: self.numbers.to_csv(p, index=False))
        return paths


@dataclass(frozen=True)
class Work:
    """What a figure is drawn from. names: the methods shown; by: the one whose AUC chooses the
    images; image: the one that is asked for; places: (dataset, category); left_out: fits that
    can't be done here, and why; notes: what the reader must know, added to by drawing."""

    settings: Settings
    options: Options
    definition: TableDef
    names: list[str]
    by: str
    places: list[Place]
    seeds: list[int]
    embedded: bool
    image: str | None = None
    left_out: Mapping[Fit, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    def cells(self, *names: str, places: list[Place] | None = None) -> list[Cell]:
        return all_cells(self.settings, names or dict.fromkeys([*self.names, self.by]),
                         places or self.places, self.definition.scenario, self.seeds)

    def done(self, *names: str, places: list[Place] | None = None) -> list[Cell]:
        """Those of the cells that are stored."""
        store = self.options.store
        return [c for c in self.cells(*names, places=places) if store.cell_info(c)]

    def records(self, cells: Sequence[Cell]) -> pd.DataFrame:
        return records(cells, self.options.store, self.options.library, self.left_out)

    def opened(self, cells: list[Cell]) -> Iterator[tuple[Cell, object]]:
        """The cells with their methods as trained; without those whose weights are not here."""
        from aexad.bench.figures import stored
        from aexad.methods.weights import WeightsMissing

        for cell in cells:
            if cell.method in externals():
                self.notes.append(f"{methods.entry(cell.method).label}: not drawn, its maps were "
                                  f"made elsewhere")
                continue
            try:
                yield cell, stored.method(cell, self.options)
            except WeightsMissing as error:
                self.notes.append(f"{methods.entry(cell.method).label} on {cell.fit.dataset}/"
                                  f"{cell.fit.category}: not drawn, {error}")

    @property
    def remark(self) -> str:
        """What is not as in the paper, for the figure itself."""
        protocol, scenario = self.settings.protocol, self.definition.scenario
        return ", ".join(filter(None, (
            "embedded suite of generated images" if self.embedded else "",
            f"protocol {protocol}" if protocol != "paper" else "",
            f"{scenario.replace('_', ' ')} scenario" if scenario != "standard" else "")))

    def table_notes(self) -> list[str]:
        """What a table would say of the same cells: seeds, images, what is missing and why."""
        definition = dataclasses.replace(self.definition, metrics=("auc",))
        names = list(dict.fromkeys([*self.names, self.by]))
        return list(build(self.records(self.cells()), definition, self.places, names,
                          labels(names)).notes)


def draw_steps(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import gallery, steps, stored

    [place], [name] = work.places, work.names
    asked = work.image
    for cell, method in work.opened(work.done(name)):
        if not hasattr(method, "reconstruct"):
            raise UserError(f"--methods {name}: it reconstructs nothing, this figure has nothing "
                            f"to show of it")
        if cell.fit.data.tile:
            raise UserError(f"{work.definition.name}: shows the steps of a whole image, not of "
                            f"tiles; leave out data.tile")
        tested = stored.tested(cell.fit, work.options)
        asked = asked and {form(name): name for name in tested.ids.tolist()}.get(form(asked), asked)
        if asked and asked not in tested.ids:
            raise UserError(f"--image {asked}: no test image of {'/'.join(place)}"
                            f"{nearest(asked, tested.ids.tolist())}")
        images = _images(work, place, work.by)
        if not asked and not _has_used(work, place, images, "; --image ID draws one"):
            return
        chosen = asked or gallery.median(images)
        image = tested.only([chosen])
        a = work.settings.metrics.a
        made = steps.steps(method, _short(chosen), image.images[0], image.masks[0], a)
        title = f"{methods.entry(name).label} on {'/'.join(place)}"
        yield Drawn(steps.draw(made, title, work.remark))


def draw_radii(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import curves, stored

    lines, marks = [], []
    for cell, method in work.opened(work.done()):
        fit = cell.fit
        if not hasattr(method, "error_maps"):
            raise UserError(f"--methods {cell.method}: it filters no error maps")
        if fit.data.tile:
            raise UserError(f"{work.definition.name}: filters the error maps of whole images, not "
                            f"those of tiles; leave out data.tile")
        frame = image_rows.per_image([cell], work.options.store)
        if not _has_used(work, (fit.dataset, fit.category), frame):
            continue
        print(f"explains {fit.dataset}/{fit.category} again with "
              f"{methods.entry(cell.method).label}, seed {fit.seed}", file=sys.stderr)
        frame = frame[frame["used"]]
        used = stored.tested(fit, work.options).only(frame["id"].tolist())
        auc = curves.auc_by_radius(method.error_maps(used.images)[1], used.masks)
        facts = {"dataset": fit.dataset, "category": fit.category, "method": cell.method,
                 "seed": fit.seed}
        lines.append(pd.DataFrame({**facts, "x": curves.RADII, "y": auc}))
        marks.append({**facts, "x": frame["k"].mean(), "y": frame["auc"].mean()})
    if lines:
        axis = curves.Axis("filter radius $k$, pixels", "AUC", (2, 10, 20, 30), False)
        numbers = pd.concat(lines, ignore_index=True)
        yield Drawn(curves.draw(numbers, work.names, labels(work.names), axis, pd.DataFrame(marks),
                                r"each image's own $\hat{k}$, at their mean", work.remark),
                    numbers=numbers.rename(columns={"x": "k", "y": "auc"}))


def draw_thresholds(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import curves

    [metric] = work.definition.metrics
    shown = work.settings.metrics
    columns = {a: dataclasses.replace(shown, a=a).column(metric) for a in A_VALUES}
    records = work.records(work.done())
    numbers = curves.over_thresholds(records, columns) if len(records) else records
    if len(numbers):
        scope = "" if shown.binarize == "image" else " of the test set's maps"
        axis = curves.Axis(f"$a$, in the threshold µ + $a$·σ{scope}",
                           {"f1": "F1", "iou": "IoU"}[metric], (1, 2, 3), True)
        yield Drawn(curves.draw(numbers, work.names, labels(work.names), axis, remark=work.remark),
                    numbers=numbers.rename(columns={"x": "a", "y": metric}))


def draw_gallery(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import gallery, stored
    from aexad.methods import tiled

    f1 = work.settings.metrics.column("f1")
    for place in work.places:
        if not work.done(work.by, places=[place]):
            continue
        frame = _images(work, place, work.by)
        if not _has_used(work, place, frame):
            continue
        chosen = gallery.best_median_worst(frame)
        done = work.done(*work.names, places=[place])
        [fit, *_] = {cell.fit: None for cell in work.done(work.by, places=[place])}
        shown = stored.tested(fit, work.options).only(list(chosen.values()))
        rows = [gallery.Shown(rank, _short(name), image, mask, {}, {}) for (rank, name), image, mask
                in zip(chosen.items(), shown.images, shown.masks, strict=True)]
        for cell, method in work.opened(done):
            numbers = _images(work, place, cell.method).set_index("id")
            for row, name, heatmap in zip(rows, chosen.values(),
                                          tiled.explain(method, shown.images).heatmaps,
                                          strict=True):
                row.heatmaps[cell.method] = heatmap
                row.numbers[cell.method] = tuple(numbers.loc[name, ["auc", f1]])
        title = (f"{'/'.join(place)}: best, median and worst of {int(frame['used'].sum())} "
                 f"anomalous images by the AUC of {methods.entry(work.by).label}")
        records = work.records(work.cells(*work.names, places=[place]))
        lacking = {name: "made elsewhere" if name in externals() else "no weights"
                   for name in work.names} | {
            r.method: r.status for r in records.itertuples() if r.status != "done"}
        made = gallery.draw(rows, work.names, labels(work.names), title, work.remark, lacking)
        yield Drawn(made, "-" + "-".join(place[1:] if place[0] == "embedded" else place))


def _images(work: Work, place: Place, method: str) -> pd.DataFrame:
    return image_rows.per_image(work.done(method, places=[place]), work.options.store)


def _has_used(work: Work, place: Place, images: pd.DataFrame, remedy: str = "") -> bool:
    """Whether any image can be chosen by its AUC; a note says where none can."""
    if not images["used"].any():
        note = (f"{'/'.join(place)}: not drawn, the mask of every anomalous test image is empty or "
                f"full at the working size{remedy}")
        if note not in work.notes:
            work.notes.append(note)
    return bool(images["used"].any())


def _short(name: str) -> str:
    """An image's id without the folder that all have."""
    return name.removeprefix("test/")


DRAW: dict[str, Callable[[Work], Iterator[Drawn]]] = {
    "figure1": draw_steps, "figure2": draw_steps, "figure3": draw_radii,
    "figure4": draw_thresholds, "figure5": draw_thresholds, "gallery": draw_gallery}

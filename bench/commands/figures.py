"""`figure1` … `figure5`, `gallery`, `figures`: compute what a figure needs as a table would, then
draw it from what is stored, and write it under results/figures."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from aexad import methods
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.commands.request import Request, table_cells, understand
from aexad.bench.plan.cells import Cell, all_cells
from aexad.bench.plan.definitions import FIGURES, TableDef
from aexad.bench.results import image_rows
from aexad.bench.results.external import externals
from aexad.bench.results.store import write_file
from aexad.bench.run.runner import Runner
from aexad.bench.tables.build import Place, build
from aexad.methods.weights import WeightsMissing


@dataclass(frozen=True)
class Drawn:
    """A figure (matplotlib's), what its file name ends in, and the numbers of its lines."""

    figure: object
    suffix: str = ""
    numbers: pd.DataFrame | None = None


@dataclass(frozen=True)
class Work:
    """What a figure is drawn from. names: the methods shown; by: the one whose AUC chooses the
    images; places: (dataset, category); notes: what the reader must know, added to by drawing."""

    request: Request
    runner: Runner
    definition: TableDef
    names: list[str]
    by: str
    places: list[Place]
    seeds: list[int]
    notes: list[str] = dataclasses.field(default_factory=list)

    def cells(self, *names: str, places: list[Place] | None = None) -> list[Cell]:
        return all_cells(self.request.settings, names or dict.fromkeys([*self.names, self.by]),
                         places or self.places, self.definition.scenario, self.seeds)

    def done(self, *names: str, places: list[Place] | None = None) -> list[Cell]:
        """Those of the cells that are stored."""
        return [c for c in self.cells(*names, places=places) if self.runner.store.cell_info(c)]

    def opened(self, cells: list[Cell]) -> Iterator[tuple[Cell, object]]:
        """The cells with their methods as trained; without those whose weights are not here."""
        from aexad.bench.figures import stored

        for cell in cells:
            if cell.method in externals():
                self.notes.append(f"{methods.entry(cell.method).label}: not drawn, its maps were "
                                  f"made elsewhere")
                continue
            try:
                yield cell, stored.method(cell, self.runner)
            except WeightsMissing as error:
                self.notes.append(f"{methods.entry(cell.method).label} on {cell.fit.dataset}/"
                                  f"{cell.fit.category}: not drawn, {error}")

    @property
    def remark(self) -> str:
        """What is not as in the paper, for the figure itself."""
        request, scenario = self.request, self.definition.scenario
        protocol = request.settings.protocol
        return ", ".join(filter(None, (
            "embedded suite of generated images" if request.embedded else "",
            f"protocol {protocol}" if protocol != "paper" else "",
            f"{scenario.replace('_', ' ')} scenario" if scenario != "standard" else "")))


def labels() -> dict[str, str]:
    """The methods' names in figures, those of the results folder's external ones too."""
    return {name: entry.label for name, entry in methods.entries().items()}


# -- the figures --


def draw_steps(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import gallery, steps, stored

    [place], [name] = work.places, work.names
    asked = work.request.args.image
    for cell, method in work.opened(work.done(name)):
        if not hasattr(method, "reconstruct"):
            raise UserError(f"--methods {name}: it reconstructs nothing, this figure has nothing "
                            f"to show of it")
        tested = stored.tested(cell.fit, work.runner)
        if asked and asked not in tested.ids:
            raise UserError(f"--image {asked}: no test image of {'/'.join(place)}"
                            f"{nearest(asked, tested.ids.tolist())}")
        chosen = asked or gallery.median(_images(work, place, work.by))
        image = tested.only([chosen])
        a = work.request.settings.metrics.a
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
        print(f"explains {fit.dataset}/{fit.category} again with "
              f"{methods.entry(cell.method).label}, seed {fit.seed}", file=sys.stderr)
        frame = image_rows.per_image([cell], work.runner.store)
        frame = frame[frame["used"]]
        used = stored.tested(fit, work.runner).only(frame["id"].tolist())
        auc = curves.auc_by_radius(method.error_maps(used.images)[1], used.masks)
        facts = {"dataset": fit.dataset, "category": fit.category, "method": cell.method,
                 "seed": fit.seed}
        lines.append(pd.DataFrame({**facts, "x": curves.RADII, "y": auc}))
        marks.append({**facts, "x": frame["k"].mean(), "y": frame["auc"].mean()})
    if lines:
        axis = curves.Axis("filter radius $k$, pixels", "AUC", (2, 10, 20, 30), False)
        numbers = pd.concat(lines, ignore_index=True)
        yield Drawn(curves.draw(numbers, work.names, labels(), axis, pd.DataFrame(marks),
                                r"each image's own $\hat{k}$, at their mean", work.remark),
                    numbers=numbers.rename(columns={"x": "k", "y": "auc"}))


def draw_thresholds(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import curves
    from aexad.bench.measure.names import A_VALUES

    [metric] = work.definition.metrics
    shown = work.request.settings.metrics
    columns = {a: dataclasses.replace(shown, a=a).column(metric) for a in A_VALUES}
    records = work.runner.records(work.done())
    numbers = curves.over_thresholds(records, columns) if len(records) else records
    if len(numbers):
        scope = "" if shown.binarize == "image" else " of the test set's maps"
        axis = curves.Axis(f"$a$, in the threshold µ + $a$·σ{scope}",
                           {"f1": "F1", "iou": "IoU"}[metric], (1, 2, 3), True)
        yield Drawn(curves.draw(numbers, work.names, labels(), axis, remark=work.remark),
                    numbers=numbers.rename(columns={"x": "a", "y": metric}))


def draw_gallery(work: Work) -> Iterator[Drawn]:
    from aexad.bench.figures import gallery, stored

    f1 = work.request.settings.metrics.column("f1")
    for place in work.places:
        if not work.done(work.by, places=[place]):
            continue
        frame = _images(work, place, work.by)
        chosen = gallery.best_median_worst(frame)
        done = work.done(*work.names, places=[place])
        [fit, *_] = {cell.fit: None for cell in work.done(work.by, places=[place])}
        shown = stored.tested(fit, work.runner).only(list(chosen.values()))
        rows = [gallery.Shown(rank, _short(name), image, mask, {}, {}) for (rank, name), image, mask
                in zip(chosen.items(), shown.images, shown.masks, strict=True)]
        for cell, method in work.opened(done):
            numbers = _images(work, place, cell.method).set_index("id")
            for row, name, heatmap in zip(rows, chosen.values(),
                                          method.explain(shown.images).heatmaps, strict=True):
                row.heatmaps[cell.method] = heatmap
                row.numbers[cell.method] = tuple(numbers.loc[name, ["auc", f1]])
        title = (f"{'/'.join(place)}: best, median and worst of {int(frame['used'].sum())} "
                 f"anomalous images by the AUC of {methods.entry(work.by).label}")
        records = work.runner.records(work.cells(*work.names, places=[place]))
        lacking = {name: "made elsewhere" if name in externals() else "no weights"
                   for name in work.names} | {
            r.method: r.status for r in records.itertuples() if r.status != "done"}
        made = gallery.draw(rows, work.names, labels(), title, work.remark, lacking)
        yield Drawn(made, "-" + "-".join(place[1:] if place[0] == "embedded" else place))


def _images(work: Work, place: Place, method: str) -> pd.DataFrame:
    return image_rows.per_image(work.done(method, places=[place]), work.runner.store)


def _short(name: str) -> str:
    """An image's id without the folder that all have."""
    return name.removeprefix("test/")


DRAW: dict[str, Callable[[Work], Iterator[Drawn]]] = {
    "figure1": draw_steps, "figure2": draw_steps, "figure3": draw_radii,
    "figure4": draw_thresholds, "figure5": draw_thresholds, "gallery": draw_gallery}


# -- the commands --


def run(args: argparse.Namespace) -> int:
    return figure(understand(args), args.command)


def run_all(args: argparse.Namespace) -> int:
    """All figures; one that can't be drawn does not keep the others from it."""
    request = understand(args)
    if request.args.dry_run:
        runner = Runner(request.options, request.choice)
        works = [_work(request, name, runner) for name in FIGURES]
        print(runner.describe([cell for work in works for cell in work.cells()]))
        return 0
    status = 0
    for name in FIGURES:
        try:
            status = max(status, figure(request, name))
        except UserError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            status = 2
    return status


def figure(request: Request, name: str) -> int:
    """Compute what the figure needs, draw it and write it under results/figures."""
    runner = Runner(request.options, request.choice)
    work = _work(request, name, runner)
    cells = work.cells()
    if request.embedded and request.rows is None:
        print(f"note: the embedded suite of generated images is used: no dataset found in "
              f"{request.looked_in}", file=sys.stderr)
    if request.args.dry_run:
        print(runner.describe(cells))
        return 0
    failures = runner.run(cells)
    work.notes.extend(_notes(work))
    drawn = 0
    for drawn, made in enumerate(DRAW[name](work), 1):
        _write(request, name, made)
    remark = f" [{work.remark}]" if work.remark else ""
    print("\n".join([work.definition.title + remark, *work.notes]))
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    if not drawn and not failures:
        raise UserError(f"{name}: nothing to draw, see above")
    return 1 if failures else 0


def _work(request: Request, name: str, runner: Runner) -> Work:
    args, kind = request.args, FIGURES[name]
    definition = dataclasses.replace(kind.shown, scenario=args.scenario or kind.shown.scenario)
    _, places, names = table_cells(request, definition)
    by = args.by or kind.by or names[0]
    methods.entry(by)
    seeds = request.seeds[:1] if kind.one_seed else request.seeds
    if kind.one_place:
        if len(names) > 1:
            raise UserError(f"--methods {args.methods}: {name} shows one method")
        places = [_one_place(places, runner)]
        by = names[0] if args.image else by  # nothing is chosen
    return Work(request, runner, definition, names, by if kind.one_seed else names[0], places,
                seeds)


def _one_place(places: list[Place], runner: Runner) -> Place:
    """The paper's cable where it is there, else the first category that is."""
    there = [place for place in places if runner.library.locate(*place)]
    return ("mvtec", "cable") if ("mvtec", "cable") in there else (there or places)[0]


def _notes(work: Work) -> list[str]:
    """What a table would say of the same cells: seeds, images, what is missing and why."""
    records = work.runner.records(work.cells())
    definition = dataclasses.replace(work.definition, metrics=("auc",))
    return list(build(records, definition, work.places, list(dict.fromkeys(
        [*work.names, work.by])), labels()).notes)


def _write(request: Request, name: str, made: Drawn) -> None:
    from aexad.bench.figures import style

    stem = request.options.results / "figures" / request.stem(
        name + made.suffix, FIGURES[name].shown.scenario)
    paths = style.save(made.figure, stem)
    if made.numbers is not None:
        paths.append(stem.with_name(f"{stem.name}.csv"))
        write_file(paths[-1], lambda p: made.numbers.to_csv(p, index=False))
    print(f"written: {paths[0]}{''.join(f', {p.suffix}' for p in paths[1:])}", file=sys.stderr)

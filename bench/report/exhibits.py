"""The gallery of a page: which images of a category, and what each method says of them. Maps that
were not kept are explained again from the stored fits; nothing is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.figures import gallery, stored as fits
from aexad.bench.measure import maps
from aexad.bench.measure.names import A_VALUES
from aexad.bench.plan.cells import Cell
from aexad.bench.report import pictures
from aexad.bench.report.data import QUALITY, Stored
from aexad.bench.results import image_rows
from aexad.bench.results.external import externals
from aexad.bench.tables.notes import Place
from aexad.methods import tiled

TOP = gallery.TOP  # quantile of a map at which its colours end


@dataclass(frozen=True)
class Seen:
    """What a method says of an image. picture: its map (pictures.heatmap), on the scale low … high;
    top: the quantile TOP; mean, std: µ and σ of the exact map. f1, iou: the stored numbers at each
    of A_VALUES; auc. lacking: why there is no picture."""

    method: str
    auc: float
    f1: list[float]
    iou: list[float]
    picture: str = ""
    low: float = 0.0
    high: float = 0.0
    top: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    lacking: str = ""


@dataclass(frozen=True)
class Exhibit:
    """A test image. rank: 'best 1', 'median', …; area: share of its anomalous pixels."""

    rank: str
    name: str
    area: float
    photo: str
    mask: str
    seen: list[Seen]


@dataclass(frozen=True)
class Room:
    """A category's images, the best first. of: how many anomalous test images there are; by: whose
    AUC ranks them."""

    name: str
    category: str
    by: str
    of: int
    exhibits: list[Exhibit] = field(default_factory=list)

    def fewer(self, count: int) -> Room:
        """The same with `count` of the images that it has."""
        kept = dict(choose([e.name for e in self.exhibits], count))
        return replace(self, exhibits=[e for e in self.exhibits if e.name in kept])


def choose(ids: Sequence[str], count: int | None) -> list[tuple[str, str]]:
    """(id, rank) of `count` images, a third each of the best, those around the median and the
    worst, of ids ordered from the best; all of them where there are no more, or count is None.
    Fewer of a choice are a part of it. The median is the one of aexad.bench.figures.gallery."""
    n = len(ids)
    if count is None or n <= count:
        return [(name, f"{i} of {n}") for i, name in enumerate(ids, 1)]
    best = (count + 2) // 3
    worst = (count + 1) // 3
    middle = count - best - worst
    start = min(max(n // 2 - middle // 2, best), n - worst - middle)
    chosen = [*range(best), *range(start, start + middle), *range(n - worst, n)]
    words = ["best"] * best + ["median"] * middle + ["worst"] * worst
    return [(ids[i], f"{word}, {i + 1} of {n}") for i, word in zip(chosen, words)]


def rooms(stored: Stored, count: int | None, by: str | None, notes: list[str]) -> Iterator[Room]:
    """A room for each category of the page of which images can be shown; of the others `notes` get
    a line with the reason. by: the method whose AUC ranks; None: the first of the page. Of
    several seeds the first is shown."""
    part = stored.parts[QUALITY[stored.scenario]]
    seed = stored.asked.seeds[0]
    for number, place in enumerate(part.rows, 1):
        done = [cell for cell in part.cells if (cell.fit.dataset, cell.fit.category) == place
                and cell.fit.seed == seed and stored.asked.options.store.cell_info(cell)]
        if not done:
            continue
        judge = next((cell for cell in done if cell.method == by), done[0])
        try:
            made = _room(stored, f"room-{number}", place, done, judge, count)
        except UserError as error:
            notes.append(f"{'/'.join(place)}: no pictures, {error}")
            continue
        if made.exhibits:
            yield made
        else:
            notes.append(f"{'/'.join(place)}: no pictures, the mask of every anomalous test image "
                         f"is empty or full at the working size")


def _room(stored: Stored, name: str, place: Place, done: list[Cell], judge: Cell,
          count: int | None) -> Room:
    store = stored.asked.options.store
    rows = {cell: image_rows.per_image([cell], store) for cell in done}
    order = gallery.ranked(rows[judge].astype({"used": bool}))["id"].tolist()
    chosen = choose(order, count)
    room = Room(name, "/".join(place), stored.labels[judge.method], len(order))
    if not chosen:
        return room
    ids = [name for name, _ in chosen]
    tested = fits.tested(judge.fit, stored.asked.options, store.cell_info(judge)).only(ids)
    seen = [_seen(stored, cell, ids, rows[cell].set_index("id")) for cell in done]
    shown = [Exhibit(rank, name, float(truth.mean()), pictures.photo(image), pictures.mask(truth),
                     [each[i] for each in seen])
             for i, ((name, rank), image, truth) in enumerate(zip(
                 chosen, tested.images, tested.masks, strict=True))]
    return replace(room, exhibits=shown)


def _seen(stored: Stored, cell: Cell, ids: list[str], rows: pd.DataFrame) -> list[Seen]:
    """What a cell's method says of the images `ids`, of which it need not have tested all."""
    found, lacking = _heatmaps(stored, cell, [name for name in ids if name in rows.index])
    return [_one(stored.labels[cell.method], rows, name, found.get(name), lacking) for name in ids]


def _one(label: str, rows: pd.DataFrame, name: str, heatmap: np.ndarray | None, lacking: str
         ) -> Seen:
    if name not in rows.index:
        nothing = [np.nan] * len(A_VALUES)
        return Seen(label, np.nan, nothing, nothing, lacking="this image was not tested")
    f1, iou = (rows.loc[name, [f"{m}_a{a}" for a in A_VALUES]].tolist() for m in ("f1", "iou"))
    numbers = Seen(label, float(rows.loc[name, "auc"]), f1, iou, lacking=lacking)
    if heatmap is None:
        return numbers
    mean, std = maps.mean_std(heatmap)
    limits = maps.thresholds((mean, std), A_VALUES, heatmap.dtype).tolist()
    return replace(numbers, picture=pictures.heatmap(heatmap, limits), low=float(heatmap.min()),
                   high=float(heatmap.max()), top=float(np.quantile(heatmap, TOP)), mean=mean,
                   std=std)


def _heatmaps(stored: Stored, cell: Cell, ids: list[str]) -> tuple[dict[str, np.ndarray], str]:
    """id -> map, kept or explained again; without any, the reason."""
    asked = stored.asked
    place = f"{cell.fit.dataset}/{cell.fit.category}"
    try:
        tested = fits.tested(cell.fit, asked.options, asked.options.store.cell_info(cell))
        kept = fits.kept_heatmaps(cell, asked.options, tested)
        if kept is not None:
            where = {name: i for i, name in enumerate(tested.ids.tolist())}
            return {name: kept[where[name]] for name in ids}, ""
        if cell.method in externals():
            return {}, "its maps were not kept: evaluate them with --keep-maps"
        print(f"explains {len(ids)} images of {place} with {methods.entry(cell.method).label}",
              file=sys.stderr)
        made = tiled.explain(fits.method(cell, asked.options), tested.only(ids).images).heatmaps
        return dict(zip(ids, made, strict=True)), ""
    except UserError as error:
        return {}, str(error)

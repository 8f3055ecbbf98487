"""What is shown as one file of HTML that needs no network, no other file, and for reading no
script. Everything in it is escaped but for what is made here: pictures, charts, style, script."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aexad.bench.base.errors import UserError, one_line
from aexad.bench.figures.plotting import colormaps
from aexad.bench.figures.steps import HEAT
from aexad.bench.measure.names import A_VALUES, METRICS
from aexad.bench.report import changes, charts, exhibits, heat
from aexad.bench.report.cards import cards
from aexad.bench.report.data import QUALITY, STATUSES, Stored
from aexad.bench.report.exhibits import Room
from aexad.bench.tables import comparison, render
from aexad.bench.tables.build import Table, places_of

TEMPLATES = Path(__file__).parent / "templates"
LARGEST = 18_000_000  # bytes of a page: what mail still takes
FEWEST = 3  # images of a category that a page is not cut below


@dataclass(frozen=True)
class Page:
    """A file of the report. name: '' for the page itself, else of a file beside it."""

    name: str
    text: str


# -- the report --


def pages(stored: Stored, count: int | None, by: str | None, folder: str, notes: list[str]
          ) -> Iterator[Page]:
    """The page, its gallery of `count` images a category; with None all images, a file for each
    category in `folder` beside the page, which comes last. by: whose AUC ranks images. notes: what
    the reader must know, added to."""
    rooms, files = [], []
    for room in exhibits.rooms(stored, count, by, notes):
        if count is None:
            name = f"{folder}/{_slug(room.category)}.html"
            files.append((room.category, name))
            yield Page(name, html("category.html", title=f"{room.category}: all images",
                                  stored=stored, room=room))
        else:
            rooms.append(room)
    rest = content(stored, by, notes) | {"files": files}
    yield Page("", fitted(rooms, count, notes, lambda some: html("page.html", rooms=some, **rest)))


def fitted(rooms: Sequence[Room], count: int | None, notes: list[str],
           render: Callable[[Sequence[Room]], str]) -> str:
    """The page that `render` makes of the rooms, with as many images as LARGEST allows, three of a
    category less at a time; the last of `notes` says so then."""
    made, left, said = render(rooms), count or 0, len(notes)
    while left > FEWEST and len(made.encode()) > LARGEST:
        left = max(FEWEST, left - 3)
        notes[said:] = [f"{left} images a category in place of {count}, so that the page stays "
                        f"below {LARGEST / 1e6:g} MB; --pictures all writes a file for each"]
        made = render([room.fewer(left) for room in rooms])
    return made


def content(stored: Stored, by: str | None, notes: list[str]) -> dict[str, Any]:
    """What the template `page.html` shows, all but the gallery."""
    found = cards(stored)
    shown = stored.tables()
    quality = stored.parts[QUALITY[stored.scenario]]
    compared = stored.compared()
    drawn = charts.charts(stored, by)
    if "ae_xad" in quality.names:
        try:
            drawn += filter(None, [charts.radii(stored, by)])
        except UserError as error:
            notes.append(f"AUC against the filter's radius is not shown: {error}")
    return {
        "title": "AE-XAD: what was measured", "stored": stored, "facts": stored.facts(),
        "verdict": stored.verdict(), "conditions": stored.conditions(),
        "absent": stored.absent(), "cards": list(found.values()),
        "card": {key: card.name for key, card in found.items()}, "tables": shown,
        "compared": compared,
        "heat": heat.heat_maps([t for t in shown if t.name in QUALITY.values()], stored.reduced),
        "grids": comparison.grids(compared.report) if compared else [],
        "ranks": charts.critical_differences(compared) if compared else None,
        "charts": drawn, "notes": notes, "statuses": STATUSES, "metrics": METRICS,
        "scenario": stored.scenario.replace("_", " "), "counts": stored.counts()}


def _slug(category: str) -> str:
    return re.sub(r"[^\w.-]+", "-", category)


# -- HTML --


def html(template: str, **content: Any) -> str:
    """A template with its content, the style and the script, which it allows no other beside."""
    script = _text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(
        style=Markup(_text("page.css")), script=Markup(script), digest=digest, a_values=A_VALUES,
        chosen_a=content["stored"].asked.settings.metrics.a, heat_colours=_colours(), **content)


@cache
def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _colours() -> str:
    """The 256 colours of heatmaps, six digits each."""
    return "".join("{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in colormaps[HEAT](i)[:3]))
                   for i in range(256))


@cache
def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
                       lstrip_blocks=True, undefined=StrictUndefined, finalize=shown)
    made.filters |= {"number": number, "difference": difference, "footnotes": footnotes,
                     "titles": render.titles, "finite": finite, "safe_picture": picture,
                     "safe_svg": lambda chart: Markup(chart.svg), "signed": signed,
                     "marks": marks, "said": changes.said}
    made.globals["zip"] = zip
    return made


def shown(value: Any) -> Any:
    """What stands in the page for a value: texts in one line that any program can show."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def picture(address: str) -> Markup:
    """The address of a picture, which is as long as it is. ValueError for what is none of ours."""
    if not re.fullmatch(r"data:image/(webp|png);base64,[A-Za-z0-9+/]+=*", address):
        raise ValueError(f"no picture: {address[:40]}")
    return Markup(address)


def number(value: float, table: Table) -> str:
    """A number as the table prints it."""
    decimals = places_of(value, table.decimals, table.digits)
    return render.numeral(f"{value:.{decimals}f}")


def difference(value: float, table: Table) -> str:
    decimals = places_of(value, table.decimals, table.digits)
    return signed(value, decimals)


def signed(value: float, decimals: int = 3) -> str:
    return render.numeral(f"{round(value, decimals) + 0.0:+.{decimals}f}")  # no -0.000


def finite(value: float | None, decimals: int = 3) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def marks(table: Table) -> list[tuple[str, str]]:
    """(mark, what it means) of those that the table has."""
    found = {cell.mark for row in table.rows for group in row.cells for cell in group}
    return [(mark, word) for mark, word in (("best", table.best), ("second", table.second))
            if mark in found]


def footnotes(table: Table) -> list[tuple[str, str]]:
    """(number, text) of each line below a table; '' where it is no footnote."""
    found = [re.fullmatch(r"\[(\d+)\] (.*)", note, re.S) for note in table.notes]
    return [(m[1], m[2]) if m else ("", note) for m, note in zip(found, table.notes)]

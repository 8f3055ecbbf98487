"""The report's page as a reader of others' texts: names of files and methods, messages of errors,
parameters. Whatever they hold, the page has the same elements, and they are shown as texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from aexad.bench.base.errors import UserError, one_line
from aexad.bench.base.refusals import encodable, misnamed
from aexad.bench.measure.names import A_VALUES
from aexad.bench.plan.settings import Settings
from aexad.bench.report import page
from aexad.bench.report.cards import Card, Run
from aexad.bench.report.changes import Change
from aexad.bench.report.data import Asked, Stored
from aexad.bench.report.exhibits import Exhibit, Room, Seen
from aexad.bench.run.job import Options
from aexad.bench.tables.build import Cell, Row, Table

EMPTY = "data:image/png;base64,AAAA"
TEXTS = ("a name", "<script>alert(1)</script>", "</script><script>alert(1)</script>",
         "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "' autofocus onfocus='alert(1)",
         "{{ 7 * 7 }}", "{% raw %}", "<!--", "]]>", "&lt;b&gt;", "</style>", "javascript:alert(1)",
         "µ + σ ∪ ∖ é", "\u202eevil", "a\x00b\x1b[2J", "</noscript></title></textarea>")


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, its texts, and its values."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.values: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment",))

    def unknown_decl(self, data: str) -> None:
        self.found.append(("declaration",))


def reader(folder: Path) -> Callable[[bytes], None]:
    """Takes a text, as it comes from a file's name, through the page. UserError for one that no
    file of ours is called."""
    options = Options(folder / "report", folder / "data", folder / "cache", None, "cpu", 1, "ITA")
    stored = Stored(Asked(Settings("smoke"), options, [("mvtec", "bottle")], (), [40], None, False,
                          "aexad-bench", lambda *words, **others: " ".join(words)))
    known = page.content(stored, None, [])
    plain = Elements(_page(known, "a name")).found

    def read(content: bytes) -> None:
        text = content.decode("utf-8", "surrogateescape")
        if not text:
            raise UserError("'': no file has an empty name; give one")
        if not encodable(text):
            raise misnamed(text)
        made = Elements(_page(known, text))
        assert made.found == plain, "other elements than with a plain name"
        if text.strip():
            assert any(one_line(text) in shown for shown in made.texts), "not shown"
            assert any(one_line(text) in value for value in made.values), "not in an attribute"

    return read


def _page(known: dict[str, Any], text: str) -> str:
    """The page with `text` wherever one of others can stand."""
    cell = Cell(None, status=text, reason=text, notes=(1,), remark=text)
    table = Table("table2", text, (("ae_xad", text),), ("auc",),
                  (Row(text, "x", ((cell,),)),), (text, f"[1] {text}"), 3)
    numbers = [0.5] * len(A_VALUES)
    seen = Seen(text, 0.5, numbers, numbers, EMPTY)
    room = Room("room-1", text, text, 1, [Exhibit(text, text, 0.1, EMPTY, EMPTY, [
        seen, replace(seen, picture="", lacking=text)])])
    run = Run(40, text, text, [(text, text)], [(text, text)])
    card = Card("card-1", text, text, text, [run], [Change(text, text, text)], text)
    lists = {"notes": [text], "verdict": [text], "facts": [(text, text)],
             "conditions": {text: [text]}, "absent": [(text, text)]}
    return page.html("page.html", rooms=[room], files=[(text, text)],
                     **known | lists | {"tables": [table], "cards": [card]})

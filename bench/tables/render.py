"""A table as text for the terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from tabulate import DataRow, Line, TableFormat, tabulate

from aexad.bench.measure.names import METRICS
from aexad.bench.tables.build import Cell, Row, Table, places_of

_ANSI = re.compile(r"\x1b\[\d+m")
_TEX = str.maketrans({
    **{char: f"\\{char}" for char in "&%_#${}"}, "\\": r"\textbackslash{}",
    "“": "``", "”": "''", "×": r"$\times$", "Δ": r"$\Delta$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "∪": r"$\cup$", "∖": r"$\setminus$", "−": "$-$", "±": r"$\pm$",
    "∞": r"$\infty$", "–": r"\textendash{}", "—": r"\textemdash{}", "…": r"\dots{}"})

_LATEX_WIDTH = 120  # characters of numbers that are still readable beside each other


def tex(text: str) -> str:
    # pdflatex stops at letters beyond its fonts, and error messages may hold any.
    known = "".join(c if c < "\u0250" else "?" for c in text.translate(_TEX))
    return re.sub("-(?=-)", "-{}", known)  # options are no dashes


def md(text: str) -> str:
    # An underscore inside a word means nothing to GitHub.
    return re.sub(r"([\\`*<>|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", text)


@dataclass(frozen=True)
class _Style:
    """How one format writes a number: templates for marks, and for the paper's number beside it."""

    best: str
    second: str
    unmarked: str = "{}"
    paper: str = "({})"
    text: Callable[[str], str] = str

    def cell(self, cell: Cell, table: Table) -> str:
        notes = "".join(f" [{number}]" for number in cell.notes)
        if cell.value is None:
            return self.unmarked.format(self.text((cell.status if cell.notes else "–") + notes))
        decimals = places_of(cell.value, table.decimals, table.digits)
        ours = f"{cell.value:.{decimals}f}"
        if cell.std is not None:
            ours += f"±{cell.std:.{decimals}f}"
        return (self.mark(self.text(numeral(ours)), cell.mark)
                + (f" {self.beside(cell, table)}" if cell.published is not None else "") + notes)

    def mark(self, text: str, mark: str | None) -> str:
        return {"best": self.best, "second": self.second, None: self.unmarked}[mark].format(text)

    def beside(self, cell: Cell, table: Table) -> str:
        decimals = places_of(cell.published, table.decimals, table.digits)
        inner = f"{cell.published:.{decimals}f}"
        if cell.difference is not None:
            decimals = places_of(cell.difference, table.decimals, table.digits)
            inner += f" {round(cell.difference, decimals) + 0.0:+.{decimals}f}"  # no -0.000
        return self.paper.format(self.text(numeral(inner)))

    def legend(self, table: Table) -> str:
        cells = [c for row in table.rows for group in row.cells for c in group
                 if c.value is not None]
        parts = [self.text("ours ") + self.paper.format(self.text("paper, difference"))
                 if any(c.published is not None for c in cells) else "ours"]
        words = [self.mark(self.text(word), mark) for mark, word in
                 (("best", table.best), ("second", table.second))
                 if any(c.mark == mark for c in cells)]
        if words:
            parts.append(f"{' and '.join(words)} {table.among}")
        return "; ".join(parts)


def numeral(text: str) -> str:
    """A true minus sign and infinity."""
    return text.replace("-", "−").replace("inf", "∞")


# The blanks of unmarked numbers keep the digits of a column below each other.
_PLAIN = _Style("*{}*", "_{}_", unmarked=" {} ")
_COLOR = _Style("\x1b[1m{}\x1b[0m", "\x1b[3m{}\x1b[0m", paper="\x1b[2m({})\x1b[0m")
_MARKDOWN = _Style("**{}**", "*{}*")
_LATEX = _Style(r"\textbf{{{}}}", r"\textit{{{}}}", text=tex)


def titles(table: Table) -> list[str]:
    own = dict(table.titles)
    return [own.get(metric, METRICS.get(metric, metric)) for metric in table.metrics]


def _columns(table: Table, style: _Style) -> list[list[list[str]]]:
    """[method][metric] -> the texts of its column, a row each."""
    return [[[style.cell(row.cells[i][j], table) for row in table.rows]
             for j in range(len(table.metrics))] for i in range(len(table.groups))]


def terminal(table: Table, width: int, color: bool) -> str:
    """The table for a terminal. Where `width` is too small, blocks of methods stand below each
    other, and where one method alone is too wide, blocks of columns; cells are never cut."""
    marked = any(cell.mark for row in table.rows for group in row.cells for cell in group)
    style = _COLOR if color else _PLAIN if marked else replace(_PLAIN, unmarked="{}")
    labels, lines_of = _labels(table.rows)
    groups = []
    for (_, name), columns in zip(table.groups, _columns(table, style)):
        groups.append([[f"{name} {title}", *(column[k] if k is not None else "" for k in lines_of)]
                       for title, column in zip(titles(table), columns)])
    # Narrow gaps where they save a block.
    gap, blocks = min(((gap, _blocks(labels, groups, width, gap)) for gap in (2, 1)),
                      key=lambda packed: len(packed[1]))
    wrap = textwrap.TextWrapper(width, subsequent_indent="    ", break_long_words=False,
                                break_on_hyphens=False)
    # textwrap would count the codes of colours in the legend.
    notes = [style.legend(table), *(wrap.fill(note) for note in table.notes)]
    parts = [wrap.fill(table.title), *(_block(labels, block, gap) for block in blocks),
             "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def _labels(rows: Sequence[Row]) -> tuple[list[str], list[int | None]]:
    """Labels of the terminal's lines, and the row of each: datasets head their categories."""
    labels, lines_of = [], []
    for k, row in enumerate(rows):
        single = row.dataset in (row.label, "all")
        if not single and (k == 0 or rows[k - 1].dataset != row.dataset):
            labels.append(row.dataset)
            lines_of.append(None)
        labels.append(row.label if single else f"  {row.label}")
        lines_of.append(k)
    return labels, lines_of


def _width(column: Sequence[str]) -> int:
    return max(len(_ANSI.sub("", text)) for text in column)


def _blocks(labels: list[str], groups: list, width: int, gap: int) -> list[list[list[str]]]:
    """Columns, packed into as few blocks as `width` allows."""
    def needs(columns: list[list[str]]) -> int:
        return _width(labels) + sum(gap + _width(column) for column in columns)

    if any(needs(group) > width for group in groups):
        groups = [[column] for group in groups for column in group]
    blocks = [list(groups[0])]
    for group in groups[1:]:
        if needs(blocks[-1] + group) <= width:
            blocks[-1] += group
        else:
            blocks.append(list(group))
    return blocks


def _block(labels: list[str], columns: list[list[str]], gap: int) -> str:
    line, row = Line("", "-", " " * gap, ""), DataRow("", " " * gap, "")
    style = TableFormat(None, line, None, line, row, row, 0, None)
    return tabulate(list(zip(labels, *(column[1:] for column in columns))),
                    headers=["", *(column[0] for column in columns)], tablefmt=style,
                    disable_numparse=True, preserve_whitespace=True)


def _row_heads(table: Table) -> list[list[str]]:
    """(dataset, category) of each row, the dataset where it changes."""
    before = [None, *(row.dataset for row in table.rows)]
    return [[row.dataset if row.dataset != last else "", row.label]
            for row, last in zip(table.rows, before)]


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown."""
    heads = [md(f"{name} {title}") for _, name in table.groups for title in titles(table)]
    columns = [column for group in _columns(table, _MARKDOWN) for column in group]
    body = [[*map(md, head), *cells] for head, *cells in zip(_row_heads(table), *columns)]
    grid = tabulate(body, headers=[*table.keys[:2], *heads], tablefmt="github",
                    disable_numparse=True)
    notes = "\n".join(f"- {note}" for note in (_MARKDOWN.legend(table), *map(md, table.notes)))
    return f"### {md(table.title)}\n\n{grid}\n\n{notes}\n"


def latex(table: Table) -> str:
    """Complete LaTeX table environments, for the packages booktabs and graphicx.

    Methods that would make the type of one table too small to read go to further ones.
    """
    parts = [[0]]
    for i in range(1, len(table.groups)):
        more = [*parts[-1], i]
        columns = [c for group in _columns(_only(table, more), _PLAIN) for c in group]
        if sum(2 + _width(column) for column in columns) <= _LATEX_WIDTH:
            parts[-1] = more
        else:
            parts.append([i])
    return "% needs \\usepackage{booktabs,graphicx}\n" + "\n".join(
        _latex(_only(table, part), k, len(parts)) for k, part in enumerate(parts, 1))


def _only(table: Table, methods: Sequence[int]) -> Table:
    """The table with these of its methods."""
    return replace(table, groups=tuple(table.groups[i] for i in methods), rows=tuple(
        replace(row, cells=tuple(row.cells[i] for i in methods)) for row in table.rows))


def _latex(table: Table, part: int, parts: int) -> str:
    n = len(table.metrics)
    heads = " & ".join(rf"\multicolumn{{{n}}}{{c}}{{{tex(name)}}}" for _, name in table.groups)
    rules = "".join(rf"\cmidrule(lr){{{3 + i * n}-{2 + (i + 1) * n}}}"
                    for i in range(len(table.groups)))
    metrics = " & ".join(tex(title) for _ in table.groups for title in titles(table))
    columns = [column for group in _columns(table, _LATEX) for column in group]
    lines = []
    for k, (head, *cells) in enumerate(zip(_row_heads(table), *columns)):
        if k and head[0]:
            lines.append(r"\midrule")
        lines.append(" & ".join([*map(tex, head), *cells]) + r" \\")
    title = tex(re.sub(r"^Table \d+: ", "", table.title))  # LaTeX counts for itself
    notes, label = "\n\n".join(map(tex, table.notes)), f"tab:{table.name}"
    if parts > 1:
        title += f" (part {part} of {parts})"
        label += f"-{part}" if part > 1 else ""
        notes = notes if part == parts else f"Notes: see part {parts}."
    return "\n".join([
        r"\begin{table}", r"\centering",
        rf"\caption{{{title}. Each number: {_LATEX.legend(table)}.}}",
        rf"\label{{{label}}}\par\medskip",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{ll{'l' * n * len(table.groups)}}}", r"\toprule",
        rf" & & {heads} \\", rules, rf"{' & '.join(table.keys[:2])} & {metrics} \\", r"\midrule",
        *lines, r"\bottomrule", r"\end{tabular}}", r"\par\smallskip",
        rf"\parbox{{\textwidth}}{{\footnotesize\raggedright {notes}\par}}",
        r"\end{table}", ""])


def csv(table: Table) -> str:
    """Tidy: a row per dataset, category, method and metric, without the rows of means. The first
    four columns are called as the table's `keys`."""
    fields = ("value", "std", "n_seeds", "published", "difference", "mark", "status", "reason",
              "remark")
    rows = [(row.dataset, row.label, method, metric, *(getattr(cell, name) for name in fields))
            for row in table.rows if not row.is_mean
            for (method, _), group in zip(table.groups, row.cells)
            for metric, cell in zip(table.metrics, group)]
    frame = pd.DataFrame(rows, columns=[*table.keys, *fields])
    return frame.to_csv(index=False, lineterminator="\n")

"""Pages of several grids of ready texts, for the terminal, Markdown and LaTeX: what is not a table
of the paper's form."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from aexad.bench.tables.render import md, tex


@dataclass(frozen=True)
class Grid:
    """One grid. The first `words` columns and those of `prose` hold words, the others numbers
    (right-aligned). prose: which columns hold sentences, that are broken where they are too wide.
    """

    caption: str
    heads: list[str]
    rows: list[list[str]]
    words: int = 1
    prose: tuple[int, ...] = ()

    def has_words(self, column: int) -> bool:
        return column < self.words or column in self.prose


@dataclass(frozen=True)
class Page:
    """All that is shown under a title. name: of the files. notes: lines below the grids; lead:
    lines above them."""

    name: str
    title: str
    grids: Sequence[Grid]
    notes: Sequence[str]
    lead: Sequence[str] = ()


def signed(value: float, decimals: int = 4) -> str:
    """A difference, with its sign."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")  # no -0.0


def _page(page: Page, title: Callable[[str], str], caption: Callable[[str], str], style: str,
          lines: Callable[[Sequence[str]], str], width: int | None = None) -> str:
    """width: what prose is broken for, None: not at all."""
    parts = [title(page.title), *([lines(page.lead)] if page.lead else [])]
    for grid in page.grids:
        sides = ["left" if grid.has_words(i) else "right" for i in range(len(grid.heads))]
        widths = _widths(grid, width) if width and grid.prose else None
        made = tabulate(grid.rows, grid.heads, style, colalign=sides, disable_numparse=True,
                        maxcolwidths=widths, break_on_hyphens=False)
        parts.append(f"{caption(grid.caption)}\n\n{made}")
    return "\n\n".join([*parts, lines(page.notes)]) + "\n"


def _widths(grid: Grid, width: int) -> list[int | None]:
    """How wide its columns may be: sentences share what the others leave, at least 16 each."""
    longest = [max(map(len, (head, *(row[i] for row in grid.rows))))
               for i, head in enumerate(grid.heads)]
    rest = width - sum(2 + n for i, n in enumerate(longest) if i not in grid.prose)
    each = max(rest // len(grid.prose) - 2, 16)
    return [min(n, each) if i in grid.prose else None for i, n in enumerate(longest)]


def terminal(page: Page, width: int) -> str:
    """For the terminal; the lines around the grids and sentences in them are broken at `width`."""
    wrap = textwrap.TextWrapper(width, subsequent_indent="    ", break_long_words=False,
                                break_on_hyphens=False)
    return _page(page, str, wrap.fill, "simple", lambda lines: "\n".join(map(wrap.fill, lines)),
                 width)


def markdown(page: Page, level: int = 3) -> str:
    """In GitHub's Markdown. level: of the title's heading."""
    return _page(page, lambda text: f"{'#' * level} {md(text)}",
                 lambda text: f"{'#' * (level + 1)} {md(text)}", "github",
                 lambda lines: "\n".join(f"- {md(line)}" for line in lines))


def latex(page: Page) -> str:
    """LaTeX table environments, for booktabs and graphicx."""
    parts = []
    for k, grid in enumerate(page.grids, 1):
        body = [" & ".join(map(tex, row)) + r" \\" for row in grid.rows]
        columns = "".join("p{5cm}" if i in grid.prose else "l" if grid.has_words(i) else "r"
                          for i in range(len(grid.heads)))
        parts.append("\n".join([
            r"\begin{table}", r"\centering",
            rf"\caption{{{tex(page.title)}: {tex(grid.caption)}.}}",
            rf"\label{{tab:{page.name}-{k}}}\par\medskip",
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
            " & ".join(map(tex, grid.heads)) + r" \\", r"\midrule", *body, r"\bottomrule",
            r"\end{tabular}}", r"\end{table}", ""]))
    notes = "".join(f"% {line}\n" for line in (*page.lead, *page.notes))
    return "% needs \\usepackage{booktabs,graphicx}\n" + notes + "\n".join(parts)

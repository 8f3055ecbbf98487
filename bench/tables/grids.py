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
    """One grid. The first `words` columns hold words, the others numbers (right-aligned)."""

    caption: str
    heads: list[str]
    rows: list[list[str]]
    words: int = 1


@dataclass(frozen=True)
class Page:
    """All that is shown under a title. name: of the files. notes: lines below the grids."""

    name: str
    title: str
    grids: Sequence[Grid]
    notes: Sequence[str]


def signed(value: float, decimals: int = 4) -> str:
    """A difference, with its sign."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")  # no -0.0


def _page(page: Page, title: Callable[[str], str], caption: Callable[[str], str], style: str,
          notes: Callable[[Sequence[str]], str]) -> str:
    parts = [title(page.title)]
    for grid in page.grids:
        sides = ["left" if i < grid.words else "right" for i in range(len(grid.heads))]
        made = tabulate(grid.rows, grid.heads, style, colalign=sides, disable_numparse=True)
        parts.append(f"{caption(grid.caption)}\n\n{made}")
    return "\n\n".join([*parts, notes(page.notes)]) + "\n"


def terminal(page: Page, width: int) -> str:
    """For the terminal; the lines below the grids are wrapped at `width`."""
    wrap = textwrap.TextWrapper(width, subsequent_indent="    ", break_long_words=False,
                                break_on_hyphens=False)
    return _page(page, str, str, "simple", lambda lines: "\n".join(map(wrap.fill, lines)))


def markdown(page: Page) -> str:
    """In GitHub's Markdown."""
    return _page(page, lambda text: f"### {md(text)}", lambda text: f"#### {md(text)}", "github",
                 lambda lines: "\n".join(f"- {md(line)}" for line in lines))


def latex(page: Page) -> str:
    """LaTeX table environments, for booktabs and graphicx."""
    parts = []
    for k, grid in enumerate(page.grids, 1):
        body = [" & ".join(map(tex, row)) + r" \\" for row in grid.rows]
        columns = "l" * grid.words + "r" * (len(grid.heads) - grid.words)
        parts.append("\n".join([
            r"\begin{table}", r"\centering",
            rf"\caption{{{tex(page.title)}: {tex(grid.caption)}.}}",
            rf"\label{{tab:{page.name}-{k}}}\par\medskip",
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
            " & ".join(map(tex, grid.heads)) + r" \\", r"\midrule", *body, r"\bottomrule",
            r"\end{tabular}}", r"\end{table}", ""]))
    notes = "".join(f"% {line}\n" for line in page.notes)
    return "% needs \\usepackage{booktabs,graphicx}\n" + notes + "\n".join(parts)

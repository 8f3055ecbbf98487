"""Grids with sentences in them: broken in a terminal, whole in Markdown, boxes in LaTeX."""

from __future__ import annotations

from aexad.bench.tables import grids
from aexad.bench.tables.grids import Grid, Page

SENTENCE = "a command --data-root DIR that is longer than a terminal is wide, and then some more"
PAGE = Page("name", "A title", [
    Grid("Numbers", ["", "n"], [["a", "1"], ["b", "22"]]),
    Grid("Words", ["", "said", "n"], [["a", SENTENCE, "1"]], prose=(1,))],
    ["a note"], lead=["the first line", "the second"])


def test_terminal():
    shown = grids.terminal(PAGE, 50)
    assert max(map(len, shown.splitlines())) <= 50 and "--data-root" in shown
    lines = shown[shown.index("Words"):].splitlines()[4:7]
    said = " ".join(line[4:-1].strip() for line in lines[:1]) + " " + " ".join(
        line.strip() for line in lines[1:])
    assert said == SENTENCE
    assert shown.startswith("A title\n\nthe first line\nthe second\n\nNumbers")
    assert "a     1\nb    22" in shown  # numbers are right-aligned


def test_markdown():
    text = grids.markdown(PAGE)
    assert SENTENCE in text and text.startswith("### A title\n\n- the first line\n- the second\n")
    assert grids.markdown(PAGE, level=1).startswith("# A title\n")
    assert "\n## Words\n" in grids.markdown(PAGE, level=1)


def test_latex():
    text = grids.latex(PAGE)
    assert r"\begin{tabular}{lr}" in text and r"\begin{tabular}{lp{5cm}r}" in text
    assert "% the first line\n% the second\n% a note\n" in text

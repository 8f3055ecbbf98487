"""A judgement as grids of texts, as CSV and for `--json`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd

from aexad import methods
from aexad.bench.measure.interval_coverage import Coverage
from aexad.bench.measure.intervals import LEVEL
from aexad.bench.measure.names import METRICS
from aexad.bench.plan.definitions import TABLES
from aexad.bench.tables.grids import Grid, Page
from aexad.bench.tables.notes import listed
from aexad.bench.verdict import conditions, ratios, tolerances
from aexad.bench.verdict.judgement import Judgement, headline, tables as all_tables
from aexad.bench.verdict.numbers import WORDS, Judged, Number
from aexad.bench.verdict.sentences import VIEWS, Read, Sentence, View

TITLE = "Does it reproduce? A verdict on the paper's numbers and sentences"
COVERAGE = "How often an interval holds the truth"
EXPLAINED = (
    "reproduced: the published number lies in our interval widened by the tolerance; above, below: "
    "ours is above or below it. Without an interval it is that of our number alone",
    f"ours: mean over seeds ± sample standard deviation; the {LEVEL:.0%} interval is over images "
    "with one seed, which says nothing of other trainings, and over images and seeds with several "
    "(bench/measure/intervals.py; compare has the same)",
    f"tolerance: {tolerances.REASON}; it was never fitted to a verdict",
    *conditions.EXPLAINED,
    "of several configurations of a cell the one nearest to the published one is shown, all its "
    "seeds together; a seed is no image, and a cell that two files have counts once",
    "Table 3 is read with its labels BGAD and FCDD exchanged (docs/audit.md); its F1 and IoU are "
    "of the same wins",
    "of Tables 5 to 8 ratios to AE-XAD are compared, of readings of work that is known to have had "
    "the machine for itself; of an infinite or a zero number there is no ratio; who trains less "
    "emits less, so that a ratio of a reduced budget says nothing of the whole one",
    f"Table 1, AE and AE∪F: {TABLES['table1'].about_printed[1]}",
    "sentences: read as docs/audit.md reads them, over our numbers rounded as a table prints them; "
    "of Table 3 a dataset's row may have some of its categories only. sure: in how many of 1,000 "
    "draws of images (and seeds, where there are several) the reading holds; rows without numbers "
    "per image stay as they are",
    f"“{COVERAGE}”: made-up data whose truth is known, images and seeds crossed as here "
    "(bench/measure/interval_coverage.py): 28 of 40 images tested by each seed, the seeds' spread "
    "as a share of the images', 2,000 data sets a number",
)


def page(made: Judgement, command: str) -> Page:
    """All of it. command: what starts the bench."""
    grids = [_summary(made), _sentences(made.sentences),
             *(_numbers(made, table) for table in all_tables()), _not_reproduced(made),
             _missing(made, command), _tolerances(), _coverage(made.coverage), _sources(made)]
    return Page("verdict", TITLE, [g for g in grids if g.rows], EXPLAINED,
                lead=[*headline(made, command), _sentences_line(made.sentences)])


# -- numbers --

def _summary(made: Judgement) -> Grid:
    rows = []
    for table in all_tables():
        mine = [j for j in made.judged if j.number.table == table]
        groups = [[j for j in mine if j.as_published],
                  [j for j in mine if j.value is not None and not j.as_published]]
        counts = [str(sum(j.comparison == word for j in group)) for group in groups
                  for word in WORDS]
        lacking = sum(j.value is None for j in mine)
        rows.append([_table_name(table), str(len(mine)), *counts, str(lacking)])
    heads = ["", "numbers", *(f"{where}{word}" for where in ("as published: ", "else: ")
                              for word in WORDS), "no number"]
    return Grid("How many numbers are reproduced", heads, rows)


def _numbers(made: Judgement, table: str) -> Grid:
    rows = [[_where(j.number), _who(j.number), METRICS.get(j.number.metric, j.number.metric),
             _ours(j), *_between(j), str(j.images or "–"), str(len(j.seeds)),
             f"{j.number.value:.3f}", str(j.comparison), conditions.in_words(j.conditions),
             j.remark]
            for j in made.compared if j.number.table == table]
    heads = ["", "method", "metric", "ours", f"{LEVEL:.0%} interval", "over", "images", "seeds",
             "published", "comparison", "conditions", "remark"]
    return Grid(TABLES[table].title, heads, rows, words=3, prose=(10, 11))


def _table_name(table: str) -> str:
    return f"Table {table.removeprefix('table')}"


def _where(number: Number) -> str:
    return f"{number.dataset}/{number.category}" if number.category else number.dataset


def _label(method: str) -> str:
    return methods.entry(method).label


def _who(number: Number) -> str:
    beside = {"share": " over ", "ratio": " / "}.get(number.kind, "")
    return _label(number.method) + (f"{beside}{_label(number.against)}" if beside else "")


def _ours(judged: Judged) -> str:
    return f"{judged.value:.3f}" + (f" ± {judged.std:.3f}" if judged.std is not None else "")


def _between(judged: Judged) -> tuple[str, str]:
    found = judged.interval
    return (f"[{found.low:.3f}, {found.high:.3f}]", found.over) if found else ("–", "–")


def _not_reproduced(made: Judgement) -> Grid:
    rows = [[_table_name(j.number.table), _where(j.number), _who(j.number),
             METRICS.get(j.number.metric, j.number.metric), _ours(j), f"{j.number.value:.3f}",
             str(j.comparison), conditions.in_words(j.conditions), made.moved.get(i, "–")]
            for i, j in enumerate(made.judged) if j.comparison in ("above", "below")]
    return Grid("Why not: the open point that moves it most towards the published number, where a "
                "study of the category is stored",
                ["", "", "method", "metric", "ours", "published", "comparison", "conditions",
                 "open point"], rows, words=4, prose=(7, 8))


def _missing(made: Judgement, command: str) -> Grid:
    """A row for each table, method and reason."""
    groups: dict[tuple[str, str, str], list[Number]] = defaultdict(list)
    for j in made.lacking:
        groups[j.number.table, _who(j.number), j.reason].append(j.number)
    rows = []
    for (table, who, reason), found in groups.items():
        places = list(dict.fromkeys(map(_where, found)))
        rows.append([_table_name(table), who, str(len(found)), reason,
                     f"{len(places)}: {listed(places, 3)}", remedy(found, command)])
    return Grid("What has no number, and what computes it",
                ["", "method", "numbers", "reason", "rows", "command"], rows, words=2, prose=(4, 5))


def remedy(found: Sequence[Number], command: str) -> str:
    """The command that computes numbers of one table and method, under the published conditions.
    All rows are those of the command's own."""
    first = found[0]
    words = [command, first.table, "--methods",
             ",".join(filter(None, dict.fromkeys((first.method, first.against))))]
    places = list(dict.fromkeys(_where(n) for n in found))
    if len(places) <= 3:
        option = "--categories" if first.category else "--datasets"
        words += [option, ",".join(places)]
    words += ["--data-root", "DIR"]
    if first.table in ratios.RATIOS:
        words += ["--emissions", "strict"]
    return " ".join(words)


def _tolerances() -> Grid:
    rows = [[METRICS[metric], f"{value:.3f}",
             ", ".join(f"{d:+.3f}".replace("-", "−") for d in tolerances.SPLIT_ROWS[metric])]
            for metric, value in tolerances.TOLERANCES.items()]
    rows += [["shares of Table 3", f"{tolerances.SHARES:.3f}", "no study"],
             ["ratios", f"{tolerances.RATIO:.0%}", "no study"]]
    return Grid("Tolerances: what another split does (bottle, bottle, transistor, transistor)",
                ["metric", "tolerance", "seeds 41 and 42 minus seed 40"], rows, words=1)


def _sources(made: Judgement) -> Grid:
    return Grid("Where ours are kept, and what must be known of them", ["file", "note"],
                [[name, note] for name, note in made.notes.items()], words=2, prose=(1,))


# -- sentences --

def _sentences(found: Sequence[Sentence]) -> Grid:
    rows = [[s.reading.section, f"“{s.reading.quote}”", s.reading.reading,
             f"{s.paper.verdict}: {s.paper.found}" if s.paper else "not printed",
             *(text for view in VIEWS for text in (_read(s.ours[view]), _sure(s.ours[view])))]
            for s in found]
    return Grid("Which of the paper's sentences our evidence supports",
                ["section", "the text says", "read as", "the paper's tables", "ours, as published",
                 "sure", "ours, all conditions", "sure"], rows, words=8, prose=(1, 2, 3, 4, 6))


def _sentences_line(found: Sequence[Sentence]) -> str:
    def counts(view: View) -> str:
        words = Counter("can't be said" if (claim := s.ours[view].claim) is None else
                        "hold only with ties" if claim.verdict == "only with ties" else
                        "hold" if claim.verdict == "holds" else "do not hold" for s in found)
        order = ("hold", "hold only with ties", "do not hold", "can't be said")
        single = {"hold": "holds", "hold only with ties": "holds only with ties",
                  "do not hold": "does not hold"}
        return ", ".join(f"{n} {single.get(word, word) if n == 1 else word}"
                         for word in order if (n := words[word]))

    return (f"Of {len(found)} readings of the paper's sentences, on the rows there are: as "
            f"published {counts('as published')}; under all conditions {counts('all')}.")


def _read(read: Read) -> str:
    return read.word + (f": {read.claim.found}" if read.claim else "")


def _sure(read: Read) -> str:
    return "–" if read.sure is None else f"{read.sure:.2f}"


# -- coverage --

def _coverage(found: Sequence[Coverage]) -> Grid:
    columns = list(dict.fromkeys((c.seeds, c.truth) for c in found))
    rows: dict[tuple[str, float], dict[tuple[int, str], Coverage]] = {}
    for c in found:
        rows.setdefault((c.kind, c.ratio), {})[c.seeds, c.truth] = c
    heads = ["made-up numbers", "seeds' spread"] + [
        f"{n} seed{'s' * (n > 1)}" + (f", {truth}" if n == 1 else "") for n, truth in columns]
    return Grid(COVERAGE, heads, [
        [kind, f"{ratio:g}", *(f"{cells[at].share:.3f}" for at in columns)]
        for (kind, ratio), cells in rows.items()])


# -- for programs --

_FIELDS = ("table", "dataset", "category", "method", "against", "metric", "scenario")


def _row(made: Judgement, i: int, j: Judged, command: str) -> dict[str, Any]:
    found = j.interval
    return {**{name: getattr(j.number, name) for name in _FIELDS},
            "value": j.value, "std": j.std, "low": found and found.low,
            "high": found and found.high, "over": found.over if found else "",
            "images": j.images, "n_seeds": len(j.seeds), "published": j.number.value,
            "tolerance": j.tolerance, "comparison": j.comparison or "",
            "conditions": conditions.in_words(j.conditions) if j.value is not None else "",
            "open_point": made.moved.get(i, ""), "remark": j.remark, "reason": j.reason,
            "command": remedy([j.number], command) if j.value is None else "",
            "sources": ", ".join(j.sources)}


def csv(made: Judgement, command: str) -> str:
    """Tidy: a row for each published number, all digits."""
    frame = pd.DataFrame([_row(made, i, j, command) for i, j in enumerate(made.judged)])
    return frame.to_csv(index=False, lineterminator="\n")


def sentences_csv(made: Judgement) -> str:
    frame = pd.DataFrame([{**_sentence(s), **_read_json(s.ours[view]), "view": view}
                          for s in made.sentences for view in VIEWS])
    return frame.to_csv(index=False, lineterminator="\n")


def _sentence(s: Sentence) -> dict[str, Any]:
    return {"section": s.reading.section, "quote": s.reading.quote, "reading": s.reading.reading,
            "paper_verdict": s.paper.verdict if s.paper else None,
            "paper_found": s.paper.found if s.paper else None}


def _read_json(read: Read) -> dict[str, Any]:
    return {"word": read.word, "found": read.claim.found if read.claim else None,
            "rows": read.rows, "of": read.of, "sure": read.sure}


def as_json(made: Judgement, command: str) -> dict[str, Any]:
    """All of it; numbers as the columns of the CSV file, but lists as lists."""
    rows = [{**_row(made, i, j, command), "conditions": list(j.conditions),
             "seeds": list(j.seeds), "sources": list(j.sources)}
            for i, j in enumerate(made.judged)]
    return {"title": TITLE, "level": LEVEL, "headline": headline(made, command), "numbers": rows,
            "sentences": [{**_sentence(s), **{view.replace(" ", "_"): _read_json(s.ours[view])
                                              for view in VIEWS}} for s in made.sentences],
            "tolerances": tolerances.TOLERANCES,
            "coverage": [vars(c) for c in made.coverage], "notes": list(EXPLAINED)}

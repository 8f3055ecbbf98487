"""The page as a file: its elements, its links, its numbers, what others' texts can't do to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from aexad.bench.commands import cli
from aexad.bench.commands.options import COMMAND
from aexad.bench.run import task
from aexad.bench.stress.hostile_page import TEXTS, reader

from conftest import make_category
from running import BOTTLE, csv, refused, run

HOSTILE = "<img src=x onerror=alert(1)>"
LABEL = "</script><script>alert(2)</script>"
ERROR = "ValueError: <script>alert(3)</script>"
METHODS = "ae_xad,fcdd,theirs"
VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Parsed(HTMLParser):
    """The elements with their attributes, and where an end tag is of none that is open."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements, self.open, self.astray, self.text = [], [], [], {}
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()[0] != tag:
            self.astray.append((tag, self.getpos()))

    def handle_data(self, data):
        for _, at in self.open:
            self.text[at] = self.text.get(at, "") + data

    def all(self, tag):
        return [(attrs, self.text.get(i, "")) for i, (name, attrs) in enumerate(self.elements)
                if name == tag]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A data root with a file of a hostile name; results of two methods, of another tool with a
    hostile label, and of a fit that failed in a hostile way; maps kept."""
    place = tmp_path_factory.mktemp("report")
    root, results = place / "data", place / "results"
    folder = make_category(root / "mvtec" / "bottle")
    for part, ending in (("test", ""), ("ground_truth", "_mask")):
        for i in range(5):
            old = folder / part / "dent" / f"{i:03d}{ending}.png"
            old.rename(old.with_name(f"{HOSTILE}{i}{ending}.png"))
    assert run(root, results, *BOTTLE, "--methods", "ae_xad,fcdd", "--keep-maps",
               table="table2") == 0
    maps = place / "maps"
    rng = np.random.default_rng(2)
    for image in folder.glob("test/*/*.png"):
        (maps / image.parent.name).mkdir(parents=True, exist_ok=True)
        np.save(maps / image.parent.name / f"{image.stem}.npy", rng.random((32, 32)))
    assert cli.main(["evaluate", str(maps), "--name", "theirs", "--label", LABEL, "--data-root",
                     str(root), "--results", str(results), *BOTTLE, "--protocol", "smoke", "--set",
                     "data.size=32", "--keep-maps"]) == 0
    assert run(root, results, *BOTTLE, "--methods", "fcdd", "--seeds", "41", table="table2") == 0
    [cell] = (results / "cells/mvtec/bottle/standard/fcdd").glob("seed41-*")
    (cell / "cell.json").write_text(json.dumps({"status": "failed", "error": ERROR,
                                                "traceback": ""}))
    return root, results


@pytest.fixture
def stock(kept, tmp_path, monkeypatch):
    """`kept`, to be changed; nothing may train."""
    monkeypatch.setattr(task, "train", lambda *args: pytest.fail("trained"))
    shutil.copytree(kept[1], tmp_path / "results")
    return kept[0], tmp_path / "results"


def made(root, results, *words):
    for old in results.glob("report*.html"):
        old.unlink()
    assert run(root, results, *BOTTLE, *words, table="report") == 0
    [page] = results.glob("report*.html")
    return page.read_text()


@pytest.fixture(scope="module")
def page(kept):
    root, results = kept
    return Parsed(made(root, results, "--seeds", "40,41"))


def test_its_elements_are_closed_and_its_names_unique(page):
    assert page.astray == [] and page.open == []
    names = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(names) == len(set(names)) > 20


def test_every_link_resolves_and_nothing_is_fetched(page):
    names = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    links = [attrs[key] for _, attrs in page.elements for key in ("href", "src", "xlink:href")
             if key in attrs]
    assert len(links) > 50
    for link in links:
        assert link[1:] in names if link.startswith("#") else link.startswith("data:"), link
    for _, attrs in page.elements:
        for name in re.findall(r"url\(#([^)]*)\)", " ".join(v or "" for v in attrs.values())):
            assert name in names
        assert not any(key.startswith("on") for key in attrs)


def test_the_policy_allows_this_script_alone(page):
    [policy] = [attrs["content"] for attrs, _ in page.all("meta") if "http-equiv" in attrs]
    [(_, script)] = page.all("script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                      f"script-src 'sha256-{digest}'")
    assert len(script.splitlines()) <= 300 and "fetch" not in script


def test_the_sections_stand_in_their_order(page):
    assert [attrs["id"] for attrs, _ in page.all("section")][:5] == [
        "about", "tables", "differences", "comparison", "curves"]
    headings = [text for _, text in page.all("h2")]
    assert [h[0] for h in headings if h[0].isdigit()] == list("1234567")
    assert all(any(c.get("scope") for c in [attrs]) for attrs, _ in page.all("th"))
    tables = [i for i, (tag, _) in enumerate(page.elements) if tag == "table"]
    assert len(tables) == len(page.all("caption")) > 8


def test_its_numbers_are_those_of_the_table(kept, page):
    root, results = kept
    words = (*BOTTLE, "--methods", METHODS)
    assert run(root, results, *words, table="table2") == 0
    table = csv(results, "table2-smoke").set_index(["method", "metric"])
    one = Parsed(made(root, results, "--methods", METHODS))
    shown = [float(attrs["data-value"]) for attrs, _ in one.all("td") if "data-value" in attrs]
    assert sorted(set(table.value)) == pytest.approx(sorted(set(table.value) & set(shown)))
    maps = [attrs for attrs, _ in one.all("figure") if attrs.get("class") == "map"]
    rows = pd.concat(pd.read_parquet(p) for p in (results / "cells").rglob("images.parquet"))
    assert len(maps) == 4 * 3  # all anomalies that test, which are fewer than nine
    for attrs in maps:
        f1 = float(attrs["data-f1"].split()[0])
        assert np.isclose(rows["f1_a1.0"], f1, atol=1e-9).any()


def test_a_card_says_how_its_numbers_were_made(kept, page):
    cards = {text.split("Parameters")[0].split(", standard")[0].strip(): text
             for attrs, text in page.all("details") if attrs.get("class") == "card"}
    text = cards["FCDD on mvtec/bottle"]
    info = json.loads(next((kept[1] / "fits").glob("*-fcdd-seed40-*/fit.json")).read_text())
    for said in (info["data_sha256"], "torch ", "epochs=2", "loss over 2 epochs", "Seed 40",
                 "Seed 41: failed", "--protocol smoke", "table2 --methods fcdd",
                 "--categories mvtec/bottle", "energy of training",
                 *info["weights_sha256"].values()):
        assert said in text, said
    theirs = cards[f"{LABEL} on mvtec/bottle"]
    assert f"{COMMAND} evaluate DIR" in theirs and "--name theirs" in theirs
    assert "maps, SHA-256" in theirs


def test_the_command_on_a_card_finds_its_cell(stock, capsys):
    page = Parsed(made(*stock, "--methods", "fcdd"))
    [command] = {text for _, text in page.all("code") if "table2 --methods fcdd" in text}
    name, *words = shlex.split(command)
    assert name == COMMAND
    capsys.readouterr()
    assert cli.main([*words, "--dry-run"]) == 0
    assert "0 fits to do, 0 of 1 cells" in capsys.readouterr().out


def test_texts_of_others_stay_texts(page):
    [_] = page.all("script")
    for said in (HOSTILE, LABEL, ERROR):
        assert any(said in text for text in page.text.values()), said
    sources = {attrs.get("src", "")[:10] for attrs, _ in page.all("img")}
    assert sources == {"data:image"}


def test_another_tool_alone_has_a_page(stock):
    page = Parsed(made(*stock, "--methods", "theirs"))
    assert page.astray == [] and LABEL in page.text[0]
    maps = [attrs for attrs, _ in page.all("figure") if attrs.get("class") == "map"]
    assert len(maps) == 4 and not [1 for attrs, _ in page.all("figure") if "nothing" in
                                   attrs.get("class", "")]
    assert "Two methods are needed" in page.text[0]


def test_a_scenario_of_which_nothing_is_stored_leaves_the_tables(stock):
    page = Parsed(made(*stock, "--scenario", "anomalies_only"))
    assert page.astray == [] and "table2" in {attrs.get("id") for attrs, _ in page.all("table")}
    assert not page.all("article") and "Nothing is stored for these charts" in page.text[0]


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_changes_no_element(tmp_path, text):
    reader(tmp_path)(text.encode())


def test_the_same_results_give_the_same_bytes(stock):
    first = made(*stock)
    assert made(*stock) == first and len(first) < 2_000_000


def test_maps_that_were_not_kept_are_explained_again(stock):
    root, results = stock
    before = Parsed(made(root, results, "--methods", "ae_xad,fcdd"))
    for path in (results / "cells").rglob("heatmaps.npy"):
        path.unlink()
    after = Parsed(made(root, results, "--methods", "ae_xad,fcdd"))
    assert [list(a) for a, _ in before.all("figure")] == [list(a) for a, _ in after.all("figure")]
    for (old, _), (new, _) in zip(before.all("figure"), after.all("figure")):
        if old.get("class") == "map":
            for key in ("data-mean", "data-std", "data-high"):
                assert float(new[key]) == pytest.approx(float(old[key]), rel=1e-3)


def test_without_data_there_is_no_gallery_and_the_page_says_so(stock, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    text = made(tmp_path / "empty", stock[1])
    one = Parsed(text)
    assert not [1 for attrs, _ in one.all("img")]
    assert "No pictures: they need the images" in text and "no images there" in text
    assert "note: mvtec/bottle: no pictures" in capsys.readouterr().err


def test_all_images_are_a_file_for_each_category(stock):
    root, results = stock
    text = made(root, results, "--pictures", "all")
    folder = results / "report-smoke-images"
    [file] = folder.iterdir()
    assert file.name == "mvtec-bottle.html"
    links = [attrs["href"] for attrs, _ in Parsed(text).all("a")]
    assert "report-smoke-images/mvtec-bottle.html" in links and "<article" not in text
    one = Parsed(file.read_text())
    assert one.astray == [] and len(one.all("article")) == 4


def test_the_images_are_as_many_as_asked_for(stock):
    for words in (("--pictures", "2"), ("--images", "2")):
        assert len(Parsed(made(*stock, *words)).all("article")) == 2


@pytest.mark.parametrize("words, said", (
    (("--pictures", "0"), "--pictures 0: expected a whole number from 1 to 1000, or all"),
    (("--pictures", "few"), "--pictures few: expected"),
    (("--images", "photos"), "both --images DIR and --masks DIR"),
    (("--by", "aexad"), "did you mean 'ae_xad'"),
    (("--methods", "ae_vax"), "did you mean"),
    (("--seeds", "77"), "nothing is stored with these parameters"),
))
def test_bad_input_ends_in_one_line(stock, capsys, words, said):
    assert run(*stock, *BOTTLE, *words, table="report") == 2
    assert said in refused(capsys)


def test_a_table_says_how_its_page_is_made(stock, capsys):
    root, results = stock
    assert run(root, results, *BOTTLE, "--methods", "ae_xad", table="table2") == 0
    captured = capsys.readouterr()
    [line] = [li for li in captured.err.splitlines() if li.startswith("all of it as a page: ")]
    words = line.partition(": ")[2].split()
    assert words[:2] == [COMMAND, "report"] and "as a page" not in captured.out
    assert cli.main(words[1:]) == 0
    assert (results / "report-smoke.html").exists()
    assert run(root, results, *BOTTLE, "--methods", "ae_xad", "--json", table="table2") == 0
    assert "as a page" not in capsys.readouterr().err

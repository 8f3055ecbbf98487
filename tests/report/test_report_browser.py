"""The page of the embedded suite in a real browser, which is given it as a file."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aexad.bench.commands import cli

import browser
from browser import WIDTHS
from conftest import make_category
from running import BOTTLE, run

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=document.title='hit'>"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    browser.programs()
    with browser.opened(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def results(driver, tmp_path_factory):
    """The embedded suite, trained for seconds, and its page. (After `driver`: without one nothing
    is trained.)"""
    place = tmp_path_factory.mktemp("embedded")
    words = ["--datasets", "embedded", "--protocol", "smoke", "--results", str(place), "--device",
             "cpu", "--threads", "1", "--methods", "ae_xad,fcdd"]
    assert cli.main(["table2", *words]) == 0
    assert cli.main(["report", *words, "--pictures", "3"]) == 0
    return place


@pytest.fixture
def page(driver, results):
    """The page, newly opened in a wide, light window."""
    browser.resize(driver, 1400, dark=False)
    driver.get("about:blank")
    driver.get_log("performance"), driver.get_log("browser")
    driver.get((results / "report-embedded-smoke.html").as_uri())
    return driver


def js(page, script, *args):
    return page.execute_script(f"return {script}", *args)


def drawn(page):
    """Bring the first image into the window; once its maps are drawn, their figures."""
    js(page, "document.querySelector('.exhibit').scrollIntoView()")
    maps = "document.querySelector('.exhibit').querySelectorAll('.map')"
    browser.wait(page, f"return [...{maps}].every(m => m.querySelector('canvas') && "
                       f"m.querySelector('.live').textContent)")
    return js(page, f"[...{maps}]")


def test_it_is_shown_without_an_error_or_a_request(page):
    drawn(page)
    assert page.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked
            if m["method"] == "Network.requestWillBeSent"]
    assert any(url.endswith("report-embedded-smoke.html") for url in urls)
    assert {url.partition(":")[0] for url in urls} <= {"file", "data"} and sum(
        url.startswith("file:") for url in urls) == 1


def test_every_link_leads_to_something_that_is_there(page):
    links = js(page, "[...document.links].map(a => a.getAttribute('href'))")
    assert len(links) > 40
    lost = js(page, "arguments[0].filter(l => l[0] !== '#' || !document.getElementById("
                    "decodeURIComponent(l.slice(1))))", links)
    assert lost == []


def test_a_number_leads_to_its_card_which_opens(page):
    link = js(page, "document.querySelector('#table2 tbody td a')")
    page.execute_script("arguments[0].click()", link)
    browser.wait(page, "return document.querySelector('details.card[open]')")
    opened = js(page, "document.querySelector('details.card[open] summary').innerText")
    assert opened.startswith("AE-XAD on embedded/fabric, standard")
    assert js(page, "document.querySelector('details.card[open]').id === location.hash.slice(1)")


def column(page, number):
    return js(page, "[...document.querySelectorAll('#table2 tbody tr')].map("
                    "r => [r.cells[0].innerText, r.cells[arguments[0]].dataset.value])", number)


def test_a_click_sorts_and_the_third_gives_the_order_of_before(page):
    before = column(page, 4)
    singles = [row for row in before if "mean" not in row[0]]
    button = js(page, "document.querySelector('#table2 th[data-column=\"4\"] button')")
    orders = []
    for sign, said in ((-1, "descending"), (1, "ascending")):
        button.click()
        wanted = sorted(singles, key=lambda row: sign * float(row[1]))
        orders.append(wanted)
        assert column(page, 4) == wanted + [row for row in before if "mean" in row[0]]
        assert js(page, "arguments[0].closest('th').getAttribute('aria-sort')", button) == said
    assert orders[0] == orders[1][::-1] and len(singles) == 3
    button.click()
    assert column(page, 4) == before
    other = js(page, "document.querySelector('#table2 th[data-column=\"0\"] button')")
    other.click()
    assert js(page, "document.querySelectorAll('#table2 [aria-sort=\"descending\"]').length") == 1


def live(page):
    """(F1, IoU) at the slider and as stored, of each map of the first image."""
    texts = js(page, "[...document.querySelector('.exhibit').querySelectorAll('.map')].map("
                     "m => [m.querySelector('.live').textContent, "
                     "m.querySelector('.stored').textContent])")

    def numbers(text):
        words = text.replace(",", "").split()
        return [float(words[words.index(key) + 1]) for key in ("F1", "IoU")]
    return [[numbers(now), numbers(stored)] for now, stored in texts]


def move(page, a):
    js(page, "(slider => {slider.value = arguments[0]; slider.dispatchEvent(new Event('input'))})"
             "(document.getElementById('a'))", a)
    browser.wait(page, f"return document.getElementById('a-now').textContent == '{a:.2f}'")


def test_the_slider_gives_the_stored_numbers(page, results):
    drawn(page)
    stored = pd.concat(map(pd.read_parquet, results.rglob("images.parquet")))
    name = js(page, "document.querySelector('.exhibit h4').innerText").partition(": ")[2]
    of_image = stored[stored["id"] == name]
    for a in (1.0, 1.5, 2.5):
        move(page, a)
        for (f1, iou), (exact_f1, exact_iou) in live(page):
            assert abs(f1 - exact_f1) < 0.0056 and abs(iou - exact_iou) < 0.0056  # two digits
            assert np.isclose(of_image[f"f1_a{a}"], exact_f1, atol=6e-4).any()
            assert np.isclose(of_image[f"iou_a{a}"], exact_iou, atol=6e-4).any()
    move(page, 0.0)
    assert all(0 <= v <= 1 for pair in live(page) for v in pair[0])


def canvas(page):
    address = js(page, "document.querySelector('.exhibit .map canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
                      .convert("RGB")).astype(int)


def test_what_is_set_is_what_is_drawn(page):
    drawn(page)
    first = canvas(page)
    js(page, "document.getElementById('outline').click()")
    browser.wait(page, "return !document.getElementById('outline').checked")
    browser.settle(page)
    plain = canvas(page)
    changed = (first != plain).any(axis=2)
    assert 0 < changed.mean() < 0.5 and set(np.unique(first[changed])) == {0, 255}
    js(page, "(o => {o.value = 0; o.dispatchEvent(new Event('input'))})"
             "(document.getElementById('opacity'))")
    browser.settle(page)
    grey = canvas(page)
    assert abs(grey - grey[..., :1]).max() <= 1 and (plain != grey).any()  # the photo alone


def press(page, key):
    for kind in ("keyDown", "keyUp"):
        page.execute_cdp_cmd("Input.dispatchKeyEvent", {
            "type": kind, "key": key, **({"text": key} if len(key) == 1 else {})})
    browser.settle(page)


def test_the_keys(page):
    drawn(page)
    now = "document.getElementById('a-now').textContent"
    press(page, "ArrowRight")
    assert js(page, now) == "1.05"
    press(page, "ArrowLeft"), press(page, "ArrowLeft")
    assert js(page, now) == "0.95"
    press(page, "4")
    assert js(page, now) == "2.50"
    assert js(page, "document.querySelector('.tick[aria-pressed=true]').dataset.a") == "2.5"
    press(page, "o")
    assert not js(page, "document.getElementById('outline').checked")
    press(page, "j")
    assert js(page, "document.activeElement === document.querySelector('.exhibit')")
    press(page, "ArrowDown")
    assert js(page, "document.activeElement === document.querySelectorAll('.exhibit')[1]")
    press(page, "k"), press(page, "ArrowUp")
    assert js(page, "document.activeElement === document.querySelectorAll('.exhibit')[0]")
    press(page, "?")
    assert js(page, "document.getElementById('keys').open")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", (False, True))
def test_it_fits_the_window_in_light_and_dark(page, width, dark):
    browser.resize(page, width, dark)
    for section in ("about", "tables", "comparison", "curves", "gallery", "cards"):
        js(page, "document.getElementById(arguments[0]).scrollIntoView()", section)
        browser.settle(page)
        picture = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("L")
        shares = np.bincount(np.asarray(picture).ravel(), minlength=256) / np.prod(picture.size)
        ground = shares[:40].sum() if dark else shares[245:].sum()
        assert ground > 0.4 and shares.max() < 0.995, section  # the ground, and something on it
    assert js(page, "document.documentElement.scrollWidth") <= width


def test_it_is_read_without_its_script(page, results):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get((results / "report-embedded-smoke.html").as_uri())
        shown = page.find_element("css selector", "#gallery").text
        heading = page.find_element("css selector", "#table2 th").text
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "stored, a = 1: F1" in shown and "Without JavaScript" in shown
    assert "threshold µ" not in shown and heading == "category"


def test_names_of_files_and_errors_stay_texts(driver, tmp_path):
    folder = make_category(tmp_path / "data" / "mvtec" / "bottle")
    for part, ending in (("test", ""), ("ground_truth", "_mask")):
        for i in range(5):
            old = folder / part / "dent" / f"{i:03d}{ending}.png"
            old.rename(old.with_name(f"{HOSTILE}{i}{ending}.png"))
    results = tmp_path / "results"
    assert run(tmp_path / "data", results, *BOTTLE, "--methods", "ae_xad,ae_xad_raw",
               table="table1") == 0
    [cell] = (results / "cells/mvtec/bottle/standard/ae_xad_raw").iterdir()
    error = "ValueError: <script>document.title = 'hit'</script>"
    (cell / "cell.json").write_text(json.dumps({"status": "failed", "error": error,
                                                "traceback": ""}))
    assert run(tmp_path / "data", results, *BOTTLE, "--methods", "ae_xad,ae_xad_raw",
               table="report") == 0
    driver.get_log("browser")
    driver.get((results / "report-smoke.html").as_uri())
    drawn(driver)
    text = js(driver, "document.body.textContent")
    assert HOSTILE in text and error in text
    assert driver.title == "AE-XAD: what was measured" and driver.get_log("browser") == []

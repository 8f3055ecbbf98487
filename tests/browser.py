"""Debian's chromium for tests, under selenium, which is given both programs and fetches none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WIDTHS = (1400, 390)


def programs() -> tuple[str, str]:
    """The paths of chromium and its driver; skips, and says so, where one is not installed."""
    found = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in found:
        pytest.skip("THE PAGE WAS NOT TESTED IN A BROWSER: apt-get install chromium "
                    "chromium-driver")
    return found[0], found[1]


@contextmanager
def opened(profile: Path) -> Iterator[object]:
    """A browser without a window, with its profile in a folder of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    browser, driver = programs()
    options = Options()
    options.binary_location = browser
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 f"--user-data-dir={profile}", "--window-size=1400,1000",
                 "--disable-background-networking", "--disable-component-update", "--no-first-run"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options, Service(driver))
    try:
        yield made
    finally:
        made.quit()


def resize(driver: object, width: int, dark: bool, height: int = 1000) -> None:
    """Make the page as wide as on a screen of `width` pixels, in light or dark."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})


def load_seconds(driver: object) -> float:
    """From the request of the page until all of it was loaded and laid out."""
    return driver.execute_script(
        "return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000


def wait(driver: object, condition: str) -> None:
    """Until a script returns something true, which must be soon."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 30, 0.05).until(lambda d: d.execute_script(condition))


def settle(driver: object) -> None:
    """Until what was asked for in the frame before is drawn."""
    driver.execute_async_script(
        "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

"""A page of 25 categories x 3 methods x 9 images, of made-up cells: how large it is, and how fast
Chromium shows it. No result: the heatmaps are drawn.

    .venv/bin/python tests/simulated_page.py FOLDER     # an empty one, of which it keeps all
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from aexad.bench.commands import cli, request as requests
from aexad.bench.plan.cells import Cell, all_cells
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.measured import measure
from aexad.bench.run.job import Options
from aexad.datasets import embedded, suite
from aexad.datasets.catalog import DATASETS, PAPER, all_categories
from aexad.datasets.category import split

import browser
from stored import info_of

TESTED = 4  # anomalies of each of three kinds


def images(root: Path) -> None:
    """All categories of the paper, with images of the embedded suite's generator."""
    for number, (dataset, category) in enumerate(all_categories(PAPER)):
        kind = DATASETS[dataset]
        folder = root.joinpath(kind.folders[0], kind.categories[category][0])
        drawn = list(suite.CATEGORIES)[number % 3]
        trained = kind.per_type if kind.train_anomalies is None else kind.train_anomalies // 3
        for i in range(4):
            for part in ("train", "test"):
                _save(folder / part / kind.good[0] / f"{i:03d}.png",
                      embedded.sample(drawn, "good", 100 * number + i, part)[0])
        for defect in suite.CATEGORIES[drawn]:
            for i in range(trained + TESTED):
                image, mask = embedded.sample(drawn, defect, 100 * number + i, "test")
                _save(folder / "test" / defect / f"{i:03d}.png", image)
                _save(folder / "ground_truth" / defect / f"{i:03d}_mask.png", mask)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def results(options: Options, cells: list[Cell]) -> None:
    """A stored cell for each of `cells`, with maps that find the masks more or less."""
    for number, cell in enumerate(cells):
        fit, rng = cell.fit, np.random.default_rng(number)
        category = options.library.load(fit.dataset, fit.category, fit.data)
        tested = split(category, fit.dataset, fit.seed, fit.scenario, fit.data).test
        masks = category.masks[tested]
        smooth = {"bgad": 3}.get(cell.method, 6)  # as large a file as real maps give
        noise = ndimage.gaussian_filter(rng.random(masks.shape), (0, smooth, smooth))
        found = ndimage.gaussian_filter(masks.astype(float), (0, 4, 4))
        heatmaps = ((noise + rng.uniform(0.05, 0.3) * found) ** 4).astype(np.float32)
        table, numbers = measure(heatmaps, heatmaps.max(axis=(1, 2)), category, tested,
                                 fit.scenario)
        options.store.save_cell(cell, table, info_of(
            cell, numbers=numbers, data_sha256=category.digest), heatmaps)
        fitted = info_of(fit, data_sha256=category.digest, losses=list(1 / np.arange(1.0, 201)))
        options.store.save_fit(fit, {}, fitted)


def main(folder: Path) -> int:
    images(folder / "data")
    words = ["report", "--data-root", str(folder / "data"), "--results", str(folder / "results")]
    request = requests.understand(cli.understand(words))
    rows = all_categories(PAPER)
    results(request.options, all_cells(request.settings, TABLES["table2"].methods, rows, "standard",
                                       [40]))
    status = cli.main(words)
    page = folder / "results" / "report.html"
    with browser.opened(folder / "profile") as driver:
        for _ in range(3):
            driver.get(page.as_uri())
            print(f"{page.stat().st_size / 1e6:.1f} MB, {len(rows)} categories, loaded in "
                  f"{browser.load_seconds(driver):.2f} s")
    return status


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))

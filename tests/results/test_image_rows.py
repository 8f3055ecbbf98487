"""aexad.bench.results.image_rows: the stored numbers of images, by cell."""

from __future__ import annotations

import pandas as pd
import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli
from aexad.bench.commands.request import table_cells, understand
from aexad.bench.measure.names import used
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results import image_rows
from aexad.bench.results.store import Store

from running import BOTTLE, TINY, run


def cells_of(root, results, *words):
    """Cells of table1's methods on mvtec/bottle, as the command line asks for them."""
    args = cli.understand(["table1", "--data-root", str(root), "--results", str(results), *TINY,
                           *BOTTLE, *words])
    return table_cells(understand(args), TABLES["table1"])[0]


def test_a_row_per_image_cell_and_seed(root, tmp_path):
    results, two = tmp_path / "r", ("--methods", "ae_xad_raw,ae_xad", "--seeds", "40,41")
    assert run(root, results, *BOTTLE, *two) == 0
    cells, store = cells_of(root, results, *two), Store(results)
    frame = image_rows.per_image(cells, store)
    assert list(frame)[:len(image_rows.COLUMNS)] == list(image_rows.COLUMNS)
    assert list(frame)[:10] == ["dataset", "category", "scenario", "method", "seed", "id", "kind",
                                "label", "score", "area"]
    assert len(frame) == 4 * 7 and not frame.duplicated([*image_rows.KEYS, "id"]).any()
    assert set(frame.dataset + "/" + frame.category) == {"mvtec/bottle"}
    # the means of the used images are the cell's own numbers
    for cell in cells:
        mine = frame[(frame.method == cell.method) & (frame.seed == cell.fit.seed)]
        numbers = store.cell_info(cell)["numbers"]
        assert mine.used.sum() == numbers["n_used"] == 4
        assert mine[mine.used]["auc"].mean() == pytest.approx(numbers["auc"])
    # images pair up between methods within a seed
    seed40 = frame[frame.seed == 40]
    assert len({tuple(g.id) for _, g in seed40.groupby("method")}) == 1
    # what is asked for, not all that is stored
    assert len(image_rows.per_image(cells[:1], store)) == 7


def test_unfinished_cells_have_no_rows(root, tmp_path):
    frame = image_rows.per_image(cells_of(root, tmp_path / "r"), Store(tmp_path / "r"))
    assert frame.empty and list(frame) == list(image_rows.COLUMNS)


def test_a_damaged_file_is_named(root, tmp_path):
    results, one = tmp_path / "r", ("--methods", "ae_xad")
    assert run(root, results, *BOTTLE, *one) == 0
    [path] = results.glob("cells/*/*/*/*/*/images.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"images.parquet: damaged .*; delete its folder"):
        image_rows.per_image(cells_of(root, results, *one), Store(results))
    path.unlink()
    with pytest.raises(UserError, match="images.parquet: damaged"):
        image_rows.per_image(cells_of(root, results, *one), Store(results))


def test_used_are_anomalies_whose_mask_has_both_classes():
    frame = pd.DataFrame({"label": [0, 1, 1, 1], "area": [0.0, 0.0, 0.3, 1.0]})
    assert used(frame).tolist() == [False, False, True, False]

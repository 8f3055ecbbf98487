"""aexad.bench.tables.winrates: by hand, against brute force on random data, and as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aexad.bench.measure import metrics
from aexad.bench.measure.names import A_VALUES
from aexad.bench.plan.definitions import TABLES
from aexad.bench.tables import winrates
from aexad.datasets.catalog import PAPER, all_categories

from test_tables import BOTTLE, CABLE, GREY, LABELS, PILL, note, record

COLUMNS = {"auc": "auc", "f1": "f1_a1.0", "iou": "iou_a1.0"}


def frame(**scores):
    """fcdd_pill=[...] -> rows of that method and category of MVTec, images named by their place;
    a seed may follow (fcdd_pill_41)."""
    rows = []
    for name, values in scores.items():
        method, category, seed = (name.split("_") + ["40"])[:3]
        rows += [{"dataset": "mvtec", "category": category, "scenario": "standard",
                  "method": {"ours": "ae_xad"}.get(method, method), "seed": int(seed),
                  "id": f"test/{i}", **dict.fromkeys(COLUMNS.values(), value)}
                 for i, value in enumerate(values)]
    return pd.DataFrame(rows)


TWO = frame(ours_bottle=[0.9, 0.8, 0.5, 0.5], fcdd_bottle=[0.1, 0.8, 0.6, 0.4],
            ours_pill=[0.3], fcdd_pill=[0.7])


def test_means_of_categories_and_pooled_by_hand():
    [row] = winrates.shares(TWO, "ae_xad", "fcdd", "auc").to_dict("records")
    # bottle: 2 of 4 won, 1 lost, 1 tied; pill: lost
    assert (row["wins"], row["losses"], row["ties"]) == (0.25, (0.25 + 1) / 2, 0.125)
    assert (row["n"], row["categories"], row["seed"]) == (5, 2, 40)
    [row] = winrates.shares(TWO, "ae_xad", "fcdd", "auc", pooled=True).to_dict("records")
    assert (row["wins"], row["losses"], row["ties"]) == pytest.approx((2 / 5, 2 / 5, 1 / 5))


def test_images_pair_up_by_id_within_a_seed():
    images = frame(ours_bottle=[0.9, 0.1], fcdd_bottle=[0.2, 0.3, 0.4], ours_bottle_41=[0.5])
    mixed = images.sample(frac=1, random_state=0)
    pairs = winrates.pair_up(mixed, "ae_xad", "fcdd", "auc").sort_values("id")
    assert pairs[["id", "first", "second"]].values.tolist() == [
        ["test/0", 0.9, 0.2], ["test/1", 0.1, 0.3]]
    with pytest.raises(ValueError, match="unique"):
        winrates.pair_up(pd.concat([images, images]), "ae_xad", "fcdd", "auc")


@pytest.mark.parametrize("seed", range(5))
def test_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    categories = {f"c{k}": int(rng.integers(1, 20)) for k in range(int(rng.integers(1, 5)))}
    # a coarse grid, so that there are ties
    scores = {(m, c): rng.integers(0, 5, n) / 4 for c, n in categories.items()
              for m in ("ours", "fcdd")}
    images = frame(**{f"{m}_{c}": values for (m, c), values in scores.items()})
    for pooled in (False, True):
        wins, losses, total = [], [], 0
        for c, n in categories.items():
            won = sum(scores["ours", c][i] > scores["fcdd", c][i] for i in range(n))
            lost = sum(scores["ours", c][i] < scores["fcdd", c][i] for i in range(n))
            wins.append(won if pooled else won / n)
            losses.append(lost if pooled else lost / n)
            total += n
        by = total if pooled else len(categories)
        [row] = winrates.shares(images, "ae_xad", "fcdd", "auc", pooled).to_dict("records")
        assert row["wins"] == pytest.approx(sum(wins) / by)
        assert row["losses"] == pytest.approx(sum(losses) / by)
        assert row["ties"] == pytest.approx(1 - sum(wins) / by - sum(losses) / by, abs=1e-12)
        [back] = winrates.shares(images, "fcdd", "ae_xad", "auc", pooled).to_dict("records")
        assert (back["wins"], back["losses"]) == (row["losses"], row["wins"])


@pytest.mark.parametrize("seed", range(4))
def test_f1_and_iou_decide_alike(seed):
    """IoU = F1 / (2 - F1) for each image, so that the win rates coincide, ties included."""
    rng = np.random.default_rng(seed)
    masks = rng.random((40, 3, 3)) < 0.3
    masks[:, 0, 0], masks[:, 0, 1] = True, False
    frames = []
    for method in ("ae_xad", "fcdd"):
        # few levels: equal F1 from different maps is common
        heatmaps = rng.integers(0, 3, masks.shape).astype(np.float32)
        table = metrics.per_image(heatmaps, masks, np.ones(40, int))
        frames.append(table.assign(dataset="d", category="c", seed=40, method=method,
                                   id=range(40)))
    images = pd.concat(frames)
    for a in A_VALUES:
        f1, iou = (winrates.shares(images, "ae_xad", "fcdd", f"{m}_a{a}") for m in ("f1", "iou"))
        pd.testing.assert_frame_equal(f1, iou)
    assert 0 < winrates.shares(images, "ae_xad", "fcdd", "f1_a1.0").ties[0] < 1


def table(images, *records, rows=(BOTTLE, PILL), methods=("ae_xad", "fcdd"), **more):
    return winrates.table(images, pd.DataFrame(records), TABLES["table3"], list(rows),
                          list(methods), LABELS, COLUMNS, **more)


def both(*places, seed=40):
    return [record(p, m, auc=0.9, seed=seed) for p in places for m in ("ae_xad", "fcdd")]


def test_the_table_stands_beside_the_papers_numbers_with_the_labels_exchanged():
    made = table(TWO, *both(BOTTLE, PILL))
    [row] = made.rows
    assert (row.dataset, row.label) == ("mvtec", "AE-XAD – FCDD")
    wins, losses, ties = row.cells[1]  # F1
    assert (wins.value, losses.value, ties.value) == (0.25, 0.625, 0.125)
    # printed as AE-XAD against BGAD: 0.864 and 0.090
    assert (wins.published, losses.published, ties.published) == (0.864, 0.090, 0.046)
    assert [c.mark for c in row.cells[1]] == [None, "best", None]
    assert note(made, "the paper's labels BGAD and FCDD are read exchanged")
    assert note(made, "pairs of images") == ["pairs of images: mvtec 5"]
    assert note(made, "wins:")[0].endswith("means of the categories' shares")
    pooled = table(TWO, *both(BOTTLE, PILL), pooled=True)
    assert pooled.rows[0].cells[0][0].value == pytest.approx(0.4)
    assert note(pooled, "wins:")[0].endswith("shares of all images of a dataset")


def test_every_pair_and_dataset_of_the_paper_has_its_published_numbers():
    made = winrates.table(TWO.iloc[:0], pd.DataFrame([record()]).iloc[:0], TABLES["table3"],
                          all_categories(PAPER), list(LABELS), LABELS, COLUMNS)
    assert len(made.rows) == 6 * 3
    cells = [cell for row in made.rows for group in row.cells for cell in group]
    assert len(cells) == 162 and all(c.value is None and c.notes for c in cells)
    assert all(0 <= c.published <= 1 for c in cells)
    assert made.notes[-1] == "[1] all 25 rows: missing, not run"


def test_missing_cells_are_named_and_the_others_used():
    made = table(TWO, *both(BOTTLE, PILL), record(CABLE, auc=0.9),
                 record(CABLE, "fcdd", status="failed", reason="loss is NaN"),
                 rows=(BOTTLE, CABLE, PILL, GREY))
    first, grey = made.rows
    assert first.cells[0][0].value == 0.25 and first.cells[0][0].notes == (1,)
    assert grey.cells[0][0].value is None and grey.cells[0][0].notes == (2,)
    assert note(made, "[") == ["[1] FCDD on mvtec/cable: failed, loss is NaN",
                               "[2] wfdd/grey_cloth: missing, not run"]


def test_seeds_give_a_mean_and_a_sample_deviation():
    images = pd.concat([TWO, frame(ours_bottle_41=[0.9], fcdd_bottle_41=[0.1],
                                   ours_pill_41=[0.9], fcdd_pill_41=[0.1])])
    made = table(images, *both(BOTTLE, PILL), *both(BOTTLE, PILL, seed=41))
    wins = made.rows[0].cells[0][0]
    assert (wins.value, wins.n_seeds) == (0.625, 2)
    assert wins.std == pytest.approx(0.75 / np.sqrt(2))  # of 0.25 and 1
    # a seed that lacks a category has another mean, not another spread
    gap = images[(images.seed == 40) | (images.category == "bottle")]
    assert table(gap, *both(BOTTLE, PILL), *both(BOTTLE, seed=41)).rows[0].cells[0][0].std is None

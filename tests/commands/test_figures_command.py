"""The commands that draw: end to end on a small folder, from missing cells to files."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aexad.bench.commands import cli, request as requests
from aexad.bench.figures import curves, stored
from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.run import task

from conftest import make_category
from running import BOTTLE, TINY, csv, run

METHODS = ("ae", "ae_filtered", "ae_xad", "fcdd", "bgad")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A data root and a results folder that has all that the figures need, maps kept."""
    place = tmp_path_factory.mktemp("figures")
    make_category(place / "data" / "mvtec" / "bottle")
    assert run(place / "data", place / "results", *BOTTLE, "--methods", ",".join(METHODS),
               "--keep-maps", table="table2") == 0
    return place / "data", place / "results"


@pytest.fixture
def stock(kept, tmp_path, monkeypatch):
    """`kept`, to be changed; nothing may train."""
    monkeypatch.setattr(task, "train", lambda *args: pytest.fail("trained"))
    shutil.copytree(kept[1], tmp_path / "results")
    return kept[0], tmp_path / "results"


def test_all_figures_from_stored_fits(stock, capsys):
    root, results = stock
    assert run(root, results, *BOTTLE, table="figures") == 0
    made = sorted(p.name for p in (results / "figures").iterdir())
    curves = [f"figure{n}-smoke.{kind}" for n in (3, 4, 5) for kind in ("csv", "pdf", "png")]
    images = [f"{name}-smoke.{kind}" for name in ("figure1", "figure2", "gallery-mvtec-bottle")
              for kind in ("pdf", "png")]
    assert made == sorted(curves + images)
    for name in made:
        if name.endswith("png"):
            with Image.open(results / "figures" / name) as picture:
                assert np.asarray(picture.convert("L")).std() > 5, name
    out = capsys.readouterr().out
    assert "protocol smoke" in out and "4 anomalous used, 3 normal" in out


def test_figures_4_and_5_have_the_tables_numbers(stock):
    root, results = stock
    assert run(root, results, *BOTTLE, "--set", "metrics.a=2.5", table="table2") == 0
    table = csv(results, "table2-smoke")
    for name, metric in (("figure4", "f1"), ("figure5", "iou")):
        assert run(root, results, *BOTTLE, table=name) == 0
        lines = pd.read_csv(results / "figures" / f"{name}-smoke.csv")
        ours = table[(table.metric == metric) & (table.category == "bottle")]
        assert lines[lines.a == 2.5].set_index("method")[metric].to_dict() == pytest.approx(
            ours.set_index("method").value.to_dict())


def test_figure3_is_what_a_fixed_radius_gives(stock, monkeypatch):
    root, results = stock
    drawn, draw = {}, curves.draw
    monkeypatch.setattr(curves, "draw", lambda *args: drawn.update(marks=args[4]) or draw(*args))
    assert run(root, results, *BOTTLE, table="figure3") == 0
    curve = pd.read_csv(results / "figures" / "figure3-smoke.csv").set_index("k").auc
    assert list(curve.index) == list(range(2, 31))
    [cell] = (results / "cells/mvtec/bottle/standard/ae_xad").iterdir()
    images = pd.read_parquet(cell / "images.parquet")
    anomalous = images[images.label == 1]  # the star is of the same images as the line
    assert drawn["marks"][["x", "y"]].values.tolist() == [[anomalous.k.mean(),
                                                           anomalous.auc.mean()]]
    for k in (2, 9):
        assert run(root, results, *BOTTLE, "--set", f"ae_xad.k={k}", "--methods", "ae_xad",
                   table="table2") == 0
        table = csv(results, "table2-smoke")
        [auc] = table[(table.metric == "auc") & (table.category == "bottle")].value
        assert curve[k] == pytest.approx(auc, abs=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_a_few_images_get_the_maps_of_the_whole_test_set(kept, name):
    root, results = kept
    words = ["table2", "--data-root", str(root), "--results", str(results), *TINY, *BOTTLE]
    request = requests.understand(cli.understand(words))
    settings = Settings("smoke", sets=["data.size=32"])
    [cell] = all_cells(settings, [name], [("mvtec", "bottle")], "standard", [40])
    whole = np.load(request.options.store.cell_dir(cell) / "heatmaps.npy")
    tested = stored.tested(cell.fit, request.options)
    some = tested.only([tested.ids[5], tested.ids[2]])
    heatmaps = stored.method(cell, request.options).explain(some.images).heatmaps
    np.testing.assert_allclose(heatmaps, whole[[5, 2]], rtol=1e-3, atol=1e-4 * whole.max())


def test_a_figure_computes_what_is_missing_and_draws_what_is_there(root, tmp_path, capsys):
    results = tmp_path / "results"
    words = ("--categories", "mvtec/bottle,mvtec/cable", "--methods", "ae_xad", "--seeds", "40,41")
    assert run(root, results, *words, "--dry-run", table="figure4") == 0
    assert "2 fits to do" in capsys.readouterr().out and not results.exists()
    assert run(root, results, *words, table="figure4") == 0
    out = capsys.readouterr().out
    assert "mvtec/cable: no data" in out and "2 seeds (40, 41)" in out
    lines = pd.read_csv(results / "figures" / "figure4-smoke.csv")
    assert set(lines.category) == {"bottle"} and set(lines.seed) == {40, 41}


def error_of(capsys):
    """The one line of a mistake, without what came before it."""
    err = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("error") for line in err) == 1
    return err[-1]


@pytest.mark.parametrize("figure, words, said", (
    ("figure1", ("--image", "test/dent/01"), "did you mean 'test/"),
    ("figure1", ("--methods", "fcdd"), "reconstructs nothing"),
    ("figure1", ("--methods", "ae,ae_xad"), "shows one method"),
    ("figure2", ("--by", "aexad"), "did you mean 'ae_xad'"),
    ("figure3", ("--methods", "fcdd"), "filters no error maps"),
    ("figure4", ("--categories", "mvtec/cable"), "nothing to draw"),
    ("gallery", ("--categories", "mvtec/cable"), "nothing to draw"),
    ("figure2", ("--scenario", "anomalies_only", "--by", "ae_filtered"), "nothing to draw"),
))
def test_bad_input_ends_in_one_line(stock, capsys, figure, words, said):
    words = words if "--categories" in words else (*BOTTLE, *words)
    assert run(*stock, *words, table=figure) == 2
    assert said in error_of(capsys)


def test_maps_need_the_model_and_the_images(stock, tmp_path, capsys):
    root, results = stock
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", results, *BOTTLE, table="figure3") == 2
    assert "no images there" in error_of(capsys)
    assert run(tmp_path / "empty", results, *BOTTLE, table="figure5") == 0  # needs none
    for fit in (results / "fits").glob("*-ae_xad-*"):
        shutil.rmtree(fit)
    assert run(root, results, *BOTTLE, table="figure3") == 2
    assert "no model there" in error_of(capsys)


def test_an_image_can_be_named_a_normal_one_too(stock):
    [cell] = (stock[1] / "cells/mvtec/bottle/standard/ae_xad").iterdir()
    images = pd.read_parquet(cell / "images.parquet")
    for image in (images[images.label == 1].id.iloc[-1], images[images.label == 0].id.iloc[0]):
        assert run(*stock, *BOTTLE, "--image", image, table="figure1") == 0
        picture = stock[1] / "figures" / "figure1-smoke.png"
        picture.rename(picture.with_name(f"{image.split('/')[1]}.png"))
    first, second = (Image.open(p) for p in sorted((stock[1] / "figures").glob("*.png")))
    assert first.size == second.size and first.tobytes() != second.tobytes()

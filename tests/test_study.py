"""`study`: which variants there are, and that its numbers are those of the stored cells."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from aexad.bench import study
from aexad.bench.commands import cli
from aexad.bench.plan import open_points
from aexad.bench.plan.settings import PROTOCOLS, Settings
from aexad.bench.results.image_rows import joined
from aexad.methods.ae_xad import AEXAD

from running import BOTTLE, TINY

PLACE = [("mvtec", "bottle")]


def variants(protocol: str, method: str = "ae_xad") -> list[study.Variant]:
    more = [(point, choice, Settings(protocol, sets=point.sets(choice)))
            for point in open_points.points(method).values() for choice in point.choices]
    return study.variants(method, Settings(protocol), more, PLACE, "standard", [40])


def differing(a, b) -> set[str]:
    return {f.name for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("method", open_points.SHOWN)
def test_each_variant_changes_the_fields_of_one_point_and_no_others(protocol, method):
    base, *others = variants(protocol, method)
    assert base.name == "base" and len({v.name for v in others}) == len(others)
    assert [v.point for v in (base, *others)].count("base") == len(open_points.SHOWN[method])
    points = open_points.points(method)
    for v in others:
        fit, explain, data = (differing(one(v.settings), one(base.settings)) for one in (
            lambda s: s.fit(method), lambda s, v=v: s.explain(v.method), lambda s: s.data))
        metrics = {f"metrics.{name}" for name in differing(v.settings.metrics,
                                                           base.settings.metrics)}
        owned = ({text.partition("=")[0] for c in points[v.point].choices for text in c.sets}
                 if v.point != "base" else set())
        assert not data and (fit | explain | metrics) <= owned
        assert fit | explain | metrics or v.shift or v.point == "base"
        assert bool(v.trained_by) == (v.method != method or not fit and not v.shift)


def test_from_either_side_all_other_choices_are_there():
    paper, authors = ({v.name for v in variants(p)} for p in ("paper", "authors"))
    points = open_points.points("ae_xad").values()
    everything = {f"{p.name}: {c.label}" for p in points for c in p.choices}
    missing = everything - paper  # the paper's own choices: one of each point, but for the split
    assert len(missing) == len(points) - 1
    assert {"reduction: three 3×3, BN", "batches: a third anomalies"} & authors == {
        "batches: a third anomalies"}
    assert "encoder: frozen" in authors and "encoder: frozen" not in paper


def test_fewer_epochs_end_at_the_learning_rate_of_all_of_them():
    base, *others = variants("paper")
    ends = {v.choice: f.lr_gamma ** f.epochs for v in others if v.point == "updates"
            for f in [v.settings.fit("ae_xad")] if f.batch_size == 16}
    assert set(ends) == {"40 epochs", "80 epochs", "120 epochs"}
    whole = base.settings.fit("ae_xad")
    for end in ends.values():
        assert end == pytest.approx(whole.lr_gamma ** whole.epochs, rel=0.03)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    from conftest import make_category

    root = tmp_path_factory.mktemp("study")
    make_category(root / "data/mvtec/bottle")
    words = ["study", "--data-root", str(root / "data"), "--results", str(root / "results"), *TINY,
             *BOTTLE, "--points", "branch 1,split,radius,binarize"]
    assert cli.main(words) == 0
    return root / "results", words


def test_only_what_needs_it_is_trained(done, capsys):
    results, words = done
    fits = {p.parent.name for p in results.glob("fits/*/fit.json")}
    assert len(fits) == 4  # the base, another branch 1, two other splits
    stamps = {p: p.stat().st_mtime_ns for p in results.glob("fits/*/*")}
    assert cli.main([*words, "--explain-only"]) == 0
    assert {p: p.stat().st_mtime_ns for p in results.glob("fits/*/*")} == stamps
    shown = capsys.readouterr().out
    assert "radius" in shown and "binarize" in shown and "branch 1" not in shown


def test_numbers_and_differences_are_those_of_the_stored_cells(done):
    results, words = done
    assert cli.main(words) == 0
    table = pd.read_csv(results / "tables/study-smoke.csv").set_index(["point", "choice"])
    frames = {(frame["seed"][0], i): frame[frame["used"]].set_index("id") for i, frame in enumerate(
        joined([path]) for path in sorted(results.glob("cells/*/*/*/ae_xad/*")))}
    means = {round(frame["auc"].mean(), 9) for frame in frames.values()}
    assert {round(v, 9) for v in table["auc"]} == means
    base, other = table.loc[("base", "protocol smoke")], table.loc[("branch 1", "one sum of tanh²")]
    assert other["auc_difference"] == pytest.approx(other["auc"] - base["auc"], abs=1e-12)
    assert other["auc_low"] <= other["auc_difference"] <= other["auc_high"]
    assert base["auc_paper"] == 0.981 and base["detection_auc_paper"] == 1.0
    # another split: over the images that both test
    [mine] = [f for f in frames.values() if np.isclose(f["auc"].mean(), base["auc"], atol=1e-12)]
    [next_seed] = [f for (seed, _), f in frames.items() if seed == 41]
    both = mine.index.intersection(next_seed.index)
    assert 0 < len(both) < len(mine)
    expected = (next_seed["auc"][both] - mine["auc"][both]).mean()
    assert table.loc[("split", "next seed")]["auc_difference"] == pytest.approx(expected, abs=1e-12)
    # a threshold over the test set changes F1, nothing else
    whole = table.loc[("binarize", "the test set's")]
    assert whole["auc_difference"] == 0 and whole["f1"] == pytest.approx(
        mine["f1_set_a1.0"].mean(), abs=1e-12)
    # training is counted where it is done
    assert table.loc[("radius", "5")]["trained_by"] == "base"
    assert whole["grams"] == 0
    for suffix in ("md", "tex"):
        assert "one sum of tanh" in (results / f"tables/study-smoke.{suffix}").read_text()


def test_stored_shows_what_there_is_and_computes_nothing(done, capsys):
    results, words = done
    everything = [w for w in words if "," not in w and w != "--points"]
    before = {p: p.stat().st_mtime_ns for p in results.glob("*/**/*.json")}
    capsys.readouterr()
    assert cli.main([*everything, "--stored"]) == 0
    shown = capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in results.glob("*/**/*.json")} == before
    assert "one sum of tanh²" in shown and "not computed: reduction: one 3×3" in shown
    assert cli.main([*everything, "--stored", "--seeds", "7"]) == 2
    assert "the base is not stored" in capsys.readouterr().err


def test_anomalies_alone_stand_beside_table_4_and_have_fewer_points(done, tmp_path, capsys):
    _, words = done
    words = [*words[:3], "--results", str(tmp_path), *TINY, *BOTTLE, "--scenario", "anomalies_only"]
    assert cli.main([*words, "--points", "augmentation,pasted,batches,border"]) == 0
    assert len(list(tmp_path.glob("fits/*/fit.json"))) == 1  # nothing to paste on, one list to draw
    table = pd.read_csv(tmp_path / "tables/study-anomalies_only-smoke.csv").set_index("point")
    assert list(table.index) == ["base", "border"]
    assert table["auc_paper"]["base"] == 0.777 and np.isnan(table["detection_auc_paper"]["base"])
    shown = capsys.readouterr().out
    assert "anomalies only scenario" in shown and "the number in its Table 4" in shown


def test_what_could_not_be_computed_says_why(done, tmp_path, monkeypatch, capsys):
    results, words = done
    copied = tmp_path / "results"
    shutil.copytree(results, copied)
    words = [*words[:3], "--results", str(copied), *TINY, *BOTTLE]

    def broken(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(AEXAD, "fit", broken)
    assert cli.main([*words, "--points", "output,branch 1"]) == 1
    table = pd.read_csv(copied / "tables/study-smoke.csv").set_index("choice")
    assert table["missing"]["sigmoid"] == "failed: RuntimeError: out of luck"
    assert np.isfinite(table["auc"]["one sum of tanh²"])  # it was stored
    shown = capsys.readouterr().out
    assert "failed: RuntimeError: out of luck (bottle, output: none; bottle, output: sigmoid)" in (
        " ".join(shown.split()))


def test_without_images_nothing_is_written(tmp_path, capsys):
    assert cli.main(["study", "--data-root", str(tmp_path), "--results", str(tmp_path / "r"), *TINY,
                     *BOTTLE]) == 2
    assert f"{tmp_path}: no data of the categories asked for" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_choice_of_epochs_wins_over_those_of_the_command_line(done, tmp_path, monkeypatch):
    _, words = done
    trained = []
    monkeypatch.setattr(AEXAD, "fit", lambda self, train: trained.append(self.p))
    assert cli.main([*words[:3], "--results", str(tmp_path), *TINY, *BOTTLE, "--points", "updates",
                     "--epochs", "3", "--set", "ae_xad.lr_gamma=0.9"]) == 0
    assert [(p.epochs, p.lr_gamma, p.batch_size) for p in trained] == [
        (3, 0.9, 16), (200, 0.985, 16), (3, 0.9, 32), (3, 0.9, 64), (40, 0.927, 16),
        (80, 0.963, 16), (120, 0.975, 16)]


def test_the_plain_ae_has_points_of_its_own_shown_with_and_without_the_filter(
        done, tmp_path, capsys):
    _, words = done
    words = [*words[:3], "--results", str(tmp_path), *TINY, *BOTTLE, "--methods", "ae"]
    assert cli.main([*words, "--points", "loss", "--epochs", "9"]) == 0
    assert len(list(tmp_path.glob("fits/*/fit.json"))) == 2  # that AE and AE∪F share
    shown = capsys.readouterr().out
    assert "mvtec/bottle, AE\n" in shown and "mvtec/bottle, AE∪F\n" in shown
    assert "the number in its Table 1 (the AUC alone)" in shown
    table = pd.read_csv(tmp_path / "tables/study-ae-smoke.csv").set_index(["method", "point"])
    assert list(table.index) == [(m, p) for m in ("ae", "ae_filtered") for p in ("base", "loss")]
    assert list(table["auc_paper"]) == [0.34, 0.34, 0.267, 0.267]
    assert table[["f1_paper", "detection_auc_paper"]].isna().all(axis=None)
    for method in ("ae", "ae_filtered"):  # against the base that is explained alike
        base, loss = table.loc[(method, "base")], table.loc[(method, "loss")]
        assert loss["f1_difference"] == pytest.approx(loss["f1"] - base["f1"], abs=1e-12)
    f1 = table["f1"]
    assert abs(f1["ae", "base"] - f1["ae_filtered", "base"]) > 0.01
    assert list(table["trained_by"].fillna("")) == ["", "", "base", "loss: mean over elements"]
    assert cli.main([*words, "--stored", "--epochs", "9"]) == 0
    assert "not computed: epochs: one; " in " ".join(capsys.readouterr().out.split())


def test_mistakes_are_one_line(done, capsys):
    _, words = done
    for more, message in [(("--points", "reductoin"), "did you mean 'reduction'?"),
                          (("--name", "../x"), "--name '../x': expected letters"),
                          (("--name", ""), "--name '': expected letters"),
                          (("--methods", "fcdd"), "no open points to study; known: ae, ae_xad"),
                          (("--methods", "ae_xad,ae"), "a study is of one method"),
                          (("--methods", "ae_filtered"), "those of --methods ae\n"),
                          (("--points", "epochs"), "study it with --methods ae\n"),
                          (("--methods", "ae", "--points", "epoch"), "did you mean 'epochs'?"),
                          (("--methods", "ae", "--points", "loss", "--scenario", "anomalies_only"),
                           "--scenario anomalies_only: ae trains on normal images alone\n")]:
        assert cli.main([*words, *more]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert cli.main(["study", *words[1:5], *TINY]) == 2
    assert "study: needs --categories" in capsys.readouterr().err

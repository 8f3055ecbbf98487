"""Tables, stored results and examples from Python."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import aexad

from running import csv, run

SMALL = {"protocol": "smoke", "set": {"data.size": 32}, "device": "cpu", "threads": 1,
         "categories": ["mvtec/bottle"]}


def test_a_table_is_the_commands(root, tmp_path, capfd):
    frame = aexad.run("table1", methods=["ae_xad", "ae_xad_raw"], seeds=[40, 41], data_root=root,
                      results=tmp_path / "a", **SMALL)
    assert capfd.readouterr() == ("", "")
    assert run(root, tmp_path / "b", "--categories", "mvtec/bottle", "--methods",
               "ae_xad,ae_xad_raw", "--seeds", "40,41") == 0
    theirs = csv(tmp_path / "b")
    for name in ("dataset", "category", "method", "metric", "n_seeds", "status"):
        assert frame[name].tolist() == theirs[name].tolist()
    for name in ("value", "std", "published", "difference"):
        np.testing.assert_array_equal(frame[name], theirs[name])
    assert frame.attrs["name"] == "table1" and "2 seeds (40, 41)" in " ".join(frame.attrs["notes"])


def test_what_is_stored_comes_without_training(root, tmp_path, monkeypatch):
    options = {"methods": "ae", "data_root": root, "results": tmp_path, **SMALL}
    first = aexad.run("table1", **options)
    monkeypatch.setattr("aexad.methods.ae_xad.PlainAE.fit", None)
    pd.testing.assert_frame_equal(aexad.run("table1", **options), first)
    stored = aexad.load_results(tmp_path)
    assert set(stored.method) == {"ae"} and stored.auc[stored.used].mean() == pytest.approx(
        float(first.value.iloc[0]))


def test_ones_own_folder(category, tmp_path):
    frame = aexad.run(methods=["ae"], data=category, results=tmp_path, protocol="smoke",
                      set={"data.size": 32}, device="cpu", threads=1)
    assert frame.metric.tolist() == ["auc", "f1", "iou"] and frame.value.notna().all()


def test_progress_where_it_is_asked_for(root, tmp_path, capfd):
    aexad.run("table1", methods=["ae"], data_root=root, results=tmp_path, verbose=True, **SMALL)
    shown = capfd.readouterr()
    assert shown.out == "" and "epoch 2/2" in shown.err


def test_what_fails_is_a_warning_and_the_rest_is_in_the_table(root, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no luck")

    monkeypatch.setattr("aexad.methods.ae_xad.PlainAE.fit", broken)
    with pytest.warns(UserWarning, match="failed: .*ae: RuntimeError: no luck"):
        frame = aexad.run("table1", methods=["ae", "ae_xad"], data_root=root, results=tmp_path,
                          **SMALL)
    assert dict(zip(frame.method, frame.status)) == {"ae": "failed", "ae_xad": "done"}


@pytest.mark.parametrize("call, said", [
    (lambda: aexad.run("tabel2"), "unknown table 'tabel2'; did you mean 'table2'?"),
    (lambda: aexad.run(method=["ae"]), "table2 has no option 'method'; did you mean 'methods'?"),
    (lambda: aexad.run(methods=["aexad"]), "unknown method 'aexad'; did you mean 'ae_xad'?"),
    (lambda: aexad.run(set={"ae.epoch": 1}, methods=["ae"]), "did you mean 'epochs'?"),
    (lambda: aexad.run(data="nowhere"), "nowhere"),
    (lambda: aexad.run(json=True), "table2 has no option 'json'"),
    (lambda: aexad.load_results("nowhere"), "nowhere: no such folder"),
    (lambda: aexad.example("parts"), "unknown category 'parts'; did you mean 'part'?"),
])
def test_mistakes_are_user_errors(call, said):
    with pytest.raises(aexad.UserError) as error:
        call()
    assert said in str(error.value)


def test_the_example_is_the_embedded_suite(cache_dir):
    images, masks, new_images, new_masks = aexad.example("part")
    assert images.shape[1:] == new_images.shape[1:] == (224, 224, 3)
    assert masks.shape == images.shape[:3] and new_masks.shape == new_images.shape[:3]
    marked = masks.any(axis=(1, 2))
    assert 0 < marked.sum() < len(marked) and new_masks.any()

"""`fetch`, whole, from a server on loopback: laid out as the reader expects, or nothing there."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import pytest
import requests
import torch

from aexad.bench.commands import cli
from aexad.datasets import folder
from aexad.datasets.catalog import PAPER
from aexad.datasets.category import Library
from aexad.datasets.data_params import DataParams
from aexad.datasets.sources import SOURCES, Source
from aexad.methods.encoders import build_encoder
from aexad.methods.weights import Weights

from conftest import make_category
from server import Site, serving


def packed(tree: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(p for p in tree.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(tree))
    return content.getvalue()


@pytest.fixture
def btad(tmp_path: Path) -> bytes:
    """An archive as BTAD's: its folder names, a folder around all, a README."""
    tree = tmp_path / "made"
    for name in ("01", "02", "03"):
        place = make_category(tree / "BTech_Dataset_transformed" / name, kinds=("ko",), side=16)
        for part in ("train", "test"):
            (place / part / "good").rename(place / part / "ok")
    content = packed(tree)
    shutil.rmtree(tree)
    return content


@pytest.fixture
def site(btad: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serving() as site:
        site.files["/btad.zip"] = btad
        patched(monkeypatch, "btad", url=site.url + "/btad.zip",
                sha256=hashlib.sha256(btad).hexdigest())
        yield site


def patched(monkeypatch: pytest.MonkeyPatch, name: str, **changes: str) -> None:
    monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], **changes))


def fetch(root: Path, *words: str) -> int:
    return cli.main(["fetch", *words, "--data-root", str(root)])


def record(root: Path, name: str = "fetched") -> dict:
    return json.loads((root / ".fetch" / f"{name}.json").read_text())


def left_over(root: Path) -> list[str]:
    return sorted(p.name for p in (root / ".fetch").iterdir() if p.suffix != ".json")


def test_a_dataset_is_fetched_and_can_be_read(site, tmp_path, capsys):
    root = tmp_path / "data"  # made by fetch
    assert fetch(root, "btad", "--accept-licence") == 0
    assert "3 of 3 missing categories put into" in capsys.readouterr().out
    found = Library(root, tmp_path / "cache").load("btad", "btad_02", DataParams(size=32))
    assert (found.kinds == "good").sum() == 9 and (found.kinds == "ko").sum() == 5
    assert sorted(p.name for p in (root / "btad").iterdir()) == ["01", "02", "03"]
    assert record(root)["btad"]["checked"] is True
    assert record(root)["btad"]["sha256"] == SOURCES["btad"].sha256
    assert left_over(root) == []
    site.requests.clear()
    assert fetch(root, "btad") == 0 and not site.requests  # nothing is fetched twice
    assert "already there" in capsys.readouterr().out


def test_the_licence_is_shown_and_accepted_once(site, tmp_path, capsys):
    assert fetch(tmp_path / "d", "btad") == 2
    shown = capsys.readouterr()
    assert "CC BY-SA" in shown.out and "accept them with --accept-licence" in shown.err
    assert not site.requests and not (tmp_path / "d").exists()
    assert fetch(tmp_path / "d", "btad", "--accept-licence") == 0
    assert record(tmp_path / "d", "licences")["btad"]["licence"] == SOURCES["btad"].licence
    capsys.readouterr()
    shutil.rmtree(tmp_path / "d" / "btad")
    assert fetch(tmp_path / "d", "btad") == 0
    assert "CC BY-SA" not in capsys.readouterr().out


@pytest.mark.parametrize("kept", [None, [], "yes", 3, {"licence": None}])
def test_a_record_that_is_none_is_asked_for_and_written_anew(kaggle, cracks, tmp_path, kept):
    (tmp_path / "d" / ".fetch").mkdir(parents=True)
    for name in ("licences.json", "fetched.json"):
        (tmp_path / "d" / ".fetch" / name).write_text(json.dumps({"road": kept, "wfdd": kept}))
    (tmp_path / "choice.csv").write_text(CHOICE)
    words = ("road", "--choice", str(tmp_path / "choice.csv"))
    assert fetch(tmp_path / "d", *words) == 2
    assert fetch(tmp_path / "d", *words, "--accept-licence") == 0
    assert record(tmp_path / "d")["road"]["from"] == SOURCES["road"].page


def test_what_is_there_already_stays(site, tmp_path, capsys):
    place = make_category(tmp_path / "btad" / "02", kinds=("ko",), each=4, side=16)
    before = {p: p.read_bytes() for p in place.rglob("*.png")}
    assert fetch(tmp_path, "btad", "--accept-licence") == 0
    assert "2 of 2 missing categories" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in place.rglob("*.png")} == before


def test_wrong_bytes_are_refused_and_the_way_by_hand_is_said(site, btad, tmp_path, capsys):
    site.files["/btad.zip"] = btad[:-1] + b"x"
    assert fetch(tmp_path, "btad", "--accept-licence") == 2
    error = capsys.readouterr().err
    assert "wrong bytes" in error and "or by hand: download btad.zip from https://" in error
    assert not (tmp_path / "btad").exists() and left_over(tmp_path) == []
    site.files["/new.zip"] = btad  # the link has moved
    assert fetch(tmp_path, "btad", "--url", site.url + "/new.zip") == 0


def test_a_harmful_archive_leaves_nothing(site, tmp_path, monkeypatch, capsys):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("01/train/ok/000.png", b"x")
        archive.writestr("../../evil", b"x")
    site.files["/btad.zip"] = content.getvalue()
    patched(monkeypatch, "btad", sha256="")
    assert fetch(tmp_path / "data", "btad", "--accept-licence") == 2
    assert "leads outside of the target" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]
    assert left_over(tmp_path / "data") == []
    assert not (tmp_path / "data" / "btad").exists()


def test_an_interrupted_unpacking_does_not_fetch_again(site, tmp_path, monkeypatch):
    from aexad.bench.commands import fetch as command

    def interrupted(archive: Path, tree: Path) -> int:
        (tree / "01").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "unpack", interrupted)
        assert fetch(tmp_path / "d", "btad", "--accept-licence") == 130
    assert not (tmp_path / "d" / "btad").exists()
    assert fetch(tmp_path / "d", "btad") == 0
    assert len(site.requests) == 1 and left_over(tmp_path / "d") == []
    # one that was damaged meanwhile is fetched anew
    shutil.rmtree(tmp_path / "d" / "btad")
    (tmp_path / "d" / ".fetch" / "btad.zip").write_bytes(b"x")
    assert fetch(tmp_path / "d", "btad") == 0 and len(site.requests) == 2


def test_an_archive_fetched_by_hand(site, btad, tmp_path, capsys):
    (tmp_path / "mine.zip").write_bytes(btad)
    assert fetch(tmp_path / "d", "btad", "--accept-licence", "--from",
                 str(tmp_path / "mine.zip")) == 0
    assert not site.requests and (tmp_path / "mine.zip").exists()
    assert record(tmp_path / "d")["btad"]["checked"] is True
    # one category, packed again: taken, but not as the published archive
    tree = make_category(tmp_path / "t" / "01", kinds=("ko",), side=16)
    (tmp_path / "one.zip").write_bytes(packed(tree.parent))
    assert fetch(tmp_path / "e", "btad", "--accept-licence", "--from",
                 str(tmp_path / "one.zip")) == 0
    shown = capsys.readouterr()
    assert "not that of the published archive; recorded" in shown.err
    assert "1 of 3 missing categories" in shown.out
    assert record(tmp_path / "e")["btad"]["checked"] is False
    (tmp_path / "other.zip").write_bytes(packed(make_category(tmp_path / "u" / "x").parent))
    assert fetch(tmp_path / "f", "btad", "--accept-licence", "--from",
                 str(tmp_path / "other.zip")) == 2
    assert "none of its categories (btad_01, btad_02, btad_03)" in capsys.readouterr().err


# -- Kaggle --

@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.SimpleNamespace:
    """A kagglehub that gives what is in `gives`, or raises `fails`."""
    state = types.SimpleNamespace(gives=tmp_path / "kaggle", fails=None, asked=[])
    exceptions = types.ModuleType("kagglehub.exceptions")
    for name in ("CredentialError", "UnauthenticatedError", "BackendError", "NotFoundError",
                 "DataCorruptionError"):
        setattr(exceptions, name, type(name, (Exception,), {}))

    def dataset_download(handle: str) -> str:
        import os
        state.asked.append(handle)
        if state.fails:
            raise state.fails
        place = Path(os.environ["KAGGLEHUB_CACHE"]) / "datasets" / handle / "versions" / "1"
        shutil.copytree(state.gives, place, symlinks=True)
        return str(place)

    module = types.ModuleType("kagglehub")
    module.dataset_download, module.exceptions = dataset_download, exceptions
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
    monkeypatch.setenv("KAGGLEHUB_CACHE", "elsewhere")
    state.exceptions = exceptions
    return state


def test_a_dataset_of_kaggles(kaggle, tmp_path, capsys):
    names = ("grey_cloth", "grid_cloth", "pink_flower", "yellow_cloth")
    for name in names:
        make_category(kaggle.gives / "WFDD" / name, side=16)
    assert fetch(tmp_path / "d", "wfdd", "--accept-licence") == 0
    assert kaggle.asked == ["hodinhtrieu/the-woven-fabric-defect-detection-wfdd"]
    assert all(folder.locate(tmp_path / "d", "wfdd", name) for name in names)
    assert record(tmp_path / "d")["wfdd"]["checked"] is False and left_over(tmp_path / "d") == []


@pytest.mark.parametrize("failure", [
    lambda e: e.CredentialError("no credentials"), lambda e: e.UnauthenticatedError("who?"),
    lambda e: requests.HTTPError("403 Client Error\nconsent needed"), lambda e: OSError("net")])
def test_kaggle_refuses(kaggle, tmp_path, capsys, failure):
    kaggle.fails = failure(kaggle.exceptions)
    assert fetch(tmp_path / "d", "wfdd", "--accept-licence") == 2
    [error] = capsys.readouterr().err.splitlines()
    assert "kaggle.json into ~/.kaggle/" in error
    assert ("or by hand: download the-woven-fabric-defect-detection-wfdd.zip from https://www."
            "kaggle.com/datasets/hodinhtrieu/") in error


def test_a_link_from_kaggle_is_not_taken(kaggle, tmp_path, capsys):
    make_category(kaggle.gives / "grey_cloth", side=16)
    (kaggle.gives / "grey_cloth" / "train" / "good" / "x.png").symlink_to("/etc/passwd")
    assert fetch(tmp_path / "d", "wfdd", "--accept-licence") == 2
    assert "x.png: a link; not taken" in capsys.readouterr().err
    assert not (tmp_path / "d" / "wfdd").exists()


def test_without_kagglehub(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert fetch(tmp_path / "d", "wfdd", "--accept-licence") == 2
    assert "-m pip install kagglehub); or by hand: download" in capsys.readouterr().err


# -- the sets of which the paper chose images --

@pytest.fixture
def cracks(kaggle, tmp_path: Path) -> Path:
    """Images without masks, as in the road dataset; returns the folder of masks made by hand."""
    made = make_category(tmp_path / "made", kinds=("crack",), side=16)
    (kaggle.gives / "Crack").mkdir(parents=True)
    for i, path in enumerate([*(made / "test/crack").iterdir(), *(made / "train/good").iterdir()]):
        shutil.copyfile(path, kaggle.gives / "Crack" / f"{path.parent.name}{path.stem}.png")
    return made / "ground_truth" / "crack"


CHOICE = """image,part,kind,mask
Crack/good000.png,train,good,
Crack/good001.png,test,good,
Crack/crack003.png,test,crack,made/ground_truth/crack/003_mask.png
Crack/crack004.png,train,crack,made/ground_truth/crack/004_mask.png
"""


def test_a_choice_of_images_and_masks(kaggle, cracks, tmp_path, capsys):
    root = tmp_path / "d"
    assert fetch(root, "road", "--accept-licence") == 2
    error = capsys.readouterr().err
    assert "the paper used 17 anomalous images of the crack class and 35 normal images" in error
    assert "is not published" in error and "--choice FILE" in error
    (tmp_path / "choice.csv").write_text(CHOICE)
    kaggle.fails = AssertionError("it is here already")
    assert fetch(root, "road", "--choice", str(tmp_path / "choice.csv")) == 0
    items = Library(root, tmp_path / "cache").scan("road", "road")
    assert [i.id for i in items] == ["train/crack/crack004", "train/good/good000",
                                     "test/crack/crack003", "test/good/good001"]
    assert items[0].mask.read_bytes() == (cracks / "004_mask.png").read_bytes()
    assert record(root)["road"]["from"] == SOURCES["road"].page and left_over(root) == []


@pytest.mark.parametrize("old, new, message", [
    ("image,part", "images,part", "expected the columns image,part,kind,mask"),
    ("000.png,train", "000.png,valid", "line 2: part 'valid', expected train or test"),
    ("train,good", "train,../good", "line 2: kind '../good'"),
    ("good000", "good999", "line 2: no file Crack/good999.png in"),
    ("good000", "good\0", r"line 2: no file Crack/good\x00.png in"),
    ("good000", "g" * 300, "line 2: no file Crack/ggg"),
    ("Crack/good000.png", "../../../made/train/good/000.png", "line 2: no file ../../../made"),
    ("train,good,", "train,good,made/ground_truth/crack/003_mask.png", "a mask of a normal image"),
    (",made/ground_truth/crack/003_mask.png", ",", "an anomalous image without a mask"),
    ("good001.png,test", "good000.png,train", "line 3: a second good000.png in good"),
    ("test,good,", "test,good", "line 3: expected 4 fields")])
def test_a_wrong_choice_is_named_by_its_line(kaggle, cracks, tmp_path, capsys, old, new, message):
    choice = tmp_path / "choice.csv"
    choice.write_text(CHOICE.replace(old, new, 1))
    assert fetch(tmp_path / "d", "road", "--accept-licence", "--choice", str(choice)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "d" / "road").exists()


@pytest.mark.parametrize("rewrite", [
    lambda text: b"\xef\xbb\xbf" + text.replace(",", ";").replace("\n", "\r\n").encode(),
    lambda text: text.replace(",", "\t").encode("utf-16"),
    lambda text: ("sep=;\n" + text.replace(",", ";").replace("\n", ";;\n") + ";;;;;\n").encode(),
    lambda text: text.replace("image,part", "Image, Part").replace("/", "\\").encode()])
def test_a_choice_from_a_spreadsheet(kaggle, cracks, tmp_path, rewrite):
    (tmp_path / "plain.csv").write_text(CHOICE)
    (tmp_path / "excel.csv").write_bytes(rewrite(CHOICE))
    for name in ("plain", "excel"):
        assert fetch(tmp_path / name, "road", "--accept-licence", "--choice",
                     str(tmp_path / f"{name}.csv")) == 0
    files = [sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name / "road").rglob("*"))
             for name in ("plain", "excel")]
    assert files[0] == files[1] and len(files[0]) > 5


@pytest.mark.parametrize("disk, text", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_a_choice_in_another_unicode_form_than_the_files(kaggle, cracks, tmp_path, disk, text):
    """Of a folder, an image in it and a mask beside the file."""
    (kaggle.gives / "Crack").rename(kaggle.gives / normalize(disk, "Größe"))
    [image] = kaggle.gives.rglob("crack003.png")
    image.rename(image.with_name(normalize(disk, "Öl.png")))
    (cracks / "003_mask.png").rename(cracks / normalize(disk, "Maß é.png"))
    content = CHOICE.replace("Crack/", "Größe/").replace("crack003", "Öl").replace(
        "003_mask", "Maß é")
    (tmp_path / "choice.csv").write_text(normalize(text, content), "utf-8")
    assert fetch(tmp_path / "d", "road", "--accept-licence", "--choice",
                 str(tmp_path / "choice.csv")) == 0
    kinds = [i.kind for i in Library(tmp_path / "d", tmp_path / "cache").scan("road", "road")]
    assert sorted(kinds) == ["crack", "crack", "good", "good"]


@pytest.mark.parametrize("content, said", [
    ("image;part;kind;mask\ngrün.png;train;good;\n".encode("cp1252"), "not UTF-8 at byte 23; save"),
    (b"sep=;\nimage;part;kind\n", "expected the columns image,part,kind,mask, has image,part,kin"),
    (b"image;part;kind;mask\n\na.png;train;good;;x\n", "line 3: expected 4 fields"), (b"", "none")])
def test_a_spreadsheet_that_is_no_choice(kaggle, cracks, tmp_path, capsys, content, said):
    (tmp_path / "c.csv").write_bytes(content)
    assert fetch(tmp_path / "d", "road", "--accept-licence", "--choice",
                 str(tmp_path / "c.csv")) == 2
    assert said in capsys.readouterr().err


# -- weights --

def test_weights_are_fetched_checked_and_used(tmp_path, monkeypatch, capsys):
    from aexad.methods import encoders
    state = encoders.ENCODERS["resnet18"].build().state_dict()
    torch.save(state, tmp_path / "w")
    content = (tmp_path / "w").read_bytes()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    with serving() as site:
        site.files[f"/{name}"] = content
        monkeypatch.setitem(encoders.ENCODERS, "resnet18", dataclasses.replace(
            encoders.ENCODERS["resnet18"], official=f"{site.url}/{name}"))
        words = ("weights", "--networks", "resnet18")
        assert fetch(tmp_path / "d", *words) == 0
        assert "begins as its name says" in capsys.readouterr().out
        assert fetch(tmp_path / "d", *words) == 0 and len(site.requests) == 1
        loaded = build_encoder("resnet18", True, Weights(tmp_path / "d" / "weights"))
        assert torch.equal(loaded.state_dict()["conv1.weight"], state["conv1.weight"])
        site.files[f"/{name}"] = content[:-1] + b"x"
        assert fetch(tmp_path / "e", *words, "--to", str(tmp_path / "e" / "w")) == 2
        assert "wrong bytes" in capsys.readouterr().err
        assert list((tmp_path / "e" / "w").iterdir()) == []


def test_every_network_can_be_fetched():
    from aexad.bench.commands.fetch import networks
    assert {"resnet50", "vgg11bn", "efficientnet_b6", "vit_b_16"} <= networks().keys()
    assert all(url.startswith("https://") for url in networks().values())


# -- mistakes --

@pytest.mark.parametrize("words, message", [
    (("mvtek",), "unknown dataset 'mvtek'; did you mean 'mvtec'?"),
    (("all", "--url", "x"), "--from, --url and --choice are for one dataset"),
    (("btad", "--accept-licence", "--from", "no.zip"), "--from no.zip: no such file"),
    (("weights", "--networks", "resnet5"), "--networks: unknown 'resnet5'; did you mean")])
def test_bad_input(site, tmp_path, capsys, words, message):
    assert fetch(tmp_path, *words) == 2
    assert message in capsys.readouterr().err


def test_all_goes_on_after_a_failure(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    patched(monkeypatch, "mvtec", url=site.url + "/gone.tar.xz")
    assert fetch(tmp_path, "all", "--accept-licence") == 1
    errors = capsys.readouterr().err.splitlines()
    assert [e.split(": ")[1] for e in errors if e.startswith("error: ")] == [
        "mvtec", "wfdd", "wood", "hazelnut", "road"]
    assert "the server answers 404" in errors[0] and (tmp_path / "btad" / "01").is_dir()


def test_the_sources_are_complete():
    assert set(SOURCES) == set(PAPER)
    for source in SOURCES.values():
        assert isinstance(source, Source) and source.page.startswith("https://")
        assert source.url or source.kaggle
        assert source.sha256 == "" or len(bytes.fromhex(source.sha256)) == 32

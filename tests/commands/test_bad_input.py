"""Mistakes of the user's and of the machine's: one line, status 2, nothing lost."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from aexad.bench.commands import cli
from aexad.bench.run import task

from running import BOTTLE, heatmaps, run


def refused(capsys, code: int) -> str:
    assert code == 2
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and lines[-1] == errors[0]
    return errors[0]


def test_unknown_words(root, tmp_path, capsys):
    for words, message in [
            (("--methods", "ae_xat"), "unknown method 'ae_xat'; did you mean 'ae_xad'?"),
            (("--categories", "botle"), "unknown category 'botle'; did you mean 'bottle'?"),
            (("--categories", "wood"), "write mvtec/wood or wood/wood"),
            (("--datasets", "mvtek"), "unknown dataset 'mvtek'; did you mean 'mvtec'?"),
            (("--seeds", "forty"), "--seeds forty: expected whole numbers"),
            (("--device", "gpu"), "--device gpu: expected cpu or cuda"),
            (("--threads", "0"), "--threads 0: must be at least 1"),
            (("--epochs", "0"), "--epochs 0: must be at least 1"),
            (("--checkpoint-every", "nan"), "--checkpoint-every nan: must be 0 or more"),
            (("--set", "ae_xad.lr=-1"), "ae_xad.lr=-1.0: must be at least 0.0"),
            (("--set", "ae_xad.k_min=9", "--set", "ae_xad.k_max=5"), "k_min=9 is above k_max=5"),
            (("--save-baseline", str(tmp_path)), "is a folder; name a file in it"),
            (("--country", "XYZ"), "--country XYZ: no energy mix"),
            (("--set", "ae_xad.epoch=1"), "did you mean 'epochs'?"),
            (("--weights", "/no/where"), "--weights /no/where: no such file or folder")]:
        assert message in refused(capsys, run(root, tmp_path / "r", *words))
    assert "did you mean 'table2'" in refused(capsys, cli.main(["tabel2"]))
    assert not (tmp_path / "r" / "fits").exists()


def test_an_unknown_option_leads_to_the_commands_own_help(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["table2", "--stroed"])
    error = capsys.readouterr().err
    assert "unrecognized arguments: --stroed" in error and "table2 --help" in error


def test_data_root_that_does_not_exist(tmp_path, capsys):
    assert "/nowhere: no such folder" in refused(capsys, run(Path("/nowhere"), tmp_path / "r"))


def test_the_folder_of_a_dataset_is_no_data_root(root, tmp_path, capsys):
    shutil.copytree(root / "mvtec/bottle", root / "mvtec/wood")  # not the dataset Wood
    error = refused(capsys, run(root / "mvtec", tmp_path / "r", "--datasets", "wood", "--dry-run"))
    assert error.endswith("mvtec: holds categories of mvtec themselves; give the folder that "
                          "mvtec/ is in")
    assert run(root, tmp_path / "r", "--datasets", "mvtec", "--dry-run") == 0


def test_weights_that_are_no_weights(root, tmp_path, capsys):
    (tmp_path / "w.pth").write_text("# read me")
    words = ("--weights", str(tmp_path / "w.pth"), "--set", "*.encoder=resnet18")
    error = refused(capsys, run(root, tmp_path / "r", *words))
    assert "not a readable weights file" in error and "weights_only" not in error


@pytest.mark.parametrize("spoil, message", [
    (lambda c: (c / "ground_truth/dent/000_mask.png").unlink(), "000.png: its mask is missing"),
    (lambda c: Image.new("L", (9, 9)).save(c / "ground_truth/dent/000_mask.png"),
     "000_mask.png: the mask is 9x9 pixels"),
    (lambda c: Image.linear_gradient("L").resize((64, 64)).save(
        c / "ground_truth/dent/000_mask.png"), "000_mask.png: a non-binary mask"),
    (lambda c: (c / "test/dent/000.png").write_bytes(
        (c / "test/dent/000.png").read_bytes()[:3000]), "dent/000.png: damaged image"),
    (lambda c: [p.unlink() for k in ("dent", "scratch") for p in (c / "test" / k).iterdir()],
     "a category with no anomalies"),
], ids=["mask missing", "mask size", "non-binary", "truncated", "no anomalies"])
def test_bad_files(root, category, tmp_path, capsys, spoil, message):
    spoil(category)
    assert message in refused(capsys, run(root, tmp_path / "r"))
    assert not (tmp_path / "r" / "fits").exists()


def test_weights_of_another_architecture(root, tmp_path, capsys):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pth")
    error = refused(capsys, run(root, tmp_path / "r", "--weights", str(tmp_path / "w.pth"),
                                "--set", "*.encoder=resnet18"))
    assert "w.pth: not weights of resnet18" in error and not (tmp_path / "r" / "fits").exists()


def test_results_that_can_not_be_written(root, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for results in (tmp_path / "file", tmp_path / "file" / "results"):
        error = refused(capsys, run(root, results, "--dry-run"))
        assert f"--results {results}: {tmp_path / 'file'} is a file" in error


def test_disk_full_while_writing_loses_nothing_finished(root, tmp_path, capsys):
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1700k", "tmpfs", str(place)],
                             capture_output=True)
    if mounted.returncode:
        pytest.skip("FULL DISK NOT TESTED FOR REAL: mounting a small tmpfs needs root")
    try:
        words = (*BOTTLE, "--methods", "ae,ae_xad", "--keep-maps")
        ballast = place / "ballast"
        ballast.write_bytes(bytes(1_300_000))  # leaves room for the first model, not for both
        error = refused(capsys, run(root, place / "r", *words))
        assert "No space left" in error and "cannot write" in error
        assert not list(place.rglob("*.tmp"))
        ballast.unlink()
        assert run(root, place / "r", *words) == 0
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_other_images_under_stored_results_are_refused(root, category, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad") == 0
    Image.new("RGB", (64, 64), "blue").save(category / "train/good/000.png")
    error = refused(capsys, run(root, tmp_path / "r", *BOTTLE, "--methods", "ae_xad"))
    assert "made from other images than those given now" in error


def two_encoders(folder: Path) -> None:
    from aexad.methods.encoders import build_encoder
    from aexad.methods.weights import Weights

    for i in range(2):
        torch.manual_seed(i)
        state = build_encoder("resnet18", False, Weights()).state_dict()
        torch.save(state, folder / f"{i}.pth")


def test_other_weights_under_stored_results_are_refused(root, tmp_path, capsys):
    words = (*BOTTLE, "--methods", "ae_xad", "--set", "ae_xad.encoder=resnet18")
    two_encoders(tmp_path)
    assert run(root, tmp_path / "r", *words, "--weights", str(tmp_path / "0.pth")) == 0
    error = refused(capsys, run(root, tmp_path / "r", *words, "--weights",
                                str(tmp_path / "1.pth")))
    assert "other pre-trained weights than those given now" in error
    assert run(root, tmp_path / "r", *words) == 0  # a stored table needs no weights


def test_a_fit_begun_with_other_weights_is_not_continued(root, tmp_path, monkeypatch, capsys):
    words = (*BOTTLE, "--methods", "ae_xad", "--set", "ae_xad.encoder=resnet18", "--epochs", "4",
             "--checkpoint-every", "0", "--keep-maps")
    two_encoders(tmp_path)
    first, second = (("--weights", str(tmp_path / f"{i}.pth")) for i in range(2))

    def stop(self, epoch, loss):
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(task.RunContext, "report", stop)
        assert run(root, tmp_path / "r", *words, *first) == 130
    assert list((tmp_path / "r").rglob("checkpoint.pt"))
    assert run(root, tmp_path / "r", *words, *second) == 0
    assert "continues after epoch" not in capsys.readouterr().err
    assert run(root, tmp_path / "whole", *words, *second) == 0
    a, b = (heatmaps(tmp_path / name) for name in ("r", "whole"))
    assert all((a[key] == b[key]).all() for key in b) and a.keys() == b.keys()

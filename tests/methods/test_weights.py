"""Weights: found, checked, refused with one line."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file

from aexad.bench.base.errors import UserError
from aexad.methods.encoders import ENCODERS, build_encoder
from aexad.methods.weights import Weights, WeightsMissing, read_state


@pytest.fixture(scope="module")
def resnet18() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return build_encoder("resnet18", False, Weights()).state_dict()


@pytest.mark.parametrize("name", ["resnet18-f37072fd.pth", "resnet18-f37072fd.part.safetensors"])
def test_folder_is_searched_by_the_official_name(tmp_path, resnet18, name):
    (save_file if name.endswith("safetensors") else torch.save)(resnet18, tmp_path / name)
    weights = Weights(tmp_path)
    net = build_encoder("resnet18", True, weights)
    assert torch.equal(net.conv1.weight, resnet18["conv1.weight"])
    assert len(weights.used["resnet18"]) == 64


def test_file_is_taken_whatever_its_name_and_more_tensors_may_be_there(tmp_path, resnet18):
    torch.save({**resnet18, "fc.weight": torch.zeros(2)}, tmp_path / "mine.pth")
    net = build_encoder("resnet18", True, Weights(tmp_path / "mine.pth"))
    assert torch.equal(net.layer2[1].conv2.weight, resnet18["layer2.1.conv2.weight"])


def test_another_architecture_is_refused(tmp_path, resnet18):
    torch.save(resnet18, tmp_path / "mine.pth")
    with pytest.raises(UserError, match=r"mine\.pth: not weights of resnet50 \('layer1\.0\.conv1"):
        build_encoder("resnet50", True, Weights(tmp_path / "mine.pth"))
    with pytest.raises(UserError, match="not weights of efficientnet_lite0"):
        build_encoder("efficientnet_lite0", True, Weights(tmp_path / "mine.pth"))


@pytest.mark.parametrize("prefix", ["module.", "encoder.backbone.", "_orig_mod.module."])
def test_names_may_have_a_prefix_more(tmp_path, resnet18, capsys, prefix):
    torch.save({prefix + k: v for k, v in resnet18.items()} | {"head.weight": torch.zeros(2)},
               tmp_path / "w.pth")
    net = build_encoder("resnet18", True, Weights(tmp_path / "w.pth"))
    assert torch.equal(net.layer2[1].conv2.weight, resnet18["layer2.1.conv2.weight"])
    assert f"w.pth: the weights of resnet18 are those named {prefix}" in capsys.readouterr().err


@pytest.mark.parametrize("prefix, shown", [("\x1b[2J.", r"\x1b[2J."), ("a\nb.", r"a\nb.")])
def test_what_is_said_of_a_files_names_is_one_line(tmp_path, resnet18, capsys, prefix, shown):
    torch.save({prefix + k: v for k, v in resnet18.items()}, tmp_path / "w.pth")
    build_encoder("resnet18", True, Weights(tmp_path / "w.pth"))
    [line] = capsys.readouterr().err.splitlines()
    assert f"are those named {shown}…" in line and line.isprintable()


@pytest.mark.parametrize("wrap", [
    lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
    lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
    lambda state: {"student": {"net": state}, "loss": 0.5, "names": ["a"]}])
def test_a_checkpoint_is_searched_for_the_network(tmp_path, resnet18, capsys, wrap):
    torch.save(wrap(resnet18), tmp_path / "w.pth")
    net = build_encoder("resnet18", True, Weights(tmp_path / "w.pth"))
    assert torch.equal(net.conv1.weight, resnet18["conv1.weight"])
    assert torch.equal(net.bn1.running_var, resnet18["bn1.running_var"])
    assert "are those named" in capsys.readouterr().err
    with pytest.raises(UserError, match="not weights of resnet50"):
        build_encoder("resnet50", True, Weights(tmp_path / "w.pth"))


def test_of_several_networks_none_is_taken(tmp_path, resnet18):
    torch.save({"teacher": resnet18, "student": resnet18}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"2 sets of weights of resnet18, named student\., teacher"):
        build_encoder("resnet18", True, Weights(tmp_path / "w.pth"))
    torch.save({**resnet18, "ema": resnet18}, tmp_path / "w.pth")  # the network itself is clear
    build_encoder("resnet18", True, Weights(tmp_path / "w.pth"))


def test_a_checkpoint_of_lite0_in_timms_names(tmp_path):
    state = build_encoder("efficientnet_lite0", False, Weights()).state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "w.pth")
    net = build_encoder("efficientnet_lite0", True, Weights(tmp_path / "w.pth"))
    assert torch.equal(net.conv_stem.weight, state["conv_stem.weight"])


def test_a_dict_that_holds_itself_is_read(tmp_path):
    state = {"a": torch.ones(1)}
    state.update({f"again{i}": state for i in range(100)})
    torch.save(state, tmp_path / "w.pth")
    assert list(read_state(tmp_path / "w.pth")) == ["a"]


def test_lite0_from_the_package_fits_timms_layers():
    weights = Weights()
    net = build_encoder("efficientnet_lite0", True, weights)
    state = read_state(ENCODERS["efficientnet_lite0"].packaged())
    assert torch.equal(net.conv_stem.weight, next(iter(state.values())))
    assert net.blocks[2][1].bn3.running_var.std() > 0 and weights.used


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 broken", pickle.dumps(Evil())])
def test_unreadable_files_are_one_line_and_run_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"w\.pth: not a readable weights file") as caught:
        read_state(tmp_path / "w.pth")
    assert "\n" not in str(caught.value) and not Path("evil-was-here").exists()


@pytest.mark.parametrize("size", [100, 5000, 1_000_000])
def test_a_file_cut_short_is_not_told_as_refused(tmp_path, resnet18, size):
    torch.save(resnet18, tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:size])
    with pytest.raises(UserError, match=r"w\.pth: not a readable weights file"):
        read_state(tmp_path / "w.pth")


def test_not_a_state_dict(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="not a state dict"):
        read_state(tmp_path / "w.pth")


def test_missing_place():
    with pytest.raises(UserError, match="no such file or folder"):
        Weights("/nowhere/at/all")


def test_failed_download_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(UserError, match=r"resnet18: could not download https.*--weights"):
        build_encoder("resnet18", True, Weights())


@pytest.mark.parametrize("home", ["/dev/null", "/proc", "/sys/no", "~no-such-user/torch"])
def test_a_cache_that_cannot_be_made_says_what_to_do(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", home)
    with pytest.raises(WeightsMissing, match=r"resnet18: cannot be kept in .*checkpoints \(.*\); "
                                             r"fetch https.*--weights .*TORCH_HOME"):
        build_encoder("resnet18", True, Weights())
    assert not list(tmp_path.iterdir())


def test_a_user_without_a_home_gets_no_folder_called_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TORCH_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with pytest.raises(WeightsMissing, match="no such home folder.*--weights"):
        build_encoder("resnet18", True, Weights())
    assert not list(tmp_path.iterdir())


def test_a_cache_that_is_not_ours_to_look_into(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(WeightsMissing, match="Permission denied.*--weights"):
        Weights().load("resnet18", ENCODERS["resnet18"].official)


def test_download_is_used_and_cached(tmp_path, monkeypatch, resnet18):
    calls = []

    def fetch(url, to, hash_prefix):
        calls.append((url, hash_prefix))
        torch.save(resnet18, to)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    for _ in range(2):
        build_encoder("resnet18", True, Weights())
    assert calls == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd")]

"""ray is no dependency: one line where it is missing, used for real where it is there."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys

import pytest

from running import BOTTLE, run
from test_engines import Killer, kill_an_owner, same_results

INSTALLED = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(INSTALLED, reason="ray is installed")
def test_without_ray_it_says_how_to_install_it(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", *BOTTLE, "--engine", "ray", "--address", "auto") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --engine ray: ray is not installed; into the project's .venv: "
        "pip install 'ray==2.60.0'")


@pytest.fixture
def address(tmp_path):
    """A cluster of one node with two CPUs, as docs/machines.md says, that ends with its group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["start", "--head", "--block", "--port", str(port), "--num-cpus", "2",
             "--include-dashboard", "false", "--disable-usage-stats", "--object-store-memory",
             "100000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *words], start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            if "Ray runtime started" in line:
                break
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(not INSTALLED, reason="RAY NOT TESTED: not installed; pip install ray==2.60.0")
def test_two_actors_one_killed_give_the_same_bits_as_one_process(root, tmp_path, capsys, address):
    words = (*BOTTLE, "--methods", "ae_xad", "--seeds", "40,41,42,43,44,45")
    assert run(root, tmp_path / "one", *words) == 0
    killer = Killer(lambda: kill_an_owner(tmp_path / "ray", "*", after=2))
    capsys.readouterr()
    assert run(root, tmp_path / "ray", *words, "--engine", "ray", "--address", address) == 0
    killer.finished()
    assert same_results(tmp_path / "one", tmp_path / "ray") == 6
    err = capsys.readouterr().err
    assert err.count("done by actor") == 6 and err.count("it is done again") == 1

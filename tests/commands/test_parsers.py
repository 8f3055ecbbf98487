"""Every command's options, and what they offer; commands are imported when they run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from aexad.bench.commands import cli, options, parsers
from aexad.bench.results import map_files
from aexad.bench.run import engines

HEAVY = ("numpy", "torch", "torchvision", "timm", "scipy", "pandas", "matplotlib", "sklearn",
         "pyarrow", "PIL", "codecarbon", "joblib", "requests", "tabulate")


@pytest.mark.parametrize("name", parsers.COMMANDS)
def test_every_command_is_where_its_entry_says(name):
    module, _, function = parsers.COMMANDS[name].run.partition(":")
    assert callable(getattr(importlib.import_module(f"aexad.bench.commands.{module}"), function))


def test_what_the_options_offer_is_what_there_is():
    assert options.ENGINES == engines.NAMES
    assert parsers.SCORES == tuple(map_files.RULES)


def test_one_commands_options_are_those_of_the_parser_of_all():
    everything = cli.parser()[1]
    for name in parsers.COMMANDS:
        alone = cli.parser(only=name)[1]
        assert alone[name].format_help() == everything[name].format_help()


@pytest.mark.parametrize("words, status", [
    (["--help"], 0), (["table2", "--help"], 0), (["check", "--help"], 0), (["tabel2"], 2),
    (["table2", "--no-such-option"], 2), (["completion", "bash"], 0)])
def test_help_and_mistakes_import_nothing_that_computes(words, status):
    program = ("import sys; from aexad.bench.commands.cli import main\n"
               "try: status = main(sys.argv[1:])\n"
               "except SystemExit as end: status = end.code or 0\n"
               f"print(status, sorted(set({HEAVY}) & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{status} []", done.stderr


PLACES = ("DIR", "MODEL", "FOLDER", "FILE", "CSV", "IMAGE_OR_FOLDER", "FILE_OR_DIR")
"""What options and words that are paths are called in the help."""


@pytest.mark.parametrize("name", parsers.COMMANDS)
def test_every_path_may_begin_with_a_tilde(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    actions = cli.parser(only=name)[1][name]._actions
    paths = [action for action in actions if action.metavar in PLACES]
    assert [str(a.type("~/x")) for a in paths] == ["/home/me/x"] * len(paths)
    assert Path not in [action.type for action in actions]


@pytest.mark.parametrize("words, named", [
    (["audit", "--results=~/r"], {}), (["audit"], {"AEXAD_RESULTS": "~/r"}),
    (["audit", "--json=~/r/j.json", "--out=~/r/tables/audit.md"], {})])
def test_no_folder_is_called_tilde(tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    for variable, value in {"HOME": str(tmp_path / "home"), **named}.items():
        monkeypatch.setenv(variable, value)
    assert cli.main(words) == 0
    assert (tmp_path / "home" / "r" / "tables" / "audit.md").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_home_that_is_not_there_is_one_line(capsys, monkeypatch):
    for words in (["status", "--data=~no-such-user/d"], ["status", "--weights=~no-such-user"]):
        assert cli.main(words) == 2
        assert capsys.readouterr().err.startswith("error: ~no-such-user")
    monkeypatch.setenv("AEXAD_DATA", "~no-such-user/d")
    assert cli.main(["verify"]) == 2 and "no home folder" in capsys.readouterr().err

"""`--config`: what a file gives, what is refused, and the experiment that is written as one."""

from __future__ import annotations

import tomllib

import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.commands import cli, config, parsers
from aexad.bench.commands.options import COMMA_SEPARATED
from aexad.bench.commands.request import table_cells, understand
from aexad.bench.plan.definitions import TABLES
from aexad.bench.results.store import read_json

from conftest import make_category
from running import TINY, run

EVERYTHING = """
methods = ["ae_xad", "fcdd"]
categories = "mvtec/bottle"
seeds = [41, 40]
protocol = "brief"
epochs = 3
checkpoint-every = 5
keep-maps = true
dry-run = false
data-root = "some where"
set = ["ae_xad.lr=1/3", "data.size=64"]
save-baseline = "kept.json"
"""


@pytest.fixture
def given(tmp_path):
    """Words of a command line that names a file of this text."""
    def words(text, *more, command="table2"):
        path = tmp_path / "experiment.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return [command, "--config", str(path), *more]
    return words


def test_a_file_is_as_its_options_on_the_command_line(given):
    line = ["table2", "--methods", "ae_xad,fcdd", "--categories", "mvtec/bottle", "--seeds",
            "41,40", "--protocol", "brief", "--epochs", "3", "--checkpoint-every", "5",
            "--keep-maps", "--data-root", "some where", "--set", "ae_xad.lr=1/3", "--set",
            "data.size=64", "--save-baseline", "kept.json"]
    from_file, from_line = (vars(cli.understand(words)) for words in (given(EVERYTHING), line))
    assert from_file.pop("config") and not from_line.pop("config")
    words = from_file.pop("words")
    assert from_line.pop("words") == line
    assert from_file == from_line
    assert vars(cli.understand(words)) == from_line | {"words": words, "config": None}


def test_the_command_line_wins_and_its_sets_come_last(given):
    for more in (["--seeds", "40", "--set", "data.size=32"], ["--see", "40", "--set=data.size=32"]):
        args = cli.understand(given(EVERYTHING, *more))
        assert args.seeds == "40"  # which is the default, too
        assert args.set == ["ae_xad.lr=1/3", "data.size=64", "data.size=32"]
        assert args.methods == "ae_xad,fcdd"
    assert cli.understand(given("set = ['a.b=1']")).set == ["a.b=1"]
    assert cli.understand(["table2"]).set == []  # nothing of it stays


def test_the_option_may_stand_anywhere_and_be_cut_short(given):
    command, option, path = given("epochs = 3")
    for words in ([command, "--seeds", "41", option, path], [command, f"{option}={path}"],
                  [command, "--conf", path]):
        assert cli.understand(words).epochs == 3


def test_what_a_command_requires_may_be_in_the_file(given):
    assert str(cli.understand(given("out = 'model'", command="fit")).out) == "model"
    with pytest.raises(SystemExit, match="2"):
        cli.understand(given("", command="fit"))
    assert cli.understand(given("names = ['ae_xad', 'fcdd']", command="compare")).names == [
        "ae_xad", "fcdd"]
    assert cli.understand(given("names = ['ae']", "bgad", command="compare")).names == ["bgad"]


def test_every_command_about_cells_has_it(given):
    for name, command in parsers.COMMANDS.items():
        if command.about_cells:
            text = "epochs = 3" + ("\nout = 'x'" if name == "fit" else "")
            assert cli.understand(given(text, command=name)).epochs == 3


@pytest.mark.parametrize("text, said", [
    ("epoch = 3", "unknown option 'epoch'; did you mean 'epochs'?"),
    ("data_root = 'x'", "unknown option 'data_root'; did you mean 'data-root'?"),
    ("emissions = 'strict'", "unknown option 'emissions'"),
    ("config = 'other.toml'", "unknown option 'config'"),
    ("help = true", "unknown option 'help'"),
    ("[table2]\nepochs = 3", "unknown option 'table2'"),
    ("epochs = 'three'", "epochs: expected a whole number"),
    ("epochs = 3.5", "epochs: expected a whole number"),
    ("epochs = true", "epochs: expected a whole number"),
    ("checkpoint-every = '20'", "checkpoint-every: expected a number"),
    (f"checkpoint-every = {'9' * 400}", "checkpoint-every: expected a number"),
    ("keep-maps = 1", "keep-maps: expected true or false"),
    ("keep-maps = 'no'", "keep-maps: expected true or false"),
    ("methods = {ae = 1}", "methods: expected a text, or a list"),
    ("methods = [['ae']]", "methods: expected texts"),
    ("data-root = ['a', 'b']", "data-root: expected a text"),
    ("data-name = 2024", "data-name: expected a text"),
    ("note = 2024-01-01", "note: expected a text"),
    ('note = "a\\u0000b"', "note: expected a text"),
    ("set = 'ae.epochs=1'", "set: expected a list of texts"),
    ("[set]\nae.epochs = 1", 'set: expected a list of texts, as ["OWNER.FIELD=VALUE", …]'),
    ("set = [1]", "set: expected texts"),
    ("scenario = 'anomalies'", "scenario: unknown 'anomalies'; did you mean 'anomalies_only'?"),
    ("epochs = ", "not a TOML file (Invalid value"),
    ("epochs = 1\nepochs = 2", "not a TOML file (Cannot overwrite a value"),
    (b"note = '\xff'", "not a TOML file ('utf-8' codec can't decode"),
    ("a = " + "[" * 9999, "too deeply nested"),
    ("#" * (1 << 21), "not a TOML file (more than 1048576 bytes)"),
    (f"epochs = {'9' * 5000}", "not a TOML file (Exceeds the limit"),
])
def test_what_is_refused_is_said_in_one_line(given, capsys, text, said):
    assert cli.main(given(text)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: --config ")
    assert f"experiment.toml: {said}" in captured.err
    assert captured.err.count("\n") == 1 and captured.out == ""


def test_a_file_that_is_not_there_or_no_file(tmp_path, capsys):
    for path, said in ((tmp_path / "x.toml", "no such file"), (tmp_path, "cannot be read")):
        assert cli.main(["status", "--config", str(path)]) == 2
        assert f"--config {path}: {said}" in capsys.readouterr().err


def test_lists_with_commas_are_those_whose_help_says_so():
    for name, p in cli.parser()[1].items():
        if parsers.COMMANDS[name].about_cells:
            said = {a.dest for a in p._actions if (a.help or "").startswith("comma-separated")}
            assert said <= set(COMMA_SEPARATED)


# -- the experiment that was run --

def keys(words):
    request = understand(cli.understand(words))
    return [cell.key for cell in table_cells(request, TABLES[words[0]])[0]]


def test_the_file_beside_a_table_runs_the_same_cells_again(given, root, tmp_path, capsys):
    words = given("seeds = [41, 40]\nset = ['data.size=64', '*.epochs=3', 'ae_xad.lr=1/3']",
                  "--data-root", str(root), "--results", str(tmp_path / "r"), "--methods",
                  "ae_xad,ae_xad_raw", "--categories", "mvtec/bottle", *TINY,
                  "--set", "ae_xad.epochs=1")
    assert cli.main(words) == 0
    path = tmp_path / "r" / "tables" / "table2-smoke.toml"
    again = ["table2", "--config", str(path)]
    assert keys(again) == keys(words) and len(keys(words)) == 4
    content = tomllib.loads(path.read_text())
    assert content["set"] == ["data.size=64", "*.epochs=3", "ae_xad.lr=1/3", "data.size=32",
                              "ae_xad.epochs=1"]
    assert "config" not in content
    before = path.read_text(), capsys.readouterr().out
    assert cli.main(again) == 0  # nothing is left to do
    assert (path.read_text(), capsys.readouterr().out) == before
    # a baseline says what it was made by without the file
    assert cli.main([*again, "--save-baseline", str(tmp_path / "kept.json")]) == 0
    command = read_json(tmp_path / "kept.json")["command"]
    assert "--config" not in command and "--set ae_xad.epochs=1" in command


def test_what_was_taken_unasked_is_in_the_file(tmp_path):
    """The embedded suite and its protocol, where no data is: with data it would be another table"""
    (tmp_path / "data").mkdir()
    made = understand(cli.understand(["table2", "--data-root", str(tmp_path / "data")]))
    assert tomllib.loads(config.beside(made, "table2")["toml"]) == {
        "protocol": "mini", "datasets": "embedded", "data-root": str(tmp_path / "data")}


def test_the_file_beside_a_comparison_compares_again(root, tmp_path, capsys):
    words = ("--categories", "mvtec/bottle", "--methods", "ae_xad,ae_xad_raw,ae")
    assert run(root, tmp_path / "r", *words, "--set", "ae.epochs=1", table="table1") == 0
    path = tmp_path / "r" / "tables" / "compare-smoke.toml"
    for names in ([], ["ae", "ae_xad"]):
        assert run(root, tmp_path / "r", *names, *words[:2], "--set", "ae.epochs=1",
                   table="compare") == 0
        assert tomllib.loads(path.read_text()).get("names", []) == names
        capsys.readouterr()
        shown = path.with_suffix(".md").read_text()
        assert cli.main(["compare", "--config", str(path)]) == 0
        assert path.with_suffix(".md").read_text() == shown


def test_own_images_too(given, tmp_path):
    make_category(tmp_path / "mine" / "plates")
    data = tmp_path / "mine" / "plates"
    assert cli.main(["run", "--data", str(data), "--data-name", 'my "plates"\\', *TINY, "--results",
                     str(tmp_path / "r"), "--methods", "ae_xad"]) == 0
    [path] = (tmp_path / "r" / "tables").glob("*.toml")
    assert tomllib.loads(path.read_text())["data-name"] == 'my "plates"\\'
    words = ["run", "--config", str(path)]
    request = understand(cli.understand(words))
    assert request.rows == [("own", "my_plates")] and request.options.own


def test_one_of_tables_is_for_its_own_command(root, tmp_path):
    words = ("--categories", "mvtec/bottle", "--methods", "ae_xad,ae_xad_raw", "--emissions",
             "strict", "--set", "ae_xad.epochs=1")
    assert run(root, tmp_path / "r", *words, table="tables") == 0
    tables = tmp_path / "r" / "tables"
    for name in ("table1", "table5"):
        path = tables / f"{name}-smoke.toml"
        assert f" {name} --config FILE" in path.read_text().splitlines()[0]
        assert cli.understand([name, "--config", str(path)]).categories == "mvtec/bottle"
        assert ("emissions" in tomllib.loads(path.read_text())) == (name == "table5")


def test_an_option_that_no_file_can_hold_is_refused_before_anything_runs(root, tmp_path, capsys):
    assert run(root, tmp_path / "r", "--categories", "mvtec/bottle", "--note", "caf\udce9",
               table="table2") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: caf\\xe9: the name is not UTF-8")
    assert not (tmp_path / "r").exists()


def test_nothing_is_read_that_a_wrong_line_names(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["table2", "--epochs", "x", "--config", str(tmp_path / "none.toml")])
    assert "argument --epochs: invalid int value" in capsys.readouterr().err
    with pytest.raises(UserError, match="unknown command"):
        cli.understand(["tabel2", "--config", str(tmp_path)])

"""The scripts of `completion`, sourced in the shells that they are for."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from aexad.bench.commands import completion

BASH = """
source <("$PYTHON" -P -m aexad.bench completion bash)
words=("$@")
[[ $(complete -p "${words[0]##*/}") == *" -F "* ]] || exit 1
COMP_WORDS=("${words[@]}"); COMP_CWORD=$((${#words[@]} - 1))
_shtab_aexad_bench 2>/dev/null  # compopt says that nothing is being typed
printf '%s\\n' "${COMPREPLY[@]}"
"""


def environment(command):
    return {**os.environ, "AEXAD_COMMAND": command, "PYTHON": sys.executable}


def in_bash(tmp_path, *words, command="./reproduce.sh"):
    done = subprocess.run(["bash", "-c", BASH, "bash", *words], capture_output=True, text=True,
                          env=environment(command), cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", ["./reproduce.sh", "reproduce.sh", "aexad-bench"])
def test_bash_completes_a_command(tmp_path, name):
    assert in_bash(tmp_path, name, "table-") == ["table-vit"]
    assert {"table1", "tables", "compare", "test"} <= set(in_bash(tmp_path, name, "t") + in_bash(
        tmp_path, name, "comp"))


@pytest.mark.parametrize("words, expected", [
    (["table2", "--meth"], ["--methods"]),
    (["check", "--b"], ["--baseline"]),
    (["table2", "--scenario", ""], ["standard", "anomalies_only"]),
    (["table2", "--keep-maps", "--protocol", "sm"], ["smoke"]),
    (["table5", "--epochs", "3", "--emissions", "st"], ["stored", "strict"]),
    (["table2", "--methods", "fc"], ["fcdd"]),
    (["table2", "--methods", "ae,fc"], ["ae,fcdd"]),
    (["table2", "--categories", "mvtec/bottle,mvtec/ca"],
     [f"mvtec/bottle,mvtec/ca{rest}" for rest in ("ble", "psule", "rpet")]),
    (["compare", "ae_xad", "bg"], ["bgad"]),
    (["methods", "bg"], ["bgad"]),
    (["fetch", "mv"], ["mvtec"]),
    (["completion", ""], ["bash", "zsh"]),
    (["table2", "--data-root", "fo"], ["folder"]),
    (["check", "--baseline", "f"], ["file.json", "folder"]),
    (["explain", "fo"], ["folder"]),
    (["export-model", "fo"], ["folder"]),
    (["export-model", "folder", "--format", ""], ["onnx", "torch"]),
])
def test_bash_completes_options_and_their_values(tmp_path, words, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.json").touch()
    assert sorted(in_bash(tmp_path, "./reproduce.sh", *words)) == sorted(expected)


def test_only_reproduce_sh_has_the_command_test(tmp_path):
    (tmp_path / "test_file.py").touch()
    assert in_bash(tmp_path, "./reproduce.sh", "tes") == ["test"]
    assert in_bash(tmp_path, "./reproduce.sh", "test", "test_") == ["test_file.py"]
    assert in_bash(tmp_path, "aexad-bench", "tes", command="aexad-bench") == []


# -- zsh --

@pytest.fixture(scope="module")
def zsh(tmp_path_factory):
    """Types a line and a tab in a zsh, and returns what the line is then."""
    if shutil.which("zsh") is None:
        pytest.skip("NO ZSH HERE: what `completion zsh` prints is not tried; install zsh")
    home = tmp_path_factory.mktemp("home")
    (home / "script").write_text(completion.script("zsh"))
    (home / ".zshrc").write_text(
        "PS1='> '; autoload -Uz compinit; compinit -u; eval \"$(<$ZDOTDIR/script)\"\n"
        "show() { print -r -- \"<<$BUFFER>>\"; BUFFER=; }; zle -N show; bindkey '^X' show\n")

    def completed(line):
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(home)
            os.execvpe("zsh", ["zsh", "-i"], {**os.environ, "ZDOTDIR": str(home), "TERM": "dumb"})
        read_until(terminal, "> ")
        os.write(terminal, line.encode() + b"\t \x18")  # the blank takes away a comma offered
        seen = read_until(terminal, ">>")
        os.close(terminal)
        os.waitpid(pid, 0)
        return seen[seen.index("<<") + 2:seen.index(">>")].rstrip()

    return completed


def read_until(terminal, text):
    seen, until = "", time.monotonic() + 60
    while text not in seen:
        ready = select.select([terminal], [], [], max(0, until - time.monotonic()))[0]
        assert ready, f"no {text!r} in {seen!r}"
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize("line, expected", [
    ("./reproduce.sh table-", "./reproduce.sh table-vit"),
    ("aexad-bench stu", "aexad-bench study"),
    ("reproduce.sh table2 --keep", "reproduce.sh table2 --keep-maps"),
    ("aexad-bench table2 --scenario an", "aexad-bench table2 --scenario anomalies_only"),
    ("aexad-bench table2 --methods ae,fc", "aexad-bench table2 --methods ae,fcdd"),
    ("aexad-bench compare bgad fc", "aexad-bench compare bgad fcdd"),
    ("./reproduce.sh explain one scr", "./reproduce.sh explain one script"),
    ("aexad-bench table2 --config scr", "aexad-bench table2 --config script"),
])
def test_zsh_completes(zsh, line, expected):
    assert zsh(line) == expected

"""`completion`: a script that completes commands, options, their values and names in a shell. It is
static: made from the parsers once, it starts no Python while somebody types."""

from __future__ import annotations

import argparse
import re
import shlex

import shtab

from aexad import methods
from aexad.bench.commands import cli
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.parsers import WEIGHTS
from aexad.bench.plan import open_points
from aexad.bench.plan.settings import PROTOCOLS
from aexad.datasets.catalog import DATASETS, all_categories
from aexad.datasets.sources import SOURCES

# What is completed: ./reproduce.sh is found by its last part.
SCRIPT, INSTALLED = "reproduce.sh", "aexad-bench"
SINGLE = {"protocol": tuple(PROTOCOLS), "device": ("auto", "cpu", "cuda")}
FOLDERS = ("DIR", "MODEL")
FILES = ("FILE", "CSV", "IMAGE_OR_FOLDER", "FILE_OR_DIR")
REGISTER = {"bash": f"complete -o bashdefault -F _shtab_aexad_bench {SCRIPT}",
            "zsh": f"[[ $zsh_eval_context[-1] != eval ]] || compdef _shtab_aexad_bench {SCRIPT}"}


def run(args: argparse.Namespace) -> int:
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The script for `shell`, to be evaluated there."""
    p, commands = cli.parser()
    p.prog = INSTALLED
    if COMMAND != INSTALLED:
        _add_test(p)
    for name, command in commands.items():
        for action in command._actions:
            how = _completed(name, action)
            if how:
                action.complete = how
            elif action.dest in SINGLE:
                action.choices = SINGLE[action.dest]
    made = shtab.complete(p, shell, root_prefix="aexad_bench")
    if shell == "zsh":  # shtab would complete the first of several words alone
        made = re.sub(r'^(  ")\(\*\)::?', r"\1*:", made, flags=re.M)
    return f"{made}\n{REGISTER[shell]}"


def _add_test(p: argparse.ArgumentParser) -> None:
    """The command that reproduce.sh has beside ours."""
    [commands] = (a for a in p._actions if isinstance(a, argparse._SubParsersAction))
    test = commands.add_parser("test", help="run the test suite", add_help=False)
    test.add_argument("words", nargs="*", help="of pytest").complete = shtab.FILE


def _completed(command: str, action: argparse.Action) -> dict | None:
    """How shtab completes a value; None: as argparse knows it, by choices or not at all."""
    names = _names(command, action.dest, action.metavar)
    if names:
        return names
    if action.metavar in FOLDERS:
        return shtab.DIRECTORY
    return shtab.FILE if action.metavar in FILES else None


def _names(command: str, dest: str, metavar: str | None) -> dict | None:
    """Completes a name of a list, also of one with commas."""
    known = {"methods": methods.entries(), "datasets": DATASETS,
             "categories": ["/".join(place) for place in all_categories(tuple(DATASETS))],
             "points": {p.name: p for p in open_points.POINTS},
             "sources": [*SOURCES, "all", WEIGHTS]}
    if metavar == "METHOD" or (command, dest) == ("methods", "name"):
        dest = "methods"
    if (command, dest) == ("fetch", "names"):
        dest = "sources"
    if dest not in known:
        return None
    function, words = f"_aexad_{dest}", shlex.join(known[dest])
    return {"bash": function, "zsh": function, "preamble": {
        "bash": f"{function}() {{\n"
                f'  compgen -P "${{1%"${{1##*,}}"}}" -W {shlex.quote(words)} -- "${{1##*,}}"\n}}',
        "zsh": f"{function}() {{\n  _sequence compadd - {words}\n}}"}}

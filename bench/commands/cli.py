"""The command line: finds the command, and ends mistakes in one line and status 2."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from aexad.bench.base import streams
from aexad.bench.base.errors import UserError, nearest
from aexad.bench.base.refusals import encodable, misnamed, refusal
from aexad.bench.commands import config
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.parsers import COMMANDS

HAS_TEST = COMMAND != "aexad-bench"  # reproduce.sh has the command `test`, too
INTERRUPTED = 130  # the shell's status for Ctrl-C


class Parser(argparse.ArgumentParser):
    """Mistakes end in one line."""

    def error(self, message: str) -> None:
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def parser(only: str | None = None) -> tuple[Parser, dict[str, argparse.ArgumentParser]]:
    """The parser of all, and those of the commands; only: the one that needs its options."""
    p = Parser(prog=COMMAND, formatter_class=argparse.RawDescriptionHelpFormatter,
               description="Reproduce the tables of 'Explaining Anomalies through Semi-supervised "
                           "Autoencoders' (AE-XAD).",
               epilog=f"{COMMAND} COMMAND --help lists a command's options"
                      + ("; `test` runs the test suite" if HAS_TEST else "")
                      + ".\nDatasets are looked for in --data-root; where none is there, the "
                        "embedded suite of\ngenerated images is used, and said.")
    commands = p.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name, command in COMMANDS.items():
        its_own = commands.add_parser(name, help=command.help, description=command.description)
        if only in (name, None):
            command.add_options(its_own)
    return p, commands.choices


def understand(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line; UserError with the nearest name for an unknown command."""
    first = words[0] if words else "--help"
    if not first.startswith("-") and first not in COMMANDS:
        known = [*COMMANDS, *(["test"] if HAS_TEST else [])]
        raise UserError(f"unknown command '{first}'{nearest(first, known)}")
    everything, commands = parser(only=first)
    about_cells = first in COMMANDS and COMMANDS[first].about_cells
    before = config.use(commands[first], words[1:]) if about_cells else {}
    args, rest = everything.parse_known_args(words or ["--help"])
    if rest:  # argparse itself would point to the help of all commands
        commands[args.command].error(f"unrecognized arguments: {' '.join(rest)}")
    _check_names(args)
    args.words, args.main = list(words), main  # main: `stress` runs commands
    if about_cells:
        config.remember(commands[first], args, before)
        if getattr(args, "json", False) and args.dry_run:
            raise UserError("--json: --dry-run answers in words; leave out one of them")
    return args


def _check_names(args: argparse.Namespace) -> None:
    """UserError for files and folders whose names could not be stored with the results, before
    anything is computed. (Of images this is looked at one by one, where they are read.)"""
    for value in vars(args).values():
        if isinstance(value, (str, Path)) and not encodable(value):
            raise misnamed(value)
    for name, value in os.environ.items():
        if name.startswith("AEXAD_") and not encodable(value):
            raise misnamed(value, f"{name}=")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 something failed, 2 bad input, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    with streams.guarded() as printed:
        try:
            status = _run(words)
        except SystemExit as end:  # of argparse: --help, or a mistake that it has told
            raise SystemExit(end.code or _unprinted(printed["stdout"])) from None
        return status or _unprinted(printed["stdout"])


def _run(words: list[str]) -> int:
    try:
        args = understand(words)
        module, _, function = args.run.partition(":")
        module = importlib.import_module(f"aexad.bench.commands.{module}")  # now, not for --help
        return getattr(module, function)(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; what is finished is kept, and the same command continues: {COMMAND} "
              f"{shlex.join(words)}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:  # what nobody below knew more of
        print(f"error: {refusal(error)}", file=sys.stderr)
        return 2


def _unprinted(stdout: streams.Stream) -> int:
    """1 where not all could be printed, which is said, else 0."""
    reason = streams.lost(stdout)
    if reason is None:
        return 0
    print(f"error: the output cannot be written ({reason}); run the same command again with "
          f"another place for it, nothing computed is lost", file=sys.stderr)
    return 1

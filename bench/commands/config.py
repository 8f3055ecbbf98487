"""`--config`: a command's options from a TOML file, and the experiment that was run as such a file.

A key is an option's long name without its dashes, or for arguments without a name what the parser
calls them (compare's `names`). A file becomes the defaults of the command's parser, with the types
and choices that hold on the command line, which wins.
"""

from __future__ import annotations

import argparse
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexad.bench.base.errors import UserError, first_line, nearest
from aexad.bench.commands.options import COMMA_SEPARATED, COMMAND
from aexad.bench.commands.parsers import COMMANDS

if TYPE_CHECKING:
    from aexad.bench.commands.request import Request

LARGEST = 1 << 20  # bytes of a file
NOT_WRITTEN = ("config", "json")  # what says where from and how shown, not what is run
_NAMES = {int: "a whole number", float: "a number"}


def options(p: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a command that a file can give, by their keys."""
    return {key: action for action in p._actions
            if (key := _key(action)) not in ("config", "help")}


def _key(action: argparse.Action) -> str:
    return action.option_strings[-1].lstrip("-") if action.option_strings else action.dest


def use(p: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """Make what the file of --config gives, where a command's words name one, the defaults of its
    parser; returns the defaults of before, by destination. UserError for what is no option or no
    value of it."""
    before = {action.dest: action.default for action in p._actions}
    path = _named(p, words)
    if path is not None:
        known, values = options(p), {}
        for key, given in _load(path).items():
            if key not in known:
                raise UserError(f"--config {path}: unknown option '{key}'{nearest(key, known)}")
            if given is not False or not _is_flag(known[key]):
                values[known[key].dest] = _value(known[key], given, f"--config {path}: {key}")
                known[key].required = False
        p.set_defaults(**values)
    return before


def _named(p: argparse.ArgumentParser, words: Sequence[str]) -> str | None:
    """The file that a command line names, in whatever way the parser understands; what is required
    may be in the file."""
    required = [action for action in p._actions if action.required]
    for action in required:
        action.required = False
    path = p.parse_known_args(words)[0].config
    for action in required:
        action.required = True
    return path


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        return tomllib.loads(content.decode())
    except FileNotFoundError:
        raise UserError(f"--config {path}: no such file") from None
    except OSError as error:
        raise UserError(f"--config {path}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise UserError(f"--config {path}: too deeply nested") from None
    except ValueError as error:  # of TOML, of UTF-8
        raise UserError(f"--config {path}: not a TOML file ({first_line(error)})") from None


def _is_flag(action: argparse.Action) -> bool:
    return action.nargs == 0


def _value(action: argparse.Action, given: Any, where: str) -> Any:
    """What argparse would make of it. UserError that starts with `where`."""
    if _is_flag(action):
        if given is not True:
            raise UserError(f"{where}: expected true or false")
        return action.const
    several = action.dest in COMMA_SEPARATED
    if isinstance(action, argparse._AppendAction) or action.nargs in ("*", "+"):
        if not isinstance(given, list):
            raise UserError(f'{where}: expected a list of texts, as ["{action.metavar}", …]')
        return [_text(item, where) for item in given]
    if several and (isinstance(given, list) or type(given) is int):
        items = given if isinstance(given, list) else [given]
        return ",".join(str(i) if type(i) is int else _text(i, where) for i in items)
    if action.type in (int, float):
        try:
            if type(given) in (int, action.type):
                return action.type(given)
        except OverflowError:  # of a whole number beyond all floats
            pass
        raise UserError(f"{where}: expected {_NAMES[action.type]}")
    text = _text(given, where, "a text, or a list" if several else "a text")
    if action.choices and text not in action.choices:
        raise UserError(f"{where}: unknown '{text}'{nearest(text, action.choices)}")
    return (action.type or str)(text)


def _text(given: Any, where: str, expected: str = "texts") -> str:
    if not isinstance(given, str) or "\0" in given:
        raise UserError(f"{where}: expected {expected}, each in quotation marks")
    return given


# -- the experiment that was run --


def remember(p: argparse.ArgumentParser, args: argparse.Namespace, before: dict[str, Any]) -> None:
    """Add `experiment` to the arguments: all that command line and file gave together, by keys, but
    for what is as it was `before`. `words`, which is stored as the command that made a file, does
    not depend on a file."""
    args.experiment = {}
    for key, action in options(p).items():
        value = getattr(args, action.dest)
        if value in (before[action.dest], []) or key in NOT_WRITTEN:  # [] are no positional words
            continue
        if not _is_flag(action):
            args.experiment[key] = str(value) if isinstance(value, Path) else value
        elif value == action.const:
            args.experiment[key] = True
    if args.config is not None:
        args.words = [args.command, *_as_words(args.experiment, options(p))]


def _as_words(given: dict[str, Any], known: dict[str, argparse.Action]) -> Iterator[str]:
    for key, value in given.items():
        for one in map(str, value if isinstance(value, list) else [value]):
            if _is_flag(known[key]):
                yield f"--{key}"
            elif not known[key].option_strings:
                yield one
            else:
                yield from [f"--{key}={one}"] if one.startswith("-") else [f"--{key}", one]


def again(request: Request, command: str, *positional: str, **others: Any) -> str:
    """The command line that runs `command` with all that was given, but for `others`: options by
    their keys with _ for -, None for one that is left out."""
    given, known = _given(request, command)
    given |= {key.replace("_", "-"): value for key, value in others.items()}
    given = {key: value for key, value in given.items() if value is not None and key in known}
    # Places and what is repeated last: what differs between two lines comes first.
    last = ("set", "data-root", "results", "weights")
    ordered = sorted(given, key=lambda key: (key in last, list(known).index(key)))
    words = _as_words({key: given[key] for key in ordered}, known)
    return f"{COMMAND} {shlex.join([command, *positional, *words])}"


def beside(request: Request, command: str) -> dict[str, str]:
    """{"toml": text of the experiment} that `command` runs again. With the protocol, and the
    embedded suite, that were taken as nothing else was said: elsewhere others would be."""
    import tomli_w

    given, _ = _given(request, command)
    text = (f"# Run again by: {COMMAND} {command} --config FILE\n"
            f"# What is not here was not given; paths are relative to where the command is run.\n"
            + tomli_w.dumps(given))
    return {"toml": text}


def _given(request: Request, command: str) -> tuple[dict[str, Any], dict[str, argparse.Action]]:
    """What was given of the options of `command`, and all of these, by keys."""
    p = argparse.ArgumentParser()
    COMMANDS[command].add_options(p)
    known = options(p)
    taken = {"protocol": request.settings.protocol}
    if request.embedded and request.rows is None:
        taken["datasets"] = "embedded"
    return taken | {k: v for k, v in request.args.experiment.items() if k in known}, known

"""`report`: one HTML page that shows everything that is stored."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.commands import config
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import Request, check_file, understand, words
from aexad.bench.results.store import write_file

ALL = "all"


def run(args: argparse.Namespace) -> int:
    """Write the page, of stored results alone."""
    _count_as_pictures(args)
    check_file("--out", args.out)
    request = understand(args)
    count = count_of(args.pictures)
    if args.by:
        methods.entry(args.by)
    if args.dry_run:
        print(f"nothing is computed, only stored results are shown, in {_path(request)}")
        return 0
    write(request, count)
    return 0


def _count_as_pictures(args: argparse.Namespace) -> None:
    """`--images 9` is how people ask for nine; a folder of images needs --masks beside it."""
    if args.images and not args.masks and (args.images == ALL or args.images.isdecimal()):
        args.pictures, args.images = args.images, None
        args.experiment.pop("images")


def count_of(text: str) -> int | None:
    """How many images of a category; None for all."""
    if text == ALL:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise UserError(f"--pictures {text}: expected a whole number from 1 to 1000, or {ALL}")
    return int(text)


def write(request: Request, count: int | None) -> None:
    """Make the page and write it. UserError where nothing of what is asked for is stored."""
    # Imported here, as what draws and explains is: --help and bad input wait for none of it.
    from aexad.bench.report import page
    from aexad.bench.report.data import Asked, Stored

    args, path = request.args, _path(request)
    for name in words(args.methods):
        methods.entry(name)
    stored = Stored(Asked(
        request.settings, request.options, request.rows, tuple(words(args.methods)), request.seeds,
        args.scenario, request.embedded, COMMAND, partial(config.again, request)))
    if stored.empty:
        raise UserError(f"report: nothing is stored with these parameters (protocol "
                        f"{request.settings.protocol}) in {request.options.results}; `{COMMAND} "
                        f"status` says what is, `{config.again(request, 'table2')}` makes some")
    folder, notes = f"{path.stem}-images", []
    for made in page.pages(stored, count, args.by, folder, notes):
        place = path.parent / made.name if made.name else path
        content = made.text.encode()
        write_file(place, lambda p, content=content: p.write_bytes(content))
        print(f"written: {place} ({_size(len(content))})", file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _path(request: Request) -> Path:
    """Where the page goes; that of one's own images is called as they are."""
    own = request.options.own and "-".join(request.rows[0])
    name = request.stem(f"report-{own}" if own else "report")
    return Path(request.args.out or request.options.results / f"{name}.html")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"

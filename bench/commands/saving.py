"""`--save-baseline`: a table's cells are kept in a file that goes into the repository."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aexad.bench.base.errors import UserError
from aexad.bench.commands.options import COMMAND
from aexad.bench.commands.request import Request, check_file
from aexad.bench.plan.cells import Cell
from aexad.bench.results import baseline
from aexad.bench.results.store import Store


def check_json(option: str, path: str | None) -> None:
    """UserError where a baseline can't be written to `path`."""
    check_file(option, path)
    if path and Path(path).suffix != ".json":
        raise UserError(f"{option} {path}: name it .json; the rows per image come beside it as "
                        f".parquet")


@dataclass(frozen=True)
class Saving:
    """Where to, with what beside the cells; `adds`: to what the file has."""

    path: Path | None
    adds: bool
    command: str
    note: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, request: Request) -> Saving:
        """UserError where nothing can be written there."""
        args = request.args
        if args.save_baseline is None:
            if getattr(args, "unless_saved", False):
                raise UserError("--unless-saved: needs --save-baseline FILE")
            return cls(None, False, "", "", {})
        check_json("--save-baseline", args.save_baseline)
        return cls(Path(args.save_baseline), args.unless_saved,
                   f"{COMMAND} {shlex.join(args.words)}", args.note,
                   {"protocol": request.settings.protocol, "epochs": args.epochs, "set": args.set})

    def lacking(self, cells: Sequence[Cell], strict: bool) -> list[Cell]:
        """The cells to compute; strict: or to measure alone."""
        if not self.adds:
            return list(cells)
        found = baseline.lacking(self.path, cells, self.settings, strict)
        print(f"{self.path}: has {len(cells) - len(found)} of {len(cells)} cells"
              + ("" if found else "; nothing to do"), file=sys.stderr)
        return found

    def keep(self, cells: Sequence[Cell], store: Store) -> None:
        """Write the finished ones of `cells`, if that was asked for."""
        if self.path is None:
            return
        where = (self.path, cells, store, self.command, self.note, self.settings)
        if self.adds:
            new, again = baseline.add(*where)
            told = [f"{new} new"] * bool(new) + [f"{again} measured alone"] * bool(again)
        else:
            told = [f"{count} cells"] if (count := baseline.save(*where)) else []
        if told:
            print(f"written: {self.path} ({', '.join(told)})", file=sys.stderr)
        elif not self.adds:
            print(f"not written: {self.path}: no cell is finished", file=sys.stderr)

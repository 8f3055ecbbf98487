"""Running commands in tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from aexad.bench.commands import cli

TINY = ("--protocol", "smoke", "--set", "data.size=32", "--device", "cpu", "--threads", "1")
BOTTLE = ("--categories", "mvtec/bottle")


def run(root: Path, results: Path, *words: str, table: str = "table1") -> int:
    return cli.main([table, "--data-root", str(root), "--results", str(results), *TINY, *words])


def own(place: Path, results: Path, *words: str, command: str = "run") -> int:
    """`run`, or another command, on images of one's own in the folder `place`."""
    return cli.main([command, "--data", str(place), "--results", str(results), *TINY, *words])


def cell_of(results: Path, method: str) -> Path:
    """The folder of the one cell that a method has of the folder `plates`."""
    [cell] = (results / "cells/own/plates/standard" / method).iterdir()
    return cell


def csv(results: Path, stem: str = "table1-smoke") -> pd.DataFrame:
    return pd.read_csv(results / "tables" / f"{stem}.csv")


def heatmaps(results: Path) -> dict[str, np.ndarray]:
    return {str(p.parent.relative_to(results)): np.load(p)
            for p in sorted(results.rglob("heatmaps.npy"))}


def explain(folder: Path, out: Path, *inputs: Path) -> int:
    """Explain new images by the model in `folder`."""
    return cli.main(["explain", str(folder), *map(str, inputs), "--out", str(out),
                     "--device", "cpu", "--threads", "1"])


def refused(capsys) -> str:
    """The one line that says why a command was refused."""
    [line] = [li for li in capsys.readouterr().err.splitlines() if li.startswith("error: ")]
    return line

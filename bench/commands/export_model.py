"""`export-model`: a trained method as one file for ONNX Runtime, or torch.export's."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from aexad.bench.base.errors import UserError
from aexad.bench.commands.request import check_file
from aexad.bench.deploy import formats, graphs
from aexad.bench.results import model


def run(args: argparse.Namespace) -> int:
    out = args.out or args.model / f"model{formats.ENDINGS[args.format]}"
    check_file("--out", str(out))
    known = model.read(args.model)
    size = None if args.image_size is None else image_size(args.image_size)
    graphs.working_shape(known, size)  # what is wrong with the size is said at once
    method = model.open_method(args.model, known, args.weights and Path(args.weights), "cpu")
    made = formats.export(method, known, out, args.format, size)
    height, width = ("H", "W") if size is None else (size[1], size[0])
    print(f"images  (N, {height}, {width}, 3) uint8, RGB{'' if size else ', of any size'}")
    for name, said in made.items():
        print(f"{name:7s} {said}")
    print(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    return 0


def image_size(text: str) -> tuple[int, int]:
    """Width and height of "5000x4000"."""
    found = re.fullmatch(r"([0-9]{1,9})[xX×]([0-9]{1,9})", text.strip())
    if found is None:
        raise UserError(f"--image-size {text}: expected WIDTHxHEIGHT in pixels, as 5000x4000")
    return int(found[1]), int(found[2])

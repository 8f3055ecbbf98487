"""`export-model`: a trained method as one file for ONNX Runtime, or torch.export's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aexad.bench.commands.request import check_file
from aexad.bench.deploy import formats
from aexad.bench.results import model


def run(args: argparse.Namespace) -> int:
    out = args.out or args.model / f"model{formats.ENDINGS[args.format]}"
    check_file("--out", str(out))
    known = model.read(args.model)
    method = model.open_method(args.model, known, args.weights and Path(args.weights), "cpu")
    made = formats.export(method, known, out, args.format)
    print("images  (N, H, W, 3) uint8, RGB, of any size")
    for name, said in made.items():
        print(f"{name:7s} {said}")
    print(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    return 0

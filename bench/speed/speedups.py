"""`./reproduce.sh benchmark`: the tables of ratios and of memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tabulate import tabulate

from aexad.bench.base.errors import UserError, nearest
from aexad.bench.base.provenance import collect
from aexad.bench.results.store import write_json
from aexad.bench.speed import ae_xad, bgad, fcdd, memory, scores
from aexad.bench.speed.case import Case, measure
from aexad.bench.speed.limits import ROUNDS, least_seconds, limits

CASES = {"ae_xad": ae_xad.cases, "fcdd": fcdd.cases, "bgad": bgad.cases}
METHODS = ("ae_xad", "ae", "ae_xad_vit", "fcdd", "bgad")


def main(threads: int, names: Sequence[str] | None = None, with_memory: bool = True,
         out: Path | None = None) -> int:
    """Print what was measured; 1 where a method is slower than its reference or needs too much."""
    names = list(names or METHODS)
    for name in names:
        if name not in METHODS:
            raise UserError(f"no benchmark of method '{name}'{nearest(name, METHODS)}")
    torch.set_num_threads(threads)
    where = collect(torch.device("cpu"), threads)
    print(f"{where['device']}, torch {torch.__version__}, {threads} threads, commit "
          f"{where['commit']}\n")
    steps = _steps(names)
    ratios = _metrics()
    peaks = _memory(names, threads) if with_memory else []
    if out:
        write_json(out, {"provenance": where, "training": steps, "metrics": ratios,
                         "memory": peaks})
        print(f"written: {out}", file=sys.stderr)
    slow = [s["method"] for s in steps if s["ratio"] < 1]
    large = [p["method"] for p in peaks if p["peak_gib"] > memory.LIMIT_GIB]
    for text, which in (("slower than its naive reference", slow), ("over the limit", large)):
        if which:
            print(f"failed: {text}: {', '.join(which)}", file=sys.stderr)
    return 1 if slow or large else 0


def _steps(names: Sequence[str]) -> list[dict]:
    rows, found = [], []
    for module in CASES.values():
        for case in module():
            if case.method not in names:
                continue
            print(f"measuring {case.method}, {case.what}", file=sys.stderr)
            timing = measure(case)
            found.append({"method": case.method, "what": case.what, "naive_is": case.naive_is,
                          "naive_s": timing.naive, "ours_s": timing.ours,
                          "ratio": timing.naive / timing.ours,
                          "images_per_s": case.images / timing.ours,
                          "once_s_per_image": timing.once, "shares": timing.shares,
                          "limits": _limits(case)})
            rows.append((f"{case.method}: {case.what}", f"{timing.naive:.3f}", f"{timing.ours:.3f}",
                         f"{timing.naive / timing.ours:.1f}x", f"{case.images / timing.ours:.1f}",
                         "" if timing.once is None else f"{timing.once:.3f}"))
    print(tabulate(rows, ("training step", "naive, s", "ours, s", "faster", "images/s",
                          "once, s/image"), colalign=("left", *["right"] * 5),
                   disable_numparse=True))
    print("once: the frozen network's features, in place of every step's\n")
    print(tabulate([(f"{f['method']}: {f['what']}", *_limit_cells(f["limits"])) for f in found],
                   ("training step", "ours, s", "GFLOP", "best GFLOP/s", "arithmetic, s", "ours",
                    "layers, s", "ours"), colalign=("left", *["right"] * 7),
                   disable_numparse=True))
    print("arithmetic: the step's FLOPs at the best rate of one of its own layers; layers: its "
          "layers alone,\none by one, forward and backward; ours: as a multiple of each "
          f"(seconds: the least of {ROUNDS})\n")
    print("where a step's time goes")
    print(tabulate([(f"{f['method']}: {f['what']}", ", ".join(
        f"{name} {share:.0%}" for name, share in f["shares"].items() if share >= 0.005))
        for f in found], tablefmt="plain"))
    print("\nthe naive references")
    print(tabulate([(f"{f['method']}: {f['what']}", f["naive_is"]) for f in found],
                   tablefmt="plain"), end="\n\n")
    return found


def _limits(case: Case) -> dict[str, float]:
    least = limits(case.ours)
    ours = least_seconds(case.ours, ROUNDS)
    return {"ours_s": ours, "flops": least.flops, "best_flops_per_s": least.rate,
            "arithmetic_s": least.arithmetic, "layers_s": least.layers,
            "times_arithmetic": ours / least.arithmetic, "times_layers": ours / least.layers}


def _limit_cells(found: dict[str, float]) -> tuple[str, ...]:
    return (f"{found['ours_s']:.3f}", f"{found['flops'] / 1e9:.1f}",
            f"{found['best_flops_per_s'] / 1e9:.0f}", f"{found['arithmetic_s']:.3f}",
            f"{found['times_arithmetic']:.2f}x", f"{found['layers_s']:.3f}",
            f"{found['times_layers']:.2f}x")


def _metrics() -> list[dict]:
    rows = scores.run()
    print(tabulate([(name, f"{naive * 1e3:.1f}", f"{ours * 1e3:.2f}", f"{naive / ours:.1f}x")
                    for name, naive, ours in rows],
                   ("metrics", "scikit-learn, ms", "ours, ms", "faster"), disable_numparse=True,
                   colalign=("left", "right", "right", "right")), end="\n\n")
    return [{"what": name, "naive_s": naive, "ours_s": ours, "ratio": naive / ours}
            for name, naive, ours in rows]


def _memory(names: Sequence[str], threads: int) -> list[dict]:
    if not Path("/proc/self/status").exists():
        print("memory: not measured, needs Linux")
        return []
    found = []
    for name in names:
        print(f"measuring the memory of {name}, some minutes", file=sys.stderr)
        found.append({"method": name, **memory.peak(name, threads)})
    print(tabulate([(f["method"], f"{f['peak_gib']:.2f}") for f in found],
                   (f"training on {memory.N_IMAGES} images of {memory.SIZE} px",
                    "peak of anonymous memory, GiB"), disable_numparse=True,
                   colalign=("left", "right")))
    return found

"""Shows that `check` goes red when AE-XAD is broken and stays green when it isn't:
`python tests/check_mutants.py`. Takes some minutes; its output is in docs/check.md."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from unittest.mock import patch

import numpy as np
import torch

from aexad.bench.commands import cli
from aexad.methods import ae_xad, augment
from aexad.methods.base import TrainingSet


def loss_without_lambda(self: ae_xad.AEXAD, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor
                        ) -> torch.Tensor:
    target = self.transform(x)
    error = torch.where(y > 0, (target - out).square(), (x - out).square())
    return (error / self.largest_error(x, target)).sum() / len(x)


def each_anomaly_once(train: TrainingSet, rng: np.random.Generator, **params: object
                      ) -> augment.Augmented:
    return augment.augment(train, rng, **{**params, "n_raw": 1, "n_paste": 0})


def as_they_come(rng: np.random.Generator, normals: np.ndarray, anomalies: np.ndarray,
                 **params: object) -> np.ndarray:
    return augment.draw_batches(rng, np.concatenate([normals, anomalies]), anomalies[:0], **params)


def shifted(images: np.ndarray, masks: np.ndarray, anomalous: np.ndarray) -> TrainingSet:
    return TrainingSet(images, np.roll(masks, (20, 20), axis=(1, 2)), anomalous)


@contextlib.contextmanager
def patched(*places: tuple[str, Callable]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, value in places:
            stack.enter_context(patch(name, value))
        yield


MUTANTS = {
    "the loss loses its lambda": [("aexad.methods.ae_xad.AEXAD.loss", loss_without_lambda)],
    "anomalies are not oversampled": [("aexad.methods.ae_xad.augment", each_anomaly_once),
                                      ("aexad.methods.ae_xad.draw_batches", as_they_come)],
    "training masks are shifted by 20 pixels": [("aexad.bench.run.task.TrainingSet", shifted)],
    "the filter is off": [("aexad.methods.ae_xad.maps.gaussian_filter",
                           lambda heatmap, k: heatmap)],
}


def check(*words: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = cli.main(["check", *words])
    return status, out.getvalue()


def main() -> int:
    wrong = 0
    for name, places in MUTANTS.items():
        with patched(*places):
            status, out = check("--methods", "ae_xad", "--threads", "2")
        print(f"== {name}: exit status {status}\n{out}", flush=True)
        wrong += status != 1
    for threads in ("1", "2"):
        for i in range(3):
            status, out = check("--threads", threads)
            print(f"== unchanged, {threads} threads, run {i + 1}: exit status {status}\n{out}",
                  flush=True)
            wrong += status != 0
    print("as expected" if not wrong else f"{wrong} not as expected")
    return wrong


if __name__ == "__main__":
    sys.exit(main())

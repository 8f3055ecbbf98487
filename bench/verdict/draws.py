"""Stored numbers drawn again, for all methods together: how sure is a statement about several?

An image is drawn for all methods that explain it at once, and a seed for all that have it, as they
are crossed. Where there is one seed, images alone are drawn."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from aexad.bench.results.evidence import Place
from aexad.bench.verdict.chosen import Chosen

DRAWS, SEED = 1000, 40
Floats = NDArray[np.float64]


class Draws:
    """What is drawn of one category in one scenario: how often each image and each seed. chosen: of
    all methods that are there and have rows per image."""

    def __init__(self, place: Place, scenario: str, chosen: Sequence[Chosen]) -> None:
        self._weights: dict[tuple[str, ...], Floats] = {}
        self._made: dict[tuple[int, str], Floats] = {}  # for the next who asks
        ids = sorted({i for c in chosen for run in c.runs.values() for i in run.images["id"]
                      if run.images is not None})
        kinds = {i: label for c in chosen for run in c.runs.values() if run.images is not None
                 for i, label in zip(run.images["id"], run.images["label"])}
        seeds = sorted({seed for c in chosen for seed in c.seeds})
        # A category's draws are its own, whatever else is there.
        rng = np.random.default_rng([SEED, zlib.crc32("/".join((*place, scenario)).encode())])
        self._at = {i: k for k, i in enumerate(ids)}
        self._images = np.zeros((DRAWS, len(ids)))
        for label in (0, 1):  # as many normal and anomalous ones as there are
            columns = [k for k, i in enumerate(ids) if kinds[i] == label]
            if columns:
                self._images[:, columns] = rng.multinomial(
                    len(columns), np.full(len(columns), 1 / len(columns)), DRAWS)
        self._seeds = dict(zip(seeds, rng.multinomial(
            len(seeds), np.full(len(seeds), 1 / len(seeds)), DRAWS).T.astype(float)))

    def mean(self, cells: Chosen, column: str) -> Floats:
        """(DRAWS,) of the cell's mean over images, of each seed and then over the seeds."""
        key = (id(cells), column)
        if key not in self._made:
            self._made[key] = self._over_seeds({
                seed: self._mean(rows.index, rows[column].to_numpy(np.float64))
                for seed, run in cells.runs.items() if (rows := run.used) is not None})
        return self._made[key]

    def share(self, won: dict[int, tuple[Sequence[str], Floats]]) -> Floats:
        """(DRAWS,) of a mean of other numbers of images: seed -> (ids, numbers)."""
        return self._over_seeds({seed: self._mean(*both) for seed, both in won.items()})

    def auc(self, cells: Chosen) -> Floats:
        """(DRAWS,) of the detection AUC."""
        key = (id(cells), "")
        if key not in self._made:
            self._made[key] = self._over_seeds({seed: self._auc(run)
                                                for seed, run in cells.runs.items()})
        return self._made[key]

    def _mean(self, ids: Sequence[str], values: Floats) -> Floats:
        weights = self._of(ids)
        with np.errstate(invalid="ignore"):  # none of its images is drawn: NaN
            return np.asarray(weights @ values / weights.sum(axis=1))

    def _of(self, ids: Iterable[str]) -> Floats:
        """(DRAWS, ids): how often each of these images is drawn."""
        key = tuple(ids)
        if key not in self._weights:
            self._weights[key] = self._images[:, [self._at[i] for i in key]]
        return self._weights[key]

    def _auc(self, run) -> Floats:
        rows = run.images
        sides = [rows[rows["label"] == label] for label in (0, 1)]
        normal, anomalous = (side["score"].to_numpy(np.float64) for side in sides)
        above = ((anomalous[:, None] > normal) + 0.5 * (anomalous[:, None] == normal))
        of_normal, of_anomalous = (self._of(side["id"]) for side in sides)
        with np.errstate(invalid="ignore"):
            return np.asarray(((of_anomalous @ above) * of_normal).sum(axis=1)
                              / (of_anomalous.sum(axis=1) * of_normal.sum(axis=1)))

    def _over_seeds(self, by_seed: dict[int, Floats]) -> Floats:
        """Weighted as often as each seed is drawn; all alike where none of them is."""
        values = np.stack(list(by_seed.values()))
        weights = np.stack([self._seeds[seed] for seed in by_seed])
        weights[:, weights.sum(axis=0) == 0] = 1
        return np.asarray((values * weights).sum(axis=0) / weights.sum(axis=0))

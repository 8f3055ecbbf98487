"""What a fit and its cells take on the disk while they are made, and give back."""

from __future__ import annotations

from collections.abc import Sequence

from aexad.bench.base import mapped
from aexad.bench.base.mapped import IN_MEMORY
from aexad.bench.plan.cells import Fit
from aexad.datasets.category import Library
from aexad.datasets.folder import GOOD, Item


def n_training(fit: Fit, library: Library) -> int:
    """How many images train, about: of anomalies the paper's 3 of each type."""
    items = library.scan(fit.dataset, fit.category)
    n = sum(i.in_train and i.kind == GOOD for i in items) * (fit.scenario == "standard")
    n += n_anomalies(fit, items)
    return min(n, fit.data.max_train or n)


def n_anomalies(fit: Fit, items: Sequence[Item]) -> int:
    return (fit.data.per_type or 3) * len({i.kind for i in items} - {GOOD})


def meanwhile(fit: Fit, library: Library, trained: bool) -> int:
    """Bytes of temporary files beside the results, at most at a time, about: stored features while
    it trains, unless it is `trained`, and the maps of a large test set."""
    size, params = fit.data.size, fit.params
    items = library.scan(fit.dataset, fit.category)
    maps = 4 * size ** 2 * sum(not i.in_train for i in items)
    features = 0
    if hasattr(params, "stored_bytes") and not trained and not fit.data.tile:
        copies = getattr(params, "n_paste", 0) * n_anomalies(fit, items)
        features = params.stored_bytes(size) * (n_training(fit, library) + copies)
        if features > params.feature_gb * 1e9 or features <= IN_MEMORY:
            features = 0
    return max(features, maps if maps > mapped.LARGE and not fit.data.tile else 0)


def decoded(fit: Fit, library: Library) -> int:
    """Bytes of a category's decoded images in the cache: 3 a pixel, and 1 of the mask."""
    return 4 * fit.data.size ** 2 * len(library.scan(fit.dataset, fit.category))

"""`--dry-run`: which fits a run would do, how long they would take, and how much disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aexad.bench.base import mapped
from aexad.bench.base.progress import duration
from aexad.bench.plan.cells import Cell, Fit, by_fit
from aexad.bench.results.records import pending
from aexad.bench.results.store import Store
from aexad.bench.run import disk
from aexad.bench.run.engines import HERE, Choice
from aexad.bench.run.job import Options
from aexad.datasets.category import Library
from aexad.datasets.images import size_of

_MODEL_MB = {"fcdd": 23.0, "bgad": 11.0, "ae_xad_vit_finetuned": 345.0,
             "ae_xad_vit_scratch": 345.0, "padim": 125.0,
             "supersimplenet": 14.0}  # of those far from 2 MB


def describe(cells: Sequence[Cell], options: Options, choice: Choice = HERE,
             names: Mapping[Cell, str] | None = None) -> str:
    """What a run would do, in lines. names: what cells are called, in place of their methods."""
    options = choice.applied(options)
    store, library = options.store, options.library
    todo, rates = by_fit(pending(cells, store, library)), _rates(store)
    lines = [f"{len(todo)} fits to do, {sum(map(len, todo.values()))} of {len(cells)} cells"]
    total, unknown, megabytes, training = 0.0, 0, 0.0, 0
    for fit, group in todo.items():
        seconds = 0.0 if store.fit_info(fit) else _seconds(fit, library, rates)
        trained = "explain only" if store.fit_info(fit) else (
            "time unknown" if seconds is None else f"about {duration(seconds)}")
        called = ", ".join((names or {}).get(c, c.method) for c in group)
        lines.append(f"  {fit.name}: {called} ({trained})")
        total, unknown = total + (seconds or 0), unknown + (seconds is None)
        megabytes += _megabytes(fit, len(group), options)
        training += seconds != 0
    if unknown:
        lines.append(f"time: no stored fit to estimate {unknown} of them from")
    if todo and unknown < len(todo):
        seconds = total / min(choice.jobs or 1, max(1, training))
        lines.append(f"time: about {duration(seconds)}, from stored fits")
    lines.append(f"disk: about {math.ceil(megabytes)} MB under {options.results}"
                 + _meanwhile(todo, options, choice.jobs or 1))
    return "\n".join(lines)


def _meanwhile(todo: Mapping[Fit, Sequence[Cell]], options: Options, jobs: int) -> str:
    """What large sets take beside that."""
    library, store = options.library, options.store
    needs = sorted((disk.meanwhile(fit, library, bool(store.fit_info(fit))) for fit in todo),
                   reverse=True)
    places = {(fit.dataset, fit.category, fit.data): fit for fit in todo if not fit.data.tile}
    images = [size for fit in places.values()
              if (size := disk.decoded(fit, library)) > mapped.LARGE]
    said = [f", and meanwhile up to {math.ceil(sum(needs[:jobs]) / 1e6)} MB of features or maps"
            ] if any(needs) else []
    if images:  # written once from a file that is as large
        most = sum(images) + max(images)
        said.append(f"; about {math.ceil(sum(images) / 1e6)} MB of decoded images in the cache "
                    f"{options.cache}, up to {math.ceil(most / 1e6)} MB while they are decoded")
    return "".join(said)


def _rates(store: Store) -> dict[tuple, float]:
    """Seconds per epoch and training image of stored fits, by method, encoder and size."""
    rates = {}
    for info in store.all_fits():
        declared = info["declared"]
        n = sum(info["n_train"].values()) * len(info["losses"])
        if n:
            rates[_kind(declared["method"], declared["params"], declared["data"])] = (
                info["emissions"]["seconds"] / n)
    return rates


def _kind(method: str, params: dict[str, Any], data: dict[str, Any]) -> tuple:
    encoder = params.get("encoder") or params.get("backbone")
    return (method, encoder, params.get("freeze"), data["size"], data.get("tile"))


def _seconds(fit: Fit, library: Library, rates: dict[tuple, float]) -> float | None:
    """How long a training takes, None where no stored fit tells."""
    rate = rates.get(_kind(fit.method, vars(fit.params), vars(fit.data)))
    if rate is None:
        return None
    return rate * disk.n_training(fit, library) * getattr(fit.params, "epochs", 1)


def _megabytes(fit: Fit, cells: int, options: Options) -> float:
    model = 0.0 if options.store.fit_info(fit) else _MODEL_MB.get(fit.method, 2.0)
    tested = [i.image for i in options.library.scan(fit.dataset, fit.category) if not i.in_train]
    pixels = math.prod(fit.data.working(*size_of(tested[0]))) if fit.data.tile else (
        fit.data.size ** 2)
    heatmaps = 4e-6 * len(tested) * pixels if options.keep_maps else 0.0
    return model + cells * (0.1 + heatmaps)

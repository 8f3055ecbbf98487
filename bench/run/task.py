"""One fit and its cells: load the split, train (or load the stored model), explain, measure."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from aexad import methods
from aexad.bench.base import mapped, provenance
from aexad.bench.base.errors import UserError, first_line
from aexad.bench.base.files import sweep
from aexad.bench.base.progress import Progress, duration
from aexad.bench.measure.energy import Meter
from aexad.bench.plan import own_images
from aexad.bench.plan.cells import Cell, Fit
from aexad.bench.results import model, origin
from aexad.bench.results.measured import measure
from aexad.bench.results.store import Store, writing
from aexad.bench.run import checkpoint
from aexad.bench.run.claims import Lost
from aexad.bench.run.job import Job, Options
from aexad.datasets.category import Category, Split, split, vanished_note
from aexad.datasets.folder import GOOD
from aexad.methods import memory, tiled
from aexad.methods.base import Context, Room, finite
from aexad.methods.rows import chosen
from aexad.methods.weights import Weights


class RunContext(Context):
    """A method's surroundings in a run: progress, and checkpoints of long fits."""

    def __init__(self, fit: Fit, options: Options, progress: Progress, digest: str,
                 store: Store) -> None:
        self.store = store
        folder = store.fit_dir(fit)
        super().__init__(options.device, fit.seed, Weights(options.weights), folder)
        self.progress, self.path = progress, store.checkpoint(fit)
        self.every = options.checkpoint_every
        # A checkpoint made elsewhere is not continued: half a fit here and half there is neither.
        self._same = {"digest": digest, "device": provenance.device_name(self.device),
                      "threads": options.threads, "libraries": provenance.libraries()}
        self._saved: dict[str, Any] | None = None
        self.before: dict[str, Any] | None = None
        self.meter: Meter | None = None
        self.total = 0

    def resume(self) -> None:
        """Take up what an interrupted fit left, if it was the same; to be called once the method is
        made, when it is known which pre-trained weights it uses."""
        self._same["weights"] = dict(self.weights.used)
        saved = checkpoint.read(self.path, self.device)
        if saved and saved.get("same") == self._same:
            self._saved, self.before = saved, saved["emissions"]

    def epochs(self, total: int, state: dict[str, Any]) -> Iterator[int]:
        self.total, start = total, 0
        if self._saved and self._saved["state"].keys() != state.keys():
            self._saved = None
            self.progress.say("begins anew: its checkpoint is of another version")
            if self.meter:
                self.meter.before = None
        if self._saved:
            for name, part in state.items():
                part.load_state_dict(self._saved["state"][name])
            start, self.losses = self._saved["epoch"], list(self._saved["losses"])
            self.progress.say(f"continues after epoch {start}")
            self._saved = None
        last = time.monotonic()
        for epoch in range(start, total):
            yield epoch
            if time.monotonic() - last > self.every and epoch + 1 < total:
                self._write(epoch + 1, state)
                last = time.monotonic()

    def report(self, epoch: int, loss: float) -> None:
        super().report(epoch, loss)
        self.store.guard()  # a fit that another has taken over ends here, not hours later
        self.progress.epoch(epoch + 1, self.total, loss)

    def _write(self, epoch: int, state: dict[str, Any]) -> None:
        content = {"same": self._same, "epoch": epoch, "losses": self.losses,
                   "emissions": self.meter.reading().as_dict() if self.meter else None,
                   "state": {name: part.state_dict() for name, part in state.items()}}
        self.store.guard()
        checkpoint.write(self.path, content)


def prepare_process(options: Options) -> None:
    """Settings of the whole process that make a fit's result independent of what runs beside it."""
    provenance.commit()  # as it is now, not when a long fit ends
    own_images.register(options.own)
    repeatable(options.device, options.threads)


def repeatable(device: str, threads: int) -> None:
    """The same work on the same machine gives the same bits from now on."""
    torch.set_num_threads(threads)
    if torch.device(device).type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products
        torch.use_deterministic_algorithms(True, warn_only=True)
        # nor does memory that nothing has written yet cost a kernel: nothing here reads it
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # the paper's card had no TF32


def run(job: Job, guard: Callable[[], None] = lambda: None) -> list[str]:
    """Do a job and store its results. `guard` is called before anything is written, and raises
    Lost when another has taken the fit over. Returns what failed, a line each; UserErrors and
    Lost pass through."""
    prepare_process(job.options)
    fit = job.fit
    progress = Progress(f"{job.label} {fit.scenario} seed {fit.seed}")
    store = Store(job.options.results, guard)
    with threadpool_limits(job.options.threads):
        try:
            return _run(job, store, progress)
        except (UserError, Lost):
            raise
        except Exception as error:  # noqa: BLE001  a method's fault: kept, shown, tried again
            if store.fit_info(fit) is None:  # a finished training is never written over
                store.save_failure(fit, _failure(error))
            progress.say(f"failed: {_one_line(error)}")
            return [f"{job.label}: {_one_line(error)}"]


def _run(job: Job, store: Store, progress: Progress) -> list[str]:
    fit, options = job.fit, job.options
    todo = [cell for cell in job.cells if store.cell_info(cell) is None]
    if not todo:  # another runner was faster
        return []
    for folder in (store.fit_dir(fit), *map(store.cell_dir, todo)):
        sweep(folder)  # a killed run's half-written files
    category = options.library.load(fit.dataset, fit.category, fit.data)
    parts = split(category, fit.dataset, fit.seed, fit.scenario, fit.data)
    ctx = RunContext(fit, options, progress, category.digest, store)
    info = store.fit_info(fit)
    if info is None:
        method = methods.load(fit.method)(fit.params, todo[0].params, ctx)
        ctx.resume()
        info = train(fit, method, ctx, category, parts, options)
        store.save_fit(fit, method.state_dict(), info)
        progress.say(f"trained in {duration(info['emissions']['seconds'])}")
    else:
        store.checkpoint(fit).unlink(missing_ok=True)  # of a run killed just before it did that
    origin.check(info, store.fit_dir(fit), data=category.digest)
    failures = []
    for cell in todo:
        try:
            explain(cell, stored_method(cell, info, store, ctx), ctx, category, parts.test,
                    options)
        except (UserError, Lost):
            raise
        except Exception as error:  # noqa: BLE001  as above; the fit itself is kept
            store.save_failure(cell, _failure(error))
            failures.append(f"{progress.label} {cell.method}: {_one_line(error)}")
            progress.say(f"{cell.method} failed: {_one_line(error)}")
    return failures


def stored_method(cell: Cell, info: dict[str, Any], store: Store, ctx: Context) -> Any:
    """The cell's method with what its fit learned; `info` is the fit's. UserError where its
    pre-trained weights are not those given now."""
    method = methods.load(cell.method)(cell.fit.params, cell.params, ctx)
    origin.check(info, store.fit_dir(cell.fit), weights=ctx.weights.used)
    model.load_trained(method, store.load_model(cell.fit),
                       store.fit_dir(cell.fit) / model.TENSORS, cell.method)
    return method


def train(fit: Fit, method: Any, ctx: RunContext, category: Category, parts: Split,
          options: Options) -> dict[str, Any]:
    """Train, and return what fit.json says: parameters, losses, emissions, provenance."""
    positions, left_out = parts.train, category.ids[parts.vanished].tolist()
    empty = category.ids[parts.empty].tolist()
    if left_out:
        ctx.progress.say(vanished_note(left_out, fit.data.scale, empty))
    anomalous = category.kinds[positions] != GOOD
    data = tiled.training_set(chosen(category.images, positions),
                              chosen(category.masks, positions), anomalous, ctx.array)
    with Meter(options.country, options.shared, ctx.before) as meter:
        ctx.meter = meter
        with memory.said(fit.method, fit.params):
            method.fit(data)
    return {"declared": fit.declared(), "losses": ctx.losses,
            "emissions": meter.reading().as_dict(),
            "n_train": {"normal": int((~anomalous).sum()), "anomalous": int(anomalous.sum())},
            **({"n_tiles": {"normal": len(data.normals), "anomalous": len(data.anomalies)}}
               if fit.data.tile else {}),
            "vanished": left_out, "empty": empty,
            "provenance": provenance.collect(ctx.device, options.threads,
                                             methods.entry(fit.method).libraries),
            "data_sha256": category.digest, "weights_sha256": ctx.weights.used}


def explain(cell: Cell, method: Any, ctx: RunContext, category: Category, positions: np.ndarray,
            options: Options) -> None:
    """Explain the test set, compute all metrics and store the cell."""
    images = chosen(category.images, positions)
    with Meter(options.country, options.shared) as meter:
        with memory.said(cell.method, None):
            explanation = tiled.explain(method, images, map_file(ctx.store.cell_dir(cell)))
    _check(explanation, [image.shape[:2] for image in images])
    keep_findings(cell.fit, method, ctx.store)
    table, numbers = measure(explanation.heatmaps, explanation.scores, category, positions,
                             cell.fit.scenario)
    for name, values in explanation.extras.items():
        table[name] = values
        numbers[f"mean_{name}"] = float(np.mean(values))
    ctx.store.save_cell(cell, table, {
        "declared": cell.declared(), "fit": cell.fit.declared(), "numbers": numbers,
        "emissions": meter.reading().as_dict(),
        "provenance": provenance.collect(ctx.device, options.threads,
                                         methods.entry(cell.method).libraries),
        "data_sha256": category.digest, "weights_sha256": ctx.weights.used,
    }, explanation.heatmaps if options.keep_maps else None)


def map_file(folder: Path) -> Room:
    """Makes the array for the maps of a large test set, in a file that is gone with it."""
    def room(shape: tuple[int, ...], dtype: type) -> np.ndarray:
        path = folder / "maps.bin"
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            return np.asarray(mapped.new_array(path, shape, dtype))
    return room


def keep_findings(fit: Fit, method: Any, store: Store) -> None:
    """What explaining the test set added to the method's state (BGAD: maxima over it) belongs to
    the fit, so that images explained later are measured by the same. It is saved before the cell
    says 'done'; what training made stays as it is."""
    state, stored = method.state_dict(), store.load_model(fit)
    if state.keys() > stored.keys():
        store.save_model(fit, {**state, **stored})


def _check(explanation: Any, shapes: list[tuple[int, ...]]) -> None:
    found = [heatmap.shape for heatmap in explanation.heatmaps]
    if found != shapes or len(explanation.scores) != len(shapes):
        made, wanted = next((pair for pair in zip(found, shapes) if pair[0] != pair[1]),
                            ((), ()))
        raise ValueError(f"explain returned heatmaps {(len(found), *made)} and "
                         f"{len(explanation.scores)} scores for images {(len(shapes), *wanted)}")
    bad = ~finite(explanation)
    if bad.any():
        raise ValueError(f"explain returned NaN or infinite values for {bad.sum()} images")


def _failure(error: Exception) -> dict[str, Any]:
    return {"error": _one_line(error), "traceback": traceback.format_exc()}


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error, 'no message')}"

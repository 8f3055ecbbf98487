"""How a model of anomalib trains: by Lightning's Trainer, on images in memory, with the progress,
seeds and checkpoints of this bench (methods/base.py), and without a word or a file of its own."""

from __future__ import annotations

import io
import logging
import math
import random
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from aexad.methods import anomalib_params
from aexad.methods.base import Context, TrainingSet

anomalib_params.library()  # which says what to do where it is not installed

from anomalib.data import ImageBatch  # noqa: E402
from anomalib.models.components import MemoryBankMixin  # noqa: E402
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer  # noqa: E402

LOGGERS = ("anomalib", "lightning", "lightning.pytorch", "lightning.fabric")


class Quiet:
    """While it lasts nothing is printed; `lines` are the warnings of anomalib's logger."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __enter__(self) -> Quiet:
        self.streams, self._stack = (sys.stdout, sys.stderr), ExitStack()
        for name in LOGGERS:
            self._stack.enter_context(_heard(logging.getLogger(name), self.lines))
        self._stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self._stack.enter_context(redirect_stdout(io.StringIO()))
        self._stack.enter_context(redirect_stderr(io.StringIO()))  # progress bars
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextmanager
    def aloud(self) -> Iterator[None]:
        """What is printed here is to be seen."""
        with redirect_stdout(self.streams[0]), redirect_stderr(self.streams[1]):
            yield


@contextmanager
def _heard(logger: logging.Logger, lines: list[str]) -> Iterator[None]:
    """What a logger warns of goes into `lines`, and nowhere else."""
    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [Kept()], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])


@contextmanager
def seeded(seed: int, epoch: int) -> Iterator[None]:
    """Every generator that a model may draw from starts from these; those of the process besides
    torch's are afterwards as they were."""
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002  scikit-learn draws from it
    seed_all(seed, epoch)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002  as above


def seed_all(seed: int, epoch: int) -> None:
    first, second = np.random.SeedSequence([seed, epoch]).generate_state(2)
    random.seed(int(first))
    np.random.seed(first)  # noqa: NPY002  as above
    torch.manual_seed(int(second))


class Data(LightningDataModule):
    """The training images in shuffled batches, as Lightning and anomalib ask for them.

    chosen: their positions. anomaly_share: of the images of an epoch, drawn in turn; None: every
    image once.
    """

    def __init__(self, ctx: Context, train: TrainingSet, chosen: np.ndarray, batch_size: int,
                 anomaly_share: float | None) -> None:
        super().__init__()
        self.ctx, self.train, self.chosen = ctx, train, chosen
        self.train_batch_size = self.eval_batch_size = batch_size
        self.anomaly_share = anomaly_share

    def train_dataloader(self) -> DataLoader:
        return DataLoader(range(len(self.train.images)), batch_sampler=_Epoch(self),
                          collate_fn=self.batch)

    def val_dataloader(self) -> DataLoader:
        """The normal images: what some models measure their scores' range on."""
        return DataLoader(self.train.normals.tolist(), batch_size=self.eval_batch_size,
                          collate_fn=self.batch)

    def batch(self, positions: list[int]) -> ImageBatch:
        """contiguous: models take views of the usual layout"""
        images, masks = self.train.images[positions], self.train.masks[positions]
        return ImageBatch(image=self.ctx.tensor(images).contiguous(),
                          gt_mask=torch.from_numpy(masks).to(self.ctx.device),
                          gt_label=torch.from_numpy(self.train.anomalous[positions]).to(
                              self.ctx.device))

    def positions(self, epoch: int) -> np.ndarray:
        """The images of an epoch, in their order."""
        rng = np.random.default_rng([self.ctx.seed, 1, epoch])
        normals, anomalies = (self.chosen[self.train.anomalous[self.chosen] == kind]
                              for kind in (False, True))
        if self.anomaly_share is None or not len(normals) or not len(anomalies):
            return rng.permutation(self.chosen)
        n = round(self.anomaly_share * len(self.chosen))
        drawn = [np.resize(rng.permutation(kind), size)
                 for kind, size in ((normals, len(self.chosen) - n), (anomalies, n))]
        return rng.permutation(np.concatenate(drawn))


class _Epoch:
    """Batches of the epoch that the trainer is in."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def __len__(self) -> int:
        return math.ceil(len(self.data.chosen) / self.data.train_batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        positions = self.data.positions(self.data.trainer.current_epoch)
        size = self.data.train_batch_size
        yield from (positions[i:i + size].tolist() for i in range(0, len(positions), size))


class Progress(Callback):
    """Epochs as `ctx` counts, reports and keeps them."""

    def __init__(self, ctx: Context, quiet: Quiet, lr_factor: float) -> None:
        self.ctx, self.quiet, self.lr_factor = ctx, quiet, lr_factor
        self.losses: list[float] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        for optimiser in trainer.optimizers:
            for group in optimiser.param_groups:
                for rate in {"lr", "initial_lr"} & group.keys():
                    group[rate] *= self.lr_factor
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        for schedule in schedules:
            schedule.base_lrs = [lr * self.lr_factor for lr in getattr(schedule, "base_lrs", [])]
        parts = {"model": module, **{f"optimiser{i}": o for i, o in enumerate(trainer.optimizers)},
                 **{f"schedule{i}": s for i, s in enumerate(schedules)}}
        with self.quiet.aloud():
            self.epochs = self.ctx.epochs(trainer.max_epochs, parts)
            first = next(self.epochs)
        trainer.fit_loop.epoch_progress.current.processed = first
        trainer.fit_loop.epoch_progress.current.completed = first

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        seed_all(self.ctx.seed, 1 + trainer.current_epoch)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any,
                           batch: Any, index: int) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        self.losses.append(float(loss) if loss is not None else 0.0)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        loss, self.losses = float(np.mean(self.losses or [0.0])), []
        with self.quiet.aloud():
            self.ctx.report(trainer.current_epoch, loss)
            next(self.epochs, None)


def train_with_lightning(net: Any, data: Data, ctx: Context, epochs: int, lr_factor: float) -> None:
    """Train a model of anomalib; of those that learn from no image, what they prepare."""
    gpu = ctx.device.type == "cuda"
    options = {"max_epochs": epochs, **net.trainer_arguments,
               "accelerator": "gpu" if gpu else "cpu",
               "devices": [ctx.device.index or 0] if gpu else 1,
               "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
               "enable_model_summary": False, "num_sanity_val_steps": 0}
    if not _measures(net):
        options["limit_val_batches"] = 0
    with seeded(ctx.seed, 0), Quiet() as quiet:
        trainer = Trainer(**options, callbacks=[Progress(ctx, quiet, lr_factor)])
        interrupt = signal.getsignal(signal.SIGINT)
        try:
            if net.learning_type.value == "one_class":
                trainer.fit(net, datamodule=data)
            else:
                trainer.validate(net, datamodule=data, verbose=False)
        except SystemExit:  # what Lightning makes of Ctrl-C
            signal.signal(signal.SIGINT, interrupt)
            raise KeyboardInterrupt from None
        finally:
            net.trainer = None  # it holds the images


def _measures(net: LightningModule) -> bool:
    """Whether the model measures something on validation images, beside filling a memory bank,
    which it does without."""
    hook = type(net).on_validation_start
    return hook not in (LightningModule.on_validation_start, MemoryBankMixin.on_validation_start)

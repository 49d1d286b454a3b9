"""The training of one stream, top to bottom."""

from __future__ import annotations

import gc
import platform
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from twostream.checkpoint import StreamModel
from twostream.loader import Batches
from twostream.recipe import Recipe
from twostream.threads import give_back_memory, keep_memory
from twostream.training.checkpoints import WholeCheckpoints, keep_last, last_checkpoint
from twostream.training.launched import told
from twostream.training.stream_training import LOG_EVERY, StreamTraining
from twostream.training.trainer_options import TrainerOptions, make_trainer, quiet_lightning
from twostream.types import Progress, RunError, UsageError, no_progress

TRAIN = ("all", "last-layer")


def fit(
    model: StreamModel,
    data: Batches,
    recipe: Recipe,
    *,
    train: str = "all",
    options: TrainerOptions | None = None,
    checkpoints: Path | None = None,
    logs: Path | None = None,
    progress: Progress = no_progress,
) -> StreamModel:
    """Train a stream; continues from the newest checkpoint where there is one.

    Args:
        model: the network, changed in place.
        data: training batches.
        recipe: see ``Recipe``; ``data.steps`` is the most that the run may last.
        train: "all" layers or only the "last-layer" (table 1a).
        options: accelerator, devices, precision.
        checkpoints: folder for checkpoints; None keeps none.
        logs: folder for TensorBoard logs and ``history.json``; None keeps none.
        progress: told each step.

    Returns:
        The trained model, on the CPU and ready for prediction.

    Raises:
        UsageError: the batch does not split over the devices.
        KeyboardInterrupt: stopped; the newest checkpoint is kept.
    """
    options = options or TrainerOptions()
    check_batch(data.shares, options.processes)
    resume = last_checkpoint(checkpoints) if checkpoints else None
    shared = SharedFit(model, data, recipe, train, options, checkpoints, logs, resume)
    with told(shared):
        shared.run(progress)
    if checkpoints:
        keep_last(checkpoints)
    return model.cpu().eval()


def take_part(shared: SharedFit) -> None:
    """Do this process's part of a training that the first process does; see ``led``.

    Raises:
        RunError: this machine does not see the files of the first one.
    """
    shared.check_seen()
    shared.run(no_progress)


@dataclass(frozen=True)
class SharedFit:
    """What every process does of a training; see ``fit``.

    Attributes:
        resume: the checkpoint to go on from; the first process looks for it.
    """

    model: StreamModel
    data: Batches
    recipe: Recipe
    train: str
    options: TrainerOptions
    checkpoints: Path | None
    logs: Path | None
    resume: Path | None

    def run(self, progress: Progress) -> None:
        """Train the model, which is changed in place; the first process alone writes."""
        model, data, recipe, options = self.model, self.data, self.recipe, self.options
        logs = self.logs
        keep_memory()
        torch.manual_seed(data.seed)
        model.train()  # Lightning leaves a net as it comes: without dropout, if it was looked at
        training = StreamTraining(
            model,
            data,
            recipe,
            train=self.train,
            loader_workers=options.workers(),
            history_path=logs / "history.json" if logs else None,
            progress=progress,
        )
        trainer = make_trainer(
            options,
            max_steps=data.steps,
            max_epochs=-1,
            logger=_Curves(logs.parent, name=logs.name, version="") if logs else False,
            log_every_n_steps=LOG_EVERY,
            gradient_clip_val=recipe.gradient_clip,
            **self.keeping(),
        )
        with quiet_lightning(), _stoppable(trainer), _named(logs):
            trainer.fit(training, ckpt_path=str(self.resume) if self.resume else None)
        interrupted = trainer.interrupted
        # The two hold each other, and with them the clips that are kept in memory. Scoring, and the
        # next net of many, would lay theirs beside these and what a step took.
        del trainer, training
        gc.collect()
        give_back_memory()
        if interrupted:
            raise KeyboardInterrupt

    def keeping(self) -> dict[str, Any]:
        """Return the Trainer's arguments on checkpoints."""
        if not self.checkpoints:
            return {"enable_checkpointing": False}
        kept = ModelCheckpoint(
            dirpath=self.checkpoints,
            filename="{step}",
            every_n_train_steps=max(1, min(1000, min(self.recipe.steps, self.data.steps) // 5)),
            save_top_k=1,
            monitor=None,
            enable_version_counter=False,  # a damaged one is written over
        )
        return {"callbacks": [kept], "plugins": [WholeCheckpoints()]}

    def check_seen(self) -> None:
        """Raise a RunError where this machine does not see what the first process trains from."""
        for place in (self.data.folder, self.resume):
            if place and not place.exists():
                raise RunError(
                    f"{platform.node()} does not see {place.absolute()}: all nodes need the same "
                    "folder of data, --out and --store, at one place of a shared disk"
                )


class _Curves(TensorBoardLogger):
    """TensorBoard's curves, without a hparams.yaml that says "{}" and is not written whole."""

    def save(self) -> None:
        """Write what is not written yet."""
        super(TensorBoardLogger, self).save()


@contextmanager
def _named(logs: Path | None) -> Iterator[None]:
    """Say where a disk refused: TensorBoard does not."""
    try:
        yield
    except OSError as error:
        if logs and error.errno and not error.filename:
            error.filename = str(logs)
        raise


@contextmanager
def _stoppable(trainer: Trainer) -> Iterator[None]:
    """Undo what Lightning makes of Ctrl-C: an exit with status 1, and a signal that is ignored.

    Processes of further devices end too: a signal may have reached this one alone.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        launcher: Any = trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGTERM)
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, before)
            raise KeyboardInterrupt from None
        raise


def check_batch(shares: Sequence[int], devices: int) -> None:
    """Raise UsageError where a data set's share of the batch cannot be split over the devices."""
    if all(share and not share % devices for share in shares):
        return
    batch_size, sets = sum(shares), len(shares)
    over = f"{sets} data sets and {devices} devices" if sets > 1 else f"{devices} devices"
    raise UsageError(
        f"the batch of {batch_size} cannot be split over {over}: use "
        f"--batch-size {max(1, batch_size // (sets * devices)) * sets * devices}"
    )

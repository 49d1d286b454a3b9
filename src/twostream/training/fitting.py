"""The training of one stream, top to bottom."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from twostream.checkpoint import StreamModel
from twostream.loader import Batches
from twostream.recipes import Recipe
from twostream.threads import give_back_memory, keep_memory
from twostream.training.checkpoints import WholeCheckpoints, keep_last, last_checkpoint
from twostream.training.stream_training import LOG_EVERY, StreamTraining
from twostream.training.trainer_options import TrainerOptions, make_trainer, quiet_lightning
from twostream.types import Progress, UsageError, no_progress

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
        recipe: see ``Recipe``; ``data.steps`` is the length of the run.
        train: "all" layers or only the "last-layer" (table 1a).
        options: accelerator, devices, precision.
        checkpoints: folder for checkpoints; None keeps none.
        logs: folder for TensorBoard logs and ``history.json``; None keeps none.
        progress: told each step.

    Returns:
        The trained model, on the CPU and ready for prediction.

    Raises:
        UsageError: the batch does not split over the devices, or an option is wrong.
        KeyboardInterrupt: stopped; the newest checkpoint is kept.
    """
    if train not in TRAIN:
        raise UsageError(f"--train takes {' or '.join(TRAIN)}, got {train!r}")
    options = options or TrainerOptions()
    check_batch(data.shares, options.devices)
    keep_memory()
    torch.manual_seed(data.seed)
    model.train()  # Lightning leaves a net as it comes: without dropout, if it was looked through
    training = StreamTraining(
        model,
        data,
        recipe,
        train=train,
        loader_workers=options.workers(),
        history_path=logs / "history.json" if logs else None,
        progress=progress,
    )
    keep: dict[str, Any] = {"enable_checkpointing": False}
    if checkpoints:
        kept = ModelCheckpoint(
            dirpath=checkpoints,
            filename="{step}",
            every_n_train_steps=max(1, min(1000, data.steps // 5)),
            save_top_k=1,
            monitor=None,
            enable_version_counter=False,  # a damaged one is written over
        )
        keep = {"callbacks": [kept], "plugins": [WholeCheckpoints()]}
    trainer = make_trainer(
        options,
        max_steps=data.steps,
        max_epochs=-1,
        logger=_Curves(logs.parent, name=logs.name, version="") if logs else False,
        log_every_n_steps=LOG_EVERY,
        gradient_clip_val=recipe.gradient_clip,
        **keep,
    )
    resume = last_checkpoint(checkpoints) if checkpoints else None
    with quiet_lightning(), _stoppable(trainer), _named(logs):
        trainer.fit(training, ckpt_path=str(resume) if resume else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if checkpoints:
        keep_last(checkpoints)
    # what a step took; scoring, and the next net of many, would lay theirs beside it
    give_back_memory()
    return model.cpu().eval()


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

"""The Lightning Trainer: what may be chosen of it, and how it is made."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from twostream.threads import num_cores
from twostream.training.launched import how_to_start, team
from twostream.types import UsageError

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
_REFUSED = "the trainer does not take these options"
_REFUSALS = (ValueError, RuntimeError, TypeError, ImportError, MisconfigurationException)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerOptions:
    """What is handed to the Lightning Trainer.

    Attributes:
        accelerator, devices, precision: the Trainer's own options; devices are of each node.
        nodes: machines, on each of which a launcher starts a process for each device.
        loader_workers: processes that make batches; None: 0 on a CPU, which trains with every
            core anyway, else up to 8.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"
    loader_workers: int | None = None

    @property
    def processes(self) -> int:
        """How many processes the global batch is split over."""
        return self.nodes * self.devices

    def on_gpu(self) -> bool:
        """Tell whether training will run on an accelerator."""
        return self.accelerator != "cpu" and torch.cuda.is_available()

    def device(self) -> str:
        """Return where a single network runs: "cuda" or "cpu"."""
        return "cuda" if self.on_gpu() else "cpu"

    def flow_device(self) -> str:
        """Return where flow may be computed: a GPU where it pays, unless training keeps off it."""
        return "cpu" if self.accelerator == "cpu" else "auto"

    def workers(self) -> int:
        """Return the number of loader processes."""
        if self.loader_workers is not None:
            return self.loader_workers
        return min(8, num_cores()) if self.on_gpu() else 0

    def check(self) -> None:
        """Raise UsageError where this machine has no such device, or an option is unknown."""
        if not isinstance(self.devices, int) or self.devices < 1:
            raise UsageError(
                f"{_REFUSED}: devices are a whole number from 1, got {self.devices!r}: their kind "
                f"is the accelerator ({', '.join(ACCELERATORS)})"
            )
        if self.accelerator not in ACCELERATORS:
            raise UsageError(
                f"{_REFUSED}: no accelerator {self.accelerator!r}: use one of "
                f"{', '.join(ACCELERATORS)}"
            )
        make_trainer(self, logger=False, enable_checkpointing=False)


def make_trainer(options: TrainerOptions, **more: Any) -> Trainer:
    """Make a Lightning Trainer that is silent about what is chosen here on purpose.

    Args:
        options: the accelerator and so on.
        **more: the Trainer's own arguments.

    Raises:
        UsageError: it does not take these options, the device is not there, or no launcher is.
    """
    many, this = options.processes > 1, team()
    if options.nodes > 1 and this is None:
        raise UsageError(how_to_start(options))
    # told, for Lightning would take a SLURM job of one process for one of many
    environment = this.environment if this else LightningEnvironment()
    plugins = [environment, *more.pop("plugins", [])]
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with quiet_lightning():
        try:
            return Trainer(
                accelerator=options.accelerator,
                devices=options.devices,
                num_nodes=options.nodes,
                strategy=("ddp" if this else "ddp_spawn") if many else "auto",
                plugins=plugins,
                precision=options.precision,  # type: ignore[arg-type]
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                # batch statistics over the global batch, as on one device
                sync_batchnorm=many and options.on_gpu(),
                **more,
            )
        except _REFUSALS as error:
            raise UsageError(f"{_REFUSED}: {error}") from error


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice on loader workers, log intervals and checkpoints away from people.

    And the traceback of TensorBoard's thread, which hands its error to ours.
    """
    shown = threading.excepthook

    def others(told: threading.ExceptHookArgs) -> None:
        if not type(told.thread).__module__.startswith("tensorboard"):
            shown(told)

    threading.excepthook = others
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            yield
    finally:
        threading.excepthook = shown

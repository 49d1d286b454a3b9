"""Streams of a RUN folder: model files, run by torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twostream.checkpoint import StreamModel, load_model
from twostream.scoring import last_layer_inputs, samples_at_once, score_samples, score_stacks
from twostream.store.clips import Clip
from twostream.threads import keep_memory
from twostream.types import STREAMS, RunError, UsageError

_BATCHES = 8  # of the network, whose stacks are in memory at once: whole frames, as floats

logger = logging.getLogger(__name__)


def _one_thread() -> None:
    """Keep a forked process from waiting for ever for torch's threads, which it has not got."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)


@cache
def _say_forked(process: int) -> None:
    """Say it once a process."""
    logger.warning(
        "this process was forked from one that had loaded torch, so it computes with one thread: "
        "start processes by spawn, or load in each of them, for more"
    )


class TorchStream:
    """A stream's model, ready to score.

    Args:
        model: its network; put on the device and into evaluation mode.
        device: "cpu", "cuda" or "auto": a GPU if there is one.

    Raises:
        UsageError: a GPU was asked for and is not here.
    """

    def __init__(self, model: StreamModel, *, device: str = "cpu") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UsageError("torch finds no GPU here: use the CPU (--accelerator cpu, or auto)")
        try:
            self.model = model.to(device).eval()
        except RuntimeError as error:
            why = str(error).split("\n")[0]
            raise UsageError(
                f"torch cannot use {device!r} here: use cpu, cuda or auto ({why})"
            ) from error
        self.spec = model.spec
        self._process = os.getpid()
        keep_memory()

    def score(self, clip: Clip, positions: int | None = None) -> NDArray[np.float32]:
        """Return a clip's (k,) softmax scores, exactly as evaluation would."""
        self._check_process()
        samples = clip.samples(self.spec.temporal, positions or self.spec.test_positions)
        # copied: a tensor that is kept pins torch's memory, and hours of windows keep thousands
        return score_stacks(self.model, *samples).cpu().numpy().copy()

    def looks(self, wanted: Sequence[tuple[Clip, int]]) -> NDArray[np.float32]:
        """Return (n, k) softmax scores of single positions of clips."""
        return self._over(wanted, lambda stacks: score_samples(self.model, stacks))

    def features(
        self, wanted: Sequence[tuple[Clip, int]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the last layer sees of the m crops of single positions of clips.

        Not while another thread uses the network.

        Returns:
            (n, m, d), and how much each crop counts, (m,).
        """
        shares = list[torch.Tensor]()

        def seen(stacks: NDArray[np.float32]) -> torch.Tensor:
            features, of_crops = last_layer_inputs(self.model, stacks)
            shares[:] = [of_crops]
            return features

        return self._over(wanted, seen), shares[0].cpu().numpy()

    def _over(
        self,
        wanted: Sequence[tuple[Clip, int]],
        work: Callable[[NDArray[np.float32]], torch.Tensor],
    ) -> NDArray[np.float32]:
        """Return what is made of single positions of clips, some at a time."""
        self._check_process()
        others = (clip.stack(self.spec.temporal, position) for clip, position in wanted)
        first = next(others)
        stacks, count = chain([first], others), _BATCHES * samples_at_once(self.spec, first)
        rows = []
        while some := list(islice(stacks, count)):
            rows.append(work(np.stack(some)).cpu().numpy())
        return np.concatenate(rows)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            _say_forked(os.getpid())


def load_models(run: Path) -> list[StreamModel]:
    """Read the models of a RUN folder; raises RunError where it holds none."""
    found = [run / f"{stream}.safetensors" for stream in STREAMS]
    models = [load_model(path) for path in found if path.is_file()]
    if not models:
        raise RunError(
            f"{run} holds no trained model: train first (twostream train DATA --out {run})"
        )
    return models

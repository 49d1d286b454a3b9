"""Checkpoints of an unfinished training: written whole or not at all, and read only if whole."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from twostream.files import write_bytes

logger = logging.getLogger(__name__)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it when it is complete."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, atomically; raises OSError where the disk refuses."""
        # in memory first: torch hides in a RuntimeError that a disk is full
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint, step=N.ckpt, of a folder that can be read, or None.

    Every newer one that is damaged is told.
    """
    for path in reversed(_by_step(folder)):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001  a damaged file raises any of half a dozen kinds
            kind = type(error).__name__
            logger.warning(
                "the checkpoint %s is damaged (%s) and is not used: training goes back", path, kind
            )
            continue
        return path
    return None


def keep_last(folder: Path) -> None:
    """Remove all checkpoints but the newest: Lightning keeps the one that it went on from."""
    for path in _by_step(folder)[:-1]:
        path.unlink()


def _by_step(folder: Path) -> list[Path]:
    return sorted(folder.glob("step=*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))

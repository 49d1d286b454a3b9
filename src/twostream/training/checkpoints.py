"""Checkpoints of an unfinished training: written whole or not at all, and read only if whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it when it is complete."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, atomically; raises OSError where the disk refuses."""
        path = Path(path)
        # in memory first: torch hides in a RuntimeError that a disk is full
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(content.getbuffer())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def last_checkpoint(folder: Path, say: Callable[[str], None] = print) -> Path | None:
    """Return the newest checkpoint of a folder that can be read, None where there is none.

    Args:
        folder: with files step=N.ckpt.
        say: told of every newer one that is damaged.
    """
    found = sorted(folder.glob("step=*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))
    for path in reversed(found):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001  a damaged file raises any of half a dozen kinds
            kind = type(error).__name__
            say(f"the checkpoint {path} is damaged ({kind}) and is not used: training goes back")
            continue
        return path
    return None

"""From stored clips to batches: store + sampling + inputs + augment.

What makes batches needs torch, and is imported when it is first used: prediction from an exported
network reads clips without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from twostream.loader.clips import (
    Clip,
    ClipCache,
    ClipReader,
    Clips,
    Reader,
    decoded_bytes,
    flow_rms_px,
    kinds_of,
)

if TYPE_CHECKING:
    from twostream.loader.batching import ScoringSamples, TimedLoader, TrainingBatches, batches

__all__ = [
    "Clip",
    "ClipCache",
    "ClipReader",
    "Clips",
    "Reader",
    "ScoringSamples",
    "TimedLoader",
    "TrainingBatches",
    "batches",
    "decoded_bytes",
    "flow_rms_px",
    "kinds_of",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("twostream.loader.batching"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

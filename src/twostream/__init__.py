"""Two-stream action recognition: a spatial and a temporal ConvNet, fused late.

The public names are imported when they are first used, so that ``import twostream`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twostream.datasets import load_dataset
    from twostream.fusion import fuse
    from twostream.predict import TwoStreamPredictor
    from twostream.run import RunSettings, train_run
    from twostream.types import TemporalInput, TwoStreamError, VideoScores

_HOMES = {
    "RunSettings": "twostream.run",
    "TemporalInput": "twostream.types",
    "TwoStreamError": "twostream.types",
    "TwoStreamPredictor": "twostream.predict",
    "VideoScores": "twostream.types",
    "fuse": "twostream.fusion",
    "load_dataset": "twostream.datasets",
    "train_run": "twostream.run",
}

__all__ = [
    "RunSettings",
    "TemporalInput",
    "TwoStreamError",
    "TwoStreamPredictor",
    "VideoScores",
    "fuse",
    "load_dataset",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twostream' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

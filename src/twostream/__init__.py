"""Two-stream action recognition: a spatial and a temporal ConvNet, fused late.

The public names are imported when they are first used, so that ``import twostream`` is quick.

>>> import twostream
>>> "train" in twostream.__all__ and callable(twostream.train)
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twostream.datasets import load_dataset
    from twostream.export import export_onnx
    from twostream.fusion import fuse
    from twostream.library import evaluate, extract, predict, timelines, train
    from twostream.prediction import Prediction, TwoStreamPredictor
    from twostream.run import RunSettings, train_run
    from twostream.types import DatasetSplit, TemporalInput, TwoStreamError, VideoScores

_HOMES = {
    "DatasetSplit": "twostream.types",
    "Prediction": "twostream.prediction",
    "RunSettings": "twostream.run",
    "TemporalInput": "twostream.types",
    "TwoStreamError": "twostream.types",
    "TwoStreamPredictor": "twostream.prediction",
    "VideoScores": "twostream.types",
    "evaluate": "twostream.library",
    "export_onnx": "twostream.export",
    "extract": "twostream.library",
    "fuse": "twostream.fusion",
    "load_dataset": "twostream.datasets",
    "predict": "twostream.library",
    "timelines": "twostream.library",
    "train": "twostream.library",
    "train_run": "twostream.run",
}

__all__ = [
    "DatasetSplit",
    "Prediction",
    "RunSettings",
    "TemporalInput",
    "TwoStreamError",
    "TwoStreamPredictor",
    "VideoScores",
    "evaluate",
    "export_onnx",
    "extract",
    "fuse",
    "load_dataset",
    "predict",
    "timelines",
    "train",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twostream' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

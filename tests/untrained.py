"""Untrained networks with scores far from equal, and clips of real motion, for several tests."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from twostream.checkpoint import ModelSpec, StreamModel, save_model
from twostream.log_linear import LogLinear
from twostream.models import classifier
from twostream.store.flow_store import StoreSettings
from twostream.types import TemporalInput
from twostream.video import VideoWriter

CLASSES = tuple("abcdefg")
SETTINGS = StoreSettings(short_side=40).complete()
# far from an average: a louder and a softer stream
FUSION = LogLinear(CLASSES, ("spatial", "temporal"), (0.3, 1.7), (0.8, 2.5), 40, 1.2, 0.7)
INPUTS = {
    "stack": TemporalInput(length=4),
    "trajectory, both ways": TemporalInput(length=4, trajectory=True, bidirectional=True),
    "rgb stack": TemporalInput(length=3, rgb=True),
    "differences": TemporalInput(length=3, rgb=True, differences=True),
}


def own_threads() -> int:
    """How many threads of prediction run."""
    return sum(thread.name.startswith("twostream ") for thread in threading.enumerate())


def write_clip(path: Path, *, fps: float = 25, frames: int = 13, size: int = 48) -> Path:
    """A texture that drifts and speeds up; its motion per second does not depend on ``fps``."""
    noise = np.random.default_rng(1).integers(0, 255, (120, 620, 3), np.uint8)
    big = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    with VideoWriter(path, fps=fps, width=size * 4 // 3, height=size) as writer:
        for i in range(frames):
            seconds = i / fps
            x, y = int(40 * seconds + 60 * seconds**2), int(20 * seconds)
            writer.write(np.ascontiguousarray(big[y : y + size, x : x + size * 4 // 3]))
    return path


def make_spec(temporal: TemporalInput | None, **changes: Any) -> ModelSpec:
    """What a small model is: spatial without a temporal input."""
    flow = temporal is not None and not temporal.rgb
    values: dict[str, Any] = {
        "stream": "temporal" if temporal else "spatial",
        "architecture": "small-bn",
        "classes": CLASSES,
        "temporal": temporal,
        "crop_size": 32,
        "mean": (0.0,) if flow else (0.4, 0.4, 0.4),
        "std": (1.0,) if flow else (0.2, 0.2, 0.2),
        "dropout": 0.0,
        "flips": True,
        "test_positions": 6,
        "store": {},
        "fps": 25.0,
    }
    return ModelSpec(**{**values, **changes})


def make_model(
    temporal: TemporalInput | None, settings: StoreSettings = SETTINGS, **changes: Any
) -> StreamModel:
    """A model whose logits spread by about 2 on random crops."""
    torch.manual_seed(0 if temporal is None else 1)
    model = StreamModel(make_spec(temporal, **{"store": asdict(settings), **changes}))
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the mean over all batches
    planes = (1, 3) if temporal is None else (temporal.length, 3 if temporal.rgb else 2)
    size, flow = model.spec.crop_size, model.spec.is_flow
    last = classifier(model.network)
    with torch.no_grad():
        crops = (
            torch.randn(24, *planes, size, size) if flow else torch.rand(24, *planes, size, size)
        )
        model.train()(crops)
        spread = model.eval()(crops).std(dim=0).mean()
        for parameter in last.parameters():
            parameter.mul_(2 / spread)
    return model


def make_models(
    temporal: TemporalInput | None, settings: StoreSettings = SETTINGS, *, fps: float = 25
) -> list[StreamModel]:
    """An untrained model of each stream."""
    return [
        make_model(None, settings, fps=fps),
        make_model(temporal, settings, stream="temporal", fps=fps),
    ]


def save_run(folder: Path, models: list[StreamModel]) -> Path:
    """A RUN folder with nothing but the model files."""
    for model in models:
        save_model(folder / f"{model.spec.stream}.safetensors", model)
    return folder

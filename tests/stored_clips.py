"""Stores of smooth random clips, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from twostream.loader import TrainingBatches
from twostream.store.clips import ClipCache
from twostream.store.flow_store import ClipHeader, Codec, FlowStore, Kind, StoreSettings
from twostream.types import LabeledVideo, TemporalInput

HEIGHT, WIDTH, CROP = 20, 26, 12
KINDS: tuple[Kind, ...] = ("rgb", "forward", "backward")
# number of frames of each clip; "one" has no flow, "two" is shorter than any stack
FRAMES = {"long": 14, "other": 12, "third": 11, "two": 2, "one": 1}
LABELS = {"long": 0, "other": 0, "third": 0, "two": 1, "one": 2}
VIDEOS = [LabeledVideo(name, Path(name), label) for name, label in LABELS.items()]


def fill(store: FlowStore, video_id: str, count: int, codec: Codec = "jpeg") -> None:
    """Write a clip of smooth random frames and fields."""
    rng = np.random.default_rng([count, *map(ord, video_id)])
    for kind in KINDS:
        n = count if kind == "rgb" else count - 1
        header = ClipHeader(
            kind=kind, video_id=video_id, height=HEIGHT, width=WIDTH, fps=25, codec=codec
        )
        writer = store.writer(header)
        coarse = rng.standard_normal((n, 3, 4, 4))
        planes = coarse.repeat(7, axis=2).repeat(7, axis=3)[:, :, :HEIGHT, :WIDTH]
        for item in planes:
            if kind == "rgb":
                writer.append((128 + 40 * item).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
            else:
                writer.append((item[:2] + rng.normal(size=(2, 1, 1))).astype(np.float32))
        writer.close()


def make_store(root: Path, codec: Codec = "jpeg") -> FlowStore:
    store = FlowStore.create(root, StoreSettings(short_side=HEIGHT, codec=codec))
    for video_id, count in FRAMES.items():
        fill(store, video_id, count, codec)
    return store


INPUTS = [
    None,
    TemporalInput(length=1),
    TemporalInput(length=4),
    TemporalInput(length=4, subtract_mean=False),
    TemporalInput(length=4, trajectory=True),
    TemporalInput(length=4, bidirectional=True),
    TemporalInput(length=4, bidirectional=True, trajectory=True, subtract_mean=False),
    TemporalInput(length=4, rgb=True),
]


def training(
    clips: ClipCache, temporal: TemporalInput | None, **changes: object
) -> TrainingBatches:
    values: dict = {
        "videos": VIDEOS,
        "seed": 3,
        "steps": 50,
        "batch_size": 9,
        "crop_size": CROP,
        "flips": True,
        "lighting": 0.1,
    }
    return TrainingBatches(clips=clips, temporal=temporal, **{**values, **changes})


def same(a: dict, b: dict) -> bool:
    return torch.equal(a["crops"], b["crops"]) and torch.equal(a["labels"], b["labels"])

"""Clips of a texture that moves, and what a store holds: for tests of extraction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from frame_images import write_video
from twostream.store.flow_store import StoreSettings
from twostream.types import LabeledVideo

SETTINGS = StoreSettings(short_side=48, flow="farneback")
SPEED_PX = 2  # of the texture in `make_clip`, to the right per frame at 25 frames/s


def make_clip(path: Path, frames: int = 8, fps: float = 25.0, seed: int = 0) -> Path:
    """A 64 x 48 texture that moves to the right by 50 px/s."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (48, 600, 3), np.uint8), (0, 0), 2)
    ground = cv2.normalize(ground, None, 0, 255, cv2.NORM_MINMAX)
    starts = [max(0, 500 - round(t * SPEED_PX * 25 / fps)) for t in range(frames)]
    return write_video(path, [ground[:, left : left + 64] for left in starts], fps, quality=2)


def make_data(folder: Path, count: int = 5) -> list[LabeledVideo]:
    names = [f"move/clip {i} [x].avi" for i in range(count)]
    return [
        LabeledVideo(name, make_clip(folder / name, 5 + 3 * i, seed=i), 0)
        for i, name in enumerate(names)
    ]


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store but hidden ones, by its relative name."""
    return {
        p.relative_to(store).as_posix(): p.read_bytes()
        for p in sorted(store.rglob("*"))
        if p.is_file() and not p.name.startswith(".")
    }


def ids(videos: Sequence[LabeledVideo]) -> list[str]:
    return [video.video_id for video in videos]

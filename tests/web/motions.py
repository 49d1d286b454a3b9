"""Small videos whose motion says what is to be labelled in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from twostream.video import VideoWriter

FPS = 12.5
HEIGHT, WIDTH = 64, 80


def write_motions(path: Path, parts: Sequence[tuple[float, float]], seed: int = 0) -> Path:
    """A texture that moves sideways: (px a frame, seconds) for each part."""
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, 400, 3), np.uint8)
    big = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    shift = 0.0
    with VideoWriter(path, fps=FPS, width=WIDTH, height=HEIGHT) as writer:
        for px, seconds in parts:
            for _ in range(round(seconds * FPS)):
                shift += px
                picture = np.roll(big, round(shift), axis=1)[:, :WIDTH]
                writer.write(np.ascontiguousarray(picture))
    return path

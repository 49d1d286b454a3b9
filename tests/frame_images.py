"""Frames as videos, lossless too, and as folders of numbered images, as other tools write them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.video import VideoWriter


def moving_frames(count: int = 8, seed: int = 0, size: tuple[int, int] = (48, 64)) -> NDArray:
    """Frames (count, h, w, 3) uint8 RGB of a texture that moves to the right by 2 px a frame."""
    height, width = size
    noise = np.random.default_rng(seed).integers(0, 255, (height, width + 2 * count, 3), np.uint8)
    ground = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    starts = [2 * (count - t) for t in range(count)]
    return np.stack([ground[:, start : start + width] for start in starts])


def write_video(path: Path, frames: Iterable[NDArray], fps: float = 25, **options: object) -> Path:
    """Write frames (h, w, 3) uint8 RGB, one at least; the options are those of ``VideoWriter``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = frames
    height, width = first.shape[:2]
    with VideoWriter(path, fps=fps, width=width, height=height, **options) as writer:
        for frame in (first, *others):
            writer.write(frame)
    return path


def write_images(
    folder: Path, frames: NDArray, *, first: int = 1, name: str = "img_{:05d}.png"
) -> Path:
    """Write frames as numbered images; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, rgb in enumerate(frames, start=first):
        assert cv2.imwrite(str(folder / name.format(number)), rgb[..., ::-1])
    return folder


def write_lossless(path: Path, frames: NDArray, *, fps: int = 25) -> Path:
    """Write frames as a video of PNG pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=fps)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path

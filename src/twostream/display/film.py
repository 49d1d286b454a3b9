"""A film of the flow: the video, the flow in colours beside it, and a legend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.display.colours import MIN_SCALE_PX, flow_to_rgb
from twostream.extraction.frame_pairs import FramePairs, at_rate
from twostream.extraction.pauses import unbroken
from twostream.flow import FlowEstimator
from twostream.flow.opencv import one_opencv_thread
from twostream.types import Frame, Progress, UsageError, VideoError, no_progress
from twostream.video import FrameFolder, VideoReader, VideoWriter, open_reader

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi")
SHOWN_HEIGHT_PX = 240  # smaller videos are enlarged by a whole factor, to be seen
LEGEND_WIDTH_PX = 96
WHEEL_PX = 72
LONGEST_PAUSE_SECONDS = 600.0  # of a film
SCALE_PAIRS = 25  # the colours' scale is taken from so many pairs at the start
SCALE_PERCENTILE = 99.0


@dataclass(frozen=True, slots=True)
class FilmSummary:
    """What a film shows.

    Attributes:
        pairs: number of fields, one a frame of the film where the video's rate is even.
        scale_px: displacement that has full colour.
        warning: a sentence when the video broke off early, else None.
    """

    pairs: int
    scale_px: float
    warning: str | None


def write_film(
    video: Path | str,
    out: Path | str,
    estimator: FlowEstimator,
    *,
    short_side: int | None = 256,
    scale_px: float | None = None,
    progress: Progress = no_progress,
) -> FilmSummary:
    """Write a film of each frame beside the flow to the next one; memory is constant.

    It takes the time that the video takes: through a pause the last frame stands, without flow.

    Args:
        video: the video file, or folder of frames.
        out: the film, .mp4, .mkv, .mov or .avi.
        estimator: of the flow.
        short_side: frames are shrunk to it before; None keeps them.
        scale_px: displacement that gets full colour, longer ones are darkened; None takes each
            field's 99th percentile over the first second, and their median: at least 1 px.
        progress: done and total are pairs, as many as the file claims.

    Raises:
        UsageError: a name that is no video's, or a scale that is none.
        VideoError: the video cannot be decoded or has one frame only, or the film not be written.
    """
    check_film_name(Path(out))
    if scale_px is not None and not (math.isfinite(scale_px) and scale_px > 0):
        raise UsageError(f"the scale must be a number of pixels above 0, got {scale_px}")
    reader = open_reader(
        video, short_side=short_side, motion_vectors=estimator.needs_motion_vectors
    )
    with one_opencv_thread(), reader:
        scale = scale_px or _typical_length(reader, estimator)
        factor = max(1, round(SHOWN_HEIGHT_PX / reader.size[0]))
        legend = draw_legend(reader.size[0] * factor, estimator.name, scale)
        pairs = 0

        def pictures() -> Iterator[NDArray[np.uint8]]:
            nonlocal pairs
            for frame, field, times in _fields(reader, estimator):
                pairs += field is not None
                moved = np.zeros((2, *reader.size), np.float32) if field is None else field
                yield from repeat(
                    _side_by_side(frame.rgb, flow_to_rgb(moved, scale), factor, legend), times
                )
                progress("flow", pairs, max(pairs, reader.info.num_frames_claimed - 1))

        if not write_pictures(out, pictures(), reader.info.fps, crf=16):
            raise VideoError(video, "has one frame only: flow needs two")
        return FilmSummary(pairs, scale, reader.warning)


def write_pictures(
    out: Path | str, pictures: Iterator[NDArray[np.uint8]], fps: float, *, crf: int = 20
) -> bool:
    """Write (h, w, 3) pictures as a film, each before the next one is made; False for none."""
    first = next(pictures, None)
    if first is None:
        return False
    height, width = first.shape[:2]
    codec = "mpeg4" if Path(out).suffix.lower() == ".avi" else "libx264"
    with VideoWriter(out, fps=fps, width=width, height=height, codec=codec, crf=crf) as writer:
        for picture in chain([first], pictures):
            writer.write(picture)
    return True


def check_film_name(path: Path) -> None:
    """Raise a UsageError for a name that tells no known container."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a film is written as one of {', '.join(SUFFIXES)}")


def draw_legend(height: int, name: str, scale_px: float) -> NDArray[np.uint8]:
    """Return a panel (height, 96, 3) uint8 RGB: the colour of every direction and length.

    Args:
        height: px, at least that of the wheel to show all of it.
        name: of the estimator.
        scale_px: displacement at the wheel's rim.
    """
    panel = np.full((height, LEGEND_WIDTH_PX, 3), 255, np.uint8)
    steps = (np.arange(WHEEL_PX, dtype=np.float32) - (WHEEL_PX - 1) / 2) / (WHEEL_PX / 2)
    vectors = np.stack(np.meshgrid(steps, steps))
    wheel = flow_to_rgb(vectors, 1.0)
    wheel[np.hypot(*vectors) > 1] = 255
    top, left = 8, (LEGEND_WIDTH_PX - WHEEL_PX) // 2
    space = panel[top : top + WHEEL_PX, left : left + WHEEL_PX]
    space[:] = wheel[: space.shape[0]]
    lines = (name, "rim, full colour:", f"{scale_px:.3g} px/frame")
    for i, line in enumerate(lines):
        at = (4, top + WHEEL_PX + 16 + 14 * i)
        cv2.putText(panel, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    return panel


def _typical_length(reader: VideoReader | FrameFolder, estimator: FlowEstimator) -> float:
    """Return the scale for a video; iterating the reader again starts it anew."""
    lengths = [
        float(np.percentile(np.hypot(*field), SCALE_PERCENTILE))
        for _, field, _ in islice(_fields(reader, estimator), SCALE_PAIRS)
        if field is not None
    ]
    return max(MIN_SCALE_PX, float(np.median(lengths))) if lengths else MIN_SCALE_PX


def _fields(
    reader: VideoReader | FrameFolder, estimator: FlowEstimator
) -> Iterator[tuple[Frame, NDArray[np.float32] | None, int]]:
    """Yield each frame but the last, the flow to the next one, and for how many frames it stands.

    The last one before a pause has no flow.
    """
    fps, place = reader.info.fps, 0
    before: Frame | None = None
    for start, run in unbroken(reader, fps, 0.0):
        pause = min(round(start * fps) - place, round(LONGEST_PAUSE_SECONDS * fps))
        if before is not None:
            yield before, None, max(1, pause)
            place += 1
        place = max(place, round(start * fps))
        pairs = FramePairs(estimator, ["forward"])
        for frame, gap in at_rate(run, fps, fps, all_frames=estimator.needs_motion_vectors):
            for field in pairs.push(frame):
                assert before is not None
                yield before, field, gap
            place += gap
            before = frame


def _side_by_side(
    rgb: NDArray[np.uint8], colours: NDArray[np.uint8], factor: int, legend: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return one picture, of even height and width as players want them."""
    both = np.concatenate([rgb, colours], axis=1).repeat(factor, axis=0).repeat(factor, axis=1)
    shown = np.concatenate([both, legend], axis=1)
    odd = (0, shown.shape[0] % 2), (0, shown.shape[1] % 2), (0, 0)
    return np.pad(shown, odd, constant_values=255)

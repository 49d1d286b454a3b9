"""From frames to what a clip holds: frames at an even rate, and the flow of neighbouring pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow import FlowEstimator
from twostream.flow.clipfile import Kind
from twostream.types import Frame

# Rates closer than this are taken as equal: 30 and 29.97 frames/s are not worth a repeated frame.
SAME_RATE = 0.01
# Timestamps of many containers are rounded to 1 ms; a frame may sit this share of an output
# interval on the wrong side of the middle.
TIME_TOLERANCE = 0.05
MAX_GAP_SECONDS = 10.0


def resample(frames: Iterable[Frame], fps: float) -> Iterator[tuple[Frame, int]]:
    """Pick the frames nearest to the times 0, 1/fps, 2/fps, ... by their timestamps.

    Args:
        frames: in order, with increasing timestamps.
        fps: wanted rate.

    Yields:
        Each picked frame once, and how many output intervals lie between it and the one picked
        before (0 for the first). More than 1 where the video is slower than ``fps``: the frame
        before is then shown so many times, and the flow between the two is spread evenly.
    """
    candidate: Frame | None = None
    position = picked = 0  # output index from which on the candidate, the last pick, is nearest
    for frame in frames:
        if candidate is None:
            candidate = frame
            continue
        middle = (candidate.pts_seconds + frame.pts_seconds) / 2
        next_position = math.floor(middle * fps + TIME_TOLERANCE) + 1
        if next_position > position:
            yield candidate, position - picked
            picked, position = position, next_position
        candidate = frame
    if candidate is not None and (
        position == 0 or position / fps < candidate.pts_seconds + (0.5 - TIME_TOLERANCE) / fps
    ):
        yield candidate, position - picked


def at_rate(
    frames: Iterable[Frame], fps: float, wanted: float | None
) -> tuple[float, Iterator[tuple[Frame, int]]]:
    """Bring frames to a rate, where theirs is another.

    Args:
        frames: in order, with increasing timestamps.
        fps: their rate.
        wanted: None keeps theirs.

    Returns:
        The rate of what comes out, and what ``resample`` yields.
    """
    if wanted is not None and abs(fps / wanted - 1) > SAME_RATE:
        return wanted, resample(frames, wanted)
    return fps, ((frame, min(i, 1)) for i, frame in enumerate(frames))


def clip_items(
    picked: Iterable[tuple[Frame, int]],
    fps: float,
    kinds: Sequence[Kind],
    estimator: FlowEstimator | None,
) -> Iterator[list[tuple[Kind, NDArray[np.generic]]]]:
    """Turn frames into what a clip holds: each frame once, the flow of each pair once.

    Args:
        picked: frames, and how many output intervals lie between each and the one before.
        fps: of the output.
        kinds: any of "rgb", "forward", "backward".
        estimator: for the flow; None where no flow is wanted.

    Yields:
        For each frame what it adds, in order: frames (h, w, 3) uint8 RGB, fields (2, h, w) px.
    """
    before: NDArray[np.uint8] | None = None
    grey_before: NDArray[np.uint8] | None = None
    for frame, gap in picked:
        span = min(gap, math.ceil(MAX_GAP_SECONDS * fps))  # a broken clock must not fill the disk
        items: list[tuple[Kind, NDArray[np.generic]]] = []
        if "rgb" in kinds:
            if before is not None:
                items += [("rgb", before)] * (span - 1)
            items.append(("rgb", frame.rgb))
            before = frame.rgb
        if estimator is not None:
            grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
            if grey_before is not None:
                pairs: tuple[tuple[Kind, NDArray[np.uint8], NDArray[np.uint8]], ...] = (
                    ("forward", grey_before, grey),
                    ("backward", grey, grey_before),
                )
                for kind, first, second in pairs:
                    if kind in kinds:
                        items += [(kind, estimator(first, second) / np.float32(span))] * span
            grey_before = grey
        yield items

"""From frames to what a clip holds: frames at an even rate, and the flow of neighbouring pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeGuard

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow import FlowEstimator
from twostream.flow.clipfile import Kind
from twostream.types import Direction, Frame

# Rates closer than this are taken as equal: 30 and 29.97 frames/s are not worth a repeated frame.
SAME_RATE = 0.01
# Timestamps of many containers are rounded to 1 ms; a frame may sit this share of an output
# interval on the wrong side of the middle.
TIME_TOLERANCE = 0.05
MAX_GAP_SECONDS = 10.0


class CodecEstimator(Protocol):
    """An estimator that takes the flow out of the video file instead of computing it."""

    reads_codec: bool

    def field_of(self, frame: Frame, direction: Direction) -> NDArray[np.float32]:
        """Return the (2, h, w) field between a frame, read with its motion, and the one before."""
        ...


def reads_codec(estimator: object) -> TypeGuard[CodecEstimator]:
    """Whether an estimator wants frames that are read with ``motion_vectors=True``, and all."""
    return getattr(estimator, "reads_codec", False)


class FramePairs:
    """Takes frames in order and gives the flow of the last two.

    Args:
        estimator: one that no other thread uses.
    """

    def __init__(self, estimator: FlowEstimator) -> None:
        restart = getattr(estimator, "restart", None)
        if restart is not None:
            restart()  # what it keeps from pair to pair must not come from another clip
        self._estimator = estimator
        self._frames = 0
        self._last: Frame | None = None
        self._before: NDArray[np.uint8] | None = None
        self._now: NDArray[np.uint8] | None = None

    def push(self, frame: Frame) -> bool:
        """Take the next frame; returns whether there are two by now."""
        self._frames += 1
        if reads_codec(self._estimator):
            self._last = frame
        else:
            self._before = self._now
            self._now = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
        return self._frames > 1

    def field(self, direction: Direction) -> NDArray[np.float32]:
        """Return the (2, h, w) field from the frame before to the last one, or backward."""
        if reads_codec(self._estimator) and self._last is not None:
            return self._estimator.field_of(self._last, direction)
        if self._before is None or self._now is None:
            raise ValueError("flow needs two frames")
        if direction == "forward":
            return self._estimator(self._before, self._now)
        return self._estimator(self._now, self._before)


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
    directions: list[Direction] = [kind for kind in kinds if kind != "rgb"]
    pairs = FramePairs(estimator) if estimator is not None else None
    before: NDArray[np.uint8] | None = None
    for frame, gap in picked:
        span = min(gap, math.ceil(MAX_GAP_SECONDS * fps))  # a broken clock must not fill the disk
        items: list[tuple[Kind, NDArray[np.generic]]] = []
        if "rgb" in kinds:
            if before is not None:
                items += [("rgb", before)] * (span - 1)
            items.append(("rgb", frame.rgb))
            before = frame.rgb
        if pairs is not None and pairs.push(frame):
            for direction in directions:
                items += [(direction, pairs.field(direction) / np.float32(span))] * span
        yield items

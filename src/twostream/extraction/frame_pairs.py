"""From frames to what a clip holds: frames at an even rate, and the flow of neighbouring pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeGuard

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow import FlowEstimator
from twostream.store.clip_file import Kind
from twostream.types import Direction, Frame

# Rates closer than this are taken as equal: 30 and 29.97 frames/s are not worth a repeated frame.
SAME_RATE = 0.01
# Timestamps of many containers are rounded to 1 ms; a frame may sit this share of an output
# interval on the wrong side of the middle.
TIME_TOLERANCE = 0.05
MAX_GAP_SECONDS = 10.0


WithFlow = tuple[Frame, int, list[NDArray[np.float32]]]


class CodecEstimator(Protocol):
    """An estimator that takes the flow out of the video file instead of computing it."""

    reads_codec: bool

    def field_of(self, frame: Frame, direction: Direction) -> NDArray[np.float32]:
        """Return the (2, h, w) field between a frame, read with its motion, and the one before."""
        ...


def reads_codec(estimator: object) -> TypeGuard[CodecEstimator]:
    """Whether an estimator wants frames that are read with ``motion_vectors=True``, and all."""
    return getattr(estimator, "reads_codec", False)


def to_grey(frame: Frame) -> NDArray[np.uint8]:
    """Return what estimators see of a frame, (h, w) uint8.

    Grey of the colours and not the video's own luma, though that would be there already: streams
    of pictures have no luma, and their flow must be that of the video (docs/flow.md has the cost).
    """
    return cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)


def run_length(estimator: FlowEstimator) -> int:
    """Return after how many pairs an estimator starts from nothing: 1, or its ``warm_start``.

    Runs begin at fixed frame numbers and can be computed apart from each other.
    """
    return max(1, int(estimator.parameters.get("warm_start", 0)))


class FramePairs:
    """Takes frames in order and gives the flow of the last two.

    Args:
        estimator: one that no other thread uses.
    """

    def __init__(self, estimator: FlowEstimator) -> None:
        self._restart = getattr(estimator, "restart", lambda: None)
        self._run_length = run_length(estimator)
        self._estimator = estimator
        self._frames = 0
        self._last: Frame | None = None
        self._before: NDArray[np.uint8] | None = None
        self._now: NDArray[np.uint8] | None = None

    def push(self, frame: Frame) -> bool:
        """Take the next frame; returns whether there are two by now."""
        if (self._frames - 1) % self._run_length == 0:
            self._restart()  # what it keeps from pair to pair belongs to another run or clip
        self._frames += 1
        if reads_codec(self._estimator):
            self._last = frame
        else:
            self._before, self._now = self._now, to_grey(frame)
        return self._frames > 1

    def field(self, direction: Direction) -> NDArray[np.float32]:
        """Return the (2, h, w) field from the frame before to the last one, or backward.

        Two equal frames cost nothing: their field is zero.
        """
        if reads_codec(self._estimator) and self._last is not None:
            return self._estimator.field_of(self._last, direction)
        if self._before is None or self._now is None:
            raise ValueError("flow needs two frames")
        if np.array_equal(self._before, self._now):  # many videos repeat frames
            return np.zeros((2, *self._now.shape), np.float32)
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


def with_flow(
    picked: Iterable[tuple[Frame, int]],
    estimator: FlowEstimator | None,
    directions: Sequence[Direction],
) -> Iterator[WithFlow]:
    """Compute the flow of each frame as it comes.

    Args:
        picked: frames, and how many output intervals lie between each and the one before.
        estimator: one that no other thread uses; None where no flow is wanted.
        directions: which fields of each pair.

    Yields:
        Each frame, its gap, and the fields between it and the frame before, one a direction,
        (2, h, w) px; none for the first frame.
    """
    pairs = FramePairs(estimator) if estimator is not None else None
    for frame, gap in picked:
        ready = pairs is not None and pairs.push(frame)
        yield frame, gap, [pairs.field(way) for way in directions] if pairs and ready else []


def clip_items(
    frames: Iterable[WithFlow], fps: float, kinds: Sequence[Kind]
) -> Iterator[list[tuple[Kind, NDArray[np.generic]]]]:
    """Turn frames and their flow into what a clip holds: each frame once, each field once.

    Args:
        frames: what ``with_flow`` yields for ``directions_of(kinds)``.
        fps: of the output.
        kinds: any of "rgb", "forward", "backward".

    Yields:
        For each frame what it adds, in order: frames (h, w, 3) uint8 RGB, fields (2, h, w) px.
    """
    before: NDArray[np.uint8] | None = None
    for frame, gap, fields in frames:
        span = min(gap, math.ceil(MAX_GAP_SECONDS * fps))  # a broken clock must not fill the disk
        items: list[tuple[Kind, NDArray[np.generic]]] = []
        if "rgb" in kinds:
            if before is not None:
                items += [("rgb", before)] * (span - 1)
            items.append(("rgb", frame.rgb))
            before = frame.rgb
        for direction, field in zip(directions_of(kinds), fields, strict=bool(fields)):
            items += [(direction, field / np.float32(span))] * span
        yield items


def directions_of(kinds: Sequence[Kind]) -> list[Direction]:
    """Return those of the kinds that are flow."""
    return [kind for kind in kinds if kind != "rgb"]

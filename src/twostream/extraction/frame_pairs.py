"""From frames to what a clip holds: frames at an even rate, and the flow of neighbouring pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.flow import FlowEstimator
from twostream.store.coding import Item, Kind
from twostream.types import Direction, Frame, VideoError

# Rates closer than this are taken as equal: 30 and 29.97 frames/s are not worth a repeated frame.
SAME_RATE = 0.01
# Timestamps of many containers are rounded to 1 ms; a frame may sit this share of an output
# interval on the wrong side of the middle.
TIME_TOLERANCE = 0.05
# A frame keeps the next place while it is no further than this from it, in output intervals:
# clocks of cameras and containers jitter, and what is even comes through one by one.
PLACE_TOLERANCE = 0.75
MAX_GAP_SECONDS = 10.0  # between frames that flow is spread over; longer ones are pauses

WithFlow = tuple[Frame, int, list[NDArray[np.float32]]]


class FramePairs:
    """Takes frames in order and gives the flow of the last two.

    Args:
        estimator: one that no other thread uses.
        directions: which fields of each pair.
    """

    def __init__(self, estimator: FlowEstimator, directions: Sequence[Direction]) -> None:
        self._estimator = estimator
        self._directions = directions
        self._last: Any = None

    def push(self, frame: Frame, follows: bool = True) -> list[NDArray[np.float32]]:
        """Take the next frame; returns the (2, h, w) fields of it and the one that it follows."""
        before, self._last = self._last, self._estimator.see(frame)
        if before is None or not follows:
            return []
        return self._estimator.between(before, self._last, self._directions)


def resample(frames: Iterable[Frame], fps: float) -> Iterator[tuple[Frame, int]]:
    """Give each frame the nearest of the times 0, 1/fps, 2/fps, ... after the first; one a time.

    Of several frames at one time the nearest is picked.

    Args:
        frames: in order, with increasing timestamps.
        fps: wanted rate.

    Yields:
        Each picked frame once, and how many output intervals lie between it and the one picked
        before (0 for the first). More than 1 where the video is slower than ``fps``: the frame
        before is then shown so many times, and the flow between the two is spread evenly.
    """
    candidate: Frame | None = None
    origin = off = 0.0
    picked = place = 0  # places of the last pick and of the candidate
    for frame in frames:
        if candidate is None:
            candidate, origin = frame, frame.pts_seconds
            continue
        at = (frame.pts_seconds - origin) * fps
        nearest = math.floor(at + 0.5 - TIME_TOLERANCE)
        if nearest > place:
            yield candidate, place - picked
            picked = place
        elif abs(at - nearest) >= off - 2 * TIME_TOLERANCE:
            continue
        candidate, place, off = frame, nearest, abs(at - nearest)
    if candidate is not None:
        yield candidate, place - picked


def placed(
    frames: Iterable[Frame], fps: float, *, all_frames: bool = False
) -> Iterator[tuple[Frame, int]]:
    """Give each frame its place among the times 0, 1/fps, 2/fps, ..., as soon as it comes.

    Frames of this rate come through one by one, whatever the jitter of their times. Where some are
    missing, the next one has its place behind them; where some are too many, they are left out.

    Args:
        frames: in order, with increasing timestamps.
        fps: their rate, where it is even.
        all_frames: leave none out: their motion is that of the codec, from each to the next.

    Yields:
        As ``resample``.
    """
    origin: float | None = None
    place = 0
    for frame in frames:
        if origin is None:
            origin = frame.pts_seconds
            yield frame, 0
            continue
        step = (frame.pts_seconds - origin) * fps - place
        if step < 1 - PLACE_TOLERANCE and not all_frames:
            continue
        gap = 1 if step <= 1 + PLACE_TOLERANCE else round(step)
        place += gap
        yield frame, gap


def output_rate(fps: float, wanted: float | None) -> float:
    """Return the rate that frames are brought to: their own, unless another one is wanted."""
    return fps if wanted is None or abs(fps / wanted - 1) <= SAME_RATE else wanted


def refuse_other_rate(video: Path | str, fps: float, rate: float) -> None:
    """Raise a VideoError where the codec's motion would have to be brought to another rate."""
    if rate != fps:
        raise VideoError(
            video,
            f"it has {fps:g} frames/s, and motion vectors, which lead from each frame to the next, "
            f"cannot be brought to {rate:g}: leave --fps away, or use another flow method",
        )


def at_rate(
    frames: Iterable[Frame], fps: float, rate: float, *, all_frames: bool = False
) -> Iterator[tuple[Frame, int]]:
    """Bring frames to an even rate by their times.

    Args:
        frames: in order, with increasing timestamps.
        fps: their nominal rate.
        rate: from ``output_rate``.
        all_frames: see ``placed``.

    Yields:
        As ``resample``.
    """
    return placed(frames, fps, all_frames=all_frames) if rate == fps else resample(frames, rate)


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
        (2, h, w) px; none for a frame with a gap of 0, which follows none.
    """
    pairs = FramePairs(estimator, directions) if estimator is not None else None
    for frame, gap in picked:
        yield frame, gap, pairs.push(frame, gap > 0) if pairs is not None else []


def within_windows(
    picked: Iterable[tuple[Frame, int]], fps: float, *, length: int, every: int
) -> Iterator[tuple[Frame, int]]:
    """Let frames follow none where no window holds both: their flow would not be looked at.

    Args:
        picked: frames, and how many output intervals lie between each and the one before.
        fps: of the output.
        length, every: frames at that rate in a window, and from one window to the next.

    Yields:
        As many frames, at that rate.

    >>> frames = [(Frame(np.zeros((1, 1, 3), np.uint8), float(i)), min(i, 1)) for i in range(9)]
    >>> [gap for _, gap in within_windows(frames, 1.0, length=2, every=4)]
    [0, 1, 0, 0, 0, 1, 0, 0, 0]
    """
    at, before = -1, None
    for frame, gap in picked:
        span = _span(gap, fps)
        if any(0 < i % every < length for i in range(at + 1, at + span + 1)):
            yield frame, gap
        else:
            for step in range(1, span + 1):
                yield frame if step == span or before is None else before, 0
        at, before = at + span, frame


def _span(gap: int, fps: float) -> int:
    """Return how many output intervals a frame adds: a broken clock must not fill the disk."""
    return max(1, min(gap, math.ceil(MAX_GAP_SECONDS * fps)))


def clip_items(
    frames: Iterable[WithFlow], fps: float, kinds: Sequence[Kind]
) -> Iterator[list[dict[Kind, Item]]]:
    """Turn frames and their flow into what a clip holds: each frame once, each field once.

    Args:
        frames: what ``with_flow`` yields for ``directions_of(kinds)``.
        fps: of the output.
        kinds: any of "rgb", "forward", "backward".

    Yields:
        For each frame the output intervals that it adds, in order, and of each interval the frame
        (h, w, 3) uint8 RGB and the fields (2, h, w) px; a frame that follows none has no field.
    """
    before: Item | None = None
    for frame, gap, fields in frames:
        span = _span(gap, fps)
        shares = [field / np.float32(span) for field in fields]
        added: list[dict[Kind, Item]] = []
        for step in range(1, span + 1):
            items = dict[Kind, Item](zip(directions_of(kinds), shares, strict=bool(shares)))
            if "rgb" in kinds:
                items["rgb"] = frame.rgb if step == span or before is None else before
            added.append(items)
        before = frame.rgb
        yield added


def directions_of(kinds: Sequence[Kind]) -> list[Direction]:
    """Return those of the kinds that are flow."""
    return [kind for kind in kinds if kind != "rgb"]

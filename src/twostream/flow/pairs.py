"""The flow between neighbouring frames of a video, whatever the estimator needs of them."""

from __future__ import annotations

from typing import Protocol, TypeGuard

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow import FlowEstimator
from twostream.types import Direction, Frame


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

"""The codec's own motion vectors as flow: almost free, coarse, and only of some files.

A block of a frame was predicted from a place in the frame before: from there to here it has moved
(Zhang et al., CVPR 2016; Wu et al., CVPR 2018, "CoViAR"). Blocks without a vector, intra blocks and
whole intra frames, are zero. Vectors stand where the block is in the later frame, in both
directions: forward flow is the backward flow's opposite, not moved to where it came from.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow.estimators import Fields, FlowEstimator
from twostream.types import BlockMotion, Direction, Frame, UsageError

CELL_PX = 4  # all blocks of the codecs are multiples of it


class MotionVectors(FlowEstimator):
    """Takes flow out of the video file; there is nothing to compute and nothing to set."""

    name = "mv"
    needs_motion_vectors = True

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Refuse: two pictures have no motion vectors."""
        raise UsageError(
            "mv takes the motion vectors out of a video file, and two images have none: use "
            "another --method"
        )

    def see(self, frame: Frame) -> Frame:
        """Return the frame, which holds its motion since the one before."""
        return frame

    def between(self, before: Frame, now: Frame, directions: Sequence[Direction]) -> Fields:
        """Return the (2, h, w) fields between a frame, read with its motion, and the one before."""
        if now.motion is None:
            raise ValueError("the frame was read without its motion vectors")
        backward = _upright(now.motion, now.rgb.shape[:2])
        return [backward if direction == "backward" else -backward for direction in directions]


def rasterise(motion: BlockMotion) -> NDArray[np.float32]:
    """Return the vector of every pixel, (2, height, width) px of the coded picture.

    >>> motion = BlockMotion(np.int32([[4, 0, 4, 8]]), np.float32([[-1.5, 2]]), 8, 8, 0)
    >>> rasterise(motion)[:, 0]
    array([[ 0. ,  0. ,  0. ,  0. , -1.5, -1.5, -1.5, -1.5],
           [ 0. ,  0. ,  0. ,  0. ,  2. ,  2. ,  2. ,  2. ]], dtype=float32)
    """
    rows, columns = -(-motion.height // CELL_PX), -(-motion.width // CELL_PX)
    cells = np.zeros((2, rows, columns), np.float32)
    sizes, kinds = np.unique(motion.blocks[:, 2:], axis=0, return_inverse=True)
    for kind, (width, height) in enumerate(sizes // CELL_PX):  # a handful: 16x16, 16x8, ...
        chosen = kinds.ravel() == kind
        left, top = motion.blocks[chosen, 0] // CELL_PX, motion.blocks[chosen, 1] // CELL_PX
        y, x = np.broadcast_arrays(
            top[:, None, None] + np.arange(height)[:, None],
            left[:, None, None] + np.arange(width),
        )
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)  # blocks may overhang the picture
        values = np.broadcast_to(motion.vectors[chosen].T[:, :, None, None], (2, *y.shape))
        cells[:, y[inside], x[inside]] = values[:, inside]
    whole = cells.repeat(CELL_PX, axis=1).repeat(CELL_PX, axis=2)
    return whole[:, : motion.height, : motion.width]


def _upright(motion: BlockMotion, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the field of the coded picture, turned, mirrored and shrunk to the stored (h, w)."""
    field = rasterise(motion)
    for _ in range(motion.rotation // 90):  # clockwise: right becomes down, down becomes left
        x, y = (np.rot90(plane, -1) for plane in field)
        field = np.stack([-y, x])
    if motion.mirrored:  # right becomes left
        x, y = field[:, :, ::-1]
        field = np.stack([-x, y])
    height, width = size
    if field.shape[1:] != (height, width):
        scale = (width / field.shape[2], height / field.shape[1])
        field = np.stack(
            [
                cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
                * np.float32(factor)
                for plane, factor in zip(field, scale, strict=True)
            ]
        )
    return np.ascontiguousarray(field)

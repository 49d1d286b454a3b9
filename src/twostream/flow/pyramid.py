"""What the variational solvers share around their kernels: image pyramids, padded planes."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64  # of a cache line, and of the widest vector
SMALLEST_SIDE_PX = 16  # of a pyramid's coarsest level, unless the frame itself is smaller


def level_sizes(height: int, width: int, step: float, levels: int) -> list[tuple[int, int]]:
    """Return (height, width) of each level, the finest first.

    Args:
        height: of the frame, px.
        width: of the frame, px.
        step: size ratio of a level to the finer one, below 1.
        levels: at most so many; fewer where a side would fall below 16 px.

    >>> level_sizes(240, 320, 0.5, 10)
    [(240, 320), (120, 160), (60, 80), (30, 40)]
    """
    sizes = [(height, width)]
    while len(sizes) < levels:
        smaller = (round(sizes[-1][0] * step), round(sizes[-1][1] * step))
        if min(smaller) < SMALLEST_SIDE_PX or smaller == sizes[-1]:
            break
        sizes.append(smaller)
    return sizes


def resize_plane(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return a (height, width) plane, bilinear; the plane itself where it has that size."""
    if plane.shape == (height, width):
        return plane
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_field(field: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return a (2, height, width) field in px of the new size: its vectors grow with it."""
    scale = np.array([width / field.shape[2], height / field.shape[1]], np.float32)
    planes = [resize_plane(plane, height, width) for plane in field]
    return np.stack(planes) * scale[:, None, None]


def aligned_zeros(*shape: int) -> NDArray[np.float32]:
    """Return zeros that begin at a cache line: vectors across two lines cost up to a tenth more."""
    size = 4 * math.prod(shape)
    memory = np.zeros(size + LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % LINE_BYTES
    return memory[start : start + size].view(np.float32).reshape(shape)


class Planes:
    """Memory for the planes of one pyramid level, kept from pair to pair: pages cost time."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def get(self, count: int, height: int, stride: int) -> NDArray[np.float32]:
        """Return (count, height, stride) numbers of no meaning; those got before are lost."""
        size = count * height * stride
        if self._memory.size < size:
            self._memory = aligned_zeros(size)
        return self._memory[:size].reshape(count, height, stride)

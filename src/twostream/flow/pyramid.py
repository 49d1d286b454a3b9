"""What the variational solvers share around their kernels: image pyramids, padded planes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Plane = NDArray[np.float32]

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


def resize_plane(plane: Plane, height: int, width: int) -> Plane:
    """Return a (height, width) plane, bilinear; the plane itself where it has that size."""
    if plane.shape == (height, width):
        return plane
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_field(field: Plane, height: int, width: int) -> Plane:
    """Return a (2, height, width) field in px of the new size: its vectors grow with it."""
    scale = np.array([width / field.shape[2], height / field.shape[1]], np.float32)
    planes = [resize_plane(plane, height, width) for plane in field]
    return np.stack(planes) * scale[:, None, None]


def coarse_to_fine(
    first: Grey,
    second: Grey,
    sizes: Sequence[tuple[int, int]],
    start: Plane | None,
    solve_level: Callable[[Plane, Plane, Plane], Plane],
) -> Plane:
    """Return the field of a pair, (2, h, w) px.

    Args:
        first, second: (h, w).
        sizes: of the levels, the finest first, see ``level_sizes``.
        start: (2, height, width) field of any size at the coarsest level; None for no motion.
        solve_level: returns the field of a level from both its frames and the field so far.
    """
    frames = [(first.astype(np.float32), second.astype(np.float32))]
    for size in sizes[1:]:
        one, two = (resize_plane(frame, *size) for frame in frames[-1])
        frames.append((one, two))
    field = np.zeros((2, *sizes[-1]), np.float32) if start is None else start
    for size, (one, two) in zip(reversed(sizes), reversed(frames), strict=True):
        field = solve_level(one, two, resize_field(field, *size))
    return field


def aligned_zeros(*shape: int) -> Plane:
    """Return zeros that begin at a cache line: vectors across two lines cost up to a tenth more."""
    size = 4 * math.prod(shape)
    memory = np.zeros(size + LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % LINE_BYTES
    return memory[start : start + size].view(np.float32).reshape(shape)


class Planes:
    """Memory for the planes of one pyramid level, kept from pair to pair: pages cost time."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def get(self, count: int, height: int, stride: int) -> Plane:
        """Return (count, height, stride) numbers of no meaning; those got before are lost."""
        size = count * height * stride
        if self._memory.size < size:
            self._memory = aligned_zeros(size)
        return self._memory[:size].reshape(count, height, stride)

"""The 8-bit code of flow that every other tool uses, and its inverse.

``round(255 (d - low) / (high - low))``, clipped to 0..255, with low = -bound and high = bound
(TSN's dense_flow, denseflow, gpu_flow, mmaction2). No code is zero: a displacement of zero lies
between 127 and 128, is rounded to 128 and comes back as +bound/255 (.078 px for 20).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = 255


def encode_classic(
    flow: NDArray[np.float32], bound_px: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Quantise displacements to the classic code.

    Args:
        flow: px, any shape, finite.
        bound_px: range of the code; larger displacements are clipped.

    Returns:
        Codes, uint8 in 0..255, and which values were clipped, both of the same shape.

    >>> encode_classic(np.float32([-20, 0, 5, 33]), 20.0)[0]
    array([  0, 128, 159, 255], dtype=uint8)
    """
    codes = np.rint((flow + np.float32(bound_px)) * np.float32(LEVELS / (2 * bound_px)))
    beyond = np.abs(flow) > bound_px
    return np.clip(codes, 0, LEVELS).astype(np.uint8), beyond


def decode_classic(codes: NDArray[np.uint8], low_px: float, high_px: float) -> NDArray[np.float32]:
    """Return displacements in px, of the codes' shape; the error is half a step at most.

    Args:
        codes: of ``encode_classic``.
        low_px: what code 0 stands for, -bound.
        high_px: what code 255 stands for, +bound.

    >>> decode_classic(np.uint8([0, 128, 255]), -20.0, 20.0).round(3)
    array([-20.   ,   0.078,  20.   ], dtype=float32)
    """
    return codes * np.float32((high_px - low_px) / LEVELS) + np.float32(low_px)

"""Compiled interpolation, inlined into the solvers' kernels."""

from __future__ import annotations

import numpy as np

from twostream.flow.compile import inlined


@inlined
def cubic_weights(f):
    """Return the weights of samples -1, 0, 1, 2 at ``f`` in [0, 1]: Catmull-Rom (Keys 1981)."""
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    return (
        half * f * (f * (two - f) - one),
        one + f * f * (np.float32(1.5) * f - np.float32(2.5)),
        half * f * (one + f * (np.float32(4) - np.float32(3) * f)),
        half * f * f * (f - one),
    )


@inlined
def cubic_slopes(f):
    """Return the derivatives of ``cubic_weights``; at 0 they are the central difference."""
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    steep = np.float32(1.5) * f
    return (
        f * (two - steep) - half,
        f * (np.float32(4.5) * f - np.float32(5)),
        half + f * (np.float32(4) - np.float32(4.5) * f),
        f * (steep - one),
    )


@inlined
def _weighted(weights, a, b, c, d):
    return weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d


@inlined
def _line(frame, start, k0, k1, k2, k3):
    """Return four samples of a row; unsigned indices are not tested for being negative."""
    return (
        frame[np.uint32(start + k0)],
        frame[np.uint32(start + k1)],
        frame[np.uint32(start + k2)],
        frame[np.uint32(start + k3)],
    )


@inlined
def sample(frame, height, width, x, y):
    """Return a frame's value and gradient at (x, y), and whether that lies in the frame.

    Args:
        frame: (height * width) float32, fewer than 2^31 px; its border is repeated outside.
        height, width: of the frame, int32.
        x, y: float32, px.
    """
    zero, one, two = np.int32(0), np.int32(1), np.int32(2)
    right, bottom = width - one, height - one
    far_x, far_y, near = np.float32(right), np.float32(bottom), np.float32(0)
    inside = (x >= near) & (x <= far_x) & (y >= near) & (y <= far_y)
    x, y = min(max(x, near), far_x), min(max(y, near), far_y)
    kx, ky = np.int32(x), np.int32(y)
    fx, fy = x - np.float32(kx), y - np.float32(ky)
    k0, k2, k3 = max(kx - one, zero), min(kx + one, right), min(kx + two, right)
    l0 = _line(frame, max(ky - one, zero) * width, k0, kx, k2, k3)
    l1 = _line(frame, ky * width, k0, kx, k2, k3)
    l2 = _line(frame, min(ky + one, bottom) * width, k0, kx, k2, k3)
    l3 = _line(frame, min(ky + two, bottom) * width, k0, kx, k2, k3)
    across, down = cubic_weights(fx), cubic_weights(fy)
    slope_x, slope_y = cubic_slopes(fx), cubic_slopes(fy)
    s0, s1 = _weighted(across, *l0), _weighted(across, *l1)
    s2, s3 = _weighted(across, *l2), _weighted(across, *l3)
    d0, d1 = _weighted(slope_x, *l0), _weighted(slope_x, *l1)
    d2, d3 = _weighted(slope_x, *l2), _weighted(slope_x, *l3)
    return (
        _weighted(down, s0, s1, s2, s3),
        _weighted(down, d0, d1, d2, d3),
        _weighted(slope_y, s0, s1, s2, s3),
        inside,
    )

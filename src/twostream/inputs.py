"""Temporal inputs of section 3.1, in NumPy alone so that prediction without torch can use them.

The order of operations is the paper's: follow trajectories on the raw flow, subtract each whole
field's mean, crop, flip. The functions take *windows*: fields that were already picked in time.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from twostream.types import TemporalInput

FlowStack = Float32[np.ndarray, "length 2 h w"]
Window = Float32[np.ndarray, "half 2 h w"]  # a whole stack, or half of a bi-directional one


def bilinear_sample(
    field: Float32[np.ndarray, "2 h w"],
    x: Float32[np.ndarray, "h w"],
    y: Float32[np.ndarray, "h w"],
) -> Float32[np.ndarray, "2 h w"]:
    """Sample a field at sub-pixel points; points outside take the nearest border value.

    Args:
        field: displacement field in pixels.
        x: column of each point, 0..w-1 inside.
        y: row of each point, 0..h-1 inside.

    >>> ramp = np.tile(np.arange(4, dtype=np.float32), (2, 3, 1))
    >>> half = np.full((3, 4), 0.5, np.float32)
    >>> float(bilinear_sample(ramp, half, half)[0, 0, 0])
    0.5
    """
    height, width = field.shape[1:]
    x = np.clip(x, 0, width - 1)
    y = np.clip(y, 0, height - 1)
    left = np.minimum(x.astype(np.intp), max(width - 2, 0))
    top = np.minimum(y.astype(np.intp), max(height - 2, 0))
    fx = x - left
    fy = y - top
    flat = field.reshape(2, -1)
    corner = top * width + left
    right = 1 if width > 1 else 0
    down = width if height > 1 else 0
    upper = flat[:, corner] * (1 - fx) + flat[:, corner + right] * fx
    lower = flat[:, corner + down] * (1 - fx) + flat[:, corner + down + right] * fx
    return (upper * (1 - fy) + lower * fy).astype(np.float32)


def follow_trajectories(fields: FlowStack) -> FlowStack:
    """Trajectory stacking, equation 2: sample field k at the point the motion has reached.

    p_1 = (u, v); p_k = p_{k-1} + d_{k-1}(p_{k-1}); channel pair k of the result is d_k(p_k).
    Points that leave the frame take the nearest border value.

    Args:
        fields: L raw displacement fields in pixels, whole frames, in temporal order.

    Returns:
        The sampled stack, same shape; its first field equals the input's.

    >>> bool((follow_trajectories(np.ones((3, 2, 4, 4), np.float32)) == 1).all())
    True
    """
    grid = np.indices(fields.shape[2:]).astype(np.float32)
    x, y = grid[1], grid[0]
    sampled = np.empty_like(fields)
    for k, field in enumerate(fields):
        sampled[k] = bilinear_sample(field, x, y) if k else field
        x = x + sampled[k, 0]
        y = y + sampled[k, 1]
    return sampled


def flow_stack(
    forward: Window, temporal: TemporalInput, backward: Window | None = None
) -> FlowStack:
    """Build the temporal stream's stack from windows of raw fields (section 3.1).

    Args:
        forward: L fields tau, tau+1, ... (equation 1); for bi-directional input the L/2 fields
            from the centre frame on.
        temporal: which of the paper's inputs to build.
        backward: for bi-directional input, L/2 fields (tau -> tau-1), (tau-1 -> tau-2), ...

    Returns:
        (length, 2, h, w) in pixels: for bi-directional input the forward half, then the backward
        half. With ``subtract_mean`` each field has lost the mean vector of its *whole raw field*:
        the stand-in for camera motion, which must not depend on the paths or on the crop.

    Raises:
        ValueError: the windows do not have the lengths that ``temporal`` asks for.
    """
    halves = [forward] if backward is None else [forward, backward]
    expected = temporal.length // len(halves)
    if temporal.bidirectional != (backward is not None) or any(
        len(half) != expected for half in halves
    ):
        raise ValueError(f"{temporal} does not fit windows of {[len(half) for half in halves]}")
    parts = []
    for half in halves:
        part = follow_trajectories(half) if temporal.trajectory else half
        if temporal.subtract_mean:
            part = part - half.mean(axis=(2, 3), keepdims=True)
        parts.append(part)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def rgb_stack(frames: UInt8[np.ndarray, "length h w 3"]) -> Float32[np.ndarray, "length 3 h w"]:
    """Turn RGB frames (0..255) into a stack of planes, 0..1."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)

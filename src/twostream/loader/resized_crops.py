"""Crops resized straight from what the store keeps: only what a crop shows becomes floats."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.augment import Crop, resized
from twostream.store.clips import Clip
from twostream.store.coding import STEPS, ZERO_CODE
from twostream.types import TemporalInput


def resized_crop(
    clip: Clip, temporal: TemporalInput | None, position: int, crop: Crop, size: int
) -> NDArray[np.float32]:
    """Return ``resized(crop.cut(clip.stack(temporal, position)), size)`` at a third of its cost.

    A whole stack of 320 x 240 px is 6 MB of floats that are decoded, centred and mostly left
    behind. All of this is linear, so here 8-bit values are cut and resized, and only then brought
    to pixels; what differs is rounding. A trajectory needs whole fields, and takes the long way.

    Args:
        clip, temporal, position: as of ``Clip.stack``.
        crop: a window of the stored frame.
        size: side of the result, px.

    Returns:
        (length, c, size, size), flow in px of the stored frame, RGB in 0..1.
    """
    if temporal is not None and not temporal.rgb and temporal.trajectory:
        return resized(crop.cut(clip.stack(temporal, position)), size)
    kept = clip.stored(temporal, position)
    if "frames" in kept:
        frames = np.moveaxis(kept["frames"], -1, 1)
        return _planes(frames, crop, size) / np.float32(255)
    assert temporal is not None
    fields = kept["codes"] if "codes" in kept else kept["fields"]
    cut = _planes(fields, crop, size)
    if temporal.subtract_mean:  # of the whole field, whatever the crop shows of it
        cut -= fields.mean(axis=(2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    elif "codes" in kept:
        cut -= np.float32(ZERO_CODE)
    if "codes" in kept:
        cut *= (np.asarray(kept["ranges"], np.float32) / np.float32(STEPS))[:, :, None, None]
    return cut if clip.flow_scale == 1 else cut * np.float32(clip.flow_scale)


def centre_samples(
    clip: Clip, temporal: TemporalInput | None, count: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what ``scoring.centre_crop`` would leave of ``Clip.samples``: the centred square.

    Returns:
        Stacks (n, length, c, size, size) and how often each counts (n,).
    """
    height, width = clip.size
    side = min(height, width)
    window = Crop((height - side) // 2, (width - side) // 2, side, side)
    counts = clip.positions(temporal, count)
    held = clip.holding(temporal, counts)
    stacks = np.stack([resized_crop(held, temporal, each, window, size) for each in counts])
    return stacks, np.array(list(counts.values()), np.float32)


def _planes(stack: NDArray[np.generic], crop: Crop, size: int) -> NDArray[np.float32]:
    """Cut (length, c, h, w) of any values and resize it, bilinear, to (length, c, size, size)."""
    cut = stack[..., crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    out = np.empty((*stack.shape[:2], size, size), np.float32)
    for plane, row in zip(
        cut.reshape(-1, crop.height, crop.width), out.reshape(-1, size, size), strict=True
    ):
        cv2.resize(plane.astype(np.float32), (size, size), row, interpolation=cv2.INTER_LINEAR)
    return out

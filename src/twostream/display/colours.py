"""Pictures of flow fields: the colour wheel of Baker et al. 2011 ("Middlebury colours")."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

# Steps between the wheel's six colours, from red over yellow, green, cyan, blue and magenta.
TRANSITIONS = (15, 6, 4, 11, 13, 6)
CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))
MIN_SCALE_PX = 1.0  # a video that stands still must not show its noise in full colour


def _wheel() -> NDArray[np.float32]:
    """Return (55, 3) RGB in 0..1 around the wheel."""
    parts = []
    for i, steps in enumerate(TRANSITIONS):
        start, end = np.array(CORNERS[i]), np.array(CORNERS[(i + 1) % len(CORNERS)])
        parts.append(start + (end - start) * np.arange(steps)[:, None] / steps)
    return (np.concatenate(parts) / 255).astype(np.float32)


WHEEL = _wheel()


def flow_to_rgb(field: NDArray[np.float32], max_px: float | None = None) -> NDArray[np.uint8]:
    """Return a picture of a field: the hue is the direction, the saturation the length.

    Right is red, down yellow, left cyan-green, up violet-blue; no motion is white.

    Args:
        field: (2, h, w) in px.
        max_px: length that gets full colour; None takes the longest vector of this field. Longer
            vectors are darkened.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    x, y = field.astype(np.float32)
    length = np.hypot(x, y)
    longest = float(length.max()) if max_px is None else float(max_px)
    if longest > 0:
        length = length / longest
    angle = np.arctan2(y, x) / (2 * np.pi) % 1.0 * len(WHEEL)
    lower = np.floor(angle).astype(int) % len(WHEEL)
    share = (angle - np.floor(angle))[..., None]
    colour = WHEEL[lower] * (1 - share) + WHEEL[(lower + 1) % len(WHEEL)] * share
    saturation = np.minimum(length, 1.0)[..., None]
    picture = 1 - saturation * (1 - colour)
    picture[length > 1.0 + 1e-5] *= 0.75
    return np.round(picture * 255).astype(np.uint8)


def flow_picture(field: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float]:
    """Return a field's colours, its longest vector in full colour, and that length in px."""
    longest = float(np.hypot(field[0], field[1]).max())
    return flow_to_rgb(field, max_px=max(longest, MIN_SCALE_PX)), longest


def to_uri(rgb: NDArray[np.uint8], *, lossless: bool = False) -> str:
    """Return a data URI of an (h, w, 3) RGB or (h, w, 4) RGBA picture; JPEG unless lossless."""
    code = cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), code)
    kind, options = ("png", []) if lossless else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 88])
    encoded = cv2.imencode(f".{kind}", bgr, options)[1]
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"

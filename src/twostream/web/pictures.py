"""Pictures of a moment, inside the page: nothing is written for them, nothing else is served."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.display.colours import to_uri

_MAX_SIDE_PX = 480
_MIN_SIDE_PX = 240  # smaller pictures are enlarged here: browsers would blur or step them
_BACKGROUND = 0.35  # of a picture where nobody looked


def fitted_uri(rgb: NDArray[np.uint8]) -> str:
    """Return an (h, w, 3) RGB picture as a data URI of a size that suits the page."""
    factor = min(_MAX_SIDE_PX / max(rgb.shape[:2]), max(1.0, _MIN_SIDE_PX / min(rgb.shape[:2])))
    size = tuple(max(1, round(side * factor)) for side in rgb.shape[1::-1])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return to_uri(cv2.resize(rgb, size, interpolation=how))


def heat(rgb: NDArray[np.uint8], looked: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture that is bright and warm where a network looked, grey and pale elsewhere.

    Args:
        rgb: (h, w, 3) uint8.
        looked: (h, w) in 0..1.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    pale = 255 - _BACKGROUND * (255 - grey)
    codes = np.round(255 * np.clip(looked, 0, 1)).astype(np.uint8)
    warm = cv2.cvtColor(cv2.applyColorMap(codes, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    share = np.sqrt(np.clip(looked, 0, 1))[..., None] * 0.75
    return np.round(pale * (1 - share) + warm * share).astype(np.uint8)

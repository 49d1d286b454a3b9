"""Crops, flips and colour jitter of section 5, on arrays ``(..., c, h, w)``.

Crop positions are integers, apart from the arrays they cut, so that they are tested by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.types import UsageError

# Principal components of ImageNet's RGB values (0..1), Krizhevsky et al. 2012, section 4.1: the
# columns are the eigenvectors, the first one brightness.
_LIGHTING_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045], np.float32)
_LIGHTING_EIGENVECTORS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ],
    np.float32,
)


class Crop(NamedTuple):
    """A window of the stored frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the window of ``(..., h, w)``, a view."""
        return array[..., self.top : self.top + self.height, self.left : self.left + self.width]


def fitting_crop(height: int, width: int, size: int) -> None:
    """Raise UsageError where the frame is smaller than the crop."""
    if size > min(height, width):
        raise UsageError(
            f"a crop of {size} px does not fit frames of {width}x{height} px, and frames are "
            f"never enlarged: use a crop of at most {min(height, width)}"
        )


def random_crop(height: int, width: int, size: int, rng: np.random.Generator) -> Crop:
    """Return a square crop anywhere in the whole frame (section 5, not its square centre)."""
    fitting_crop(height, width, size)
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    return Crop(top, left, size, size)


def scaled_crop(height: int, width: int, scales: Sequence[float], rng: np.random.Generator) -> Crop:
    """Return a crop at a corner or the centre, its sides shares of the frame's shorter side.

    Height and width are drawn from ``scales`` at most one entry apart, so that crops are stretched
    a little too (Wang et al. 2016, section 3.3: corner cropping and scale jittering).
    """
    i = int(rng.integers(len(scales)))
    j = int(np.clip(i + rng.integers(-1, 2), 0, len(scales) - 1))
    side = min(height, width)
    h, w = (max(1, round(side * scales[each])) for each in (i, j))
    bottom, right = height - h, width - w
    places = ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2))
    top, left = places[int(rng.integers(len(places)))]
    return Crop(top, left, h, w)


def resized(array: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return planes ``(..., h, w)`` at ``size`` x ``size`` px, bilinear; the values stay."""
    planes = np.ascontiguousarray(array).reshape(-1, *array.shape[-2:])
    scaled = [cv2.resize(plane, (size, size), interpolation=cv2.INTER_LINEAR) for plane in planes]
    return np.stack(scaled).reshape(*array.shape[:-2], size, size)


def five_crops(height: int, width: int, size: int) -> list[Crop]:
    """Return the four corners and the centre."""
    fitting_crop(height, width, size)
    bottom, right = height - size, width - size
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [Crop(top, left, size, size) for top, left in corners]


def flip(array: NDArray[np.float32], *, is_flow: bool) -> NDArray[np.float32]:
    """Mirror ``(..., c, h, w)`` left to right; mirrored flow also changes the sign of x.

    >>> field = np.ones((1, 2, 1, 3), np.float32)
    >>> flip(field, is_flow=True)[0, :, 0, 0].tolist()
    [-1.0, 1.0]
    """
    mirrored = array[..., ::-1].copy()
    if is_flow:
        mirrored[..., 0, :, :] *= -1
    return mirrored


def color_jitter(
    rgb: NDArray[np.float32], rng: np.random.Generator, *, strength: float = 0.1
) -> NDArray[np.float32]:
    """Add Krizhevsky's PCA lighting noise to RGB planes ``(..., 3, h, w)`` in 0..1.

    One draw for all frames of a stack, so that the noise does not look like motion.

    Args:
        rgb: planes in 0..1.
        rng: source of the draw.
        strength: standard deviation of the three component weights (0.1 in the paper).
    """
    weights = rng.normal(0, strength, 3).astype(np.float32) * _LIGHTING_EIGENVALUES
    return rgb + (_LIGHTING_EIGENVECTORS @ weights)[:, None, None]

"""Crops, flips and colour jitter of section 5, on arrays ``(..., c, h, w)``.

Crop positions are integers, apart from the arrays they cut, so that they are tested by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

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

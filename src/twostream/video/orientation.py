"""How a picture is brought upright: a display matrix may turn it and mirror it, eight ways in all.

ISO/IEC 14496-12, 6.2.2 (the matrix of a track header); FFmpeg gives those of H.264's display
orientation and of Exif in the same form.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray


def orientation(raw: Any) -> tuple[int, bool]:
    """Return how a decoded av frame is brought upright, what ``upright`` takes."""
    data = raw.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    return of_matrix(a, b, c, d)


def of_matrix(a: float, b: float, c: float, d: float) -> tuple[int, bool]:
    """Return the turn and the mirror of a matrix that shows the point (x, y) at (ax + cy, bx + dy).

    Returns:
        Degrees clockwise, 0, 90, 180 or 270, the nearest; and whether the picture is then mirrored,
        left to right.

    >>> of_matrix(1, 0, 0, 1), of_matrix(0, 1, -1, 0), of_matrix(-1, 0, 0, 1)
    ((0, False), (90, False), (0, True))
    """
    mirrored = a * d - b * c < 0
    if mirrored:
        a, c = -a, -c  # what is left is a turn: a and d are its cosine, b and -c its sine
    cosine, sine = a + d, b - c
    if abs(cosine) >= abs(sine):
        return (180 if cosine < 0 else 0), mirrored
    return (270 if sine < 0 else 90), mirrored


def upright(picture: NDArray[np.uint8], rotation: int, mirrored: bool) -> NDArray[np.uint8]:
    """Turn a coded picture, (h, w, 3), clockwise and then mirror it, left to right."""
    picture = np.rot90(picture, k=-rotation // 90)
    return np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)

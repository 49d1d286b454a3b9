"""One field or image in a file: Middlebury's .flo, NumPy's .npy, pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.display.colours import flow_to_rgb
from twostream.files import whole
from twostream.types import DataError, UsageError

FLO_MAGIC = b"PIEH"  # 202021.25 as float32
FIELD_SUFFIXES = (".flo", ".npy", ".png")


def flo_bytes(field: NDArray[np.float32]) -> bytes:
    """Return a field (2, h, w) as the contents of a .flo file."""
    height, width = field.shape[1:]
    size = np.array([width, height], "<i4").tobytes()
    return FLO_MAGIC + size + np.ascontiguousarray(field.transpose(1, 2, 0), "<f4").tobytes()


def save_field(path: Path | str, field: NDArray[np.float32]) -> None:
    """Write a field (2, h, w): .flo, .npy (as it is) or .png (its colours, the longest full).

    The file appears under its name only once it is complete.

    Raises:
        UsageError: another suffix.
        DataError: the disk refuses.
    """
    path = Path(path)
    check_field_name(path)
    try:
        with whole(path) as file:
            if path.suffix.lower() == ".flo":
                file.write(flo_bytes(field))
            elif path.suffix.lower() == ".npy":
                np.save(file, field)
            else:
                picture = cv2.cvtColor(flow_to_rgb(field), cv2.COLOR_RGB2BGR)
                file.write(cv2.imencode(".png", picture)[1].tobytes())
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def check_field_name(path: Path) -> None:
    """Raise a UsageError for a name that tells no known format of a field."""
    if path.suffix.lower() not in FIELD_SUFFIXES:
        raise UsageError(f"{path}: a field is written as one of {', '.join(FIELD_SUFFIXES)}")


def read_grey(path: Path | str) -> NDArray[np.uint8]:
    """Read an image of any common format as (h, w) uint8 grey, upright, alpha dropped.

    Raises:
        DataError: missing, or no image.
    """
    try:
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path} is no image that can be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def read_pair(first: Path, second: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read two images of one size as grey; raises DataError where the sizes differ."""
    one, two = read_grey(first), read_grey(second)
    if one.shape != two.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (one, two)]
        raise DataError(
            f"{first} has {sizes[0]} px and {second} {sizes[1]} px: flow needs two of one size"
        )
    return one, two

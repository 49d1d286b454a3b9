"""A video file's size and fingerprint, without decoding anything."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from twostream.types import VideoError

HASHED_PIECE_BYTES = 64 * 1024


def size_on_disk(path: Path) -> int:
    """Return a file's size in bytes; raises VideoError where it is none, or cannot be asked."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise VideoError(path, "no such file") from error
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device may have no end
        raise VideoError(path, "is no file on disk, expected a video file")
    return status.st_size


def source_hash(path: Path) -> str:
    """Return a short fingerprint of a file: its size, and SHA-1 of its start, middle and end.

    Reading all of a large data set just to see that it is finished would take longer than that
    is worth; encoded videos that differ at all differ in these pieces.

    Raises:
        VideoError: the file cannot be read.
    """
    size = size_on_disk(path)
    digest = hashlib.sha1(str(size).encode(), usedforsecurity=False)
    try:
        with open(path, "rb") as file:
            if size <= 4 * HASHED_PIECE_BYTES:
                digest.update(file.read())
            else:
                for offset in (0, size // 2, size - HASHED_PIECE_BYTES):
                    file.seek(offset)
                    digest.update(file.read(HASHED_PIECE_BYTES))
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
    return digest.hexdigest()

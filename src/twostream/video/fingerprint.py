"""A video's size and fingerprint, without decoding anything."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from twostream.frame_names import list_frames
from twostream.types import VideoError

HASHED_PIECE_BYTES = 64 * 1024


def size_on_disk(path: Path) -> int:
    """Return the size in bytes of a file, or of the frames in a folder.

    Raises:
        VideoError: it is neither, or cannot be asked.
    """
    return sum(size for _, size in _files(path))


def source_hash(path: Path) -> str:
    """Return a short fingerprint of a video: its size, and SHA-1 of its start, middle and end.

    Reading all of a large data set just to see that it is finished would take longer than that
    is worth; encoded videos that differ at all differ in these pieces. Of a folder of frames: the
    name and size of each, and what the first, the middle and the last one hold.

    Raises:
        VideoError: the video cannot be read.
    """
    files = _files(path)
    if not path.is_dir():
        return _hash_of_pieces(*files[0]).hexdigest()
    digest = hashlib.sha1(usedforsecurity=False)
    for file, size in files:
        digest.update(f"{file.name} {size}\n".encode(errors="surrogateescape"))
    for place in (0, len(files) // 2, -1):
        digest.update(_hash_of_pieces(*files[place]).digest())
    return digest.hexdigest()


def content_hash(path: Path) -> str:
    """Return SHA-256 of all bytes of a video, of a folder's frames in order.

    Raises:
        VideoError: the video cannot be read.
    """
    digest = hashlib.sha256()
    for file, _ in _files(path):
        with _opened(file) as content:
            while piece := content.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def _files(path: Path) -> list[tuple[Path, int]]:
    """Return the files that a video consists of, and their sizes in bytes."""
    if not path.is_dir():
        return [(path, _file_size(path))]
    try:
        found = [(path / name, _file_size(path / name)) for _, name in list_frames(path)]
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
    except VideoError as error:
        raise VideoError(path, f"{error.path.name} {error.cause}") from error
    if not found:
        raise VideoError(path, "is a folder without numbered images")
    return found


def _file_size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise VideoError(path, "no such file") from error
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device may have no end
        raise VideoError(path, "is no file on disk, expected a video file")
    return status.st_size


def _hash_of_pieces(path: Path, size: int) -> hashlib._Hash:
    digest = hashlib.sha1(str(size).encode(), usedforsecurity=False)
    with _opened(path) as file:
        if size <= 4 * HASHED_PIECE_BYTES:
            digest.update(file.read())
        else:
            for offset in (0, size // 2, size - HASHED_PIECE_BYTES):
                file.seek(offset)
                digest.update(file.read(HASHED_PIECE_BYTES))
    return digest


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file; what cannot be read is a VideoError."""
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error

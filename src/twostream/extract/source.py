"""What extraction asks of a video file: its fingerprint, and its frames at another rate."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from twostream.types import Frame, VideoError

HASHED_PIECE_BYTES = 64 * 1024
# Timestamps of many containers are rounded to 1 ms; a frame may sit this share of an output
# interval on the wrong side of the middle.
TIME_TOLERANCE = 0.05


def source_hash(path: Path) -> str:
    """Return a short fingerprint of a file: its size, and SHA-1 of its start, middle and end.

    Reading all of a large data set just to see that it is finished would take longer than that
    is worth; encoded videos that differ at all differ in these pieces.

    Raises:
        VideoError: the file cannot be read.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha1(str(size).encode(), usedforsecurity=False)
        with open(path, "rb") as file:
            if size <= 4 * HASHED_PIECE_BYTES:
                digest.update(file.read())
            else:
                for offset in (0, size // 2, size - HASHED_PIECE_BYTES):
                    file.seek(offset)
                    digest.update(file.read(HASHED_PIECE_BYTES))
    except FileNotFoundError as error:
        raise VideoError(path, "no such file") from error
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def resample(frames: Iterable[Frame], fps: float) -> Iterator[tuple[Frame, int]]:
    """Pick the frames nearest to the times 0, 1/fps, 2/fps, ... by their timestamps.

    Args:
        frames: in order, with increasing timestamps.
        fps: wanted rate.

    Yields:
        Each picked frame once, and how many output intervals lie between it and the one picked
        before (0 for the first). More than 1 where the video is slower than ``fps``: the frame
        before is then shown so many times, and the flow between the two is spread evenly.
    """
    candidate: Frame | None = None
    position = picked = 0  # output index from which on the candidate, the last pick, is nearest
    for frame in frames:
        if candidate is None:
            candidate = frame
            continue
        middle = (candidate.pts_seconds + frame.pts_seconds) / 2
        next_position = math.floor(middle * fps + TIME_TOLERANCE) + 1
        if next_position > position:
            yield candidate, position - picked
            picked, position = position, next_position
        candidate = frame
    if candidate is not None and (
        position == 0 or position / fps < candidate.pts_seconds + (0.5 - TIME_TOLERANCE) / fps
    ):
        yield candidate, position - picked

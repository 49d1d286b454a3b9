"""Frames of long videos as pictures, a second at a time: any video that is read, frame by frame.

No browser plays all that FFmpeg reads, and none tells which frame it shows. So the page is sent
JPEGs with the times that the reader gives; they are made in a process beside the server.
"""

from __future__ import annotations

import json
import struct
import threading
from collections import OrderedDict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.types import VideoError
from twostream.video.seeking import SeekableVideo
from twostream.web.limits import Deadline, Limits, RefusedError
from twostream.web.processes import (
    EndedError,
    Helper,
    error_told,
    failures_told,
    helping,
)

SHORT_SIDE_PX = 360
JPEG_QUALITY = 82
KEPT_BYTES = 96_000_000  # of pictures, in the process
OPEN_VIDEOS = 2
BEFORE_SECONDS = 8  # that are kept too where a file must be read from its start


class FramePictures:
    """Gives the frames of videos as JPEGs.

    Args:
        limits: the time that one question may take, and the process's memory.
        stopped: set when the server ends.
    """

    def __init__(self, limits: Limits, stopped: threading.Event) -> None:
        self._limits = limits
        self._stopped = stopped
        self._place = threading.Semaphore(1)
        self._helper: Helper | None = None

    def second(self, video: Path, number: int) -> bytes:
        """Return the frames that begin in a second of a video.

        Args:
            video: the file.
            number: of the second, from 0 on; any number after the end has no frames.

        Returns:
            The length of a JSON object (4 bytes, little endian), the object, and the JPEGs one
            after the other. The object has the ``times`` of the frames, the ``sizes`` of their
            JPEGs in bytes; ``before``, ``after`` and ``end``, see ``video.seeking.Stretch``; and
            of the video ``seconds`` and ``fps``, as it claims, ``width`` and ``height`` in px.

        Raises:
            VideoError: it cannot be decoded, or ended the process.
            RefusedError: it took too long.
        """
        deadline = Deadline(self._limits.time_limit, self._stopped)
        with deadline.place(self._place):
            if self._helper is None or not self._helper.alive:
                self._helper = Helper(_work)
            try:
                self._helper.ask((video, number))
                said = self._helper.hear(deadline, self._limits.max_memory_mb)
                if "frames" in said:
                    return self._helper.bytes()
            except (EndedError, RefusedError) as error:
                self._helper.end()
                self._helper = None
                if isinstance(error, RefusedError):
                    raise
                raise VideoError(
                    video, "decoding it ended the process that did so: make a copy with ffmpeg"
                ) from error
        raise error_told(said, video)

    def close(self) -> None:
        """End the process."""
        if self._helper is not None:
            self._helper.end()


def _work(connection: Connection) -> None:
    """Answer the questions for seconds of videos, until the server ends."""
    with helping(connection, nice=0) as say:
        pictures = _Pictures()
        while True:
            video, number = connection.recv()
            with failures_told(say):
                data = pictures.second(video, number)
                say(frames=True)
                connection.send_bytes(data)


class _Pictures:
    """The videos that are open, and the pictures that were made last."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Path, int], SeekableVideo] = OrderedDict()
        self._kept: OrderedDict[tuple[tuple[Path, int], int], bytes] = OrderedDict()

    def second(self, path: Path, number: int) -> bytes:
        key, video = self._opened(path)
        if (key, number) not in self._kept:
            first = number if video.sought_in else max(0, number - BEFORE_SECONDS)
            for each in range(first, number + 1):  # who reads from the start will step back soon
                if (key, each) not in self._kept:
                    self._kept[key, each] = packed(video, each)
        self._kept.move_to_end((key, number))
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return self._kept[key, number]

    def _opened(self, path: Path) -> tuple[tuple[Path, int], SeekableVideo]:
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError as error:
            raise VideoError(path, f"cannot be read: {error.strerror}") from error
        if key not in self._open:
            self._open[key] = SeekableVideo(path, short_side=SHORT_SIDE_PX)
        self._open.move_to_end(key)
        while len(self._open) > OPEN_VIDEOS:
            self._open.popitem(last=False)[1].close()
        return key, self._open[key]


def packed(video: SeekableVideo, number: int) -> bytes:
    """Return what ``FramePictures.second`` gives of a second of an open video."""
    found = video.stretch(number, number + 1)
    jpegs = [jpeg(frame.rgb) for frame in found.frames]
    height, width = video.size
    header: dict[str, Any] = {
        "times": [round(frame.pts_seconds, 6) for frame in found.frames],
        "sizes": [len(each) for each in jpegs],
        "before": found.before,
        "after": found.after,
        "end": found.end,
        "seconds": video.claimed_seconds,
        "fps": video.info.fps,
        "width": width,
        "height": height,
    }
    text = json.dumps(header).encode()
    return b"".join([struct.pack("<I", len(text)), text, *jpegs])


def jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Return an (h, w, 3) picture as a JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()

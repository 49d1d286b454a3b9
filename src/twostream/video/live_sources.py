"""Live sources: cameras, network streams, and files played at their own speed.

Each gives frames as they come. Time is that of ``Clock``, so that tests can bring their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from twostream.types import Frame, UsageError, VideoError
from twostream.video.opening import cause, prepare, video_streams
from twostream.video.orientation import orientation, upright
from twostream.video.reader import VideoReader, shrink, stored_size

TIMEOUT_SECONDS = 10.0  # a stream that says nothing for so long is broken
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtmp,hls,crypto"
_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "tcp")
_STEP_SECONDS = 1e-3  # between frames whose times are the same
_SET_BACK_SECONDS = 1.0


class Clock:
    """The time of a live source, and waiting that can be ended."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """Return seconds from some fixed moment on."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait; ``stop`` ends it at once."""
        self._stopped.wait(max(0.0, seconds))

    def stop(self) -> None:
        """End all waiting, for good."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped.is_set()


class _Source:
    """A source of frames.

    Args:
        name: path of the file, or address of the stream, such as ``rtsp://camera/stream``.
        short_side: frames are shrunk to it; None keeps their size.
    """

    reconnects = True

    def __init__(self, name: Path | str, *, short_side: int | None = None) -> None:
        self.name = str(name)
        self._short_side = short_side


class FileSource(_Source):
    """A video file, played at its own speed."""

    reconnects = False

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Yield each frame at its time; raises VideoError for what is no video."""
        with VideoReader(self.name, short_side=self._short_side) as reader:
            yield from paced(iter(reader), clock)


class NetworkSource(_Source):
    """A stream over the network: RTSP, HTTP and others that FFmpeg knows."""

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Connect, and yield frames as they come; of a file on a server at its own speed.

        Raises:
            VideoError: no connection, no video in it, or it breaks off.
        """
        try:
            container = av.open(
                self.name,
                metadata_errors="ignore",
                timeout=TIMEOUT_SECONDS,
                container_options={"protocol_whitelist": _PROTOCOLS, "rtsp_transport": "tcp"},
            )
        except (av.FFmpegError, OSError) as error:
            raise VideoError(self.name, f"cannot be opened as a stream ({cause(error)})") from error
        with container:
            decoded = self._decoded(container)
            seconds = _claimed_seconds(container)
            if not seconds:  # it never ends by itself
                yield from decoded
                raise VideoError(self.name, "the stream ended")
            last = 0.0
            for frame in paced(decoded, clock):
                last = frame.pts_seconds
                yield frame
            if last < seconds - 1:
                raise VideoError(self.name, f"broke off after {last:.1f} of {seconds:.1f} s")

    def _decoded(self, container: Any) -> Iterator[Frame]:
        stream = video_streams(self.name, container)[0]
        prepare(self.name, stream)
        first: float | None = None
        before = -_STEP_SECONDS
        started = time.monotonic()
        try:
            for raw in container.decode(stream):
                seconds = raw.time if raw.time is not None else time.monotonic() - started
                first = seconds if first is None else first
                pts = seconds - first
                if pts < before - _SET_BACK_SECONDS:
                    raise VideoError(self.name, "the stream's clock was set back")
                before = max(pts, before + _STEP_SECONDS)
                yield Frame(self._to_rgb(raw), before)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VideoError(self.name, f"the stream broke ({cause(error)})") from error

    def _to_rgb(self, raw: Any) -> NDArray[np.uint8]:
        height, width = stored_size(raw.height, raw.width, self._short_side)
        rgb = raw.reformat(
            width=width, height=height, format="rgb24", interpolation=Interpolation.AREA
        ).to_ndarray()
        return upright(rgb, *orientation(raw))


class CameraSource(_Source):
    """A camera of this machine, by its number; 0 is the first one."""

    def __init__(self, index: int, *, short_side: int | None = None) -> None:
        super().__init__(f"camera {index}", short_side=short_side)
        self._index = index

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Yield frames as they come, timed by their arrival; raises VideoError when none comes."""
        logging = cv2.utils.logging
        level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # what it says is raised here
        camera = cv2.VideoCapture(self._index)
        logging.setLogLevel(level)
        try:
            if not camera.isOpened():
                raise VideoError(
                    self.name, "cannot be opened: is it plugged in, free, and may you use it?"
                )
            started, before = clock.now(), -_STEP_SECONDS
            while True:
                taken, bgr = camera.read()
                if not taken:
                    raise VideoError(self.name, "gives no frames any more")
                before = max(clock.now() - started, before + _STEP_SECONDS)
                rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                yield Frame(shrink(rgb, self._short_side), before)
        finally:
            camera.release()


def open_source(
    name: str, *, short_side: int | None = None
) -> FileSource | NetworkSource | CameraSource:
    """Return the source of a name: a camera's number, an address, or a file.

    Args:
        name: ``0``, ``rtsp://camera/stream`` or ``clip.mp4``.
        short_side: frames are shrunk to it; None keeps their size.

    Raises:
        UsageError: an address of an unknown kind.

    >>> open_source("1").name, open_source("rtsp://camera/live").reconnects
    ('camera 1', True)
    """
    if name.isdecimal():
        return CameraSource(int(name), short_side=short_side)
    scheme, separator, _ = name.partition("://")
    if not separator:
        return FileSource(name, short_side=short_side)
    if scheme.lower() not in _SCHEMES:
        raise UsageError(f"{name}: an address starts with one of {', '.join(_SCHEMES)}")
    return NetworkSource(name, short_side=short_side)


def _claimed_seconds(container: Any) -> float:
    """Return how long the video is; 0 for a stream that goes on and on.

    The duration of an AVI shrinks with a file that is cut off, its number of frames does not.
    """
    seconds = (container.duration or 0) / av.time_base
    for stream in container.streams.video[:1]:
        seconds = max(seconds, stream.frames / float(stream.average_rate or 25))
    return seconds


def paced(frames: Iterator[Frame], clock: Clock) -> Iterator[Frame]:
    """Yield each frame when its time has come, counted from the first one."""
    started: float | None = None
    for frame in frames:
        if started is None:
            started = clock.now() - frame.pts_seconds
        clock.wait(started + frame.pts_seconds - clock.now())
        if clock.stopped:
            return
        yield frame

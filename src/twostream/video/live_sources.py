"""Live sources: cameras, network streams, and files played at their own speed.

Each gives frames as they come. Time is that of ``Clock``, so that tests can bring their own.
"""

from __future__ import annotations

import logging
import math
import re
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
from twostream.video.frame_folder import open_reader
from twostream.video.opening import cause, prepare, video_streams
from twostream.video.orientation import orientation, upright
from twostream.video.reader import shrink, stored_size

TIMEOUT_SECONDS = 10.0  # a stream that says nothing for so long is broken
BEHIND_SECONDS = 10.0  # a stream that comes so late is connected to anew
DRIFT = 1e-3  # of a second, that the clocks of a camera and of this machine part at the most
_WAITED_SECONDS = 1e-3  # a packet that came sooner was there already
_BACKLOG = 8  # so many of these in a row are old
_MOST_ERRORS = 100  # of a container in a row, without a packet
# formats without times of their own, whose frames FFmpeg counts as 25 a second
_WITHOUT_CLOCK = ("mpjpeg", "mjpeg", "h264", "hevc", "m4v", "mpegvideo", "image2pipe")
_SECRETS = re.compile(r"([?&](?:pass\w*|pwd|token|key|auth|secret)=)[^&#]*", re.IGNORECASE)
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtmp,hls,crypto"
_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "tcp")
_STEP_SECONDS = 1e-3  # between frames whose times are the same
_SET_BACK_SECONDS = 1.0

logger = logging.getLogger(__name__)


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


class StreamStart:
    """When second 0 of a stream was by the clock: the frame with the least delay tells it.

    Attributes:
        seconds: by the clock; infinite before the first frame.
    """

    def __init__(self) -> None:
        self.seconds = math.inf
        self._last = math.inf

    def came(self, arrived: float, pts_seconds: float) -> float:
        """Take a frame's time by the clock and by the stream; returns how late it came.

        Where the camera's clock is the slower one, the start follows: a delay that only adds up
        because of that, seconds in a day, is none.
        """
        self.seconds += DRIFT * max(0.0, arrived - self._last)
        self._last = arrived
        self.seconds = min(self.seconds, arrived - pts_seconds)
        return arrived - pts_seconds - self.seconds


class _Source:
    """A source of frames.

    Args:
        name: path of the file, or address of the stream, such as ``rtsp://camera/stream``.
        short_side: frames are shrunk to it; None keeps their size.

    Attributes:
        name: for people, without a password.
        reconnects: whether a break is worth another try.
        damaged: frames that could not be decoded, so far.
        dropped: frames that were too old to be decoded, so far.
    """

    reconnects = True

    def __init__(self, name: Path | str, *, short_side: int | None = None) -> None:
        self.name = without_password(str(name))
        self.damaged = 0
        self.dropped = 0
        self._short_side = short_side


class FileSource(_Source):
    """A video file, played at its own speed."""

    reconnects = False

    def __init__(self, name: Path | str, *, short_side: int | None = None) -> None:
        super().__init__(name, short_side=short_side)
        self._path = name

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Yield each frame at its time; raises VideoError for what is no video."""
        with open_reader(self._path, short_side=self._short_side) as reader:
            yield from paced(iter(reader), clock)
            if reader.warning:
                logger.warning(reader.warning)


class NetworkSource(_Source):
    """A stream over the network: RTSP, HTTP and others that FFmpeg knows.

    A packet that cannot be decoded costs its frame alone.
    """

    def __init__(self, name: str, *, short_side: int | None = None) -> None:
        super().__init__(name, short_side=short_side)
        self._address = name
        self._broke_at = -math.inf

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Connect, and yield frames as they come; of a file on a server at its own speed.

        Raises:
            VideoError: no connection, no video in it, or it breaks off; a file that does so twice
                at one place is not worth another try.
        """
        with self._connection() as container:
            seconds = _claimed_seconds(container)
            if not seconds:  # it never ends by itself
                yield from self._decoded(container, clock, live=True)
                raise VideoError(self.name, "the stream ended")
            last = 0.0
            broke = f"broke off before {seconds:.1f} s"
            try:
                for frame in paced(self._decoded(container, clock, live=False), clock):
                    last = frame.pts_seconds
                    yield frame
            except VideoError as error:
                broke = error.cause
            if clock.stopped or last >= seconds - 1:
                return
            if abs(last - self._broke_at) < 1:
                self.reconnects = False
                raise VideoError(self.name, f"{broke}, at {last:.1f} s for the second time")
            self._broke_at = last
            raise VideoError(self.name, f"{broke}, at {last:.1f} s")

    def _connection(self) -> Any:
        try:
            return av.open(
                self._address,
                metadata_errors="ignore",
                timeout=TIMEOUT_SECONDS,
                container_options={"protocol_whitelist": _PROTOCOLS, "rtsp_transport": "tcp"},
            )
        except (av.FFmpegError, OSError) as error:
            raise VideoError(self.name, f"cannot be opened as a stream ({_why(error)})") from error

    def _decoded(self, container: Any, clock: Clock, *, live: bool) -> Iterator[Frame]:
        stream = video_streams(self.name, container)[0]
        prepare(self.name, stream)
        by_arrival = live and container.format.name.split(",")[0] in _WITHOUT_CLOCK
        started = decodes = clock.now()
        start, first, before = StreamStart(), None, -_STEP_SECONDS
        for packet, arrived in self._packets(container, stream, clock, skip_old=by_arrival):
            for raw, rgb in self._decode(packet):
                decodes = arrived
                seconds = arrived - started if by_arrival or raw.time is None else raw.time
                first = seconds if first is None else first
                pts = seconds - first
                if pts < before - _SET_BACK_SECONDS:
                    raise VideoError(self.name, "the stream's clock was set back")
                before = max(pts, before + _STEP_SECONDS)
                late = start.came(arrived, before)
                if live and late > BEHIND_SECONDS:
                    raise VideoError(self.name, f"it fell {late:.0f} s behind")
                yield Frame(rgb, before)
            if arrived - decodes > TIMEOUT_SECONDS:
                raise VideoError(self.name, f"no frame can be decoded for {TIMEOUT_SECONDS:.0f} s")

    def _packets(
        self, container: Any, stream: Any, clock: Clock, *, skip_old: bool
    ) -> Iterator[tuple[Any, float]]:
        """Yield packets and when they came; of many that wait the old ones are left out."""
        packets = container.demux(stream)
        waiting = errors = 0
        while True:
            asked = clock.now()
            try:
                packet = next(packets, None)
            except (av.error.InvalidDataError, IndexError) as error:
                # the latter is PyAV's, at a packet of a stream that began just now
                errors += 1
                if errors > _MOST_ERRORS:
                    raise VideoError(self.name, f"the stream broke ({_why(error)})") from error
                packets = container.demux(stream)  # it goes on behind what is damaged
                continue
            except (av.FFmpegError, OSError, ValueError) as error:
                raise VideoError(self.name, f"the stream broke ({_why(error)})") from error
            if packet is None:
                return
            errors, arrived = 0, clock.now()
            waiting = waiting + 1 if arrived - asked < _WAITED_SECONDS else 0
            if skip_old and waiting > _BACKLOG:
                self.dropped += 1
                continue
            yield packet, arrived

    def _decode(self, packet: Any) -> list[tuple[Any, NDArray[np.uint8]]]:
        """Return the frames of a packet; none where it is damaged, which is counted."""
        try:
            return [(raw, self._to_rgb(raw)) for raw in packet.decode()]
        except (av.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, av.error.EOFError):
                return []
            if not self.damaged:
                logger.warning(f"{self.name}: a damaged frame is left out ({_why(error)})")
            self.damaged += 1
            return []

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
        shown = without_password(name)
        raise UsageError(f"{shown}: an address starts with one of {', '.join(_SCHEMES)}")
    return NetworkSource(name, short_side=short_side)


def is_address(path: Path) -> bool:
    """Whether a path is an address that was taken for one: ``http:/camera/stream``.

    >>> is_address(Path("http://camera/stream")), is_address(Path("clips/http/a.mp4"))
    (True, False)
    """
    scheme, separator, _ = path.as_posix().partition(":/")
    return bool(separator) and scheme.lower() in _SCHEMES


def without_password(address: str) -> str:
    """Return an address as it may be shown and logged: without what stands before its host.

    >>> without_password("rtsp://admin:pass/word@10.0.0.7:554/live?channel=1")
    'rtsp://***@10.0.0.7:554/live?channel=1'
    >>> without_password("http://camera/video.cgi?user=a&pwd=b"), without_password("clip.mp4")
    ('http://camera/video.cgi?user=a&pwd=***', 'clip.mp4')
    """
    scheme, separator, rest = address.partition(":/")
    if not separator or len(scheme) < 2:  # a file, perhaps of a drive
        return address
    host = rest.lstrip("/")
    path, question, query = host.partition("?")
    if "@" not in path and "/" not in path and "@" in query:  # a password with a question mark
        path, question, query = host, "", ""
    _, at, after = path.rpartition("@")
    path = f"***@{after}" if at else path
    slashes = rest[: len(rest) - len(host)]
    return f"{scheme}:/{slashes}{path}" + _SECRETS.sub(r"\1***", question + query)


def _why(error: Exception) -> str:
    """Return what went wrong, in words."""
    if isinstance(error, av.error.ExitError):  # its interrupt after the timeout
        return f"nothing came for {TIMEOUT_SECONDS:.0f} s"
    return cause(error)


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

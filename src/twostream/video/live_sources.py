"""Live sources: cameras, network streams, and files played at their own speed.

Each gives frames as they come, by a clock that tests can bring.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from twostream.types import Frame, UsageError, VideoError
from twostream.video.addresses import SCHEMES, without_password
from twostream.video.container_claims import (
    WITHOUT_CLOCK,
    claimed_length,
    frame_ticks,
    index_times,
    nominal_fps,
    pixel_aspect,
)
from twostream.video.frame_folder import open_reader
from twostream.video.frame_times import FrameTimes, in_order
from twostream.video.live_clock import Clock, StreamStart, paced
from twostream.video.opening import cause, check_size, is_file, prepare, video_streams
from twostream.video.orientation import orientation, upright
from twostream.video.reader import shrink, stored_size

TIMEOUT_SECONDS = 10.0  # a stream that says nothing for so long is broken
BEHIND_SECONDS = 10.0  # a stream that comes so late is connected to anew
_WAITED_SECONDS = 1e-3  # a packet that came sooner was there already
_BACKLOG = 8  # so many of these in a row are old
_MOST_ERRORS = 100  # of a container in a row, without a packet
# Formats of whole pictures. Like raw streams they have no times; FFmpeg counts 25 frames a second.
_PICTURES = ("mpjpeg", "mjpeg", "mjpeg_2000")
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtmp,hls,crypto"
_STEP_SECONDS = 1e-3  # between frames whose times are the same

logger = logging.getLogger(__name__)


class _Source:
    """A source of frames.

    Args:
        name: path of the file, or address of the stream, such as ``rtsp://camera/stream``.
        short_side: frames are shrunk to it; None keeps their size.

    Attributes:
        name: for people, without a password.
        reconnects: whether a break is worth another try.
        damaged: frames that could not be decoded, so far.
        dropped: frames that were too old to be shown, so far.
    """

    reconnects = True

    def __init__(self, name: Path | str, *, short_side: int | None = None) -> None:
        self.name = without_password(str(name))
        self.damaged = 0
        self.dropped = 0
        self._short_side = short_side
        self._aspect = 1.0  # of a pixel


class FileSource(_Source):
    """A video file, or a folder of frames, played at its own speed.

    Args:
        name: its path.
        short_side, enlarges, fps: see ``open_reader``.
        smallest_side: smaller videos are refused.
    """

    reconnects = False

    def __init__(
        self,
        name: Path | str,
        *,
        short_side: int | None = None,
        enlarges: bool = False,
        fps: float | None = None,
        smallest_side: int = 1,
    ) -> None:
        super().__init__(name, short_side=short_side)
        self._open = partial(open_reader, name, short_side=short_side, enlarges=enlarges, fps=fps)
        self._smallest_side = smallest_side

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Yield each frame at its time; raises VideoError for what is no video, or too small."""
        with self._open() as reader:
            check_size(self.name, reader.info.height, reader.info.width, self._smallest_side)
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
            stream = video_streams(self.name, container)[0]
            prepare(self.name, stream)
            self._aspect = pixel_aspect(stream)
            if is_file(container, stream):
                yield from self._file(container, stream, clock)
                return
            yield from self._live(container, stream, clock)
            raise VideoError(self.name, "the stream ended")

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

    def _file(self, container: Any, stream: Any, clock: Clock) -> Iterator[Frame]:
        """Yield the frames of a file at its own speed; raises VideoError where it breaks off."""
        ticks = frame_ticks(container, stream)
        fps = nominal_fps(container, stream, ticks, index_times(stream) or ())
        times, broke = FrameTimes(1 / fps), None
        try:
            yield from paced(self._file_frames(container, stream, clock, times, ticks), clock)
        except VideoError as error:
            broke = error.cause
        if clock.stopped:
            return
        claimed, _ = claimed_length(container, stream, times.start or 0.0, fps, ticks)
        missing, sized = times.missing(claimed), container.size > 0
        if broke is None and (sized or not claimed):  # that is all there is
            if missing:
                logger.warning(
                    f"{self.name}: ends after {times.end:.2f} s although the file claims "
                    f"{claimed:.2f} s: it seems to be cut off"
                )
            return
        if claimed and not missing and not (sized and times.end > claimed + 1):
            return  # without a size, FFmpeg takes each end for a break
        broke = broke or f"broke off before {claimed:.1f} s"
        self.reconnects = abs(times.end - self._broke_at) >= 1
        self._broke_at = times.end
        again = "" if self.reconnects else " for the second time"
        raise VideoError(self.name, f"{broke}, at {times.end:.1f} s{again}")

    def _file_frames(
        self, container: Any, stream: Any, clock: Clock, times: FrameTimes, ticks: int
    ) -> Iterator[Frame]:
        """Yield frames with the times that ``VideoReader`` gives them."""
        broke: VideoError | None = None

        def decoded() -> Iterator[tuple[Any, float | None]]:
            nonlocal broke
            try:
                for packet, _, _ in self._packets(container, stream, clock):
                    if ticks > 1 and packet.dts is not None:
                        packet.pts = packet.dts  # FFmpeg takes the last frame to last one tick
                    yield from timed(self._decode(stream, packet))
            except VideoError as error:
                broke = error
                yield from timed(self._decode(stream, None))  # frames that waited for later ones

        def timed(frames: list[Any]) -> Iterator[tuple[Any, float | None]]:
            for raw in frames:
                base = raw.time_base or stream.time_base
                yield raw, None if raw.pts is None else float(raw.pts * base)

        for raw, seconds in in_order(decoded(), times.step_seconds):
            if (rgb := self._to_rgb(raw)) is not None:
                shown = float(raw.duration * (raw.time_base or stream.time_base))
                yield Frame(rgb, times.shown(seconds, shown))
        if broke is not None:
            raise broke

    def _live(self, container: Any, stream: Any, clock: Clock) -> Iterator[Frame]:
        """Yield frames as they come.

        Where no times tell how late they are, the old ones of many that wait are left out.
        """
        name = container.format.name.split(",")[0]
        pictures = name in _PICTURES or name.endswith("_pipe")
        by_arrival = pictures or name in WITHOUT_CLOCK
        connected = decodes = fresh = clock.now()
        start, times = StreamStart(), FrameTimes(_STEP_SECONDS)
        for packet, arrived, old in self._packets(container, stream, clock):
            if old and by_arrival:
                # of other formats, frames are made of those before them, shown or not
                self.dropped += 1 if pictures else len(self._decode(stream, packet))
                self._check_delay(arrived - fresh)
                decodes = arrived
                continue
            fresh = arrived
            for raw in self._decode(stream, packet):
                decodes = arrived
                seconds = arrived - connected if by_arrival or raw.time is None else raw.time
                if times.set_back(seconds):
                    raise VideoError(self.name, "the stream's clock was set back")
                if (rgb := self._to_rgb(raw)) is not None:
                    pts = times.shown(seconds)
                    self._check_delay(start.came(arrived, pts))
                    yield Frame(rgb, pts)
            if arrived - decodes > TIMEOUT_SECONDS:
                raise VideoError(self.name, f"no frame can be decoded for {TIMEOUT_SECONDS:.0f} s")

    def _check_delay(self, late: float) -> None:
        if late > BEHIND_SECONDS:
            raise VideoError(self.name, f"it fell {late:.0f} s behind")

    def _packets(
        self, container: Any, stream: Any, clock: Clock
    ) -> Iterator[tuple[Any, float, bool]]:
        """Yield packets, when they came, and whether they are the old ones of many that waited."""
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
            if packet.size or packet.dts is None:  # else AVI's way to show a frame longer
                yield packet, arrived, waiting > _BACKLOG

    def _decode(self, stream: Any, packet: Any) -> list[Any]:
        """Return the frames of a packet; none where it is damaged, which is counted.

        Args:
            packet: None: nothing more comes, which asks for frames that wait for later ones.
        """
        try:
            return list(stream.decode(packet))
        except (av.FFmpegError, OSError, ValueError) as error:
            if not isinstance(error, av.error.EOFError):
                self._count_damage(error)
            return []

    def _to_rgb(self, raw: Any) -> NDArray[np.uint8] | None:
        """Return a frame's picture, upright; None where it is damaged, which is counted."""
        width = max(1, round(raw.width * self._aspect))
        height, width = stored_size(raw.height, width, self._short_side)
        try:
            rgb = raw.reformat(
                width=width, height=height, format="rgb24", interpolation=Interpolation.AREA
            ).to_ndarray()
        except (av.FFmpegError, OSError, ValueError) as error:
            self._count_damage(error)
            return None
        return upright(rgb, *orientation(raw))

    def _count_damage(self, error: Exception) -> None:
        if not self.damaged:
            logger.warning(f"{self.name}: a damaged frame is left out ({_why(error)})")
        self.damaged += 1


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
    name: str, *, short_side: int | None = None, **of_files: Any
) -> FileSource | NetworkSource | CameraSource:
    """Return the source of a name: a camera's number, an address, or a file.

    Args:
        name: ``0``, ``rtsp://camera/stream`` or ``clip.mp4``.
        short_side: frames are shrunk to it; None keeps their size.
        of_files: what else ``FileSource`` is to know; of others the watch enlarges the frames.

    Raises:
        UsageError: an address of an unknown kind.

    >>> open_source("1").name, open_source("rtsp://camera/live").reconnects
    ('camera 1', True)
    """
    if name.isdecimal():
        return CameraSource(int(name), short_side=short_side)
    scheme, separator, _ = name.partition("://")
    if not separator:
        return FileSource(name, short_side=short_side, **of_files)
    if scheme.lower() not in SCHEMES:
        shown = without_password(name)
        raise UsageError(f"{shown}: an address starts with one of {', '.join(SCHEMES)}")
    return NetworkSource(name, short_side=short_side)


def _why(error: Exception) -> str:
    """Return what went wrong, in words."""
    if isinstance(error, av.error.ExitError):  # its interrupt after the timeout
        return f"nothing came for {TIMEOUT_SECONDS:.0f} s"
    return cause(error)

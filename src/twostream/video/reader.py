"""Decoding video files: streamed, never more than a few frames at once, whatever the length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from twostream.types import Frame, VideoError
from twostream.video.container_claims import (
    VideoInfo,
    claimed_length,
    cut_off,
    frame_ticks,
    index_times,
    late_start,
    nominal_fps,
    pixel_aspect,
)
from twostream.video.frame_times import FrameTimes, in_order
from twostream.video.motion import export_motion, read_motion
from twostream.video.opening import cause, nothing_decoded, open_video, reading
from twostream.video.orientation import orientation, upright

av.logging.set_level(None)  # libav's own lines on stderr; what matters is raised or in `warning`

# What is read ahead of a file without an index, for the times of its frames.
AHEAD_PACKETS = 200
AHEAD_BYTES = 16 << 20


def stored_size(
    height: int, width: int, short_side: int | None, enlarges: bool = False
) -> tuple[int, int]:
    """Return the (height, width) that frames are stored at: shrunk, and enlarged if asked for.

    Args:
        height: of the upright source, px, at least 1.
        width: of the upright source, px, at least 1.
        short_side: wanted shorter side in px; None keeps the source size.
        enlarges: bring smaller frames to it too.

    >>> stored_size(240, 320, 120)
    (120, 160)
    >>> stored_size(64, 80, 256), stored_size(64, 80, 256, enlarges=True)
    ((64, 80), (256, 320))
    """
    shorter = min(height, width)
    if short_side is None or shorter == short_side or (shorter < short_side and not enlarges):
        return height, width
    scale = short_side / shorter
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(
    rgb: NDArray[np.uint8], short_side: int | None, enlarges: bool = False
) -> NDArray[np.uint8]:
    """Bring a frame to the stored size, as ``VideoReader`` does.

    Args:
        rgb: (height, width, 3) uint8 RGB.
        short_side: wanted shorter side in px; None keeps the size.
        enlarges: see ``stored_size``.
    """
    height, width = stored_size(rgb.shape[0], rgb.shape[1], short_side, enlarges)
    if (height, width) == rgb.shape[:2]:
        return rgb
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    how = Interpolation.AREA if height < rgb.shape[0] else Interpolation.BICUBIC
    return frame.reformat(
        width=width, height=height, format="rgb24", interpolation=how
    ).to_ndarray()


def to_rgb(
    raw: Any, info: VideoInfo, size: tuple[int, int], reformatter: VideoReformatter
) -> NDArray[np.uint8]:
    """Turn a decoded av frame into what a reader gives, upright (height, width, 3) uint8 RGB.

    Args:
        raw: as it was coded.
        info: tells how it is turned.
        size: (height, width) of the result.
        reformatter: of the video: building one costs more than using it.
    """
    height, width = size
    if info.rotation in (90, 270):
        height, width = width, height
    shrinks = raw.height > height or raw.width > width
    frame = reformatter.reformat(
        raw,
        width=width,
        height=height,
        format="rgb24",
        interpolation=Interpolation.AREA if shrinks else Interpolation.BICUBIC,
        threads=1,
    )
    plane = frame.planes[0]
    padded = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    rgb = padded[:, : 3 * width].reshape(height, width, 3)
    return upright(rgb, info.rotation, info.mirrored)


class VideoReader:
    """Streams the frames of a video file, upright and at the stored size.

    Damaged packets are left out, what follows them is read; a file that breaks off gives the frames
    before. Both set ``warning``. Frames without times are taken as evenly spaced at the nominal
    rate. Iterating a second time decodes again from the start. Close it, or use it in a ``with``
    statement.

    Args:
        path: a video file (a container that FFmpeg decodes, see opening.py).
        short_side: shrink so that the shorter side has this many px.
        enlarges: bring smaller frames to it too.
        motion_vectors: read the codec's motion vectors with every frame.

    Attributes:
        info: a VideoInfo.
        size: (height, width) of the frames that come out.
        warning: one sentence when parts of the video were damaged, or it broke off early, else
            None; complete once the iteration has ended.
        frames_read: number of frames given so far.
        claimed_seconds: how long the file says that it is; 0 where it says nothing.
        packets_lost: number of damaged packets so far; each is a frame, or a part of one.

    Raises:
        VideoError: the file is missing, is no video, or not one frame of it can be decoded; its
            frames are too large; or its motion vectors are asked for and are no flow (motion.py).
            What nobody foresaw in reading it is a VideoError too.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        short_side: int | None = None,
        enlarges: bool = False,
        motion_vectors: bool = False,
    ) -> None:
        self.path = Path(path)
        self._short_side, self._enlarges = short_side, enlarges
        self._motion_vectors = motion_vectors
        self._open()

    def _open(self) -> None:
        self.warning: str | None = None
        self.frames_read = 0
        self.packets_lost = 0
        self._lost_at_end = 0  # of these, those that no whole packet has followed
        self._loss: Exception | None = None  # the last one
        self._broke_off = False
        self._started = False
        self._intervals_ms: Counter[int] = Counter()
        with reading(self.path):
            self._container, self._stream = open_video(self.path)
            try:
                self._open_stream()
            except BaseException:
                self._container.close()
                raise

    def _open_stream(self) -> None:
        if self._motion_vectors:
            export_motion(self.path, self._stream)
        self._ticks = frame_ticks(self._container, self._stream)
        self._demuxed = self._demux()
        times = index_times(self._stream)
        if times is None:
            times = self._look_ahead()
        fps = nominal_fps(self._container, self._stream, self._ticks, times)
        self._decoded = self._decode()
        # Rotation travels with the frames, so the first one is decoded before info is known.
        first = next(self._decoded, None)
        if first is None:
            raise nothing_decoded(self.path, self._stream.codec_context, self._loss)
        self._first = first
        self._describe(first, fps)
        wanted = self._short_side, self._enlarges
        self.size = stored_size(self.info.height, self.info.width, *wanted)
        self._times = FrameTimes(1.0 / self.info.fps, self._late)
        self._reformatter = VideoReformatter()

    def _describe(self, first: Any, fps: float) -> None:
        rotation, mirrored = orientation(first)
        width = max(1, round(first.width * pixel_aspect(self._stream)))
        height = first.height
        if rotation in (90, 270):
            width, height = height, width
        average = self._stream.average_rate
        self._usual_to_average = fps / float(average) if average else 1.0
        start = self._seconds(first)
        self.claimed_seconds, frames = claimed_length(
            self._container, self._stream, start or 0.0, fps, self._ticks
        )
        self._late = late_start(self._container, start, fps)
        self.claimed_seconds += self._late if self.claimed_seconds else 0.0
        self.info = VideoInfo(self.path, width, height, fps, rotation, frames, mirrored)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; iterating afterwards opens it again."""
        self._started = True
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._started:
            self._container.close()
            self._open()
        self._started = True
        previous: float | None = None
        step = self._times.step_seconds
        with reading(self.path):
            frames = ((raw, self._seconds(raw)) for raw in chain([self._first], self._decoded))
            for raw, seconds in in_order(frames, step):
                try:
                    rgb = to_rgb(raw, self.info, self.size, self._reformatter)
                except (av.FFmpegError, ValueError) as error:
                    if not self.frames_read:
                        raise VideoError(
                            self.path, f"no frame can be converted: {error}"
                        ) from error
                    self.packets_lost += 1
                    self._loss = error
                    continue
                info = self.info
                motion = None
                if self._motion_vectors:
                    motion = read_motion(self.path, raw, info.rotation, info.mirrored)
                before, pts = previous, self._times.shown(seconds, _shown_seconds(raw))
                if before is not None:
                    self._intervals_ms[round((pts - before) * 1000)] += 1
                self.frames_read, previous = self.frames_read + 1, pts
                yield Frame(rgb, pts, motion)
            self.warning = self._what_is_missing()

    def count_frames(self) -> int:
        """Return how many frames the file holds: as it says, or by reading it, not decoding."""
        if self._stream.frames:
            return self.info.num_frames_claimed
        with reading(self.path):
            container, stream = open_video(self.path)
            with container:
                return sum(packet.size > 0 for packet in container.demux(stream))

    @property
    def end_seconds(self) -> float:
        """When the last frame given so far ends."""
        return self._times.end

    @property
    def late_seconds(self) -> float:
        """Time of the first frame: how long a player plays before it shows it."""
        return self._late

    @property
    def variable_frame_rate(self) -> bool:
        """Whether the frame rate varies, judged by the frames read so far and the container.

        True when more than 1% of the intervals are over a quarter off the usual one, or when the
        container's average rate contradicts the usual one (frames were left out).
        """
        intervals = self._intervals_ms.total()
        if intervals < 2:
            return False
        usual = sorted(self._intervals_ms.elements())[intervals // 2]
        tolerance = max(2.0, 0.25 * usual)
        odd = sum(n for ms, n in self._intervals_ms.items() if abs(ms - usual) > tolerance)
        odd -= self.packets_lost  # their frames are missing, the rate is none the less even
        timed = self._times.start is not None
        return odd > 0.01 * intervals or (timed and 1.1 < self._usual_to_average < 2.0)

    def _decode(self) -> Iterator[Any]:
        """Yield av frames in display order; what cannot be decoded is counted and left out."""
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except (av.FFmpegError, OSError) as error:
                self.packets_lost += 1
                self._lost_at_end += 1
                self._loss = error
                continue
            if packet is not None:
                self._lost_at_end = 0
            yield from frames

    def _packets(self) -> Iterator[Any]:
        """Yield av packets, and None at the end, which asks for frames that wait for later ones.

        An empty packet, an AVI's way to say that a frame is shown longer, would be such an end.
        """
        try:
            for packet in self._demuxed:
                if not packet.size:
                    continue
                if self._ticks > 1 and packet.dts is not None:
                    packet.pts = packet.dts  # FFmpeg takes the last frame to last one tick
                yield packet
        except (av.FFmpegError, OSError) as error:  # nothing more can be read from the file
            self._loss, self._broke_off = error, True
        yield None

    def _demux(self) -> Iterator[Any]:
        while True:
            try:
                yield from self._container.demux(self._stream)
            except IndexError:  # PyAV's, at a packet of a stream that began just now: it goes on
                continue
            return

    def _look_ahead(self) -> list[int]:
        """Return the times of the first packets, which the decoder gets afterwards."""
        ahead, size, rest = list[Any](), 0, self._demuxed
        failure: Exception | None = None
        try:
            for packet in islice(rest, AHEAD_PACKETS):
                ahead.append(packet)
                size += packet.size
                if size > AHEAD_BYTES:
                    break
        except (av.FFmpegError, OSError) as error:
            failure = error

        def again() -> Iterator[Any]:
            yield from ahead
            if failure is not None:
                raise failure
            yield from rest

        self._demuxed = again()
        return [packet.dts for packet in ahead if packet.size and packet.dts is not None]

    def _seconds(self, raw: Any) -> float | None:
        """Return a frame's time as the file counts."""
        if raw.pts is None:
            return None
        return float(raw.pts * (raw.time_base or self._stream.time_base))

    def _what_is_missing(self) -> str | None:
        """Return a sentence on what was damaged or cut off, for who has read all there is."""
        read, claimed = self.frames_read, self.info.num_frames_claimed
        of = f"{read} of about {claimed}" if claimed >= read else f"{read}"
        why = cause(self._loss) if self._loss else ""
        found = []
        between = self.packets_lost - self._lost_at_end
        if between:
            packets = "a damaged packet was" if between == 1 else f"{between} damaged packets were"
            found.append(f"{packets} left out ({why})")
        if self._lost_at_end or self._broke_off:
            found.append(
                f"decoding broke off after {of} frames ({why}); the frames before are used"
            )
        elif missing := self._cut_off():
            found.append(missing)
        elif between:
            found.append(f"{of} frames are used")
        return f"{self.path}: {'; '.join(found)}" if found else None

    def _cut_off(self) -> str | None:
        """Say so where the stream ended well before the duration that the container claims.

        Or within a packet, in containers that claim none.
        """
        whole = self.frames_read >= self.info.num_frames_claimed > 0 or self._times.start is None
        if whole or not self._times.missing(self.claimed_seconds):
            if cut_off(self._container):
                return (
                    "its last packet is not whole: it seems to be cut off; its "
                    f"{self.frames_read} frames are used"
                )
            return None
        return (
            f"ends after {self.end_seconds:.2f} s although the file claims "
            f"{self.claimed_seconds:.2f} s: "
            f"it seems to be cut off; its {self.frames_read} frames are used"
        )


def _shown_seconds(raw: Any) -> float:
    duration = getattr(raw, "duration", None)
    return float(duration * raw.time_base) if duration and raw.time_base else 0.0

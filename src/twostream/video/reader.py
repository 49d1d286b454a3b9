"""Decoding video files: streamed, never more than a few frames at once, whatever the length."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from twostream.types import Frame, VideoError
from twostream.video.fingerprint import size_on_disk
from twostream.video.indexed_rate import indexed_rate
from twostream.video.motion import export_motion, read_motion

av.logging.set_level(None)  # libav's own lines on stderr; what matters is raised or in `warning`

FALLBACK_FPS = 25.0
# B-frames displace timestamps by a few places at most in the files seen (packed B-frames: 2).
REORDER_WINDOW = 4


def stored_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Return the (height, width) that frames are stored at: shrunk, never enlarged.

    Args:
        height: of the upright source, px, at least 1.
        width: of the upright source, px, at least 1.
        short_side: wanted shorter side in px; None keeps the source size.

    >>> stored_size(240, 320, 120)
    (120, 160)
    >>> stored_size(64, 80, 256)
    (64, 80)
    """
    shorter = min(height, width)
    if short_side is None or shorter <= short_side:
        return height, width
    scale = short_side / shorter
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(rgb: NDArray[np.uint8], short_side: int | None) -> NDArray[np.uint8]:
    """Bring a frame to the stored size, as ``VideoReader`` does; never enlarges.

    Args:
        rgb: (height, width, 3) uint8 RGB.
        short_side: wanted shorter side in px; None keeps the size.
    """
    height, width = stored_size(rgb.shape[0], rgb.shape[1], short_side)
    if (height, width) == rgb.shape[:2]:
        return rgb
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return frame.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.AREA
    ).to_ndarray()


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container claims about its video stream; counts and rates may be wrong.

    Attributes:
        path: the file.
        width: of the upright source, px. Pixels are taken as square.
        height: of the upright source, px.
        fps: nominal frames per second, always positive.
        rotation: degrees clockwise, 0, 90, 180 or 270, that make the coded picture upright.
        num_frames_claimed: what the container says; 0 where it says nothing.
    """

    path: Path
    width: int
    height: int
    fps: float
    rotation: int
    num_frames_claimed: int


class VideoReader:
    """Streams the frames of a video file, upright and at the stored size.

    A file that breaks part-way gives the frames before the break and sets ``warning``. Iterating
    a second time decodes again from the start. Close it, or use it in a ``with`` statement.

    Args:
        path: a video file (anything FFmpeg decodes).
        short_side: shrink so that the shorter side has this many px; never enlarges.
        motion_vectors: read the codec's motion vectors with every frame.

    Attributes:
        info: a VideoInfo.
        size: (height, width) of the frames that come out.
        warning: one sentence when the video broke off early, else None; complete once the
            iteration has ended.
        frames_read: number of frames given so far.
        end_seconds: when the last frame given so far ends, from the first one on.

    Raises:
        VideoError: the file is missing, is no video, or not one frame of it can be decoded; or its
            motion vectors are asked for and are no flow (see motion.py).
    """

    def __init__(
        self, path: Path | str, *, short_side: int | None = None, motion_vectors: bool = False
    ) -> None:
        if short_side is not None and short_side < 1:
            raise VideoError(path, f"cannot be shrunk to a short side of {short_side} px: use 1 up")
        self.path = Path(path)
        self._short_side = short_side
        self._motion_vectors = motion_vectors
        self._open()

    def _open(self) -> None:
        self.warning: str | None = None
        self.frames_read = 0
        self._started = False
        self._intervals_ms: Counter[int] = Counter()
        self.end_seconds = 0.0
        self._start_failure = "it holds no frame"
        self._container = _open_container(self.path)
        try:
            self._stream = _video_stream(self.path, self._container)
            if self._motion_vectors:
                export_motion(self.path, self._stream)
            self._decoded = self._decode()
            # Rotation travels with the frames, so the first one is decoded before info is known.
            first = next(self._decoded, None)
            if first is None:
                raise VideoError(self.path, f"no frame can be decoded: {self._start_failure}")
        except BaseException:
            self._container.close()
            raise
        self._first = first
        self.info = _describe(self.path, self._container, self._stream, first)
        self.size = stored_size(self.info.height, self.info.width, self._short_side)
        self._step_seconds = 1.0 / self.info.fps
        self._reformatter = VideoReformatter()  # shared: building one costs more than using it

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
        origin: float | None = None
        previous = -math.inf
        for raw, seconds in self._timed():
            try:
                rgb = self._to_rgb(raw)
            except (av.FFmpegError, ValueError) as error:
                if not self.frames_read:
                    raise VideoError(self.path, f"no frame can be converted: {error}") from error
                self._break(error, self.frames_read)
                return
            motion = (
                read_motion(self.path, raw, self.info.rotation) if self._motion_vectors else None
            )
            if origin is None:
                origin = seconds if seconds is not None else 0.0
            pts = (seconds if seconds is not None else -math.inf) - origin
            if pts <= previous:  # repeated, missing, or the clock was set back
                if seconds is not None and pts < previous - 1.0:
                    origin -= previous + self._step_seconds - pts
                pts = previous + self._step_seconds
            elif math.isinf(pts):
                pts = 0.0
            if self.frames_read:
                self._intervals_ms[round((pts - previous) * 1000)] += 1
            self.frames_read += 1
            previous = pts
            self.end_seconds = pts + max(self._step_seconds, _shown_seconds(raw))
            yield Frame(rgb, pts, motion)
        self._check_end()

    @property
    def claimed_seconds(self) -> float:
        """How long the file says that it is; 0 where it says nothing."""
        claimed = _claimed_seconds(self._container, self._stream)
        return claimed or self.info.num_frames_claimed / self.info.fps

    @property
    def variable_frame_rate(self) -> bool:
        """Whether the frame rate varies, judged by the frames read so far and the container.

        True when more than 1% of the intervals are over a quarter off the usual one, or when the
        container's average rate contradicts its base rate (frames were left out).
        """
        intervals = self._intervals_ms.total()
        if intervals < 2:
            return False
        usual = sorted(self._intervals_ms.elements())[intervals // 2]
        tolerance = max(2.0, 0.25 * usual)
        odd = sum(n for ms, n in self._intervals_ms.items() if abs(ms - usual) > tolerance)
        average, base = self._stream.average_rate, self._stream.guessed_rate
        contradicts = bool(average and base) and 1.1 < float(base / average) < 2.0
        return odd > 0.01 * intervals or contradicts

    def _decode(self) -> Iterator[Any]:
        """Yield av frames in display order; a break sets the warning and ends it."""
        packets = iter(self._container.demux(self._stream))
        count = 0
        while True:
            try:
                if (packet := next(packets, None)) is None:  # also after it has raised
                    return
                frames = packet.decode()
            except (av.FFmpegError, OSError) as error:
                self._start_failure = cause(error)
                if count:
                    self._break(error, count)
                    return
                continue  # a recording cut between key frames: what follows may decode
            count += len(frames)
            yield from frames

    def _timed(self) -> Iterator[tuple[Any, float | None]]:
        """Yield av frames with their time in seconds, None where the file gives none.

        Decoders give frames in display order, yet AVI files with packed B-frames (UCF-101's)
        carry their timestamps in coding order. Sorted within a short window, each frame gets its
        own again; a clean file is not changed by this.
        """
        pending: deque[Any] = deque()
        times: list[float] = []

        def next_timed() -> tuple[Any, float | None]:
            raw = pending.popleft()
            return raw, heapq.heappop(times) if raw.pts is not None else None

        for raw in chain([self._first], self._decoded):
            pending.append(raw)
            if raw.pts is not None:
                heapq.heappush(times, float(raw.pts * (raw.time_base or self._stream.time_base)))
            if len(pending) > REORDER_WINDOW:
                yield next_timed()
        while pending:
            yield next_timed()

    def _to_rgb(self, raw: Any) -> NDArray[np.uint8]:
        height, width = self.size
        if self.info.rotation in (90, 270):
            height, width = width, height
        shrinks = raw.height > height or raw.width > width
        frame = self._reformatter.reformat(
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
        return np.ascontiguousarray(np.rot90(rgb, k=-self.info.rotation // 90))

    def _break(self, error: Exception, after: int) -> None:
        claimed = self.info.num_frames_claimed
        of = f" of about {claimed}" if claimed >= after else ""
        self.warning = (
            f"{self.path}: decoding broke off after {after}{of} frames ({cause(error)}); "
            "the frames before are used"
        )

    def _check_end(self) -> None:
        """Warn when the stream ended well before the duration that the container claims."""
        if self.warning or self.frames_read >= self.info.num_frames_claimed > 0:
            return
        claimed = _claimed_seconds(self._container, self._stream)
        if "mov" not in self._container.format.name:
            # AVI's duration shrinks with a cut file, its count does not. MP4's count includes
            # what an edit list leaves out.
            claimed = max(claimed, self._stream.frames * self._step_seconds)
        missing = claimed - self.end_seconds
        if missing > max(min(0.05 * claimed, 2.0), 2 * self._step_seconds):
            self.warning = (
                f"{self.path}: ends after {self.end_seconds:.2f} s although the file claims "
                f"{claimed:.2f} s: it seems to be cut off; its {self.frames_read} frames are used"
            )


def _open_container(path: Path) -> Any:
    if path.is_dir():
        raise VideoError(path, "is a folder, expected a video file")
    if not size_on_disk(path):
        raise VideoError(path, "the file is empty")
    try:
        # "file:" and the whitelist keep odd names and playlists from reaching over the network.
        return av.open(
            f"file:{path}", metadata_errors="ignore", options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, OSError) as error:
        why = "it is no video, or a damaged one"
        raise VideoError(path, f"cannot be opened as a video: {why} ({cause(error)})") from error


def _video_stream(path: Path, container: Any) -> Any:
    if not container.streams.video:
        raise VideoError(path, "holds no video stream: it is no video, or a damaged one")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise VideoError(path, "its video codec is unknown to this build of FFmpeg")
    # One decoding thread: clips are decoded in parallel, and a break shows at the same frame.
    stream.codec_context.thread_count = 1
    return stream


def _describe(path: Path, container: Any, stream: Any, first: Any) -> VideoInfo:
    # PyAV gives counter-clockwise degrees.
    rotation = round(-first.rotation / 90) * 90 % 360
    width, height = first.width, first.height
    if rotation in (90, 270):
        width, height = height, width
    fps = _nominal_fps(stream)
    frames = stream.frames or round(_claimed_seconds(container, stream) * fps)
    return VideoInfo(path, width, height, fps, rotation, max(0, frames))


def _nominal_fps(stream: Any) -> float:
    """Return the base rate unless it is off the average by half, as in GIF and WebM (1000/s).

    The average alone counts frames that an edit list leaves out, and the time of pauses.
    """
    average = float(stream.average_rate or 0)
    base = float(stream.guessed_rate or 0)
    if average > 0 and base > 0:
        return base if 0.5 < base / average < 2 else indexed_rate(stream) or average
    return average or base or FALLBACK_FPS


def _claimed_seconds(container: Any, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and not container.streams.audio:
        return float(container.duration) / av.time_base
    return 0.0


def _shown_seconds(raw: Any) -> float:
    duration = getattr(raw, "duration", None)
    return float(duration * raw.time_base) if duration and raw.time_base else 0.0


def cause(error: Exception) -> str:
    """Return what libav says went wrong, without its error code."""
    return getattr(error, "strerror", None) or str(error)

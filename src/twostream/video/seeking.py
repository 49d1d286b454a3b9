"""The frames of a stretch of a video, without reading all before it where the file allows that.

They and their times are those of ``VideoReader``. Files whose first frames come in order, each with
a time of its own, are sought in; of all others what lies before is decoded once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from twostream.types import Frame
from twostream.video.container_claims import frame_ticks, late_start
from twostream.video.opening import open_video, reading
from twostream.video.reader import VideoReader, to_rgb

SOUGHT_IN = ("mov", "matroska", "avi")  # other containers find their key frames by guessing
PROBED_FRAMES = 60  # whose times must be in order
GO_ON_SECONDS = 4.0  # what lies so little ahead is reached by decoding, not by seeking
BACK_SECONDS = (0.0, 2.0, 20.0, float("inf"))  # how much earlier is tried, one after the other

_Item = tuple[float, Callable[[], NDArray[Any]]]  # the time of a frame, and what converts it


class _OddTimesError(Exception):
    """A file that was sought in turns out to need all of its frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The frames that begin in a stretch of time.

    Attributes:
        frames: in order; maybe none.
        before: when the last frame before the stretch begins; None: not known, or there is none.
        after: when the first frame after it begins; None: the video has ended.
        end: when the last frame of the video ends, where that has been read; else None.
    """

    frames: tuple[Frame, ...]
    before: float | None
    after: float | None
    end: float | None


class SeekableVideo:
    """Gives stretches of a video file; those that follow each other cost no more than reading it.

    Args:
        path: a video file.
        short_side: frames are shrunk to it, see ``VideoReader``.

    Attributes:
        info, size, claimed_seconds: see ``VideoReader``.
        sought_in: whether the file is; else what lies before a stretch is decoded too.

    Raises:
        VideoError: as ``VideoReader`` does.
    """

    def __init__(self, path: Path, *, short_side: int | None = None) -> None:
        self.path = path
        self._short_side = short_side
        with VideoReader(path, short_side=short_side) as reader:
            self.info, self.size = reader.info, reader.size
            self.claimed_seconds = reader.claimed_seconds
        self._container: Any = None
        self._reader: VideoReader | None = None
        self._reformatter = VideoReformatter()
        self._origin = self._starts = 0.0  # time 0, as the file counts, and that of the first frame
        self._end: float | None = None
        self._items: Iterator[_Item] = iter(())
        self._from = 0.0  # no frame that begins from here on has been passed
        self._last: float | None = None  # when the frame before the next one begins
        self._next: _Item | None = None
        with reading(path):
            self.sought_in = self._may_be_sought()
        self._begin()

    def close(self) -> None:
        """Release the file."""
        for each in (self._container, self._reader):
            if each is not None:
                each.close()

    def stretch(self, start_seconds: float, end_seconds: float) -> Stretch:
        """Return the frames that begin in [start, end), in seconds as the reader counts.

        Raises:
            VideoError: the file cannot be read any more.
        """
        with reading(self.path):
            try:
                return self._stretch(start_seconds, end_seconds)
            except _OddTimesError:
                self.sought_in = False
                self._begin()
                return self._stretch(start_seconds, end_seconds)

    def _stretch(self, start: float, end: float) -> Stretch:
        far = self.sought_in and start > self._from + GO_ON_SECONDS
        if start < self._from or far:
            self._go_to(start)
        while self._next is not None and self._next[0] < start:
            self._step()
        frames = []
        before = self._last
        while self._next is not None and self._next[0] < end:
            seconds, convert = self._next
            with suppress(av.FFmpegError, ValueError):  # a damaged frame, which readers leave out
                frames.append(Frame(convert(), seconds))
            self._step()
        self._from = end
        after = None if self._next is None else self._next[0]
        return Stretch(tuple(frames), before, after, self._end)

    def _begin(self) -> None:
        """Stand before the first frame."""
        if self.sought_in:
            self._seek(0.0, float("inf"))
        else:
            if self._container is not None:
                self._container.close()
            self._items = self._read()
        self._from, self._last = 0.0, None
        self._next = next(self._items, None)

    def _go_to(self, start: float) -> None:
        """Stand at a frame that is not after ``start``."""
        if not self.sought_in:
            self._begin()
            return
        for back in BACK_SECONDS:
            self._seek(start, back)
            self._next = next(self._items, None)
            if self._next is not None and self._next[0] <= max(start, self._starts):
                break
        else:
            raise _OddTimesError
        self._last = None

    def _step(self) -> None:
        assert self._next is not None
        self._last = self._next[0]
        self._next = next(self._items, None)
        if self._next is not None and self._next[0] <= self._last:
            raise _OddTimesError

    def _read(self) -> Iterator[_Item]:
        """Yield all frames, from the first one on."""
        if self._reader is not None:
            self._reader.close()
        self._reader = VideoReader(self.path, short_side=self._short_side)
        for frame in self._reader:
            yield frame.pts_seconds, lambda frame=frame: frame.rgb  # type: ignore[misc]
        self._end = self._reader.end_seconds

    def _seek(self, seconds: float, back: float) -> None:
        """Stand at the key frame before a time, or ``back`` seconds earlier."""
        target = max(0.0, seconds - back) + self._origin
        with suppress(av.FFmpegError, OSError):  # where it stands is looked at in any case
            self._container.seek(
                int(target / self._stream.time_base), stream=self._stream, backward=True
            )
        self._items = self._decode()

    def _decode(self) -> Iterator[_Item]:
        """Yield frames from where the file stands."""
        last = None
        for raw in self._raw_frames():
            if raw.pts is None:
                raise _OddTimesError
            seconds = float(raw.pts * (raw.time_base or self._stream.time_base))
            duration = float((raw.duration or 0) * (raw.time_base or 0))
            last = seconds - self._origin, duration
            yield last[0], lambda raw=raw: to_rgb(raw, self.info, self.size, self._reformatter)  # type: ignore[misc]
        if last is not None:
            self._end = last[0] + max(1 / self.info.fps, last[1])

    def _raw_frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                packet = None  # nothing more can be read
            if packet is not None and not packet.size:
                continue  # an AVI's way to say that a frame is shown longer
            with suppress(av.FFmpegError, OSError):
                yield from self._stream.decode(packet)
            if packet is None:
                return

    def _may_be_sought(self) -> bool:
        """Open the file, and tell whether its first frames come in order, each with its time."""
        self._container, self._stream = open_video(self.path)
        name = self._container.format.name
        if not any(each in name for each in SOUGHT_IN):
            return False
        if frame_ticks(self._container, self._stream) > 1 or not self._stream.time_base:
            return False
        times = []
        for raw in self._raw_frames():
            times.append(raw.pts)
            if len(times) == PROBED_FRAMES:
                break
        if not times or None in times or sorted(set(times)) != times:
            return False
        first = float(times[0] * self._stream.time_base)
        self._starts = late_start(self._container, first, self.info.fps)
        self._origin = first - self._starts
        return True

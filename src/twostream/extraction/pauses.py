"""Times of which a video has no frames: told apart from a slow rate, and never taken as seen."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from twostream.extraction.frame_pairs import MAX_GAP_SECONDS
from twostream.store.coding import ClipHeader, Item, Kind
from twostream.types import Frame
from twostream.video import FrameFolder, VideoReader

PAUSE_SECONDS = 1.0  # without a frame; shorter ones are filled as a slower video's
PAUSE_FRAMES = 3  # so many usual intervals are none yet: some videos are slow
STANDING_SECONDS = 0.2  # of the last frame; less is not worth showing it twice
_INTERVALS = 5  # the last ones tell what is usual
# of one clip; what is beyond is left out: a broken clock must not fill the disk
MAX_FILLED_SECONDS = 300.0
_LEFT_OUT = " s of it are left out"


class PauseWatch:
    """Tells which frames come after a pause: what is longer than ``PAUSE_FRAMES`` usual intervals.

    Args:
        fps: usual rate of the frames, until the last intervals show a slower one; None: they alone
            tell it.
        least: so many seconds are none yet, however quickly the frames come.
        most: more than so many seconds are one, however slowly they come.
    """

    def __init__(
        self, fps: float | None, *, least: float = PAUSE_SECONDS, most: float = MAX_GAP_SECONDS
    ) -> None:
        self._usual = 1 / fps if fps else None
        self._least, self._most = least, most
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._last: float | None = None

    def lasts_at(self, seconds: float) -> bool:
        """Whether there is a pause at a time, before which no further frame came."""
        if self._last is None:
            return False
        longest = min(max(self._least, PAUSE_FRAMES * self._usual_seconds()), self._most)
        return seconds - self._last > longest

    def ends_at(self, seconds: float) -> bool:
        """Take the time of the next frame; whether there was a pause before it."""
        paused = self.lasts_at(seconds)
        if self._last is not None:
            self._intervals.append(seconds - self._last)
        self._last = seconds
        return paused

    def _usual_seconds(self) -> float:
        known = self._intervals
        if self._usual is None:
            return statistics.median(known) if known else PAUSE_SECONDS
        if len(known) < _INTERVALS:
            return self._usual
        return max(self._usual, statistics.median(known))


def unbroken(
    frames: Iterable[Frame], fps: float | None, origin: float | None = None
) -> Iterator[tuple[float, Iterator[Frame]]]:
    """Divide frames where there is a pause between them.

    Args:
        frames: in order, with increasing times.
        fps: their usual rate, see ``PauseWatch``.
        origin: the time that counts as 0; None: that of the first frame.

    Yields:
        Each run of frames, and when it starts, in seconds. A run must be used up before the next
        one is asked for.

    >>> times = [0.0, 0.5, 30.0, 30.5]
    >>> frames = [Frame(np.zeros((1, 1, 3), np.uint8), seconds) for seconds in times]
    >>> [(start, len(list(run))) for start, run in unbroken(frames, 2.0)]
    [(0.0, 2), (30.0, 2)]
    """
    watch, number = PauseWatch(fps), 0

    def numbered() -> Iterator[tuple[int, Frame]]:
        nonlocal number
        for frame in frames:
            number += watch.ends_at(frame.pts_seconds)
            yield number, frame

    for _, group in groupby(numbered(), key=itemgetter(0)):
        run = map(itemgetter(1), group)
        first = next(run)
        origin = first.pts_seconds if origin is None else origin
        yield first.pts_seconds - origin, chain([first], run)


def to_the_end(
    reader: VideoReader | FrameFolder, rate: float, *, moves: bool = False
) -> Iterator[Frame]:
    """Yield the frames of a video, and the last one again where it stands for longer than usual.

    Without that, a slow video would end early. What stands as long as a pause is none of it: see
    ``FilledClip.end``.

    Args:
        reader: of the video.
        rate: that the frames are brought to.
        moves: leave the last one alone: frames are read with their motion.
    """
    watch, last = PauseWatch(min(rate, reader.info.fps)), None
    for last in reader:
        watch.ends_at(last.pts_seconds)
        yield last
    place = reader.end_seconds - 1 / rate  # the last one's
    if last is None or moves or reader.frames_read < 2 or watch.lasts_at(reader.end_seconds):
        return
    if place - last.pts_seconds > STANDING_SECONDS:
        yield Frame(last.rgb, place)


class FilledClip:
    """Joins runs of frames to one clip, so that the place of a frame tells its time.

    Through a pause the last frame stands and nothing moves; what was not seen is remembered.

    Args:
        fps: of the clip.
        size: (height, width) of its frames, px.
        kinds: any of "rgb", "forward", "backward".

    Attributes:
        frames: number of frames so far.
        pauses: [first, end) of the frames that stand for what was not seen.
        left_out_seconds: of pauses, beyond ``MAX_FILLED_SECONDS``.
    """

    def __init__(self, fps: float, size: tuple[int, int], kinds: Sequence[Kind]) -> None:
        self.frames = 0
        self.pauses: list[tuple[int, int]] = []
        self.left_out_seconds = 0.0
        self._fps = fps
        self._last: dict[Kind, Item] = {}
        zero = np.zeros((2, *size), np.float32)
        self._still: dict[Kind, Item] = {kind: zero for kind in kinds if kind != "rgb"}

    def run(
        self, start_seconds: float, items: Iterable[list[dict[Kind, Item]]]
    ) -> Iterator[list[dict[Kind, Item]]]:
        """Yield what a run adds to the clip, see ``clip_items``, after the pause before it.

        Args:
            start_seconds: of the run.
            items: from ``clip_items``, of this run alone.
        """
        begins = True
        for added in items:
            if begins:
                first = added[0]
                self._last = self._last or _picture(first)  # of a pause before all frames
                added = [*self._pause(start_seconds), {**self._still, **first}, *added[1:]]
                if not self.frames:
                    added[0] = _picture(added[0])  # no field leads to the first one
                begins = False
            self._last = _picture(added[-1])
            self.frames += len(added)
            yield added

    def end(self, seconds: float) -> list[dict[Kind, Item]]:
        """Return what is added where the last frame stands for so long that it is a pause.

        Args:
            seconds: when it ends.
        """
        stands = seconds - self.left_out_seconds - self.frames / self._fps
        added = self._pause(seconds) if stands > PAUSE_SECONDS else []
        self.frames += len(added)
        return added

    def _pause(self, start_seconds: float) -> list[dict[Kind, Item]]:
        """Return the frames of the pause that ends now."""
        missing = max(0, round((start_seconds - self.left_out_seconds) * self._fps) - self.frames)
        filled = sum(end - first for first, end in self.pauses)
        most = max(0, round(MAX_FILLED_SECONDS * self._fps) - filled)
        self.left_out_seconds += max(0, missing - most) / self._fps
        if count := min(missing, most):
            self.pauses.append((self.frames, self.frames + count))
        return [{**self._last, **self._still}] * count

    def seconds(self) -> list[tuple[float, float]]:
        """Return where the pauses lie in the clip, in seconds."""
        return [(first / self._fps, end / self._fps) for first, end in self.pauses]


def _picture(items: dict[Kind, Item]) -> dict[Kind, Item]:
    return {"rgb": items["rgb"]} if "rgb" in items else {}


def pause_warning(
    video: Path | str, pauses: Sequence[tuple[float, float]], left_out_seconds: float = 0.0
) -> str | None:
    """Return a sentence on the times of which a video has no frames; None: it has no pause.

    >>> pause_warning("a.mkv", [(3.0, 33.0)])
    'a.mkv: no frames from 3.0 to 33.0 s; nothing is said of that time'
    """
    if not pauses:
        return None
    (start, end), *more = pauses
    others = f" and {len(more)} times more" if more else ""
    cut = f"; {left_out_seconds:.0f}{_LEFT_OUT}" if left_out_seconds else ""
    return (
        f"{video}: no frames from {start:.1f} to {end:.1f} s{others}; nothing is said of that "
        f"time{cut}"
    )


def known_until(header: ClipHeader) -> float | None:
    """Return the second up to which the place of a stored frame tells its time; None: all of it.

    Where more than ``MAX_FILLED_SECONDS`` of pauses were left out, what comes later stands earlier.
    """
    if _LEFT_OUT not in (header.warning or ""):
        return None
    filled, most = 0, round(MAX_FILLED_SECONDS * header.fps)
    for first, end in header.pauses:
        filled += end - first
        if filled >= most:
            return first / header.fps
    return None


def all_warnings(*sentences: str | None) -> str | None:
    """Return the sentences that there are as one, each once; None: there is none."""
    return "; ".join(dict.fromkeys(filter(None, sentences))) or None

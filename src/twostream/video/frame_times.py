"""Times of frames as a player shows them: each later than the one before."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

# B-frames displace timestamps by a few places at most in the files seen (packed B-frames: 2).
REORDER_WINDOW = 4
SET_BACK_SECONDS = 1.0  # a time that is so much earlier is another clock's, and no repeated one

Item = TypeVar("Item")


class FrameTimes:
    """Mends the times of frames, in the order that they are shown in.

    Args:
        step_seconds: from one frame to the next, where the source does not say it, or says none.
        late_seconds: time of the first frame: how long a player plays before it shows it.

    Attributes:
        start: time of the first frame, as the source counts; None: it said none so far.
        end: when the last frame ends, in seconds.
        step_seconds: see above.
    """

    def __init__(self, step_seconds: float, late_seconds: float = 0.0) -> None:
        self.start: float | None = None
        self.end = 0.0
        self.step_seconds = step_seconds
        self._last = late_seconds - step_seconds
        self._origin: float | None = None  # what the source counts where frames are at 0

    def set_back(self, seconds: float | None) -> bool:
        """Whether the source's clock was set back before a frame, as it counts its seconds."""
        if seconds is None or self._origin is None:
            return False
        return seconds - self._origin < self._last - SET_BACK_SECONDS

    def shown(self, seconds: float | None, duration: float = 0.0) -> float:
        """Take the next frame; returns its time.

        Args:
            seconds: as the source counts; None: it does not say.
            duration: of the frame, s; 0: the source does not say.

        >>> times = FrameTimes(0.5)
        >>> [times.shown(seconds) for seconds in (7.0, 7.4, 7.4, None, 9.0, 3.0, 3.5)]
        [0.0, 0.40000000000000036, 0.9000000000000004, 1.4000000000000004, 2.0, 2.5, 3.0]
        >>> late = FrameTimes(0.5, late_seconds=2.0)
        >>> [late.shown(seconds) for seconds in (7.0, 7.5, 8.0)]
        [2.0, 2.5, 3.0]
        """
        pts = self._last + self.step_seconds
        if seconds is not None:
            if self._origin is None:
                self.start = seconds
            if self._origin is None or self.set_back(seconds):
                self._origin = seconds - pts
            if seconds - self._origin > self._last:
                pts = seconds - self._origin
        self._last = pts
        self.end = pts + max(self.step_seconds, duration)
        return pts

    def missing(self, claimed_seconds: float) -> float:
        """Return how many seconds of a length are missing at the end; 0: no more than is usual."""
        missing = claimed_seconds - self.end
        usual = max(min(0.05 * claimed_seconds, 2.0), 2 * self.step_seconds)
        return missing if missing > usual else 0.0


def in_order(
    frames: Iterable[tuple[Item, float | None]], step_seconds: float
) -> Iterator[tuple[Item, float | None]]:
    """Yield frames with their own times.

    Decoders give frames in display order, yet AVI files with packed B-frames (UCF-101's) carry
    their timestamps in coding order. Sorted within a short window, each frame gets its own again; a
    clean file is not changed by this. Where the clock is set back, as in joined transport streams,
    each part keeps its own.

    Args:
        frames: as they are decoded, with what the file says, in seconds; None: nothing.
        step_seconds: what usually lies between two of them.

    >>> list(in_order([("a", 5.0), ("b", 7.0), ("c", 6.0), ("d", None), ("e", 0.0)], 1.0))
    [('a', 5.0), ('b', 6.0), ('c', 7.0), ('d', None), ('e', 0.0)]
    """
    set_back = max(SET_BACK_SECONDS, REORDER_WINDOW * step_seconds)
    pending: deque[tuple[Item, bool]] = deque()
    times: list[float] = []

    def next_timed() -> tuple[Item, float | None]:
        frame, timed = pending.popleft()
        return frame, heapq.heappop(times) if timed else None

    for frame, seconds in frames:
        if seconds is not None and times and seconds < max(times) - set_back:
            while pending:
                yield next_timed()
        pending.append((frame, seconds is not None))
        if seconds is not None:
            heapq.heappush(times, seconds)
        if len(pending) > REORDER_WINDOW:
            yield next_timed()
    while pending:
        yield next_timed()

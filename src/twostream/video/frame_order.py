"""Each frame its own time, where a file has the times of its frames in another order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# B-frames displace timestamps by a few places at most in the files seen (packed B-frames: 2).
REORDER_WINDOW = 4


def with_own_times(
    frames: Iterable[Any], seconds_of: Callable[[Any], float | None], set_back: float
) -> Iterator[tuple[Any, float | None]]:
    """Yield av frames with their time in seconds, None where the file gives none.

    Decoders give frames in display order, yet AVI files with packed B-frames (UCF-101's) carry
    their timestamps in coding order. Sorted within a short window, each frame gets its own again; a
    clean file is not changed by this. Where the clock is set back, as in joined transport streams,
    each part keeps its own.

    Args:
        frames: as they are decoded.
        seconds_of: a frame's time as the file counts.
        set_back: a clock that falls by more seconds begins anew.
    """
    pending: deque[Any] = deque()
    times: list[float] = []

    def next_timed() -> tuple[Any, float | None]:
        raw = pending.popleft()
        return raw, heapq.heappop(times) if raw.pts is not None else None

    for raw in frames:
        seconds = seconds_of(raw)
        if seconds is not None and times and seconds < max(times) - set_back:
            while pending:
                yield next_timed()
        pending.append(raw)
        if seconds is not None:
            heapq.heappush(times, seconds)
        if len(pending) > REORDER_WINDOW:
            yield next_timed()
    while pending:
        yield next_timed()

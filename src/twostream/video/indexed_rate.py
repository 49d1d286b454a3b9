"""The usual frame rate by a container's index of all frames: what pauses do not change."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

INDEXED_FRAMES = 2000  # that are looked at


def indexed_rate(stream: Any) -> float | None:
    """Return frames per second by the median of the intervals between a stream's first frames.

    Args:
        stream: of av.

    Returns:
        None where the index does not hold every frame, as in Matroska, or holds too few.
    """
    entries = stream.index_entries
    if len(entries) < 3 or len(entries) != stream.frames or not stream.time_base:
        return None
    times = sorted(entry.timestamp for entry in islice(entries, INDEXED_FRAMES))
    intervals = sorted(after - before for before, after in pairwise(times))
    usual = float(intervals[len(intervals) // 2] * stream.time_base)
    return 1 / usual if usual > 0 else None

"""A labelled stretch of a long recording as a clip of its own: its video id says which seconds.

The store keeps a recording once, whatever is labelled in it; everything that names clips by their
ids (splits, scores, lists of what is unreadable) takes stretches as it takes videos.
"""

from __future__ import annotations

import re

_SPAN = re.compile(r"(?s)(.+)#(\d+\.\d{3})-(\d+\.\d{3})")


def span_id(video_id: str, start_seconds: float, end_seconds: float) -> str:
    """Return the id of a stretch of a recording, to the millisecond.

    >>> span_id("day1.mp4", 61.5, 63)
    'day1.mp4#61.500-63.000'
    """
    return f"{video_id}#{start_seconds:.3f}-{end_seconds:.3f}"


def span_of(video_id: str) -> tuple[float, float] | None:
    """Return the seconds that an id names; None: it stands for a whole video."""
    found = _SPAN.fullmatch(video_id)
    return (float(found[2]), float(found[3])) if found else None


def stored_id(video_id: str) -> str:
    """Return the id that the store has the video under.

    >>> stored_id("day1.mp4#61.500-63.000"), stored_id("jump/a.mp4")
    ('day1.mp4', 'jump/a.mp4')
    """
    found = _SPAN.fullmatch(video_id)
    return found[1] if found else video_id


def have_in_common(one: str, other: str) -> bool:
    """Return whether two ids of one file stand for any of the same seconds."""
    spans = span_of(one), span_of(other)
    if spans[0] is None or spans[1] is None:
        return True
    return max(spans[0][0], spans[1][0]) < min(spans[0][1], spans[1][1])

"""Spans of time as sets: cut off at an end, taken from each other, added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twostream.labels.recordings import Span, joined


def within(spans: Iterable[Span], seconds: float) -> tuple[Span, ...]:
    """Return spans joined, and cut off at the end of their video."""
    return joined((start, min(end, seconds)) for start, end in spans if start < seconds)


def without(spans: Sequence[Span], others: Iterable[Span]) -> tuple[Span, ...]:
    """Return what of some spans lies in none of the others.

    >>> without([(0, 10)], [(2, 3), (9, 12)])
    ((0, 2), (3, 9))
    """
    left, cuts, first = list[Span](), joined(others), 0
    for start, end in joined(spans):
        while first < len(cuts) and cuts[first][1] <= start:
            first += 1  # it lies before this one, and so before all that follow
        here = first
        while here < len(cuts) and cuts[here][0] < end:
            if start < cuts[here][0]:
                left.append((start, cuts[here][0]))
            start, here = max(start, cuts[here][1]), here + 1
        if start < end:
            left.append((start, end))
    return tuple(left)


def length(spans: Iterable[Span]) -> float:
    """Return how long spans that are apart last together, in seconds."""
    return sum(end - start for start, end in spans)

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
    left = list(joined(spans))
    for start, end in joined(others):
        cut = [part for a, b in left for part in ((a, min(b, start)), (max(a, end), b))]
        left = [(a, b) for a, b in cut if a < b]
    return tuple(left)


def length(spans: Iterable[Span]) -> float:
    """Return how long spans that are apart last together, in seconds."""
    return sum(end - start for start, end in spans)

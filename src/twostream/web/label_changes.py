"""Labels with one thing changed, and whether a format can hold them then."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from twostream.datasets.label_spans import POINT_SECONDS
from twostream.labels import Bout, Holds, Labels, Recording, kept
from twostream.labels.recordings import Span
from twostream.web.video_labels import spans_of

SAME_SECONDS = 0.001


def with_points(bouts: Sequence[Bout], points: Collection[str]) -> tuple[Bout, ...]:
    """Return bouts, those of some classes as point events: at their middle.

    Longer ones than a point event stands for stay as they were drawn: the class gets a length.
    """
    found = []
    for bout in bouts:
        at = (bout.start_seconds + bout.end_seconds) / 2
        short = bout.end_seconds - bout.start_seconds <= POINT_SECONDS + SAME_SECONDS
        if bout.label in points and short:
            bout = replace(bout, start_seconds=at, end_seconds=at)
        found.append(bout)
    return tuple(found)


def renamed(labels: Labels, label: str, name: str) -> Labels:
    """Return labels with a class that is called otherwise, in its place."""

    def called(each: str) -> str:
        return name if each == label else each

    recordings = tuple(
        replace(
            recording,
            bouts=tuple(replace(bout, label=called(bout.label)) for bout in recording.bouts),
        )
        for recording in labels.recordings
    )
    classes = tuple(dict.fromkeys(map(called, labels.classes)))
    points = frozenset(map(called, labels.points))
    return replace(labels, recordings=recordings, classes=classes, points=points)


def with_recording(labels: Labels, before: Recording | None, after: Recording | None) -> Labels:
    """Return labels with a recording in the place of another; either may be none."""
    recordings = list(labels.recordings)
    at = len(recordings) if before is None else recordings.index(before)
    recordings[at : at + 1] = [] if after is None else [after]
    used = (bout.label for bout in after.bouts) if after else ()
    classes = dict.fromkeys((*labels.classes, *sorted(used)))
    return replace(labels, recordings=tuple(recordings), classes=tuple(classes))


def holds_all(labels: Labels, holds: Holds) -> bool:
    """Tell whether a format can hold labels, but for rounding times to milliseconds or frames."""
    try:
        left = kept(labels, holds)
    except ValueError:  # frames of a rate that is not known
        return False
    if len(left.recordings) != len(labels.recordings):
        return False
    if set(left.classes) != set(labels.classes):
        return False
    return all(map(_same, labels.recordings, left.recordings))


def _same(one: Recording, other: Recording) -> bool:
    near = max(SAME_SECONDS, 0.51 / one.fps if one.fps else 0)

    def close(spans: Sequence[Span], others: Sequence[Span]) -> bool:
        return len(spans) == len(others) and all(
            abs(a - b) <= near
            for x, y in zip(spans, others, strict=True)
            for a, b in zip(x, y, strict=True)
        )

    def told(bout: Bout) -> tuple[object, ...]:
        return bout.label, bout.subject, bout.annotator, bout.confidence, bout.comment

    if (one.watched is None) != (other.watched is None):
        return False
    if not close(one.watched or (), other.watched or ()):
        return False
    by_kind = [sorted(each.bouts, key=lambda b: (str(told(b)), b.order)) for each in (one, other)]
    return [*map(told, by_kind[0])] == [*map(told, by_kind[1])] and close(
        *(spans_of(bouts) for bouts in by_kind)
    )

"""Count, durations, latency and share of time of each label: the time budget, of both files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from twostream.judging.bout_measures import as_segments
from twostream.judging.stretches import Compared, Stretch, compared
from twostream.labels import Bout, Labels
from twostream.labels.label_text import as_cell, table_text

ALL_VIDEOS = "(all)"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one file says of a label in a recording, or in all.

    Attributes:
        count: bouts (those that touch count as one) or point events.
        total_seconds: in which the label holds; 0 of point events, as mean and share are none.
        mean_seconds: of a bout; None without one.
        latency_seconds: from the start of the watched time to the first bout; of all recordings
            the mean over those that have one; None without one.
        share: of the watched time, 0..1: the time budget.
    """

    count: int
    total_seconds: float | None
    mean_seconds: float | None
    latency_seconds: float | None
    share: float | None


def time_budget(true: Labels, predicted: Labels) -> str:
    """Return a CSV table: a row a video and label, then one a label over all videos if several.

    Columns: video, label, and ``Budget``'s of both files, called true_count, predicted_count, ...
    Only the time that both files watched counts. What is not known is left empty.

    Raises:
        DataError: as ``compare_labels``.
    """
    sides = compared(true, predicted)
    names = [field.name for field in fields(Budget)]
    head = [f"{side}_{name}" for name in names for side in ("true", "predicted")]
    rows: list[list[object]] = [["video", "label", *head]]
    places: list[tuple[str, list[int]]] = [(v, [i]) for i, v in enumerate(sides.videos)]
    if len(places) > 1:
        places.append((ALL_VIDEOS, list(range(len(sides.videos)))))
    for video, recordings in places:
        for label in (*sides.classes, *sides.points):
            budgets = [_budget(sides, recordings, label, side) for side in (0, 1)]
            cells = [_shown(getattr(each, name)) for name in names for each in budgets]
            rows.append([as_cell(video), as_cell(label), *cells])
    return table_text(rows)


def _budget(sides: Compared, recordings: Sequence[int], label: str, side: int) -> Budget:
    is_point = label in sides.points
    each = [_in_recording(sides, number, label, side, is_point) for number in recordings]
    count, total, watched = (sum(values) for values in list(zip(*each, strict=True))[:3])
    latencies = [latency for *_, latency in each if latency is not None]
    return Budget(
        count=int(count),
        total_seconds=None if is_point else total,
        mean_seconds=total / count if count and not is_point else None,
        latency_seconds=sum(latencies) / len(latencies) if latencies else None,
        share=total / watched if watched and not is_point else None,
    )


def _in_recording(
    sides: Compared, number: int, label: str, side: int, is_point: bool
) -> tuple[int, float, float, float | None]:
    """Return bouts, their seconds, watched seconds, and seconds to the first bout."""
    stretches = [stretch for stretch in sides.stretches if stretch.recording == number]
    bouts = [
        bout
        for stretch in stretches
        for bout in _of(label, _side(stretch, side, is_point), joined=not is_point)
    ]
    return (
        len(bouts),
        sum((bout.end_seconds - bout.start_seconds for bout in bouts), 0.0),
        sum((stretch.seconds for stretch in stretches), 0.0),
        bouts[0].start_seconds - stretches[0].start_seconds if bouts else None,
    )


def _side(stretch: Stretch, side: int, is_point: bool) -> tuple[Bout, ...]:
    if is_point:
        return (stretch.true_points, stretch.predicted_points)[side]
    return (stretch.true, stretch.predicted)[side]


def _of(label: str, bouts: Iterable[Bout], *, joined: bool) -> list[Bout]:
    found = [bout for bout in bouts if bout.label == label]
    return as_segments(found) if joined else found


def _shown(value: float | None) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value

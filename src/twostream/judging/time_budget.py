"""Count, durations, latency and share of time of each label: the time budget of label files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

from twostream.judging.bout_measures import as_segments
from twostream.judging.stretches import Compared, Stretch, compared
from twostream.labels import Bout, Labels, Recording
from twostream.labels.label_text import as_cell, table_text

ALL_VIDEOS = "(all)"
BUDGET_COLUMNS = ("count", "total_seconds", "mean_seconds", "latency_seconds", "share")


@dataclass(frozen=True, slots=True)
class Tally:
    """What a budget is made of; that of several recordings is the sum of theirs.

    Attributes:
        count: bouts or point events.
        seconds: of the bouts.
        watched_seconds: of the recordings.
        latency_seconds: to the first bout, summed over the recordings that have one,
        begun: of which there are so many.
    """

    count: int = 0
    seconds: float = 0.0
    watched_seconds: float = 0.0
    latency_seconds: float = 0.0
    begun: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.count + other.count,
            self.seconds + other.seconds,
            self.watched_seconds + other.watched_seconds,
            self.latency_seconds + other.latency_seconds,
            self.begun + other.begun,
        )

    def cells(self, *, is_point: bool = False) -> list[str]:
        """Return a cell for each of ``BUDGET_COLUMNS``, "" for what there is none of.

        Point events have a count and a latency, which of several recordings is the mean over those
        that have one.

        >>> Tally(count=2, seconds=3.0, watched_seconds=12.0, latency_seconds=4.0, begun=1).cells()
        ['2', '3.0000', '1.5000', '4.0000', '0.2500']
        """
        parts = (  # seconds, and of how many or of how much
            (self.seconds, 0 if is_point else 1),
            (self.seconds, 0 if is_point else self.count),
            (self.latency_seconds, self.begun),
            (self.seconds, 0 if is_point else self.watched_seconds),
        )
        return [str(self.count), *(f"{part / of:.4f}" if of else "" for part, of in parts)]


def time_budget(true: Labels, predicted: Labels) -> str:
    """Return a CSV table: a row a video and label, then one a label over all videos if several.

    Columns: video, label, and ``BUDGET_COLUMNS`` of both files: true_count, predicted_count, ...
    Only the time that both files watched counts. What is not known is left empty.

    Raises:
        DataError: as ``compare_labels``.
    """
    sides = compared(true, predicted)
    head = [f"{side}_{name}" for name in BUDGET_COLUMNS for side in ("true", "predicted")]
    rows: list[list[object]] = [["video", "label", *head]]
    places: list[tuple[str, list[int]]] = [(v, [i]) for i, v in enumerate(sides.videos)]
    if len(places) > 1:
        places.append((ALL_VIDEOS, list(range(len(sides.videos)))))
    for video, recordings in places:
        for label in (*sides.classes, *sides.points):
            budgets = [_cells(sides, recordings, label, side) for side in (0, 1)]
            rows.append([as_cell(video), as_cell(label), *chain(*zip(*budgets, strict=True))])
    return table_text(rows)


def tallies(
    recording: Recording, classes: Sequence[str], points: Collection[str] = ()
) -> list[Tally]:
    """Return what is counted of each class in one recording.

    Args:
        recording: with a length above 0, some of which was watched.
        classes: each label of the recording is one of them.
        points: those that are point events.
    """
    alone = Labels((recording,), tuple(classes), frozenset(points))
    sides = compared(alone, alone)
    return [_in_recording(sides, 0, label, 0, is_point=label in points) for label in classes]


def _cells(sides: Compared, recordings: Sequence[int], label: str, side: int) -> list[str]:
    is_point = label in sides.points
    each = (_in_recording(sides, number, label, side, is_point) for number in recordings)
    return sum(each, Tally()).cells(is_point=is_point)


def _in_recording(sides: Compared, number: int, label: str, side: int, is_point: bool) -> Tally:
    stretches = [stretch for stretch in sides.stretches if stretch.recording == number]
    bouts = [bout for stretch in stretches for bout in _bouts(stretch, label, side, is_point)]
    return Tally(
        len(bouts),
        sum((bout.end_seconds - bout.start_seconds for bout in bouts), 0.0),
        sum((stretch.seconds for stretch in stretches), 0.0),
        bouts[0].start_seconds - stretches[0].start_seconds if bouts else 0.0,
        int(bool(bouts)),
    )


def _bouts(stretch: Stretch, label: str, side: int, is_point: bool) -> list[Bout]:
    if is_point:
        points = (stretch.true_points, stretch.predicted_points)[side]
        return [point for point in points if point.label == label]
    bouts = (stretch.true, stretch.predicted)[side]
    return as_segments([bout for bout in bouts if bout.label == label])

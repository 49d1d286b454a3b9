"""What two label files say of the same watched time, cut into stretches that are compared.

All measures are sums over stretches, so unwatched time never counts for or against anybody, and a
recording that is cut in two between its bouts is judged as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from twostream.judging.pairing import listed, pair_recordings
from twostream.labels.look_alikes import plain_name, spelt
from twostream.labels.recordings import Bout, Labels, Recording, Span
from twostream.types import DataError

_LENGTHS_DIFFER = 1.0  # seconds, from which it is said
_BEYOND = 0.5  # seconds past the end of the video, from which it is said


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a recording that was watched without a break, and what both files say of it.

    Attributes:
        recording: index of the recording.
        start_seconds, end_seconds: where it lies.
        true, predicted: bouts of a length above 0, cut to the stretch, sorted.
        true_points, predicted_points: point events (start equals end), sorted.
    """

    recording: int
    start_seconds: float
    end_seconds: float
    true: tuple[Bout, ...]
    predicted: tuple[Bout, ...]
    true_points: tuple[Bout, ...] = ()
    predicted_points: tuple[Bout, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True, slots=True)
class Compared:
    """Two label files side by side.

    Attributes:
        videos: names of the recordings, as the true file has them.
        groups: of each recording; its own where no file names one.
        classes: labels with a length, in the order of the ethogram.
        points: labels of point events.
        stretches: in the order of the recordings, ascending.
        notes: sentences a user should read.
    """

    videos: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    points: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    notes: tuple[str, ...] = ()


def compared(true: Labels, predicted: Labels) -> Compared:
    """Lay two label files side by side, over the time that both watched.

    A label is a point event if a file says so, or if none of its bouts there has a length; where
    the other file gives it a length, its middle counts. Bouts of other labels without a length are
    left out, and it is said. Where no file says how long a video is, it ends with its last bout.

    Raises:
        DataError: no two recordings are of the same video, or no time was watched by both.
    """
    pairs, notes = pair_recordings(true, predicted)
    said = list(notes)
    labels = dict.fromkeys([*true.classes, *predicted.classes])
    points = set(true.points | predicted.points)
    stretches = [
        stretch
        for number, (ours, theirs) in enumerate(pairs)
        for stretch in _stretches(number, ours, theirs, points)
    ]
    if not stretches:
        raise DataError(
            "there is nothing to compare: no time was watched in both TRUE and PREDICTED, or there "
            "is no bout and neither says how long the video is"
        )
    said += _on_lengths(pairs)
    said += _on_bouts("TRUE", [t for t, _ in pairs], points)
    said += _on_bouts("PREDICTED", [p for _, p in pairs], points)
    said += _on_names([t for t, _ in pairs], [p for _, p in pairs])
    return Compared(
        videos=tuple(ours.video or theirs.video for ours, theirs in pairs),
        groups=tuple(t.group or p.group or f"recording {i}" for i, (t, p) in enumerate(pairs)),
        classes=tuple(label for label in labels if label not in points),
        points=tuple(label for label in labels if label in points),
        stretches=tuple(stretches),
        notes=tuple(said),
    )


def _stretches(number: int, ours: Recording, theirs: Recording, points: set[str]) -> list[Stretch]:
    """Cut a pair of recordings to the stretches that both watched."""
    end = _length(ours, theirs)
    if end is None:
        end = _last(ours, theirs)
    found = []
    for start, stop in _both(ours.watched, theirs.watched):
        stop = min(stop, end)
        if stop <= start:
            continue
        lasting, moments = (
            [
                cut((b for b in each.bouts if (b.label in points) == is_point), start, stop)
                for each in (ours, theirs)
            ]
            for cut, is_point in ((_cut, False), (_points, True))
        )
        found.append(Stretch(number, start, stop, *lasting, *moments))
    return found


def _length(ours: Recording, theirs: Recording) -> float | None:
    """Return how long a video is in seconds; None where neither says it and watched is all of it.

    Where watched time is listed, its end is enough.
    """
    if (end := theirs.seconds if ours.seconds is None else ours.seconds) is not None:
        return end
    watched = _both(ours.watched, theirs.watched)
    return watched[-1][1] if watched and watched[-1][1] < math.inf else None


def _last(*recordings: Recording) -> float:
    return max((bout.end_seconds for each in recordings for bout in each.bouts), default=0.0)


def _both(first: tuple[Span, ...] | None, second: tuple[Span, ...] | None) -> tuple[Span, ...]:
    """Return the time in both; None is all time.

    >>> _both(((0, 5), (6, 9)), ((3, 7),)), _both(None, None)
    (((3, 5), (6, 7)), ((0.0, inf),))
    """
    everything = ((0.0, math.inf),)
    parts = [
        (max(a[0], b[0]), min(a[1], b[1]))
        for a in (everything if first is None else first)
        for b in (everything if second is None else second)
    ]
    return tuple(sorted(part for part in parts if part[1] > part[0]))


def _cut(bouts: Iterable[Bout], start: float, end: float) -> tuple[Bout, ...]:
    return _in_order(
        replace(
            bout,
            start_seconds=max(bout.start_seconds, start),
            end_seconds=min(bout.end_seconds, end),
        )
        for bout in bouts
        if min(bout.end_seconds, end) > max(bout.start_seconds, start)
    )


def _points(bouts: Iterable[Bout], start: float, end: float) -> tuple[Bout, ...]:
    middles = [((bout.start_seconds + bout.end_seconds) / 2, bout) for bout in bouts]
    return _in_order(
        replace(bout, start_seconds=middle, end_seconds=middle)
        for middle, bout in middles
        if start <= middle <= end
    )


def _in_order(bouts: Iterable[Bout]) -> tuple[Bout, ...]:
    return tuple(sorted(bouts, key=lambda bout: bout.order))


def _on_lengths(pairs: Sequence[tuple[Recording, Recording]]) -> list[str]:
    """Say where lengths are not known, or contradict each other or the bouts."""
    unknown, differing, beyond, unwatched = [], [], [], []
    for ours, theirs in pairs:
        video, end = ours.video or theirs.video or "the recording", _length(ours, theirs)
        if not _both(ours.watched, theirs.watched):
            unwatched.append(video)
            continue
        if end is None:
            unknown.append(video)
            continue
        if _last(ours, theirs) > end + _BEYOND:
            beyond.append(f"{video} (to {_last(ours, theirs):.1f} s of {end:.1f} s)")
        lengths = [end if each.seconds is None else each.seconds for each in (ours, theirs)]
        if abs(lengths[0] - lengths[1]) > _LENGTHS_DIFFER:
            differing.append(f"{video} ({lengths[0]:.1f} and {lengths[1]:.1f} s)")
    sentences = (
        (unwatched, "no time was watched in both files, so nothing of it counts"),
        (unknown, "no file says how long a video is, it is taken to end with its last bout"),
        (differing, "TRUE and PREDICTED differ in how long a video is, the former counts"),
        (beyond, "bouts reach past the end of what is compared and are cut there"),
    )
    return [f"{sentence}: {listed(which)}" for which, sentence in sentences if which]


def _on_bouts(side: str, recordings: Sequence[Recording], points: set[str]) -> list[str]:
    """Say what of a file's bouts is not compared as it stands there."""
    bouts = [bout for recording in recordings for bout in recording.bouts]
    said = []
    without = [b for b in bouts if b.end_seconds == b.start_seconds and b.label not in points]
    if without:
        said.append(
            f"{side}: {len(without)} bouts without a length are left out ({_some(without)})"
        )
    lasting = [b for b in bouts if b.end_seconds > b.start_seconds and b.label in points]
    if lasting:
        said.append(f"{side}: bouts of point events count by their middle ({_some(lasting)})")
    for what, option in (("subject", "--subject"), ("annotator", "--annotators")):
        if len(names := {getattr(bout, what) for bout in bouts} - {""}) > 1:
            count = f"{len(names)} {what}s"
            said.append(f"{side}: the bouts of {count} are compared together ({option} takes one)")
    return said


def _some(bouts: Sequence[Bout]) -> str:
    names = list(dict.fromkeys(bout.label for bout in bouts))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _on_names(true: Sequence[Recording], predicted: Sequence[Recording]) -> list[str]:
    """Say which labels look alike in both files and are written differently."""
    ours, theirs = ({b.label for r in side for b in r.bouts} for side in (true, predicted))
    alike = {plain_name(label): label for label in sorted(theirs - ours)}
    return [
        f"labels are different where they are written differently: {spelt(label)} in TRUE, "
        f"{spelt(alike[plain])} in PREDICTED; where they are one, write them alike"
        for label in sorted(ours - theirs)
        if (plain := plain_name(label)) in alike
    ]

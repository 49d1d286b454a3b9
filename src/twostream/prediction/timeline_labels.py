"""Timelines as labels: what a run says of a video, for the tools that people label with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from twostream.labels import Bout, Labels, Recording
from twostream.labels.recordings import OTHER, joined, one_line
from twostream.prediction.timeline import Segment, Timeline
from twostream.video import open_reader

CONFIDENCE_DIGITS = 4
SECONDS_DIGITS = 6


def timeline_labels(timeline: Timeline, folder: Path) -> Labels:
    """Return a time line's segments as bouts, with their scores as confidence.

    A class of labels that hold at once is a bout of each. "None of these" is no bout, nor is
    "other", the unlabelled time of nets that learnt from recordings. What lies in a pause of the
    video was not watched. The run's classes are the ethogram.

    Args:
        timeline: of a video that is still there: its frame rate is read.
        folder: of the file to be written: a video in it is named from there, others in full.
    """
    with open_reader(timeline.video) as reader:
        fps = reader.info.fps
    length = round(timeline.seconds, SECONDS_DIGITS)

    def rounded(segment: Segment) -> tuple[float, float]:
        return (
            min(round(segment.start_seconds, SECONDS_DIGITS), length),
            min(round(segment.end_seconds, SECONDS_DIGITS), length),
        )

    watched = joined(rounded(each) for each in timeline.segments if each.score is not None)
    classes = [name for name in timeline.classes if name != OTHER]
    names = {
        name: one_line(name) or "-"
        for each in classes
        for name in timeline.together.get(each, (each,))
    }
    bouts = tuple(bout for name in names for bout in _bouts(timeline, name, names[name], length))
    recording = Recording(
        _named(timeline.video, folder),
        bouts,
        length,
        fps,
        watched if timeline.pauses else None,
    )
    return Labels((recording,), tuple(dict.fromkeys(names.values())))


def _bouts(timeline: Timeline, label: str, name: str, length: float) -> Iterator[Bout]:
    """Yield the bouts of a label: where it stands alone and with others, one after the other."""

    def holds(segment: Segment) -> bool:
        of = timeline.together.get(segment.label or "", (segment.label,))
        return segment.score is not None and label in of

    for found, group in groupby(timeline.segments, key=holds):
        if not found:
            continue
        segments = list(group)
        lasting = [segment.end_seconds - segment.start_seconds for segment in segments]
        scores = [segment.score or 0.0 for segment in segments]
        mean = sum(s * t for s, t in zip(scores, lasting, strict=True)) / sum(lasting)
        edges = (segments[0].start_seconds, segments[-1].end_seconds)
        start, end = (min(round(seconds, SECONDS_DIGITS), length) for seconds in edges)
        yield Bout(start, end, name, confidence=min(1.0, round(mean, CONFIDENCE_DIGITS)))


def _named(video: Path, folder: Path) -> str:
    """Return the path of a video from a folder that it lies in, else its whole path."""
    video, folder = Path(os.path.abspath(video)), Path(os.path.abspath(folder))
    path = video.relative_to(folder) if video.is_relative_to(folder) else video
    return path.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")

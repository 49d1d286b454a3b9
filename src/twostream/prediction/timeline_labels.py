"""Timelines as labels: what a run says of a video, for the tools that people label with."""

from __future__ import annotations

import os
from pathlib import Path

from twostream.labels import Bout, Labels, Recording
from twostream.labels.recordings import OTHER, joined, one_line
from twostream.prediction.timeline import Timeline
from twostream.video import open_reader

CONFIDENCE_DIGITS = 4
SECONDS_DIGITS = 6


def timeline_labels(timeline: Timeline, folder: Path) -> Labels:
    """Return a time line's segments as bouts, with their scores as confidence.

    "None of these" is no bout, nor is "other", the unlabelled time of nets that learnt from
    recordings. What lies in a pause of the video was not watched. The run's classes are the
    ethogram.

    Args:
        timeline: of a video that is still there: its frame rate is read.
        folder: of the file to be written: a video in it is named from there, others in full.
    """
    with open_reader(timeline.video) as reader:
        fps = reader.info.fps
    length = round(timeline.seconds, SECONDS_DIGITS)
    names = {name: one_line(name) or "-" for name in timeline.classes if name != OTHER}
    bouts, watched = [], []
    for segment in timeline.segments:
        times = (segment.start_seconds, segment.end_seconds)
        start, end = (min(round(seconds, SECONDS_DIGITS), length) for seconds in times)
        if segment.score is not None:
            watched.append((start, end))
        if segment.label not in (None, OTHER) and segment.score is not None:
            sure = min(1.0, round(segment.score, CONFIDENCE_DIGITS))
            bouts.append(Bout(start, end, names[segment.label], confidence=sure))
    seen = joined(watched)
    recording = Recording(
        _named(timeline.video, folder),
        tuple(bouts),
        length,
        fps,
        seen if timeline.pauses else None,
    )
    return Labels((recording,), tuple(dict.fromkeys(names.values())))


def _named(video: Path, folder: Path) -> str:
    """Return the path of a video from a folder that it lies in, else its whole path."""
    video, folder = Path(os.path.abspath(video)), Path(os.path.abspath(folder))
    path = video.relative_to(folder) if video.is_relative_to(folder) else video
    return path.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")

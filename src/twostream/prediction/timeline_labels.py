"""Timelines as labels: what a run says of a video, for the tools that people label with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from twostream.labels import Bout, Labels, Recording
from twostream.labels.recordings import OTHER, joined, one_line
from twostream.prediction.kept_timelines import KeptTimeline
from twostream.prediction.timeline import Segment, Timeline
from twostream.video import open_reader

CONFIDENCE_DIGITS = 4
SECONDS_DIGITS = 6


def timeline_labels(timeline: Timeline, folder: Path) -> Labels:
    """Return a time line's segments as bouts, with their scores as confidence.

    A point event stands in the middle of its segment. A class of labels that hold at once is a bout
    of each. "None of these" is no bout, nor is "other", the unlabelled time of nets that learnt
    from recordings. What lies in a pause of the video was not watched. The run's classes are the
    ethogram.

    Args:
        timeline: of a video that is still there: its frame rate is read.
        folder: of the file to be written: a video in it is named from there, others in full.
    """
    with open_reader(timeline.video) as reader:
        info = reader.info
    told = info.fps_told or not info.num_frames_claimed
    # a folder of frames was taken at the rate that the run learnt from
    fps = info.fps if told else info.num_frames_claimed / timeline.seconds
    recording = segments_recording(timeline, video_named(timeline.video, folder), fps)
    if not timeline.pauses:
        recording = replace(recording, watched=None)
    return Labels((recording,), *ethogram(timeline))


def ethogram(line: Timeline | KeptTimeline) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the classes of a time line's label file, and those of them that are point events."""
    names = _label_names(line)
    points = frozenset(names[label] for label in line.points if label in names)
    return tuple(dict.fromkeys(names.values())), points


def _label_names(line: Timeline | KeptTimeline) -> dict[str, str]:
    """Return the labels that a run's classes are made of, and each as a label file may have it."""
    known = [line.together.get(each, (each,)) for each in line.classes if each != OTHER]
    return {name: one_line(name) or "-" for labels in known for name in labels}


def segments_recording(
    line: Timeline | KeptTimeline, video: str, fps: float | None = None
) -> Recording:
    """Return the segments of a video as bouts; what lies in a pause was not watched.

    Args:
        line: its time line.
        video: its name.
        fps: frame rate of the video.
    """
    segments, length = line.segments, round(line.seconds, SECONDS_DIGITS)
    watched = joined(
        (_edge(each.start_seconds, length), _edge(each.end_seconds, length))
        for each in segments
        if each.score is not None
    )
    _, instants = ethogram(line)
    bouts = tuple(
        _middle(bout) if name in instants else bout
        for label, name in _label_names(line).items()
        for bout in _bouts(segments, line.together, label, name, length)
    )
    return Recording(video, bouts, length, fps, watched)


def _bouts(
    segments: Sequence[Segment],
    together: Mapping[str, tuple[str, ...]],
    label: str,
    name: str,
    length: float,
) -> Iterator[Bout]:
    """Yield the bouts of a label: where it stands alone and with others, one after the other."""

    def holds(segment: Segment) -> bool:
        of = together.get(segment.label or "", (segment.label,))
        return segment.score is not None and label in of

    for found, group in groupby(segments, key=holds):
        if not found:
            continue
        held = list(group)
        lasting = [segment.end_seconds - segment.start_seconds for segment in held]
        scores = [segment.score or 0.0 for segment in held]
        mean = sum(s * t for s, t in zip(scores, lasting, strict=True)) / sum(lasting)
        start, end = _edge(held[0].start_seconds, length), _edge(held[-1].end_seconds, length)
        yield Bout(start, end, name, confidence=min(1.0, round(mean, CONFIDENCE_DIGITS)))


def _middle(bout: Bout) -> Bout:
    moment = round((bout.start_seconds + bout.end_seconds) / 2, SECONDS_DIGITS)
    return replace(bout, start_seconds=moment, end_seconds=moment)


def _edge(seconds: float, length: float) -> float:
    return min(round(seconds, SECONDS_DIGITS), length)


def video_named(video: Path, folder: Path) -> str:
    """Return the path of a video from a folder that it lies in, else its whole path."""
    video, folder = Path(os.path.abspath(video)), Path(os.path.abspath(folder))
    path = video.relative_to(folder) if video.is_relative_to(folder) else video
    return path.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")

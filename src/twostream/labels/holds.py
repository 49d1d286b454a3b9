"""What a format of label files can hold: what is left of labels that are written, and what is not.

Writing never fails for what a format has no place for. ``kept`` says what comes back when the file
is read again, ``lost`` tells the difference in sentences; a test holds every format to both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from twostream.labels.recordings import Bout, Labels, Recording, Span, joined, used_classes

Times = Literal["exact", "milliseconds", "frames"]
MILLISECONDS = 1000  # a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """What a format can hold.

    Attributes:
        title: the format as people call it: "BORIS project".
        suffixes: of its files; the first is the one that is written unless a name says otherwise.
        times: how exactly: "exact", or rounded to milliseconds or to frames.
        subjects, annotators, confidences, comments: of bouts.
        points: bouts without duration. Where it is not so they get a millisecond, or a frame.
        overlaps: of bouts of one label and subject, by one annotator. Where it is not so they are
            joined, with times in frames those that touch too.
        watched: what was watched and what not.
        classes: the ethogram: its order, classes without a bout, which are point events.
        empty: recordings without a bout.
        several: several recordings in a file; otherwise each has a file of its own.
        names: of the videos; otherwise a recording is called as its file, if there are several.
        length: of the video, ``Recording.seconds``.
        fps: of the video. With times in frames: it is known, from the file or from an option.
        groups, splits: of recordings.
        rows: a row for each frame: a length that is not known is the end of the last bout.
        reads: the label and confidence that are read where these were written, for a format that
            takes some labels for something else; without a label it is no bout. None: the same.
    """

    title: str
    suffixes: tuple[str, ...]
    times: Times = "exact"
    subjects: bool = False
    annotators: bool = False
    confidences: bool = False
    comments: bool = False
    points: bool = True
    overlaps: bool = True
    watched: bool = False
    classes: bool = False
    empty: bool = True
    several: bool = False
    names: bool = False
    length: bool = False
    fps: bool = False
    groups: bool = False
    splits: bool = False
    rows: bool = False
    reads: Callable[[str, float | None], tuple[str, float | None]] | None = None


def file_stems(labels: Labels) -> tuple[str, ...]:
    """Return what the files of recordings are called, one each, where a format needs that.

    >>> file_stems(Labels((Recording("a/x.mp4", ()), Recording("b\\\\X.avi", ())), ()))
    ('x', 'X-2')
    """
    stems: list[str] = []
    taken = set[str]()
    for recording in labels.recordings:
        name = PurePosixPath(PureWindowsPath(recording.video).as_posix()).stem
        stem = name.replace(":", "-").strip(". ") or "recording"
        unique, count = stem, 1
        while unique.casefold() in taken:  # folders of some systems take x and X for one
            unique, count = f"{stem}-{count + 1}", count + 1
        taken.add(unique.casefold())
        stems.append(unique)
    return tuple(stems)


def unused_name(name: str, taken: Container[str]) -> str:
    """Return a name, or what it is with the first number that is free.

    >>> unused_name("day 1", {"day 1", "day 1 (2)"})
    'day 1 (3)'
    """
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name} ({count})"
    return unique


def kept(labels: Labels, holds: Holds) -> Labels:
    """Return what comes back of labels that are written in a format and read again.

    Raises:
        ValueError: times in frames of a recording whose rate is not known.
    """
    apart = not holds.several and len(labels.recordings) > 1
    stems = file_stems(labels)
    recordings = [kept_recording(recording, holds) for recording in labels.recordings]
    if not holds.names:
        named = stems if apart else ("",) * len(recordings)
        recordings = [replace(r, video=n) for r, n in zip(recordings, named, strict=True)]
    if apart:  # a folder is read in the order of its files' names
        by_stem = sorted(zip(stems, recordings, strict=True), key=lambda pair: pair[0])
        recordings = [recording for _, recording in by_stem]
    if not holds.empty:
        recordings = [recording for recording in recordings if recording.bouts]
    classes, points = labels.classes, labels.points
    if not holds.classes:
        classes, points = used_classes(recordings), frozenset()
    if not holds.points:
        points = frozenset()
    return Labels(tuple(recordings), classes, points)


def kept_recording(recording: Recording, holds: Holds) -> Recording:
    """Return what a format can hold of a recording, but for its name: what is written of it."""
    step = recording.fps if holds.times == "frames" else MILLISECONDS
    if step is None:
        raise ValueError(f"{recording.video}: its frame rate is not known")
    rounded = _rounding(holds, step)
    length = None if recording.seconds is None else rounded(recording.seconds)
    bouts = [bout for each in recording.bouts if (bout := _bout(each, holds, rounded))]
    if not holds.points:
        if length is not None and bouts:
            length = max(length, 1 / step)
        bouts = [_lasting(bout, step, length) for bout in bouts]
    if not holds.overlaps:
        bouts = _joined(bouts, touching=holds.times == "frames")
    watched: tuple[Span, ...] | None = None
    if holds.watched and recording.watched is not None:
        watched = joined((rounded(start), rounded(end)) for start, end in recording.watched)
    if holds.rows:
        ends = [b.end_seconds for b in bouts] + [end for _, end in watched or ()]
        length = max(ends, default=0.0) if length is None else length
        watched = None if not length or watched == ((0.0, length),) else watched
    return Recording(
        recording.video,
        tuple(bouts),
        length if holds.length else None,
        recording.fps if holds.fps else None,
        watched,
        recording.group if holds.groups else "",
        recording.split if holds.splits else "",
    )


def _rounding(holds: Holds, step: float) -> Callable[[float], float]:
    if holds.times == "exact":
        return lambda seconds: seconds
    return lambda seconds: round(seconds * step) / step


def _bout(bout: Bout, holds: Holds, rounded: Callable[[float], float]) -> Bout | None:
    label, confidence = _read_back(bout, holds)
    if not label:
        return None
    return Bout(
        rounded(bout.start_seconds),
        rounded(bout.end_seconds),
        label,
        bout.subject if holds.subjects else "",
        bout.annotator if holds.annotators else "",
        confidence,
        bout.comment if holds.comments else "",
    )


def _read_back(bout: Bout, holds: Holds) -> tuple[str, float | None]:
    """Return the label and confidence that a format has of a bout."""
    confidence = bout.confidence if holds.confidences else None
    return holds.reads(bout.label, confidence) if holds.reads else (bout.label, confidence)


def _lasting(bout: Bout, step: float, length: float | None) -> Bout:
    """Return a bout that lasts: one without duration gets one step, before the end of the video."""
    if not bout.is_point:
        return bout
    first = round(bout.start_seconds * step)
    if length is not None:
        first = max(0, min(first, round(length * step) - 1))
    return replace(bout, start_seconds=first / step, end_seconds=(first + 1) / step)


def _joined(bouts: Sequence[Bout], *, touching: bool) -> list[Bout]:
    """Join the bouts of one label, subject and annotator that overlap."""
    found: dict[tuple[str, str, str], list[Bout]] = {}
    for bout in sorted(bouts, key=lambda bout: bout.order):
        mine = found.setdefault((bout.label, bout.subject, bout.annotator), [])
        last = mine[-1] if mine else None
        if last is not None and (
            bout.start_seconds < last.end_seconds
            or (touching and bout.start_seconds == last.end_seconds)
        ):
            mine[-1] = _both(last, bout)
        else:
            mine.append(bout)
    return [bout for mine in found.values() for bout in mine]


def _both(first: Bout, second: Bout) -> Bout:
    sure = [each.confidence for each in (first, second) if each.confidence is not None]
    comments = dict.fromkeys(filter(None, (first.comment, second.comment)))
    return replace(
        first,
        end_seconds=max(first.end_seconds, second.end_seconds),
        confidence=min(sure, default=None),
        comment=" / ".join(comments),
    )


def lost(labels: Labels, holds: Holds) -> tuple[str, ...]:
    """Say what does not survive in a format: a sentence for each kind, none if nothing is lost.

    >>> one = Labels((Recording("", (Bout(0, 1, "walk", subject="Ann"),)),), ("walk",))
    >>> lost(one, Holds(title="Subtitles (.srt)", suffixes=(".srt",)))
    ('1 bout names a subject, which Subtitles (.srt) cannot hold',)
    """
    said = [*_lost_texts(labels, holds), *_lost_times(labels, holds), *_lost_facts(labels, holds)]
    left = kept(labels, holds)
    apart = not holds.several and len(labels.recordings) > 1
    before, after = ({r.video for r in each.recordings} for each in (labels, left))
    if not holds.names and before != after and (named := len(before - {""})):
        how = ": they are called as their files" if apart else f", which {holds.title} cannot hold"
        said.append(f"the name of {_counted(named, 'video')}{how}")
    if not said and left.classes != labels.classes and set(left.classes) == set(labels.classes):
        said.append(f"the order of the classes, which {holds.title} cannot hold")
    otherwise = {
        bout.label
        for recording in labels.recordings
        for bout in recording.bouts
        if _read_back(bout, holds)[0] != bout.label
    }
    if otherwise:
        said.append(
            f"{_classes(sorted(otherwise))}, which {holds.title} would take for something else"
        )
    unused = sorted(set(labels.classes) - set(left.classes) - otherwise)
    if unused:
        said.append(f"{_classes(unused)}: {holds.title} cannot hold classes without a bout")
    if not said and left != labels:
        said.append(
            f"{holds.title} cannot hold all: the order of recordings, which classes without a bout "
            "are point events, or that the whole length was watched"
        )
    return tuple(said)


def _lost_texts(labels: Labels, holds: Holds) -> list[str]:
    bouts = [bout for recording in labels.recordings for bout in recording.bouts]
    counts = (
        (holds.subjects, sum(bool(b.subject) for b in bouts), "a subject"),
        (holds.annotators, sum(bool(b.annotator) for b in bouts), "an annotator"),
        (holds.confidences, sum(b.confidence is not None for b in bouts), "a confidence"),
        (holds.comments, sum(bool(b.comment) for b in bouts), "a comment"),
    )
    return [
        f"{_counted(count, 'bout')} {'name' if count > 1 else 'names'} {what}, which "
        f"{holds.title} cannot hold"
        for held, count, what in counts
        if count and not held
    ]


def _lost_times(labels: Labels, holds: Holds) -> list[str]:
    said: Counter[str] = Counter()
    for recording in labels.recordings:
        step = recording.fps if holds.times == "frames" else MILLISECONDS
        rounded = _rounding(holds, step or math.nan)
        bare = replace(holds, points=True, overlaps=True)
        once = kept_recording(recording, bare)
        before = [t for b in recording.bouts for t in (b.start_seconds, b.end_seconds)]
        before += [t for span in recording.watched or () if holds.watched for t in span]
        before += [recording.seconds] if holds.length and recording.seconds is not None else []
        said["times"] += sum(rounded(t) != t for t in before)
        if not holds.points:
            said["points"] += sum(bout.is_point for bout in once.bouts)
        if not holds.overlaps:
            whole = kept_recording(recording, replace(holds, overlaps=True))
            said["joined"] += len(whole.bouts) - len(kept_recording(recording, holds).bouts)
        if holds.rows and recording.seconds is None:
            said["unknown"] += 1
    sentences = {
        "unknown": f"the length of {_counted(said['unknown'], 'recording')} is not known: what is "
        "written ends with the last bout",
        "times": f"{_counted(said['times'], 'time')} rounded to {holds.times}",
        "points": f"{_counted(said['points'], 'point event')} made to last: {holds.title} cannot "
        "hold what has no duration",
        "joined": f"{_counted(said['joined'], 'bout')} joined with others of the same label, which "
        f"{holds.title} cannot tell apart",
    }
    return [sentences[kind] for kind in sentences if said[kind]]


def _lost_facts(labels: Labels, holds: Holds) -> list[str]:
    recordings = labels.recordings
    facts = (
        (holds.empty, sum(not r.bouts for r in recordings), "the emptiness"),
        (holds.watched, sum(r.watched is not None for r in recordings), "what was watched"),
        (holds.length, sum(r.seconds is not None for r in recordings), "the video's length"),
        (holds.fps, sum(r.fps is not None for r in recordings), "the frame rate"),
        (holds.groups, sum(bool(r.group) for r in recordings), "the group"),
        (holds.splits, sum(bool(r.split) for r in recordings), "the split"),
    )
    return [
        f"{what} of {_counted(count, 'recording')}, which {holds.title} cannot hold"
        for held, count, what in facts
        if count and not held
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _classes(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the {'classes' if len(names) > 1 else 'class'} {', '.join(names[:5])}{more}"

"""The videos of labels in time: which files they are, how long they last, what does not fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twostream.datasets.lists import Missing, video_id_of
from twostream.labels import Labels, Recording
from twostream.labels.listed_files import ListedFiles
from twostream.types import VIDEO_SUFFIXES, DataError, VideoError

SLACK_SECONDS = 0.5  # that labels may reach beyond what a video says that it lasts


@dataclass(frozen=True)
class FoundRecording:
    """A recording whose video is there."""

    path: Path
    video_id: str
    seconds: float
    recording: Recording


def videos_of(
    labels: Labels, place: Path, missing: Missing
) -> tuple[list[FoundRecording], list[str]]:
    """Find the videos of recordings, and their lengths."""
    folder = place if place.is_dir() else place.parent
    files, found, gone = ListedFiles(folder), [], []
    for recording in labels.recordings:
        name = recording.video or place.stem
        path = files.of_recording(name)
        if path is None:
            gone.append(name)
            continue
        seconds = _seconds(path, recording)
        found.append(FoundRecording(path, video_id_of(folder, path), seconds, recording))
    names = defaultdict[Path, list[str]](list)
    for each in found:
        names[each.path].append(each.recording.video)
    if twice := next((path for path, called in names.items() if len(called) > 1), None):
        raise DataError(
            f"{place}: {' and '.join(names[twice][:3])} would both be {twice}, the only file of "
            "that name: put each video where its name says, or keep one"
        )
    said = f"{len(gone)} of the {len(labels.recordings)} videos of {place} are not there"
    said += f" ({first_ones(gone)})" if gone else ""
    if gone and (missing == "refuse" or not found):
        raise DataError(f"{said}: put them beside it, or leave them out with --skip-unreadable")
    notes = [f"{said}: they are left out"] if gone else []
    return found, [*notes, *_on_suffixes(found), *_beyond(found, place)]


def _seconds(path: Path, recording: Recording) -> float:
    """Return how long a video lasts: as its labels say, unless it says itself that it is shorter.

    Where neither says anything it is as long as its last bout.
    """
    from twostream.video import VideoReader

    try:
        with VideoReader(path) as reader:
            claimed = reader.claimed_seconds
    except VideoError:
        claimed = 0.0  # extraction says what is wrong with it
    told = recording.seconds or 0.0
    if told and not 0 < claimed < told - SLACK_SECONDS:
        return told
    return claimed or max((bout.end_seconds for bout in recording.bouts), default=0.0)


def first_ones(names: Sequence[str]) -> str:
    """Return the first three names, and dots where there are more."""
    return ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])


def _on_suffixes(found: Sequence[FoundRecording]) -> list[str]:
    """Say which videos have another suffix than their labels say."""
    others = [
        f"{each.path.name} for {each.recording.video}"
        for each in found
        if Path(each.recording.video).suffix.lower() in VIDEO_SUFFIXES - {each.path.suffix.lower()}
    ]
    if not others:
        return []
    return [
        f"{len(others)} videos have another suffix than their labels say, and are taken for the "
        f"same: {first_ones(others)}"
    ]


def _beyond(found: Sequence[FoundRecording], place: Path) -> list[str]:
    """Say which bouts reach beyond the end of their videos.

    Raises:
        DataError: most of them lie there, as where times are not in seconds.
    """
    after, cut, count = list[str](), list[str](), 0
    for each in found:
        for bout in each.recording.bouts:
            count += 1
            name = f"{bout.label} at {bout.start_seconds:g} s of {each.video_id}"
            if bout.start_seconds >= each.seconds + SLACK_SECONDS * bout.is_point:
                after.append(f"{name}, which lasts {each.seconds:.1f} s")
            elif bout.end_seconds > each.seconds + SLACK_SECONDS:
                cut.append(f"{name}, which lasts {each.seconds:.1f} s")
    if 2 * len(after) > count:
        raise DataError(
            f"{place}: {len(after)} of {count} bouts begin after the end of their video "
            f"({after[0]}): times must be seconds, are these frames or milliseconds?"
        )
    whats = ("begin after the end of their video and are left out", "are cut at the end of theirs")
    return [
        f"{len(bouts)} of {count} bouts {what} ({'; '.join(bouts[:3])}"
        f"{'; ...' if len(bouts) > 3 else ''}): are their times seconds of this video?"
        for what, bouts in zip(whats, (after, cut), strict=True)
        if bouts
    ]

"""What a label file does not say, and its video does: its frame rate and its length."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from twostream.labels.listed_files import ListedFiles
from twostream.labels.recordings import Labels, Recording
from twostream.types import DataError, VideoError

logger = logging.getLogger(__name__)

UNEVEN = 0.02  # of a video's length, by which its frames at its rate may miss it


def find_video(name: str, folder: Path) -> Path | None:
    """Return the video beside a label file that it names; None: it is not there, or several are.

    Args:
        name: as the label file names it; maybe a path of another machine, or without a suffix.
        folder: of the label file.
    """
    try:
        return ListedFiles(folder).of_recording(name)
    except DataError:
        return None


def rate_of(name: str, folder: Path, known: float | None = None) -> float:
    """Return how many frames a second a video has that a label file names.

    Where its frames are not one for each step of the rate, it is told how far off labels are.

    Args:
        name: as the label file names it.
        folder: of the label file.
        known: the rate, where the labels say it; then the video may be missing.

    Raises:
        DataError: it is not there, or cannot be read, and the rate is not known.
    """
    try:
        video = ListedFiles(folder).of_recording(name)
        if video is None:
            missing = name or "the video, which the labels do not name,"
            raise DataError(
                f"{missing} is not in {folder}, and without it the frame rate is not known: put it "
                "there, or say the rate with --fps"
            )
        fps, seconds, count, late = _facts(video)
    except DataError:
        if known is None:
            raise
        return known
    if late:
        _warn_once(
            video,
            f"its picture begins {late:.2f} s after its sound, from which times count: labels that "
            f"count frames are {late:.2f} s off; label a copy without sound",
        )
    seconds -= late
    if count and _differ(count / fps, seconds, fps):
        _warn_once(
            video,
            f"{count} frames at {fps:g} a second are {count / fps:.1f} s, and it lasts "
            f"{seconds:.1f} s: they are not evenly spaced, so labels that count frames are up to "
            f"{abs(count / fps - seconds):.1f} s off; bring it to one rate, and label that",
        )
    return known or fps


@cache
def _warn_once(video: Path, what: str) -> None:
    """Warn of a video; labels that count frames are read by its rate, and written by it too."""
    logger.warning(f"{video.name}: {what}")


def length_notes(path: Path, recordings: Iterable[Recording]) -> list[str]:
    """Return a note where the frames that are labelled last otherwise than their videos do.

    Args:
        path: the label file, beside which the videos lie; others are passed over.
        recordings: with their lengths and rates, which are of the labels.
    """
    said = []
    for recording in recordings:
        video = find_video(recording.video, path.parent)
        if video is None or recording.seconds is None or not recording.fps:
            continue
        try:
            fps, seconds, count, late = _facts(video)
            seconds -= late
        except DataError:  # extraction says what is wrong with it
            continue
        rows = round(recording.seconds * recording.fps)
        # of uneven frames ``rate_of`` has told
        by_frame = recording.fps == fps and not _differ(rows / fps, count / fps, fps)
        if seconds and not by_frame and _differ(recording.seconds, seconds, recording.fps):
            said.append(
                f"{video.name} has {rows} labelled frames, which at {recording.fps:g} a second are "
                f"{recording.seconds:.1f} s, and lasts {seconds:.1f} s"
            )
    if not said:
        return []
    others = f" (and {len(said) - 1} more videos likewise)" if len(said) > 1 else ""
    return [
        f"{path}: {said[0]}{others}: if a copy at another rate was labelled, all times are wrong: "
        "say its rate with --fps of convert, or label this video"
    ]


def _differ(one: float, other: float, fps: float) -> bool:
    """Tell whether two lengths differ by more than rounding and a frame or two."""
    return abs(one - other) > UNEVEN * other + 2 / fps


def length_of(name: str, folder: Path) -> float | None:
    """Return how many seconds a video says that it has; None: it is not there or does not say."""
    video = find_video(name, folder)
    if video is None:
        return None
    try:
        return _facts(video)[1] or None
    except DataError:  # extraction says what is wrong with it
        return None


def _facts(video: Path) -> tuple[float, float, int, float]:
    """Return the frame rate, and what the file claims: seconds, and frames (0: it does not say).

    And how many of the seconds are before its first picture.
    """
    from twostream.video import VideoReader

    try:
        with VideoReader(video) as reader:
            info, seconds = reader.info, reader.claimed_seconds
            count = reader.count_frames() if seconds else 0
            return info.fps, seconds, count, reader.late_seconds
    except VideoError as error:
        raise DataError(f"{error}: say the frame rate with --fps") from error


def with_rates(labels: Labels, folder: Path, *, fps: float | None = None) -> Labels:
    """Return labels whose recordings all have a frame rate.

    Args:
        labels: as they were read.
        folder: where their file lies, or the videos.
        fps: of recordings whose file does not say it; None: it is read from the videos.

    Raises:
        DataError: a video is not there or cannot be read, and no rate was given.
    """
    made = [replace(r, fps=rate_of(r.video, folder, r.fps or fps)) for r in labels.recordings]
    return replace(labels, recordings=tuple(made))

"""What a label file does not say, and its video does: how many frames a second has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PureWindowsPath

from twostream.labels.recordings import Labels
from twostream.types import DataError, VideoError


def find_video(name: str, folder: Path) -> Path | None:
    """Return where a video lies that a label file names: there, or under its name in the folder.

    Args:
        name: as the label file names it; maybe a path of another machine.
        folder: of the label file.
    """
    if not name:
        return None
    for place in (folder / name, folder / PureWindowsPath(name).name):
        try:
            if place.is_file():
                return place
        except (OSError, ValueError):  # no name that a file may have
            continue
    return None


def with_rates(labels: Labels, folder: Path, *, fps: float | None = None) -> Labels:
    """Return labels whose recordings all have a frame rate.

    Args:
        labels: as they were read.
        folder: where their file lies, or the videos.
        fps: of recordings whose file does not say it; None: it is read from the videos.

    Raises:
        DataError: a video is not there or cannot be read, and no rate was given.
    """
    made = []
    for recording in labels.recordings:
        rate = recording.fps or fps
        if rate is None:
            video = find_video(recording.video, folder)
            if video is None:
                missing = recording.video or "the video, which the labels do not name,"
                raise DataError(
                    f"{missing} is not in {folder}, and without it the frame rate is not known: "
                    "put it there, or say the rate with --fps"
                )
            from twostream.video import VideoReader

            try:
                with VideoReader(video) as reader:
                    rate = reader.info.fps
            except VideoError as error:
                raise DataError(f"{error}: say the frame rate with --fps") from error
        made.append(replace(recording, fps=rate))
    return replace(labels, recordings=tuple(made))

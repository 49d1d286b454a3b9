"""Whether flow is of its whole video: it may have been cut off, or be of every third frame."""

from __future__ import annotations

import threading
from math import ceil
from pathlib import Path

from twostream.threads import StoppedError
from twostream.types import VideoError
from twostream.video import VideoInfo, open_reader

FIELDS_OFF = 2  # tools write a field less or more at the end
SHARE_OFF = 0.01  # of all fields, where --fps rounds the rate


def expected_fields(frames: float, step: int) -> int:
    """Return how many fields a video has, each from the frame where the one before ends.

    >>> expected_fields(84, 1), expected_fields(84, 2)
    (83, 41)
    """
    return max(1, ceil((frames - step) / step))


def partial_warning(
    fields: int,
    *,
    step: int,
    info: VideoInfo,
    fps: float | None,
    stop: threading.Event,
) -> str | None:
    """Return a sentence where fields are not those of all frames of a video; None: they are.

    Claims of containers may be wrong: where the fields contradict one, the frames are counted.

    Args:
        fields: how many there are, each from the frame where the one before ends.
        step: frames from a field's first picture to its second.
        info: what the video says about itself; without a number of frames nothing is known.
        fps: rate that was asked for, at which the fields may be instead; None: none.
        stop: set when the job ends early.
    """
    share = fps / info.fps if fps and info.fps_told else 1.0

    def fit(frames: int) -> bool:
        whole, asked = (expected_fields(frames * each, step) for each in (1, share))
        return min(abs(fields - whole), abs(fields - asked) - SHARE_OFF * asked) <= FIELDS_OFF

    if not info.num_frames_claimed or fit(info.num_frames_claimed):
        return None
    try:
        frames = _counted(info.path, stop)
    except VideoError:  # who needs its frames says so
        return None
    if fit(frames):
        return None
    apart = f" of step {step}" if step > 1 else ""
    rate = f" at {fps:g} fps" if share != 1 else ""
    return (
        f"{fields} fields{apart} are there, but its video has {frames} frames, so that about "
        f"{expected_fields(frames * share, step)} are expected{rate}: the flow seems to be of a "
        "part of it, of frames further apart or of another file; compute the flow of all its "
        "frames, or say with --fps how many fields a second there are"
    )


def _counted(video: Path, stop: threading.Event) -> int:
    """Return how many frames can be decoded."""
    with open_reader(video, short_side=16) as reader:
        for _ in reader:
            if stop.is_set():
                raise StoppedError
        return reader.frames_read

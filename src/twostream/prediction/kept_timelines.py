"""Time lines of many videos, as their folder keeps them: a file a video, which says of what.

A video is done when its file is there, is whole, and is of just this content. What a power cut left
damaged counts as missing.
"""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from twostream import files
from twostream.prediction.timeline import Segment, Timeline
from twostream.schema import from_json, parse_json
from twostream.types import RunError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptTimeline:
    """What a folder keeps of a video.

    Attributes:
        name: of the video, below the folder that was given.
        path: where it lay.
        hash: ``source_hash`` of it.
        seconds: its length.
        fps: its frame rate.
        classes: of the run.
        segments: of the time line.
        together: class -> the labels that hold at once in it.
        warning: a sentence when the video broke off early or has pauses.
        points: labels that are point events.
    """

    name: str
    path: str
    hash: str
    seconds: float
    fps: float
    classes: tuple[str, ...]
    segments: tuple[Segment, ...]
    together: dict[str, tuple[str, ...]]
    warning: str | None = None
    points: tuple[str, ...] = ()

    @classmethod
    def of(cls, timeline: Timeline, name: str, fingerprint: str, fps: float) -> Self:
        """Take what is kept of a time line."""
        return cls(
            name,
            os.path.abspath(timeline.video),
            fingerprint,
            timeline.seconds,
            fps,
            timeline.classes,
            timeline.segments,
            dict(timeline.together),
            timeline.warning,
            timeline.points,
        )

    def write(self, file: Path) -> None:
        """Write it whole or not at all; raises OSError."""
        files.write_json(file, asdict(self))


def kept_timeline(file: Path) -> KeptTimeline | None:
    """Read a file that ``KeptTimeline.write`` wrote; None where it is missing or damaged.

    Raises:
        RunError: the disk does not give it.
    """
    try:
        return from_json(KeptTimeline, parse_json(file.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{file} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        logger.warning(f"{file} is damaged ({error}): its video is done again")
        return None


def timeline_of(file: Path, video: Path, name: str, fingerprint: str) -> KeptTimeline | None:
    """Return what is kept of a video; None where it is to be made, or made again.

    Args:
        file: where that would stand.
        video: the file, or folder of frames.
        name: of the video.
        fingerprint: of what it holds now.

    Raises:
        RunError: what stands there is of another video, which is not to be lost.
    """
    kept = kept_timeline(file)
    if kept is None:
        return None
    if kept.name == name and kept.hash == fingerprint:
        return kept
    if kept.name == name and kept.path == os.path.abspath(video):
        logger.warning(f"{video} is not what it was when its time line was made: it is done again")
        return None
    raise RunError(
        f"{file} keeps the time line of {kept.path}, and {video} is another video of that name: "
        "choose another --out"
    )

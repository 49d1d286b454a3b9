"""SubRip subtitles (.srt): a caption for each bout, in any player and most video editors."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from twostream.labels.holds import Holds
from twostream.labels.label_text import read_text
from twostream.labels.recordings import Labels
from twostream.labels.subtitles import ARROW, caption, clock, read_back, read_cues
from twostream.types import DataError

HOLDS = Holds(
    title="SubRip subtitles",
    suffixes=(".srt",),
    times="milliseconds",
    confidences=True,
    reads=partial(read_back, web=False),
)
_FIRST = re.compile(r"\s*\d+[ \t]*\n\s*(?:\d+:)?\d+:\d\d[.,]\d+\s+-->")


def recognised(path: Path, start: str) -> bool:
    """Tell by the first cue, or the suffix."""
    return path.suffix.lower() == ".srt" or _FIRST.match(start) is not None


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read subtitles.

    Raises:
        DataError: there is text, but no cue; or one without times.
    """
    text_ = read_text(path)
    if text_.strip() and ARROW not in text_:
        raise DataError(f"{path} has no cue: expected lines like 00:00:01,000 --> 00:00:02,500")
    return read_cues(path, web=False)


def text(labels: Labels, suffix: str) -> str:
    """Return the subtitles of one recording, numbered from 1."""
    (recording,) = labels.recordings
    blocks = [
        f"{number}\n{clock(b.start_seconds, ',')} {ARROW} {clock(b.end_seconds, ',')}\n"
        f"{caption(b.label, b.confidence)}\n"
        for number, b in enumerate(recording.bouts, start=1)
    ]
    return "\n".join(blocks)

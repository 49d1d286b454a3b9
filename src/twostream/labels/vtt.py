"""WebVTT subtitles (.vtt): a cue for each bout, in browsers; who does it is the voice, <v Ann>."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path

from twostream.labels.holds import Holds
from twostream.labels.label_text import read_text
from twostream.labels.recordings import Labels
from twostream.labels.subtitles import ARROW, caption, clock, read_back, read_cues
from twostream.types import DataError

HOLDS = Holds(
    title="WebVTT subtitles",
    suffixes=(".vtt",),
    times="milliseconds",
    subjects=True,
    confidences=True,
    points=False,
    reads=partial(read_back, web=True),
)
MARK = "WEBVTT"


def recognised(path: Path, start: str) -> bool:
    """Tell by the word that every such file begins with."""
    return start.startswith(MARK)


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read subtitles.

    Raises:
        DataError: the first line is not that of WebVTT, or a cue has no times.
    """
    if not read_text(path).startswith(MARK):
        raise DataError(f"{path} is no WebVTT: its first line must begin with {MARK}")
    return read_cues(path, web=True)


def text(labels: Labels, suffix: str) -> str:
    """Return the subtitles of one recording."""
    (recording,) = labels.recordings
    blocks = [f"{MARK}\n"]
    for bout in recording.bouts:
        voice = f"<v {html.escape(bout.subject)}>" if bout.subject else ""
        blocks.append(
            f"{clock(bout.start_seconds, '.')} {ARROW} {clock(bout.end_seconds, '.')}\n"
            f"{voice}{html.escape(caption(bout.label, bout.confidence))}\n"
        )
    return "\n".join(blocks)

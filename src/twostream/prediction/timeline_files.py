"""Timelines as files: tables (.csv) and subtitles (.srt)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream import files
from twostream.labels.csv_table import SEGMENTS
from twostream.labels.label_text import as_cell, table_text
from twostream.labels.subtitles import ARROW, clock
from twostream.prediction.timeline import Segment, Timeline
from twostream.types import DataError


def segments_csv(timeline: Timeline) -> str:
    """Return a row a segment: video, start_seconds, end_seconds, label (empty: none), score.

    Where the video has no frames, label and score are empty. A spreadsheet takes what begins with
    = + - @ for a formula: such a name has a ' before it.
    """
    return table_text([SEGMENTS, *segment_rows(timeline.video, timeline.segments)])


def segment_rows(video: Path, segments: Sequence[Segment]) -> list[tuple[str | None, ...]]:
    """Return the cells of ``segments_csv`` for a video, without the header."""
    return [
        (
            as_cell(str(video)),
            f"{s.start_seconds:.3f}",
            f"{s.end_seconds:.3f}",
            as_cell(s.label or ""),
            None if s.score is None else f"{s.score:.4f}",
        )
        for s in segments
    ]


def scores_csv(timeline: Timeline) -> str:
    """Return a row a window: its centre in seconds, then the scores of every class.

    Columns are called "fused walk" (smoothed), "spatial walk", "temporal walk" (as they came).
    """
    parts: dict[str, NDArray[np.float32]] = {"fused": timeline.scores}
    parts |= dict(timeline.streams.items())
    head = ["seconds", *(f"{part} {name}" for part in parts for name in timeline.classes)]
    rows = [
        [f"{seconds:.3f}", *(f"{value:.4f}" for scores in parts.values() for value in scores[i])]
        for i, seconds in enumerate(timeline.times)
    ]
    return table_text([head, *rows])


def srt(segments: Sequence[Segment]) -> str:
    """Return subtitles: the label and score of each segment, for any player.

    >>> print(srt([Segment(0.0, 3661.5, "walk", 0.9)]), end="")
    1
    00:00:00,000 --> 01:01:01,500
    walk (90%)
    <BLANKLINE>
    """
    blocks = [
        f"{number}\n{clock(s.start_seconds, ',')} {ARROW} {clock(s.end_seconds, ',')}\n"
        f"{_caption(s)}\n"
        for number, s in enumerate(segments, start=1)
    ]
    return "\n".join(blocks) + "\n" * bool(blocks)


def _caption(segment: Segment) -> str:
    title = " ".join(segment.title.split())
    return title if segment.score is None else f"{title} ({100 * segment.score:.0f}%)"


def write_text(path: Path, text: str) -> None:
    """Write a text file that appears under its name only once it is complete.

    Its folder is made.

    Raises:
        DataError: the disk refuses.
    """
    try:
        files.write_text(path, text)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error

"""Two tables of the time lines of many videos: all segments, and the time budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from twostream.files import whole
from twostream.judging.time_budget import ALL_VIDEOS, BUDGET_COLUMNS, Tally, budget_cell, tallies
from twostream.labels.label_text import as_cell, table_text
from twostream.prediction.kept_timelines import KeptTimeline
from twostream.prediction.timeline_files import SEGMENT_COLUMNS, segment_rows
from twostream.prediction.timeline_labels import ethogram, segments_recording

SEGMENTS_NAME, BUDGET_NAME = "segments.csv", "time-budget.csv"


def write_tables(out: Path, timelines: Iterable[tuple[Path, KeptTimeline]]) -> None:
    """Write OUT/segments.csv and OUT/time-budget.csv, with one video in memory at a time.

    The first has the rows of ``segments_csv``. The second has a row a video and class (video,
    label, and the columns of ``Budget``), and one a class over all videos if several; times without
    frames are not watched, and "other" is no class.

    Args:
        out: the folder.
        timelines: the videos as they are named in the tables, and what is kept of each.

    Raises:
        OSError: the disk refuses; what stood there is still there.
    """
    in_all: dict[str, Tally] = {}
    videos = 0
    with whole(out / SEGMENTS_NAME) as segments, whole(out / BUDGET_NAME) as budget:
        _write(segments, [SEGMENT_COLUMNS])
        _write(budget, [("video", "label", *BUDGET_COLUMNS)])
        for video, kept in timelines:
            videos += 1
            _write(segments, segment_rows(video, kept.segments))
            classes = ethogram(kept.classes)
            recording = segments_recording(str(video), kept.segments, kept.seconds)
            found = dict(zip(classes, tallies(recording, classes), strict=True))
            _write(budget, _budget_rows(str(video), found))
            in_all = {name: in_all.get(name, Tally()) + found[name] for name in classes}
        if videos > 1:
            _write(budget, _budget_rows(ALL_VIDEOS, in_all))


def _budget_rows(video: str, found: dict[str, Tally]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, tally in found.items():
        budget = tally.budget()
        cells = [budget_cell(getattr(budget, column)) for column in BUDGET_COLUMNS]
        rows.append([as_cell(video), as_cell(name), *cells])
    return rows


def _write(file: BinaryIO, rows: Sequence[Sequence[object]]) -> None:
    file.write(table_text(rows).encode("utf-8", "backslashreplace"))

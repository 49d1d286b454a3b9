"""Tables of the time lines of many videos: all segments, their bouts as labels, the time budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from twostream.files import whole
from twostream.judging.time_budget import ALL_VIDEOS, BUDGET_COLUMNS, Tally, tallies
from twostream.labels.csv_table import NEEDED, SEGMENTS, ethogram_rows, recording_rows
from twostream.labels.label_text import as_cell, table_text
from twostream.prediction.kept_timelines import KeptTimeline
from twostream.prediction.timeline_files import segment_rows
from twostream.prediction.timeline_labels import ethogram, segments_recording, video_named

TABLES = SEGMENTS_NAME, LABELS_NAME, BUDGET_NAME = "segments.csv", "labels.csv", "time-budget.csv"
LABEL_COLUMNS = (*NEEDED, "confidence", "comment", "seconds", "fps")


def write_tables(out: Path, timelines: Iterable[tuple[Path, KeptTimeline]]) -> None:
    """Write the tables, with one video in memory at a time.

    - segments.csv: the rows of ``segments_csv``;
    - labels.csv: a label file of our own format, with what ``timeline_labels`` says of each video;
    - time-budget.csv: a row a video and label (video, label, and the ``BUDGET_COLUMNS``), and
      one a label over all videos if several. What has no frames was not watched.

    Args:
        out: the folder.
        timelines: the videos as they are named in the tables, and what is kept of each; all of one
            run.

    Raises:
        OSError: the disk refuses; what stood there is still there.
    """
    in_all: dict[str, Tally] = {}
    videos = 0
    with (
        whole(out / SEGMENTS_NAME) as segments,
        whole(out / LABELS_NAME) as labels,
        whole(out / BUDGET_NAME) as budget,
    ):
        _write(segments, [SEGMENTS])
        _write(labels, [LABEL_COLUMNS])
        _write(budget, [("video", "label", *BUDGET_COLUMNS)])
        for video, kept in timelines:
            classes, points = ethogram(kept)
            recording = segments_recording(kept, video_named(video, out), kept.fps)
            _write(segments, segment_rows(video, kept.segments))
            _write_labels(labels, [] if videos else ethogram_rows(classes, points))
            _write_labels(labels, recording_rows(recording))
            found = dict(zip(classes, tallies(recording, classes, points), strict=True))
            _write(budget, _budget_rows(str(video), found, points))
            in_all = {name: in_all.get(name, Tally()) + found[name] for name in classes}
            videos += 1
        if videos > 1:
            _write(budget, _budget_rows(ALL_VIDEOS, in_all, points))


def _write_labels(file: BinaryIO, rows: Iterable[dict[str, str]]) -> None:
    _write(file, [[row.get(name, "") for name in LABEL_COLUMNS] for row in rows])


def _budget_rows(video: str, found: dict[str, Tally], points: frozenset[str]) -> list[list[str]]:
    return [
        [as_cell(video), as_cell(name), *tally.cells(is_point=name in points)]
        for name, tally in found.items()
    ]


def _write(file: BinaryIO, rows: Sequence[Sequence[object]]) -> None:
    file.write(table_text(rows).encode("utf-8", "backslashreplace"))

"""A table with a row for each frame and a column for each class, as DeepEthogram keeps labels.

1: the frame shows it, 0: not. The column "background" is 1 where no other is; a row of -1 was not
labelled: not watched. The first column numbers the frames. How many a second has is not in the
file: it is told, or read from the video that lies beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from twostream.labels.holds import Holds
from twostream.labels.label_text import (
    as_cell,
    first_cells,
    from_cell,
    number,
    read_rows,
    read_text,
    table_text,
)
from twostream.labels.recordings import Bout, Labels, Recording, one_line
from twostream.labels.video_facts import find_video, length_notes, rate_of
from twostream.types import DataError

HOLDS = Holds(
    title="table of frames",
    suffixes=(".csv",),
    times="frames",
    points=False,
    overlaps=False,
    watched=True,
    classes=True,
    length=True,
    fps=True,
    rows=True,
)
BACKGROUND = "background"
_NUMBERING = ("", "frame", "frames", "index", "frame_index", "frame index", "unnamed: 0")
_ENDINGS = ("_labels", "_scores", "_predictions")  # of the names that DeepEthogram gives
_VALUES = {0.0: 0, 1.0: 1, -1.0: -1}


def recognised(path: Path, start: str) -> bool:
    """Tell by the first row: whole numbers from -1 to 1 in every column but that of the frames."""
    delimiter, names = first_cells(start)
    lines = start.split("\n")
    if len(lines) < 2 or len(names) < 2 or number(names[1]) is not None:
        return False
    cells = [cell.strip() for cell in lines[1].split(delimiter)]
    first = 1 if names[0].lower() in _NUMBERING else 0
    values = [number(cell) for cell in cells[first:]]
    return len(cells) >= len(names) > first and all(value in _VALUES for value in values)


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read a table of frames.

    Args:
        path: the file.
        fps: frames a second; None: those of the video beside it, which is called as the table is.

    Raises:
        DataError: a cell is neither 0, 1 nor -1, a row is short, the frames are not numbered one by
            one, or the rate is not known.
    """
    text_ = read_text(path)
    delimiter, names = first_cells(text_)
    first = 1 if names[0].lower() in _NUMBERING else 0
    classes = [one_line(from_cell(name)) for name in names[first:]]
    if not classes or "" in classes or len(set(classes)) < len(classes):
        raise DataError(f"{path}: the first line must name a class for each column, each once")
    video = _video_beside(path)
    if fps is None and video is not None:
        fps = rate_of(video.name, video.parent)
    if fps is None:
        raise DataError(
            f"{path} has a row for each frame, and how many a second has is not known: say it with "
            "--fps, or put the video beside it, one alone of the same name"
        )
    rows = _rows(path, read_rows(path, text_, delimiter, below=1), first, len(classes))
    bouts = [
        Bout(start / fps, end / fps, name)
        for column, name in enumerate(classes)
        if name.lower() != BACKGROUND
        for start, end in runs([row[column] == 1 for row in rows])
    ]
    seen = runs([-1 not in row for row in rows])
    recording = Recording(
        "" if video is None else video.name,
        tuple(bouts),
        len(rows) / fps,
        fps,
        tuple((start / fps, end / fps) for start, end in seen)
        if sum(end - start for start, end in seen) < len(rows)
        else None,
    )
    return Labels(
        (recording,),
        tuple(name for name in classes if name.lower() != BACKGROUND),
        notes=tuple(length_notes(path, [recording])),
    )


def _rows(
    path: Path, lines: Iterable[tuple[int, Sequence[str]]], first: int, count: int
) -> list[list[int]]:
    """Return the values of each frame, of cells whose ``first`` ones may number the frames."""
    rows: list[list[int]] = []
    numbered, following = False, 0.0
    for line, cells in lines:
        values = [_VALUES.get(value) if (value := number(cell)) is not None else None
                  for cell in cells[first:]]  # fmt: skip
        found = [value for value in values if value is not None]
        if len(values) != count or len(found) < count:
            wrong = next((c for c, v in zip(cells[first:], values, strict=True) if v is None), None)
            raise DataError(
                f"{path}, line {line}: expected {count} cells of 0, 1 or -1, got "
                + (f"{len(values)}" if wrong is None else repr(wrong))
            )
        frame = number(cells[0]) if first else None
        if not rows:
            numbered, following = frame is not None, 1.0 if frame == 1 else 0.0
        if numbered and frame != following:
            raise DataError(
                f"{path}, line {line}: expected frame {following:g}, got {cells[0]}: there "
                "must be a row for each frame of the video, in order: sort them, and add those "
                "that are missing (-1 is not labelled)"
            )
        following += 1
        rows.append(found)
    return rows


def runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Return where flags are set: (first, after the last).

    >>> runs([False, True, True, False, True])
    [(1, 3), (4, 5)]
    """
    found, place = [], 0
    for is_set, group in groupby(flags):
        count = len(list(group))
        if is_set:
            found.append((place, place + count))
        place += count
    return found


def shown_frames(recording: Recording, classes: Sequence[str]) -> list[list[int]]:
    """Return for each frame of a recording 1 or 0 for each class: whether it shows that."""
    assert recording.fps is not None and recording.seconds is not None
    frames = [[0] * len(classes) for _ in range(round(recording.seconds * recording.fps))]
    for bout in recording.bouts:
        times = (bout.start_seconds, bout.end_seconds)
        first, after = (round(seconds * recording.fps) for seconds in times)
        column = classes.index(bout.label)
        for frame in frames[first:after]:
            frame[column] = 1
    return frames


def refuse_names_of_none(labels: Labels, names: Sequence[str], where: str) -> None:
    """Raise a DataError where a class is called as a format calls frames without any."""
    if clash := [name for name in labels.classes if name.lower() in names]:
        raise DataError(
            f"a class is called {clash[0]}, which in {where} means that there is none: give it "
            "another name"
        )


def _video_beside(path: Path) -> Path | None:
    """Return the video of a table: in its folder, of its name, which may end in "_labels"."""
    stems = (path.stem, *(path.stem.removesuffix(ending) for ending in _ENDINGS))
    return next(filter(None, (find_video(stem, path.parent) for stem in stems)), None)


def text(labels: Labels, suffix: str) -> str:
    """Return the table of one recording, as DeepEthogram reads it.

    Raises:
        DataError: a class is called "background", which is the column of none.
    """
    refuse_names_of_none(labels, [BACKGROUND], f"a {HOLDS.title}")
    (recording,) = labels.recordings
    assert recording.fps is not None
    frames = shown_frames(recording, labels.classes)
    watched = [recording.watched is None] * len(frames)
    for start, end in recording.watched or ():
        first, after = round(start * recording.fps), round(end * recording.fps)
        watched[first:after] = [True] * (after - first)
    rows: list[list[object]] = [["", BACKGROUND, *map(as_cell, labels.classes)]]
    for frame, values in enumerate(frames):
        if watched[frame]:
            rows.append([frame, int(not any(values)), *values])
        else:
            rows.append([frame, -1, *(value or -1 for value in values)])
    return table_text(rows)

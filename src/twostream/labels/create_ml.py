"""Annotations of Apple's Create ML for its action classifiers, as JSON or as a table.

    [{"video": "a.mov", "label": "walk", "start": 1.5, "end": 4}]

Times are seconds, or texts like 01:03.14; without a start an action begins with the video, without
an end it lasts until the video ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import (
    a_list,
    a_text,
    an_object,
    as_cell,
    first_cells,
    first_object,
    named_rows,
    plain,
    read_json,
    read_text,
    seconds,
    table_text,
)
from twostream.labels.recordings import Labels
from twostream.labels.video_facts import length_of
from twostream.types import DataError

HOLDS = Holds(
    title="Create ML annotations",
    suffixes=(".json", ".csv"),
    empty=False,
    several=True,
    names=True,
)
COLUMNS = ("video", "label", "start", "end")
_CALLED = {"videopath": "video", "starttime": "start", "endtime": "end"}  # in some of Apple's texts


def recognised(path: Path, start: str) -> bool:
    """Tell by the names of the first entry, or the header: these four and no other."""
    first = first_object(start)
    names = first_cells(start)[1] if first is None else list(first)
    return len(names) == len(COLUMNS) and {_named(name) for name in names} == set(COLUMNS)


def _named(name: str) -> str:
    plain_name = name.lower().replace("_", "").replace(" ", "")
    return _CALLED.get(plain_name, plain_name)


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read annotations."""
    text_ = read_text(path)
    rows = _entries(path) if text_.lstrip()[:1] in ("[", "{") else _rows(path, text_)
    found = Gathered(path)
    for where, row in rows:
        if not row["video"] and not row["label"]:
            found.odd("neither a video nor a label: left out", where)
            continue
        start = seconds(row["start"]) if row["start"] else 0.0
        if row["end"]:
            end = seconds(row["end"])
        else:
            end = length_of(row["video"], path.parent)
            if end is None:
                found.recording(row["video"])
                found.odd("it lasts until the end of a video that is not there: left out", where)
                continue
        found.bout(row["video"], where, start, end, row["label"])
    return found.labels()


def _entries(path: Path) -> Iterable[tuple[str, Mapping[str, str]]]:
    for number, entry in enumerate(a_list(path, "annotations", read_json(path)), start=1):
        where = f"entry {number}"
        row = {_named(name): value for name, value in an_object(path, where, entry).items()}
        if "video" not in row or "label" not in row:
            raise DataError(f"{path}, {where}: expected video, label, start and end")
        yield where, {name: a_text(row.get(name)) for name in COLUMNS}


def _rows(path: Path, text_: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    delimiter, header = first_cells(text_)
    names = [_named(name) for name in header]
    if missing := [name for name in COLUMNS if name not in names]:
        raise DataError(
            f"{path} has no column {missing[0]}: the first line must name {','.join(COLUMNS)}"
        )
    for line, row in named_rows(path, text_, delimiter, names, COLUMNS):
        yield f"line {line}", row


def text(labels: Labels, suffix: str) -> str:
    """Return the annotations, as JSON or as a table."""
    bouts = [(recording.video, bout) for recording in labels.recordings for bout in recording.bouts]
    if suffix == ".csv":
        times = [(plain(bout.start_seconds), plain(bout.end_seconds)) for _, bout in bouts]
        cells = [(as_cell(video), as_cell(bout.label)) for video, bout in bouts]
        rows = [(*cell, *time) for cell, time in zip(cells, times, strict=True)]
        return table_text([COLUMNS, *rows])
    entries = [
        dict(zip(COLUMNS, (video, bout.label, bout.start_seconds, bout.end_seconds), strict=True))
        for video, bout in bouts
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"

"""The project's own table, which holds all that there is: `path,label,start,end` and more columns.

A row is a bout; times are seconds, or clock times (hh:mm:ss.mmm). Further columns, in any order:
subject, annotator, confidence, comment; group, split, seconds (length of the video), fps. Rows
where something is empty say what is no bout:

- no label: this stretch of the video was watched. Once one of a video stands there, the rest of it
  was not; one that ends where it starts: none of it was;
- no label and no times, the comment "no bout": all of the video was watched, and nothing was seen;
- no path and no times: a class of the ethogram, in its order. With the comment "point event" it has
  no duration.

The segments that `predict --timeline --csv` writes are read too: where they have a score, the video
was watched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import (
    FIELDS,
    as_cell,
    fields_of,
    first_cells,
    named_rows,
    number,
    plain,
    read_text,
    seconds,
    table_text,
)
from twostream.labels.recordings import (
    OTHER,
    Bout,
    Labels,
    Recording,
    split_called,
    used_classes,
)
from twostream.types import DataError

HOLDS = Holds(
    title="table (path,label,start,end)",
    suffixes=(".csv", ".tsv", ".txt"),
    subjects=True,
    annotators=True,
    confidences=True,
    comments=True,
    watched=True,
    classes=True,
    several=True,
    names=True,
    length=True,
    fps=True,
    groups=True,
    splits=True,
)
NEEDED = ("path", "label", "start", "end")
OF_RECORDINGS = ("group", "split", "seconds", "fps")
POINT, NOTHING = "point event", "no bout"
SEGMENTS = ("video", "start_seconds", "end_seconds", "label", "score")
_AS_HERE = ("path", "start", "end", "label", "confidence")


def recognised(path: Path, start: str) -> bool:
    """Tell by the header."""
    names = [cell.lower() for cell in first_cells(start)[1]]
    return set(NEEDED) <= set(names) or tuple(names) == SEGMENTS


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read a table.

    Raises:
        DataError: no such header, or a row that says nothing that can be understood.
    """
    text_ = read_text(path)
    delimiter, header = first_cells(text_)
    names = [cell.lower() for cell in header]
    segments = tuple(names) == SEGMENTS
    names = list(_AS_HERE) if segments else names
    if missing := [name for name in NEEDED if name not in names]:
        raise DataError(
            f"{path} has no column {missing[0]}: the first line must name path,label,start,end"
        )
    found = Gathered(path)
    classes, points = list[str](), list[str]()
    columns = (*NEEDED, *FIELDS, *OF_RECORDINGS)
    for line, row in named_rows(path, text_, delimiter, names, columns):
        where = f"line {line}"
        if not row["path"] and row["label"] and not row["start"] and not row["end"]:
            classes.append(row["label"])
            points += [row["label"]] if row["comment"].lower() == POINT else []
            continue
        found.recording(row["path"])
        if segments and row["confidence"]:
            found.watched(row["path"], where, seconds(row["start"]), seconds(row["end"]))
        # of a time line too "other" is time without a label
        if not segments or row["label"] not in ("", OTHER):
            _take(path, where, row, found)
    unlisted = [name for name in names if name and name not in columns]
    notes = [f"{path}: the columns {', '.join(unlisted)} are not used"] if unlisted else []
    return found.labels(classes, points, notes)


def _take(path: Path, where: str, row: dict[str, str], found: Gathered) -> None:
    """Take a row that is about a recording."""
    split = split_called(row["split"])
    if split is None:
        raise DataError(f"{path}, {where}: split must be train, val or test, got {row['split']}")
    found.recording(
        row["path"],
        group=row["group"],
        split=split,
        seconds=_number(path, where, row, "seconds"),
        fps=_number(path, where, row, "fps"),
    )
    if not row["label"] and not row["start"] and not row["end"]:
        return
    start, end = (_time(path, where, row, name) for name in ("start", "end"))
    if not row["label"]:
        found.watched(row["path"], where, start, end)
        return
    found.bout(
        row["path"],
        where,
        start,
        end,
        row["label"],
        subject=row["subject"],
        annotator=row["annotator"],
        confidence=_number(path, where, row, "confidence"),
        comment=row["comment"],
    )


def _time(path: Path, where: str, row: dict[str, str], name: str) -> float:
    value = seconds(row[name])
    if value is None:
        raise DataError(
            f"{path}, {where}: {name} must be seconds or hh:mm:ss.mmm, got {row[name]!r}"
        )
    return value


def _number(path: Path, where: str, row: dict[str, str], name: str) -> float | None:
    if not row[name]:
        return None
    value = number(row[name])
    if value is None:
        raise DataError(f"{path}, {where}: {name} must be a number, got {row[name]!r}")
    return value


def text(labels: Labels, suffix: str) -> str:
    """Return the table; columns that no row fills are left out."""
    rows = [row for recording in labels.recordings for row in recording_rows(recording)]
    used = {name for row in rows for name, value in row.items() if value}
    labelled = used_classes(labels.recordings)
    if labels.classes != labelled or labels.points - set(labelled):
        rows = ethogram_rows(labels.classes, labels.points) + rows
        used |= {"comment"} if labels.points else set()
    columns = [*NEEDED, *(name for name in (*FIELDS, *OF_RECORDINGS) if name in used)]
    cells = [[row.get(name, "") for name in columns] for row in rows]
    return table_text([columns, *cells], "\t" if suffix == ".tsv" else ",")


def ethogram_rows(classes: Iterable[str], points: Collection[str] = ()) -> list[dict[str, str]]:
    """Return the rows that name the classes, column -> cell."""
    return [
        {"label": as_cell(name), "comment": POINT if name in points else ""} for name in classes
    ]


def recording_rows(recording: Recording) -> list[dict[str, str]]:
    """Return the rows of a recording, column -> cell."""
    facts = {
        "path": as_cell(recording.video),
        "group": as_cell(recording.group),
        "split": recording.split,
        "seconds": "" if recording.seconds is None else plain(recording.seconds),
        "fps": "" if recording.fps is None else plain(recording.fps),
    }
    watched = recording.watched
    if watched is None:
        spans = [] if recording.bouts else [{"comment": NOTHING}]
    else:
        spans = [{"start": plain(a), "end": plain(b)} for a, b in watched or ((0.0, 0.0),)]
    return [facts | span for span in spans] + [facts | _bout(bout) for bout in recording.bouts]


def _bout(bout: Bout) -> dict[str, str]:
    times = {"start": plain(bout.start_seconds), "end": plain(bout.end_seconds)}
    fields = {name: as_cell(said) for name, said in fields_of(bout).items()}
    return {"label": as_cell(bout.label)} | times | fields

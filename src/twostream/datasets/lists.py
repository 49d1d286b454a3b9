"""List files: CSV with the header `path,label[,group][,split]`, and plain `path label` lines.

Several official splits stand in columns `split1`, `split2`, ... instead of `split`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from twostream.datasets.dataset import Dataset, GivenSplit
from twostream.datasets.frame_folders import count_notes, rate_note
from twostream.datasets.list_columns import LABELS, PATHS, Columns, find_columns
from twostream.datasets.official_lists import group_of
from twostream.datasets.side_folders import SIDES
from twostream.datasets.video_folders import given_by_side
from twostream.labels.label_text import named_rows, read_text
from twostream.labels.listed_files import ListedFiles
from twostream.labels.recordings import in_order
from twostream.types import VIDEO_SUFFIXES, DataError, LabeledVideo

Missing = Literal["refuse", "leave out", "keep"]

NAMED = 3  # of many missing videos, so many are named
_MARKS = "must be train, val or test"
# A file of such a name is called after the folder it lies in: weizmann/clips.csv is "weizmann".
_NAMELESS = {"clips", "videos", "list", "labels", "data", "dataset", "index", "annotations"}
# `folder number-of-frames label`, as other tools write for folders of frames
_FRAMES = re.compile(r".+?\s+\d+\s+\S+")
_COUNTED = re.compile(r"(.+)\s+(\d+)\s+(.+)")  # the same with a label of any words


class OddMarkError(DataError):
    """A column of a split says train, val or test, and in one row something else."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: str
    label: str
    file: Path | None
    frames: int | None = None  # as many as the list says
    group: str | None = None
    sides: Mapping[int, str] = field(default_factory=dict)  # number of the split -> side, or ""


def read_list(file: Path, *, missing: Missing = "refuse") -> Dataset:
    """Read a CSV or a plain list; paths in it are relative to the folder it lies in.

    Args:
        file: the list.
        missing: what becomes of videos that are not there, see ``load_dataset``.

    Raises:
        DataError: not a list, or a row without label or file; the sentence names the row.
    """
    text = read_text(file)
    columns = find_columns(file, text)
    files = ListedFiles(file.parent)
    if columns:
        rows, said = _csv_rows(file, text, columns, files), list(columns.notes)
    else:
        rows, said = _plain_rows(file, text, files)
    if not rows:
        raise DataError(f"{file} lists no video: expected a line for each")
    rows, notes = _without_missing(file, rows, missing)
    classes = in_order({row.label for row in rows})  # 0, 1, ..., 10, or from 1 on
    number = {name: label for label, name in enumerate(classes)}
    lines: dict[str, int] = {}
    videos = []
    for row in rows:
        path = row.file or file.parent / row.path.replace("\\", "/")
        video_id = video_id_of(file.parent, path)
        if video_id in lines:
            raise DataError(
                f"{file}, line {row.line}: {row.path} stands in line {lines[video_id]} already"
            )
        lines[video_id] = row.line
        group = row.group or group_of(path.name, row.label)
        videos.append(LabeledVideo(video_id, path, number[row.label], group))
    given, odd = _given_splits(rows, videos)
    folders = set(files.frame_folders)
    told = [(r.path, r.file, r.frames) for r in rows if r.file and r.file in folders and r.frames]
    of_frames = [*rate_note(files.frame_folders), *count_notes(told)]
    return Dataset(
        name=name_of(file),
        kind="CSV" if columns else "list",
        root=file,
        classes=classes,
        videos=tuple(videos),
        given=given,
        notes=(*said, *files.notes(), *of_frames, *notes, *odd),
    )


def _without_missing(
    file: Path, rows: list[_Row], missing: Missing
) -> tuple[list[_Row], tuple[str, ...]]:
    """Return the rows that are used, and what is said of those whose video is not there."""
    gone = [(row.line, row.path) for row in rows if row.file is None]
    if not gone or missing == "keep":
        return rows, ()
    said = _missing_in_words(file, gone, len(rows))
    if missing == "refuse" or len(gone) == len(rows):
        others = "" if len(gone) == len(rows) else ", or leave them out with --skip-unreadable"
        raise DataError(f"{said}: put them there, mend the list{others}")
    return [row for row in rows if row.file is not None], (f"{said}: they are left out",)


def _given_splits(
    rows: Sequence[_Row], videos: Sequence[LabeledVideo]
) -> tuple[tuple[GivenSplit, ...], tuple[str, ...]]:
    """Make the splits that the columns give, and say what is odd about them."""
    given: list[GivenSplit] = []
    notes: list[str] = []
    numbers = sorted(rows[0].sides)
    for number in numbers:
        by_side: dict[str, list[LabeledVideo]] = {}
        for row, video in zip(rows, videos, strict=True):
            by_side.setdefault(row.sides[number], []).append(video)
        found, odd = given_by_side(by_side)
        which = f"split {number}: " if len(numbers) > 1 else ""
        given += [replace(split, number=number) for split in found]
        notes += [f"{which}{note}" for note in odd]
        if found and (aside := by_side.get("")):
            said = f"{len(aside)} videos have no split value and are on neither side"
            notes.append(f"{which}{said}")
    return tuple(given), tuple(notes)


def _csv_rows(file: Path, text: str, columns: Columns, files: ListedFiles) -> list[_Row]:
    rows: list[_Row] = []
    odd: dict[int, str] = {}  # number of a split -> the first word in it that is no side
    known: set[int] = set()  # those with words that are
    used = ("group", *columns.names)
    for line, row in named_rows(file, text, columns.delimiter, columns.names, used):
        where = f"{file}, line {line}"
        for needed in (columns.path, columns.label):
            if not row[needed]:
                raise DataError(f"{where}: the column {needed} is empty")
        marks = {number: row[column] for number, column in columns.splits.items()}
        sides = {number: SIDES.get(value.lower(), "") for number, value in marks.items()}
        for number, value in marks.items():
            if sides[number]:
                known.add(number)
            elif value:
                odd.setdefault(number, f"{where}: {columns.splits[number]} {_MARKS}, got {value}")
        group, name = row["group"] or None, row[columns.path]
        found = files.find(name)
        video = found[1] if found else None
        rows.append(_Row(line, name, row[columns.label], video, None, group, sides))
    for number, said in odd.items():
        wrong = OddMarkError if number in known else DataError
        raise wrong(f"{said}: mend it, leave it empty, or call the column otherwise")
    return rows


def _plain_rows(file: Path, text: str, files: ListedFiles) -> tuple[list[_Row], list[str]]:
    """Read `path label` lines, both with spaces where the files tell, and `folder number label`."""
    lines = [(line, content.strip()) for line, content in enumerate(text.split("\n"), start=1)]
    lines = [(line, content) for line, content in lines if content]
    if lines and _is_header(lines[0][1]) and files.named(lines[0][1].split()[0]) is None:
        del lines[0]
    frames = all(_FRAMES.fullmatch(content) for _, content in lines)
    rows = []
    for line, content in lines:
        alone = not re.search(r"\s", content)
        if file.suffix.lower() == ".csv" or (alone and "," in content):
            raise DataError(
                f"{file} has no header: the first line of a CSV file must name the columns, "
                "path,label and optionally group,split"
            )
        if alone:
            raise DataError(f"{file}, line {line}: expected `path label`, got {content!r}")
        path, label, found = _cut(content, files)
        number = None
        bare = frames and found is None and not os.path.isdir(file.parent / path)
        if bare and (match := re.fullmatch(r"(.+?)\s+(\d+)", path)):
            path, number = match.groups()
        if frames and re.fullmatch(r"\d+\s+\S+", label):
            number, label = label.split()
        rows.append(_Row(line, path, label, found, int(number) if number else None))
    folders = set(files.frame_folders)
    counted, notes = _counted(file, rows, folders)
    rows = [counted.get(row.line, row) for row in rows]
    if any(row.frames is not None and row.file not in folders for row in rows):
        notes.append("the numbers before the labels are read as numbers of frames")
    return rows, notes


def _counted(
    file: Path, rows: Sequence[_Row], folders: Set[Path]
) -> tuple[dict[int, _Row], list[str]]:
    """Take the numbers of frames off labels of any words, where all rows have one.

    Names with a video's suffix are of files: the label of `a.mp4 2 steps` is "2 steps". Beside
    them only folders of frames have a number.

    Returns:
        Line -> row without its number, and what a user should know.
    """
    found: dict[int, _Row] = {}
    alone: list[_Row] = []
    files = False
    for row in rows:
        match = re.fullmatch(r"(\d+)\s+(.+)", row.label)
        parts = (row.path, *match.groups()) if match else None
        if row.file is None and (whole := _COUNTED.fullmatch(f"{row.path} {row.label}")):
            parts = whole.groups()
        name = parts[0] if parts else row.path
        is_file = row.file not in folders
        files |= is_file and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES
        if row.frames is not None:
            continue
        if parts is None:
            alone.append(row)
        else:
            found[row.line] = replace(row, path=name, label=parts[2], frames=int(parts[1]))
    if files:
        alone = [row for row in alone if row.file in folders]
        found = {line: row for line, row in found.items() if row.file in folders}
    labels = {row.line: row.label for row in rows if row.line in found}
    if alone and len({row.label for row in found.values()}) == len(set(labels.values())):
        return {}, []  # labels that begin with a number
    for line, row in found.items():
        if alone:
            return {}, [
                f"the number in line {line} is read as part of the label {labels[line]!r}, since "
                f"line {alone[0].line} has none: is it a number of frames, give all lines theirs"
            ]
        if re.fullmatch(r"\d+(\s+\d+)+", row.label):
            raise DataError(
                f"{file}, line {line}: expected `folder number-of-frames label`, got more numbers, "
                f"{labels[line]}: first frames and several labels are not read"
            )
    return found, []


def _is_header(line: str) -> bool:
    words = line.lower().split()
    return len(words) == 2 and words[0] in PATHS and words[1] in LABELS


def _cut(line: str, files: ListedFiles) -> tuple[str, str, Path | None]:
    """Return the path and the label of a `path label` line, and the file where there is one.

    Both may have spaces: the cut is where the path is a file, as far right as possible; where none
    is, at a tab, or before the last word.
    """
    places = list(re.finditer(r"\s+", line))[::-1]
    parts = [(line[: m.start()].strip('"'), line[m.end() :].strip('"')) for m in places]
    if found := files.find(*(path for path, _ in parts)):
        place, file = found
        return (*parts[place], file)
    for m, part in zip(places, parts, strict=True):
        if "\t" in m[0]:
            return (*part, None)
    return (*parts[0], None)


def _missing_in_words(file: Path, missing: Sequence[tuple[int, str]], listed: int) -> str:
    """Return the sentence on listed videos that are not there.

    Args:
        file: the list.
        missing: line and name of each.
        listed: how many videos the list names.
    """
    where = f"(paths are relative to {file.parent})"
    if len(missing) == 1:
        line, name = missing[0]
        what = "does not exist"
        if os.path.isdir(file.parent / name):
            what = "is a folder without numbered images (img_00001.jpg, img_00002.jpg, ...)"
        return f"{file}, line {line}: {name} {what} {where}"
    names = ", ".join(f"{name} (line {line})" for line, name in missing[:NAMED])
    more = ", ..." if len(missing) > NAMED else ""
    folders = sum(os.path.isdir(file.parent / name) for _, name in missing)
    said = f"{len(missing)} of the {listed} videos do not exist"
    if folders:
        said += f", {folders} of them are folders without numbered images"
    return f"{file}: {said}: {names}{more} {where}"


def name_of(place: Path) -> str:
    """Return what the data of a file or folder are called; a file may say nothing of them.

    >>> name_of(Path("weizmann/clips.csv")), name_of(Path("weizmann/night.2.csv"))
    ('weizmann', 'night.2')
    """
    if place.is_dir():
        return place.resolve().name or place.name
    folder = place.resolve().parent.name
    return folder if place.stem.lower() in _NAMELESS and folder else place.stem


def video_id_of(folder: Path, path: Path) -> str:
    """Return the path below the list's folder; one that leads outside loses its ".." or root."""
    folder, path = Path(os.path.abspath(folder)), Path(os.path.abspath(path))
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    if os.path.commonpath([folder, path]) == path.anchor:
        return path.relative_to(path.anchor).as_posix()
    return Path(os.path.relpath(path, folder).replace("..", "up")).as_posix()

"""List files: CSV with the header `path,label[,group][,split]`, and plain `path label` lines.

Several official splits stand in columns `split1`, `split2`, ... instead of `split`.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from twostream.datasets.dataset import Dataset, GivenSplit
from twostream.datasets.video_folders import SIDES, given_by_side, group_of, read_text
from twostream.types import DataError, LabeledVideo

# A file of such a name is called after the folder it lies in: weizmann/clips.csv is "weizmann".
_NAMELESS = {"clips", "videos", "list", "labels", "data", "dataset", "index", "annotations"}


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: str
    label: str
    group: str | None = None
    sides: Mapping[int, str] = field(default_factory=dict)  # number of the split -> side, or ""


def read_list(file: Path, *, numbered: bool = True) -> Dataset:
    """Read a CSV or a plain list; paths in it are relative to the folder it lies in.

    Args:
        file: the list.
        numbered: read the columns split1, split2, ... too.

    Raises:
        DataError: not a list, or a row without label or file; the sentence names the row.
    """
    advice = "give a folder, a CSV file with the columns path,label or a list of `path label` lines"
    text = read_text(file, advice)
    if "\0" in text:
        raise DataError(f"{file} is not a text file, so it cannot be a list of videos")
    header = text.lstrip().partition("\n")[0].strip().lower()
    delimiter = next((d for d in ",;\t" if {"path", "label"} <= _cells(header, d)), None)
    rows = _csv_rows(file, text, delimiter, numbered) if delimiter else _plain_rows(file, text)
    if not rows:
        raise DataError(f"{file} lists no video: expected a line for each")
    classes = _sorted_classes({row.label for row in rows})
    number = {name: label for label, name in enumerate(classes)}
    lines: dict[str, int] = {}
    videos = []
    for row in rows:
        path = _existing(file, row)
        video_id = _video_id(file.parent, path)
        if video_id in lines:
            raise DataError(
                f"{file}, line {row.line}: {row.path} stands in line {lines[video_id]} already"
            )
        lines[video_id] = row.line
        group = row.group or group_of(path.name, row.label)
        videos.append(LabeledVideo(video_id, path, number[row.label], group))
    given, notes = _given_splits(rows, videos)
    folder = file.resolve().parent.name
    return Dataset(
        name=folder if file.stem.lower() in _NAMELESS and folder else file.stem,
        kind="CSV" if delimiter else "list",
        root=file,
        classes=classes,
        videos=tuple(videos),
        given=given,
        notes=notes,
    )


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


def _split_columns(file: Path, columns: Sequence[str], numbered: bool) -> dict[int, str]:
    """Return number of a split -> its column: `split` is number 1, `split2` number 2."""
    found: dict[int, str] = {}
    for column in columns:
        match = re.fullmatch(r"split([1-9]\d*)" if numbered else "(?!)", column)
        number = int(match[1]) if match else 1
        if match or column == "split":
            if number in found and column != found[number]:
                raise DataError(f"{file} has the columns {found[number]} and {column}: keep one")
            found[number] = column
    return found


def _cells(line: str, delimiter: str) -> set[str]:
    return {cell.strip().strip('"').strip() for cell in line.split(delimiter)}


def _csv_rows(file: Path, text: str, delimiter: str, numbered: bool) -> list[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[_Row] = []
    columns: list[str] = []
    split_columns: dict[int, str] = {}
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().lower() for cell in cells]
                split_columns = _split_columns(file, columns, numbered)
                continue
            row = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
            where = f"{file}, line {reader.line_num}"
            for needed in ("path", "label"):
                if not row.get(needed):
                    raise DataError(f"{where}: the column {needed} is empty")
            if len(cells) > len(columns):
                raise DataError(
                    f"{where}: {len(cells)} columns, but the header has {len(columns)}: "
                    "put names with the separator in them in quotes"
                )
            marks = {number: row.get(column) or "" for number, column in split_columns.items()}
            sides = {number: SIDES.get(value.lower(), "") for number, value in marks.items()}
            for number, value in marks.items():
                if value and not sides[number]:
                    raise DataError(
                        f"{where}: {split_columns[number]} must be train, val or test, got {value}"
                    )
            group = row.get("group") or None
            rows.append(_Row(reader.line_num, row["path"], row["label"], group, sides))
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not readable as CSV: {error}") from error
    return rows


def _plain_rows(file: Path, text: str) -> list[_Row]:
    """Read `path label` lines; the label is the last word, so that paths may have spaces."""
    rows = []
    for line, content in enumerate(text.split("\n"), start=1):
        words = content.strip().rsplit(maxsplit=1)
        if words and (file.suffix.lower() == ".csv" or (len(words) == 1 and "," in words[0])):
            raise DataError(
                f"{file} has no header: the first line of a CSV file must name the columns, "
                "path,label and optionally group,split"
            )
        if len(words) == 1:
            raise DataError(f"{file}, line {line}: expected `path label`, got {content.strip()!r}")
        if words:
            rows.append(_Row(line, words[0], words[1]))
    return rows


def _existing(file: Path, row: _Row) -> Path:
    """Return the file a row names, also where it was written on another system."""
    slashes = row.path.replace("\\", "/")
    for name in (row.path, slashes, *(unicodedata.normalize(f, slashes) for f in ("NFC", "NFD"))):
        path = file.parent / name
        if path.is_file():
            return path
    what = "is a folder" if (file.parent / row.path).is_dir() else "does not exist"
    raise DataError(
        f"{file}, line {row.line}: {row.path} {what} (paths are relative to {file.parent})"
    )


def _video_id(folder: Path, path: Path) -> str:
    """Return the path below the list's folder; one that leads outside loses its ".." or root."""
    folder, path = Path(os.path.abspath(folder)), Path(os.path.abspath(path))
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    if os.path.commonpath([folder, path]) == path.anchor:
        return path.relative_to(path.anchor).as_posix()
    return Path(os.path.relpath(path, folder).replace("..", "up")).as_posix()


def _sorted_classes(labels: set[str]) -> tuple[str, ...]:
    """Sort class names, numbers by value: 0, 1, ..., 10 whether counting starts at 0 or 1."""
    numbers = all(label.isdecimal() for label in labels)
    return tuple(sorted(labels, key=lambda label: (int(label) if numbers else 0, label)))

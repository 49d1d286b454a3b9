"""The header of a CSV list: which column is the path, which the label, which a split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from twostream.datasets.side_folders import SIDES
from twostream.labels.label_text import first_cells, named_rows
from twostream.types import DataError

# What other people call these columns; the first that is there counts.
PATHS = (
    *("path", "video_path", "videopath", "file_path", "filepath", "clip_path"),
    *("video", "file", "filename", "file_name", "clip"),
    *("video_name", "videoname", "clip_name", "name", "video_id"),
)
LABELS = (
    *("label", "class", "class_name", "classname", "label_name"),
    *("category", "action", "activity", "tag", "target"),
)
SPLITS = ("subset", "set", "partition")
# People often mean these as groups. They are not taken for them: too many clips would stand apart.
GROUPS = ("subject", "person", "participant", "animal", "individual", "actor", "session", "source")
_START = re.compile(r"(t|time)?[-_ ]*(start|begin|onset|from)([-_ ].*|time|frame|s)?")
_END = re.compile(r"(t|time)?[-_ ]*(end|finish|stop|offset|to)([-_ ].*|time|frame|s)?")
_LENGTH = re.compile(r"duration([-_ ].*|s)?")  # an end beside a start; alone it may be the file's
_FOLD = re.compile(r"(cv|k|test)?[-_ ]?folds?[-_ ]?(id|number)?")
_NUMBERED = re.compile(r"[-_ ]?(id|number|name)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the header of a list says.

    Attributes:
        delimiter: between the cells.
        names: of all columns, in lower case.
        path, label: the two that are needed.
        splits: number of a split -> its column: `split` is number 1, `split2` number 2.
        notes: what a user should know of columns that have other names.
    """

    delimiter: str
    names: tuple[str, ...]
    path: str
    label: str
    splits: Mapping[int, str]
    notes: tuple[str, ...]


def find_columns(file: Path, text: str) -> Columns | None:
    """Return what the first line of a list says; None where it is no header.

    Args:
        file: the list, for errors.
        text: with line ends that are new lines.

    Raises:
        DataError: two columns for one split, columns of when a label starts and ends, or a row
            that is longer than the header.
    """
    delimiter, header = first_cells(text)
    names = [name.lower() for name in header]
    path = next((name for name in PATHS if name in names), None)
    label = next((name for name in LABELS if name in names), None)
    if not path or not label:
        return None
    _refuse_spans(file, names)
    splits = _split_columns(file, names)
    notes = []
    if (path, label) != ("path", "label"):
        notes.append(f"the columns {path} and {label} are read as path and label")
    if not splits and not set(SPLITS).isdisjoint(names):
        rows = [row for _, row in named_rows(file, text, delimiter, names, names)]
        splits, said = _other_split(names, rows)
        notes += said
    notes += _on_unused(names, {path, label, "group", *SPLITS, *splits.values()})
    return Columns(
        delimiter=delimiter,
        names=tuple(names),
        path=path,
        label=label,
        splits=splits,
        notes=tuple(notes),
    )


def _refuse_spans(file: Path, names: Sequence[str]) -> None:
    """Raise a DataError where columns say from when to when a label holds."""
    starts = [name for name in names if _START.fullmatch(name)]
    ends = [name for name in names if _END.fullmatch(name) or _LENGTH.fullmatch(name)]
    spans = ", ".join(starts + ends)
    if starts and ends:
        raise DataError(
            f"{file} seems to say from when to when its labels hold (columns {spans}), "
            "and clips in a list are labelled whole: for labels in time the header must name "
            "path,label,start,end, with times in seconds; if the files are the clips themselves, "
            "take these columns out"
        )


def _on_unused(names: Sequence[str], used: Set[str]) -> list[str]:
    """Say which columns nothing is made of that people may mean something by."""
    notes = []
    unused = [name for name in names if name not in used]
    if "group" not in names and (meant := [n for n in unused if _NUMBERED.sub("", n) in GROUPS]):
        notes.append(
            f"the column {meant[0]} is not used: call it group where clips of one "
            f"{_NUMBERED.sub('', meant[0])} are to stand on one side of a split"
        )
    for name in unused:
        if _START.fullmatch(name) or _END.fullmatch(name):
            notes.append(f"the column {name} is not used: clips in a list are labelled whole")
        elif _FOLD.fullmatch(name):
            notes.append(
                f"the column {name} is not used: columns split1, split2, ... of train and test "
                "give folds"
            )
    return notes


def _split_columns(file: Path, columns: Sequence[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for column in columns:
        if match := re.fullmatch(r"split([1-9]\d*)?", column):
            number = int(match[1] or 1)
            if number in found and column != found[number]:
                raise DataError(f"{file} has the columns {found[number]} and {column}: keep one")
            found[number] = column
    return found


def _other_split(
    names: Sequence[str], rows: Iterable[Mapping[str, str]]
) -> tuple[dict[int, str], list[str]]:
    """Return a column of another name that says who trains and who tests, and what is said.

    One such word makes it that column: another word in it is refused with its row.
    """
    notes: list[str] = []
    for column in (name for name in SPLITS if name in names):
        values = {row[column].lower() for row in rows} - {""}
        strange = sorted(values - set(SIDES))
        if len(strange) < len(values):
            return {1: column}, [*notes, f"the column {column} is read as split"]
        why = f"{strange[0]!r} is none of train, val and test" if strange else "it is empty"
        notes.append(f"the column {column} is not used: {why}")
    return {}, notes

"""Tables that BORIS exports, of any version from 5 to 9: what their columns say.

Two kinds: *tabular events* have a row for each event, START, STOP or POINT; *aggregated events* one
for each bout. Versions 5 to 7 put some lines about the observation before the header of the first
kind. Columns are found by their names, whatever else there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twostream.labels.boris_observation import (
    ANNOTATOR,
    ANNOTATORS,
    NOBODY,
    Observation,
    named_annotators,
    observations_of,
)
from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import (
    as_cell,
    first_cells,
    from_cell,
    number,
    plain,
    read_rows,
    read_text,
    table_text,
)
from twostream.labels.recordings import Bout, Labels
from twostream.types import DataError

MOST_LINES_BEFORE = 100  # the header
_NOTHING = ("NA", "Not found", "None")
_TEXTS = ("behavior", "subject", "comment", "comment start", "comment stop", *ANNOTATORS)
_VIDEO = ("media file name", "media file path", "media file")
_LENGTH = ("media duration (s)", "total length")
_OFFSET = "time offset (s)"
_RATE = ("fps (frame/s)", "fps")

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of BORIS.

    Attributes:
        path: the file.
        rows: (number of the line, column in lower case -> cell), "NA" and such as "".
        before: what lines before the header say, by the lower case of their first cell.
        videos: that player 1 plays, where these lines say it.
    """

    path: Path
    rows: tuple[tuple[int, Row], ...]
    before: Row
    videos: tuple[str, ...]


def holds(title: str, suffixes: tuple[str, ...], *, overlaps: bool) -> Holds:
    """Return what a table of BORIS can hold."""
    return Holds(
        title=title,
        suffixes=suffixes,
        times="milliseconds",
        subjects=True,
        annotators=True,
        confidences=True,
        comments=True,
        overlaps=overlaps,
        empty=False,
        several=True,
        names=True,
        length=True,
        fps=True,
    )


def header_line(start: str, needed: Sequence[str]) -> tuple[int, str, list[str]] | None:
    """Return where the header is: lines before it, the delimiter, its cells in lower case.

    Args:
        start: of the file, or all of it.
        needed: columns that it must have, in lower case.
    """
    for before, line in enumerate(start.split("\n", MOST_LINES_BEFORE)[:MOST_LINES_BEFORE]):
        if needed[0] in line.lower():
            delimiter, cells = first_cells(line)
            cells = [cell.lower() for cell in cells]
            if set(needed) <= set(cells):
                return before, delimiter, cells
    return None


def read_table(path: Path, needed: Sequence[str]) -> Table:
    """Read a table; raises DataError where no line is its header."""
    text = read_text(path)
    found = header_line(text, needed)
    if found is None:
        raise DataError(f"{path} has no line with the columns {', '.join(needed)}")
    before, delimiter, names = found
    facts, videos = {}, []
    for line in text.split("\n", before)[:before]:
        first, _, rest = line.partition(delimiter)
        said = facts[first.strip().lower()] = rest.strip().strip(delimiter)
        videos += [said] if first.strip().lower() == "player #1" else []
    rows = []
    for number_, cells in read_rows(path, text, delimiter, below=before + 1):
        row = dict.fromkeys(names, "") | {
            column: "" if cell in _NOTHING and column not in _TEXTS else from_cell(cell)
            for column, cell in zip(names, cells, strict=False)
        }
        rows.append((number_, row))
    return Table(path, tuple(rows), facts, tuple(videos))


def gather(
    table: Table,
    take: Callable[[Observation, Sequence[tuple[int, Row]], Gathered], None],
) -> Labels:
    """Return the labels of a table.

    Args:
        table: as it was read.
        take: takes the rows of one observation.

    Raises:
        DataError: several videos one after the other, whose lengths the table does not say.
    """
    found = Gathered(table.path)
    mine: dict[tuple[str, tuple[str, ...]], list[tuple[int, Row]]] = {}
    for line, row in table.rows:
        name = row.get("observation id") or table.before.get("observation id", "")
        mine.setdefault((name, _videos(row)), []).append((line, row))
    mine = _joined(mine)
    names = [name for name, _ in mine]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or len(table.videos) > 1:
        raise DataError(
            f"{table.path}: observation {twice or names[0]} plays several videos, whose lengths "
            "the table does not say: read the project (.boris) instead"
        )
    videos = [videos for _, videos in mine]
    types = (rows[0][1].get("observation type", "") for rows in mine.values())
    unnamed = not any(videos) and (
        len(mine) == 1 or all(kind.lower().startswith("media") for kind in types)
    )
    called = [each or ("" if unnamed else name,) for name, each in mine]
    given = [_annotator(rows[0][1]) for rows in mine.values()]
    annotators = named_annotators(names, called, given)
    for name, each, plays, annotator, rows in zip(
        names, called, videos, annotators, mine.values(), strict=True
    ):
        first = rows[0][1]
        if not plays and each != ("",):
            found.odd("its rows name no video: it is called as it is", f"observation {name}")
        observation = Observation(
            table.path,
            name,
            each,
            _numbers(first, _LENGTH, len(each)),
            _numbers(first, _RATE, len(each)),
            number(first.get(_OFFSET) or table.before.get(_OFFSET, "")) or 0.0,
            annotator,
        )
        observation.begin(found)
        take(observation, rows, found)
    return found.labels()


def _joined(
    found: dict[tuple[str, tuple[str, ...]], list[tuple[int, Row]]],
) -> dict[tuple[str, tuple[str, ...]], list[tuple[int, Row]]]:
    """Join rows of one observation that name its one video and rows that name none."""
    for name, videos in list(found):
        named = [key for key in found if key[0] == name and key[1]]
        if not videos and len(named) == 1:
            found[named[0]] += found.pop((name, videos))
    return found


def _videos(row: Row) -> tuple[str, ...]:
    """Return the videos of player 1: of the source, or the one that the event lies in."""
    source = row.get("source", "")
    for player in source.split("|"):
        head, _, rest = player.partition(":")
        if head.strip().lower().replace(" ", "") == "player#1" and rest:
            return tuple(each.strip() for each in rest.split(";") if each.strip())
    return next(((row[column],) for column in _VIDEO if row.get(column)), ())


def _numbers(row: Row, columns: Sequence[str], count: int) -> tuple[float | None, ...]:
    """Return a number for each video of player 1; one for all where there is but one."""
    cell = next((row[column] for column in columns if row.get(column)), "")
    values = [number(each) for each in cell.partition("|")[0].split(";")]
    if len(values) != count:
        return (None,) * count
    return tuple(values)


def _annotator(row: Row) -> str | None:
    return next((row[name] for name in ANNOTATORS if name in row), None)


def modifiers(row: Row) -> str:
    """Return the modifiers of a row as a project has them, with | in between."""
    return "|".join(cell for name, cell in row.items() if name.startswith("modifier") and cell)


def subject(row: Row) -> str:
    """Return the subject of a row; "" where it has none."""
    name = row.get("subject", "")
    return "" if name == NOBODY else name


def table(
    labels: Labels,
    columns: Sequence[str],
    rows: Callable[[Sequence[Bout], frozenset[str]], list[dict[str, str]]],
    suffix: str,
) -> str:
    """Return a table as BORIS 8 and 9 export it, all observations in one.

    Args:
        labels: what is written.
        columns: of the kind of table, after those of the observation.
        rows: of the bouts of one observation, without its own columns.
        suffix: ".csv": commas, else tabs.
    """
    observed = observations_of(labels)
    who = [ANNOTATOR] if any(annotator for _, annotator, _ in observed.values()) else []
    head = [*_OF_OBSERVATIONS, *who, *columns]
    cells: list[list[str]] = [head]
    for name, (recording, annotator, bouts) in observed.items():
        facts = {
            "Observation id": as_cell(name),
            "Observation type": "Media file(s)",
            "Source": _source(recording.video),
            "Time offset (s)": "0.0",
            "Media duration (s)": _plain(recording.seconds),
            "FPS (frame/s)": _plain(recording.fps),
            "Media file name": as_cell(recording.video),
            ANNOTATOR: as_cell(annotator),
        }
        for row in rows(bouts, labels.points):
            row = facts | row
            cells.append([row.get(column, "") for column in head])
    return table_text(cells, "," if suffix == ".csv" else "\t")


_OF_OBSERVATIONS = (
    "Observation id",
    "Observation date",
    "Description",
    "Observation type",
    "Source",
    "Time offset (s)",
    "Coding duration",
    "Media duration (s)",
    "FPS (frame/s)",
)


def _source(video: str) -> str:
    return f"player #1:{video}" if video and not set(video) & set(";|") else ""


def _plain(value: float | None) -> str:
    return "" if value is None else plain(value)

"""BORIS's tabular events (Observations > Export events > Tabular): a row for each event.

It is a START, a STOP or a POINT: the column that says so is Status in versions 5 to 7, and Behavior
type in 8 and 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from twostream.labels.boris_observation import Event, Observation, take_events
from twostream.labels.boris_table import (
    Row,
    gather,
    header_line,
    holds,
    modifiers,
    read_table,
    subject,
    table,
)
from twostream.labels.gathered import Gathered
from twostream.labels.label_text import as_cell, plain, seconds, with_confidence
from twostream.labels.recordings import Bout, Labels

HOLDS = holds("BORIS tabular events", (".tsv", ".csv"), overlaps=False)
NEEDED = ("time", "behavior")
COLUMNS = (
    *("Subject", "Behavior", "Behavioral category", "Behavior type", "Time"),
    *("Media file name", "Image index", "Image file path", "Comment"),
)
_KINDS: dict[str, Literal["point", "start", "stop"]] = {
    "POINT": "point",
    "START": "start",
    "STOP": "stop",
}


def recognised(path: Path, start: str) -> bool:
    """Tell by the header, among the first lines."""
    found = header_line(start, NEEDED)
    return found is not None and bool({"status", "behavior type"} & set(found[2]))


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read a table of events, of one observation or several."""
    return gather(read_table(path, NEEDED), _take)


def _take(observation: Observation, rows: Sequence[tuple[int, Row]], found: Gathered) -> None:
    events = []
    for line, row in rows:
        status = (row.get("status") or row.get("behavior type") or "").upper()
        where = f"line {line}"
        if status not in _KINDS:
            found.odd("neither START, STOP nor POINT: left out", where)
            continue
        events.append(
            Event(
                seconds(row["time"]),
                subject(row),
                row["behavior"],
                modifiers(row),
                row.get("comment", ""),
                _KINDS[status],
                where,
            )
        )
    take_events(observation, events, found)


def text(labels: Labels, suffix: str) -> str:
    """Return a table of events, all observations in one."""
    return table(labels, COLUMNS, _rows, suffix)


def _rows(bouts: Sequence[Bout], points: frozenset[str]) -> list[dict[str, str]]:
    found: list[tuple[float, dict[str, str]]] = []
    for bout in bouts:
        is_point = bout.label in points
        row = {"Subject": as_cell(bout.subject), "Behavior": as_cell(bout.label)}
        first = row | {
            "Behavior type": "POINT" if is_point else "START",
            "Time": plain(bout.start_seconds),
            "Comment": as_cell(with_confidence(bout.comment, bout.confidence)),
        }
        found.append((bout.start_seconds, first))
        if not is_point:
            last = row | {"Behavior type": "STOP", "Time": plain(bout.end_seconds)}
            found.append((bout.end_seconds, last))
    found.sort(key=lambda each: each[0])  # of equal times the earlier bout's stay first
    return [row for _, row in found]

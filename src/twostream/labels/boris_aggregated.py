"""BORIS's aggregated events (Observations > Export events > Aggregated): a row for each bout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twostream.labels.boris_observation import Observation
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

HOLDS = holds("BORIS aggregated events", (".tsv", ".csv"), overlaps=True)
NEEDED = ("start (s)", "behavior", "stop (s)")
COLUMNS = (
    *("Subject", "Observation duration by subject by observation", "Behavior"),
    *("Behavioral category", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)"),
    *("Media file name", "Image index start", "Image index stop", "Image file path start"),
    *("Image file path stop", "Comment start", "Comment stop"),
)


def recognised(path: Path, start: str) -> bool:
    """Tell by the header."""
    return header_line(start, NEEDED) is not None


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read a table of bouts, of one observation or several."""
    return gather(read_table(path, NEEDED), _take)


def _take(observation: Observation, rows: Sequence[tuple[int, Row]], found: Gathered) -> None:
    for line, row in rows:
        start, stop = seconds(row["start (s)"]), seconds(row.get("stop (s)", ""))
        if row.get("behavior type", "").upper() == "POINT" and stop is None:
            stop = start
        comments = (row.get("comment start", ""), row.get("comment stop", ""))
        observation.bout(
            found,
            f"line {line}",
            start,
            stop,
            row.get("behavior", ""),
            subject=subject(row),
            modifiers=modifiers(row),
            comment=" / ".join(dict.fromkeys(filter(None, comments))),
        )


def text(labels: Labels, suffix: str) -> str:
    """Return a table of bouts, all observations in one."""
    return table(labels, COLUMNS, _rows, suffix)


def _rows(bouts: Sequence[Bout], points: frozenset[str]) -> list[dict[str, str]]:
    return [
        {
            "Subject": as_cell(bout.subject),
            "Behavior": as_cell(bout.label),
            "Behavior type": "POINT" if bout.label in points else "STATE",
            "Start (s)": plain(bout.start_seconds),
            "Stop (s)": plain(bout.end_seconds),
            "Duration (s)": (
                "NA"
                if bout.label in points
                else plain(round(bout.end_seconds - bout.start_seconds, 3))
            ),
            "Comment start": as_cell(with_confidence(bout.comment, bout.confidence)),
        }
        for bout in bouts
    ]

"""Audacity's label tracks: a line `start<TAB>end<TAB>label` each, in seconds.

What it exports for labels of a range of frequencies, lines that begin with a backslash, is passed
over. Many tools write the same: mpv's scripts, Sonic Visualiser, Praat's converters.
"""

from __future__ import annotations

from pathlib import Path

from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import number, plain, read_text
from twostream.labels.recordings import Labels
from twostream.types import DataError

HOLDS = Holds(title="Audacity labels", suffixes=(".txt",))


def recognised(path: Path, start: str) -> bool:
    """Tell by the first line that is no frequencies: two numbers and a label, between tabs."""
    lines = [line for line in start.split("\n") if line.strip() and not line.startswith("\\")]
    return bool(lines) and _cut(lines[0]) is not None


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read a label track; it names no video.

    Raises:
        DataError: a line that is none of a label track.
    """
    found = Gathered(path)
    found.recording("")
    for line, content in enumerate(read_text(path).split("\n"), start=1):
        if not content.strip() or content.startswith("\\"):
            continue
        cut = _cut(content)
        if cut is None:
            raise DataError(
                f"{path}, line {line}: expected start, end and label with tabs in between, "
                f"got {content[:60]!r}"
            )
        found.bout("", f"line {line}", *cut)
    return found.labels()


def text(labels: Labels, suffix: str) -> str:
    """Return the label track of one recording."""
    (recording,) = labels.recordings
    rows = [(plain(b.start_seconds), plain(b.end_seconds), b.label) for b in recording.bouts]
    return "".join("\t".join(row) + "\n" for row in rows)


def _cut(line: str) -> tuple[float, float, str] | None:
    start, _, rest = line.partition("\t")
    end, _, label = rest.partition("\t")
    first, last = number(start), number(end)
    return None if first is None or last is None else (first, last, label)

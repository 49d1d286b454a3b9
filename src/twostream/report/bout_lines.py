"""True and predicted bouts above each other: the arithmetic of their drawing.

A recording is cut into lines of equal length, few enough to be seen at once and short enough that
bouts of a second can be told apart. Places are shares of a line, 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from twostream.judging.differences import Difference
from twostream.judging.stretches import Compared, Stretch
from twostream.judging.time_measures import ROUNDING
from twostream.labels import Bout
from twostream.report.wording import clock

COLOURS = 12  # that the style sheet has
_LINES = 12  # of a recording at most, but of very long ones
_SECONDS = (30, 60, 120, 300, 600, 900, 1800, 3600)  # that a line may last
_WIDE, NARROW = 920, 430  # px of a line, about: of a whole page, of a card
_LETTER, _MARGIN, _ENOUGH = 6.2, 8, 44  # px: of a name in a bar; enough to guess one that is cut


@dataclass(frozen=True, slots=True)
class Bar:
    """A bout, or the part of it that lies on a line.

    Attributes:
        x, width: in shares of the line; a width of 0: a point event.
        lane: from 0, downwards: bouts at the same time lie below each other.
        colour: number of its class's colour.
        label: name of its class; "" where there is no room for it.
        told: all about it, in words.
    """

    x: float
    width: float
    lane: int
    colour: int
    label: str
    told: str


def line_seconds(seconds: float) -> float:
    """Return how long the lines of a recording are.

    >>> [line_seconds(t) for t in (20, 75, 3600, 24 * 3600)]
    [30, 30, 300, 7200]
    """
    found = next((each for each in _SECONDS if seconds <= _LINES * each), None)
    return found or 3600 * math.ceil(seconds / _LINES / 3600)


def drawn_lines(
    sides: Compared, recording: int, apart: Sequence[Difference]
) -> list[dict[str, Any]]:
    """Return the lines of a recording, those alone on which time was compared.

    Args:
        sides: true and predicted bouts.
        recording: index of it.
        apart: where both differ in it.
    """
    own = [stretch for stretch in sides.stretches if stretch.recording == recording]
    last = max(stretch.end_seconds for stretch in own)
    step = line_seconds(last)
    starts = [step * i for i in range(max(1, math.ceil(last / step - 1e-9)))]
    lines = [drawn_line(sides, own, apart, start, start + step) for start in starts]
    return [line for line in lines if line["judged"]]


def drawn_line(
    sides: Compared,
    stretches: Iterable[Stretch],
    apart: Iterable[Difference],
    start: float,
    end: float,
    width: float = _WIDE,
) -> dict[str, Any]:
    """Return what is drawn of a part of a recording.

    Args:
        sides: true and predicted bouts.
        stretches, apart: of them in the recording, and where both differ.
        start, end: in seconds.
        width: of the line in px, about.

    Returns:
        start, end; ticks: (place, words); judged, apart: (place, width); rows: (name, bars) of
        both files; lanes: of a row; told: in words.
    """
    length = end - start

    def place(a: float, b: float) -> tuple[float, float] | None:
        low, high = max(a, start), min(b, end)
        return ((low - start) / length, (high - low) / length) if low < high else None

    near = [s for s in stretches if s.start_seconds < end and s.end_seconds > start]
    judged = [place(s.start_seconds, s.end_seconds) for s in near]
    differ = [place(d.start_seconds, d.end_seconds) for d in apart]
    order = {label: number for number, label in enumerate((*sides.classes, *sides.points))}
    rows, most = [], 1
    for name, unsorted in (
        ("true", [b for s in near for b in (*s.true, *s.true_points)]),
        ("predicted", [b for s in near for b in (*s.predicted, *s.predicted_points)]),
    ):
        bouts = sorted(unsorted, key=lambda bout: bout.order)
        lanes = _lanes(bouts)
        most = max(most, 1 + max(lanes, default=0))
        bars = []
        for bout, lane in zip(bouts, lanes, strict=True):
            at = place(bout.start_seconds, bout.end_seconds)
            if bout.is_point and start <= bout.start_seconds < end:
                at = ((bout.start_seconds - start) / length, 0.0)
            if at:
                room = at[1] * width >= min(_LETTER * len(bout.label) + _MARGIN, _ENOUGH)
                label = bout.label if room else ""
                colour = order[bout.label] % COLOURS
                bars.append(Bar(*at, lane, colour, label, _told(name, bout)))
        rows.append((name, bars))
    parts = 5 if 300 <= length <= 900 else 6  # full minutes, full seconds
    times = [start + length * i / parts for i in range(parts + 1)]
    return {
        "start": start,
        "end": end,
        "ticks": [((t - start) / length, clock(t)) for t in times],
        "judged": [each for each in judged if each],
        "apart": [each for each in differ if each],
        "rows": rows,
        "lanes": most,
        "told": f"from {clock(start)} to {clock(end)}",
    }


def _lanes(bouts: Sequence[Bout]) -> list[int]:
    """Return a lane for each bout, so that no two in one lane overlap.

    >>> _lanes([Bout(0, 4, "a"), Bout(1, 2, "b"), Bout(2, 3, "c")])
    [0, 1, 1]
    """
    ends, lanes = list[float](), list[int]()
    for bout in bouts:
        free = (i for i, end in enumerate(ends) if end <= bout.start_seconds + ROUNDING)
        lanes.append(next(free, len(ends)))
        ends[lanes[-1] : lanes[-1] + 1] = [bout.end_seconds]
    return lanes


def _told(side: str, bout: Bout) -> str:
    when = clock(bout.start_seconds, 1)
    if not bout.is_point:
        when += f" to {clock(bout.end_seconds, 1)}"
    sure = "" if bout.confidence is None else f", score {bout.confidence:.2f}"
    return f"{side}: {bout.label}, {when}{sure}"

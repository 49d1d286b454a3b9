"""What the section on recordings says: how well bouts are found, and where they are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from twostream.judging.agreement import IN_WORDS, Agreement, ClassAgreement
from twostream.judging.differences import Difference, differences, seconds_of_states
from twostream.judging.stretches import Compared
from twostream.judging.time_measures import NO_LABEL
from twostream.labels.stretch_ids import span_id
from twostream.report.bout_lines import COLOURS, NARROW, drawn_line, drawn_lines
from twostream.report.charts import matrix_layout
from twostream.report.clip_pictures import frames_of_stretch
from twostream.report.recording_results import BUDGET, FOLDER, RecordingResults
from twostream.report.wording import DASH, clock
from twostream.store.flow_store import FlowStore

SHOWN = 8  # stretches with pictures
_FRAMES = 3  # of each
_AROUND = 15.0  # seconds that are drawn at least on both sides of a stretch's middle
_WORTH = 0.1  # share of a stretch from which what it was taken for is told
_MOST_BARS = 20_000  # in all drawings: what a browser scrolls well
_UNFOLDED = 6  # recordings that are seen at once
_CARDS = {
    "f1": "F1 of time",
    "kappa": "Cohen's kappa",
    "f1@50": "F1@50 of bouts",
    "boundary_seconds": "boundary error, s",
    "false_bouts_an_hour": "false bouts an hour",
}
REST = "other"  # time without a label, as the nets call it


def found_bouts(results: RecordingResults | None, store: FlowStore | str) -> dict[str, Any] | None:
    """Return what the section shows; None where the data are clips.

    Args:
        results: how well both agree.
        store: with the recordings' frames; or why it is not there.
    """
    if results is None:
        return None
    found, sides = results.agreement, results.sides
    apart = differences(sides)
    labels = (*sides.classes, *sides.points)
    return {
        "count": len(sides.videos),
        "seconds": found.watched_seconds,
        "true_bouts": sum(each.true_bouts for each in found.classes),
        "agreed": found.overall["agreed"].value if "agreed" in found.overall else None,
        "cards": [_measure(found, name, words) for name, words in _CARDS.items()],
        "overall": [_measure(found, name, words) for name, words in IN_WORDS.items()],
        "legend": [(number % COLOURS, label) for number, label in enumerate(labels)],
        "repeated": len(labels) > COLOURS,
        **_drawings(results, apart),
        "matrix": _matrix(sides),
        **_longest(results, apart, store),
        "classes": [_class_cells(each) for each in found.classes],
        "points": [_point_cells(each) for each in found.points],
        "background": [
            _number(found.background.get(name)) for name in ("precision", "recall", "f1")
        ],
        "budget": f"{FOLDER}/{BUDGET}",
        "folder": FOLDER,
        "notes": found.notes,
    }


def _measure(found: Agreement, name: str, words: str) -> dict[str, str] | None:
    """Return a measure in words; None where it does not apply."""
    measure = found.overall.get(name)
    if measure is None:
        return None
    shown, interval = _rate if name == "false_bouts_an_hour" else _number, ""
    if measure.low is not None and measure.high is not None:
        interval = f"{shown(measure.low)} {DASH} {shown(measure.high)}"
    return {"words": words, "value": shown(measure.value), "interval": interval}


def _number(value: float | None) -> str:
    """Return a share, or seconds, as people read them."""
    return DASH if value is None else f"{value:.3f}"


def _rate(value: float | None) -> str:
    """Return how often an hour."""
    return DASH if value is None else f"{value:.1f}"


def _drawings(results: RecordingResults, apart: Sequence[Difference]) -> dict[str, Any]:
    """Return the drawing of each recording, as long as a browser can show them."""
    figures, left, bars = list[dict[str, Any]](), list[str](), 0
    for number, video in enumerate(results.sides.videos):
        own = [each for each in apart if each.recording == number]
        judged = sum(s.seconds for s in results.sides.stretches if s.recording == number)
        if not judged:
            continue
        bouts = sum(
            len(s.true) + len(s.predicted) for s in results.sides.stretches if s.recording == number
        )
        bars += bouts
        if bars > _MOST_BARS and figures:
            left.append(video)
            continue
        figures.append(
            {
                "video": video,
                "seconds": judged,
                "agreed": 1 - sum(each.seconds for each in own) / judged,
                "lines": drawn_lines(results.sides, number, own),
            }
        )
    return {"figures": figures[:_UNFOLDED], "folded": figures[_UNFOLDED:], "not_drawn": left}


def _matrix(sides: Compared) -> dict[str, Any]:
    """Return the confusion in seconds, as the matrices of clips are drawn."""
    names, seconds = seconds_of_states(sides)
    states = [_state(each) for each in names]
    rows = [
        {"label": label, "n": round(sum(row), 1), "counts": [round(each, 1) for each in row]}
        for label, row in zip(states, seconds.tolist(), strict=True)
    ]
    return {
        "name": "seconds",
        "label": "seconds",
        "columns": states,
        "rows": rows,
        "map": matrix_layout(states, states),
    }


def _state(state: str) -> str:
    return REST if state == NO_LABEL else state


def _longest(
    results: RecordingResults, apart: Sequence[Difference], store: FlowStore | str
) -> dict[str, Any]:
    """Return the stretches in which both differ longest; one reason for no picture is said once."""
    longest = sorted(apart, key=lambda each: -each.seconds)[:SHOWN]
    cards = [_card(results, each, apart, store) for each in longest]
    without = cards and not any(card["frames"] for card in cards)
    why = cards[0]["missing"] if without else ""
    return {"no_pictures": why, "worst": [{**c, "missing": ""} for c in cards] if why else cards}


def _card(
    results: RecordingResults,
    worst: Difference,
    apart: Sequence[Difference],
    store: FlowStore | str,
) -> dict[str, Any]:
    """Return a stretch in which both differ: pictures, and what is said around it."""
    sides, video = results.sides, results.sides.videos[worst.recording]
    middle = (worst.start_seconds + worst.end_seconds) / 2
    own = [each for each in apart if each.recording == worst.recording]
    near = [each for each in sides.stretches if each.recording == worst.recording]
    reach = max(_AROUND, worst.seconds)
    last = max(each.end_seconds for each in near)
    start = max(0.0, 5 * math.floor(min(middle - reach, last + 5 - 2 * reach) / 5))
    video_id = span_id(video, worst.start_seconds, worst.end_seconds)
    frames, missing = frames_of_stretch(store, video_id, _FRAMES)
    return {
        "video": video,
        "when": f"{clock(worst.start_seconds, 1)} to {clock(worst.end_seconds, 1)}",
        "seconds": worst.seconds,
        "states": [
            (_state(true), _state(said), length)
            for number, (true, said, length) in enumerate(worst.states)
            if not number or length >= _WORTH * worst.seconds
        ],
        "frames": [
            (uri, clock(worst.start_seconds + place * worst.seconds, 1)) for uri, place in frames
        ],
        "missing": missing,
        "line": drawn_line(sides, near, own, start, start + 2 * reach, NARROW),
    }


def _class_cells(each: ClassAgreement) -> dict[str, Any]:
    known = [value for value in each.average_precision if value is not None]
    cells = [
        str(each.true_bouts),
        str(each.predicted_bouts),
        f"{each.true_seconds:.1f}",
        f"{each.predicted_seconds:.1f}",
        *map(_number, (each.precision, each.recall, each.f1, each.kappa)),
        *map(_number, each.segmental_f1),
        _number(sum(known) / len(known) if known else None),
        _number(each.boundary_seconds),
        _rate(each.false_bouts_an_hour),
    ]
    return {"label": each.label, "cells": cells}


def _point_cells(each: Any) -> dict[str, Any]:
    cells = [
        str(each.true_points),
        str(each.predicted_points),
        *map(_number, (each.precision, each.recall, each.f1)),
        _number(each.error_seconds),
        _rate(each.false_an_hour),
    ]
    return {"label": each.label, "cells": cells}

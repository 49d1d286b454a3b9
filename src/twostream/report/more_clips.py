"""What more clips would bring, in words and as a plot, of what `twostream curve` measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from twostream.report.model_results import MINUS
from twostream.report.run_contents import NAMES, RunContents
from twostream.report.wording import clips, percent

_PIECES = 20  # of a curve, as often beyond the points, where every second one is drawn
_NAMED = 3  # classes that are named at most


def more_clips(contents: RunContents) -> dict[str, Any] | str:
    """Return the section's sentences and its plot, or what is missing and how it is made."""
    if not contents.curve:
        if contents.results.get("fit_scores") == "in-sample" or len(contents.test) < 2:
            return (
                "a curve needs training clips that were held back: train both streams with "
                "--fit-scores held-out, then `twostream curve RUN` measures it"
            )
        return f"`twostream curve {contents.run}` measures it, on training clips alone"
    try:
        return {
            "said": gains_in_words(contents.curve),
            "needs": needs_in_words(contents.curve),
            "note": _note(contents.curve),
            "plot": _plot(contents.curve),
        }
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return (
            f"curve.json cannot be used ({type(error).__name__}: {error}); "
            f"`twostream curve {contents.run}` writes it again"
        )


def gains_in_words(curve: Mapping[str, Any]) -> str:
    """Return what more clips would bring; never more than the interval says.

    Bounds are points, rounded outwards.

    Args:
        curve: what RUN/curve.json holds.
    """
    answer, now = curve["answer"], curve["clips_a_class"]
    model = curve["models"][answer]
    first, *others = model["ahead"]
    said = (
        f"{_times(first['times']).capitalize()} as many clips a class (about "
        f"{first['clips_a_class']:.0f} instead of {now:.0f}) would bring {_points(first['gain'])}"
    )
    said += "".join(f", {_times(each['times'])} as many {_points(each['gain'])}" for each in others)
    return (
        f"{said}: 90% intervals, if the curve goes on as it began. Of {clips(curve['held_out'])} "
        f"that were held back in training, {_shown(answer)} has "
        f"{percent(model['accuracy'][-1]['value'])} right at "
        f"{curve['points'][-1]['clips_a_class']:.0f} clips a class."
    )


def needs_in_words(curve: Mapping[str, Any]) -> str:
    """Return which class needs clips most, or that it cannot be said.

    Args:
        curve: what RUN/curve.json holds.
    """
    names, rows = curve["needs"], {row["name"]: row for row in curve["classes"]}
    if not names:
        return (
            "No class was recognised more often the more clips there were, so none can be said to "
            "need them most."
        )
    told = [f"{name} ({rows[name]['right']} of {rows[name]['held_out']} right)" for name in names]
    shown = _listed(told[:_NAMED])
    if len(names) == 1:
        return f"The class that needs them most is {shown}: the least recognised that still rises."
    others = len(names) - len(told[:_NAMED])
    more = f", and so do those of {others} more" if others else ""
    return (
        f"Least recognised and still rising: {shown}. Their 95% intervals overlap{more}: these "
        "clips cannot tell which of them needs more most."
    )


def _points(gain: Mapping[str, float]) -> str:
    low, high = math.floor(100 * gain["low"] + 1e-9), math.ceil(100 * gain["high"] - 1e-9)
    if high <= 0:
        return "nothing"
    unit = "point" if high == 1 else "points"
    return f"between {low} and {high} {unit}" if low > 0 else f"at most {high} {unit}, or nothing"


def _times(times: int) -> str:
    return {2: "twice", 4: "four times"}.get(times, f"{times} times")


def _shown(answer: str) -> str:
    return "the average of the streams" if answer == "average" else "the fused answer"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _note(curve: Mapping[str, Any]) -> str:
    law = curve["models"][curve["answer"]]["law"]
    learnt = "The fusion's few weights were learnt from these clips too. "
    return (
        f"{clips(curve['held_out'])} of {curve['groups']} groups, the same at each point, scored "
        f"by nets that were trained without these groups. The line of {_shown(curve['answer'])} is "
        f"{law['a']:.2f} {MINUS} {law['b']:.2f} / n^{law['c']:.2f} for n clips a class. Intervals "
        "by bootstrap over groups; of more clips also by how far the points miss a smooth curve (a "
        f"line over n^{MINUS}0.5): the luck of training, and of which clips are in a part. "
        f"{learnt if curve['answer'] == 'fused' else ''}Test clips were not used."
    )


def _plot(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lines and dots of a plot, all in 0..1; clips a class on a logarithmic axis."""
    sizes = [float(point["clips_a_class"]) for point in curve["points"]]
    models = curve["models"]
    ahead = [float(each["clips_a_class"]) for each in models[curve["answer"]]["ahead"]]
    last = max(*sizes, *ahead)

    def across(n: float) -> float:
        return math.log(n / sizes[0]) / math.log(last / sizes[0])

    def dot(model: str, n: float, found: Mapping[str, float], kind: str) -> dict[str, Any]:
        low, y, high = found["low"], found["value"], found["high"]
        told = (
            f"{NAMES[model]}, {n:.0f} clips a class: {percent(y)}, "
            f"90% interval {percent(low)} to {percent(high)}"
        )
        parts = {"x": across(n), "y": y, "low": low, "high": high, "kind": kind, "told": told}
        return {**parts, "whisker": model == curve["answer"]}

    lines = [
        {
            "model": name,
            "pieces": _pieces(model["law"], sizes[0], sizes[-1], last, across),
            "dots": [
                *(
                    dot(name, n, each, "test")
                    for n, each in zip(sizes, model["accuracy"], strict=True)
                ),
                *(
                    dot(name, each["clips_a_class"], each["accuracy"], "train")
                    for each in model["ahead"]
                ),
            ],
        }
        for name, model in models.items()
    ]
    ticks = [(across(n), f"{n:.0f}") for n in (*sizes, curve["clips_a_class"], *ahead)]
    return {"lines": lines, "ticks": ticks, "levels": (0, 0.25, 0.5, 0.75, 1)}


def _pieces(
    law: Mapping[str, float], first: float, measured: float, last: float, across: Any
) -> list[tuple[float, float, float, float]]:
    """Return a law as short lines (x1, y1, x2, y2); beyond what was measured it is dashed."""

    def between(start: float, end: float) -> list[tuple[float, float, float, float]]:
        ends = [start * (end / start) ** (i / _PIECES) for i in range(_PIECES + 1)]
        places = [(across(n), min(1, max(0, law["a"] - law["b"] * n ** -law["c"]))) for n in ends]
        return [(*one, *next_) for one, next_ in itertools.pairwise(places)]

    return between(first, measured) + between(measured, last)[1::2]

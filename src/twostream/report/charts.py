"""Arithmetic of the charts, which templates/charts.html.j2 draws as inline SVG and HTML.

Horizontal positions are percentages, so a chart fills a phone as well as a wide screen without
its letters being stretched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.report.measures import smooth, thin_out
from twostream.report.wording import percent

# Largest number of classes whose confusion matrix is a table with numbers in its cells.
TABLE_CLASSES = 24
_CELL_PX = 9
_LONGEST_LABEL = 24


def at(share: float) -> str:
    """Return a share of 0..1 as a position or length in SVG."""
    return f"{100 * share:.2f}%"


def spans(parts: Sequence[tuple[str, float]]) -> list[tuple[str, float, float]]:
    """Return (css class, start, width) of a bar's parts, given as (css class, amount).

    >>> spans([("a", 1), ("b", 3)])
    [('a', 0.0, 0.25), ('b', 0.25, 0.75)]
    """
    *starts, total = accumulate((amount for _, amount in parts), initial=0.0)
    total = total or 1.0
    return [
        (kind, start / total, n / total) for (kind, n), start in zip(parts, starts, strict=True)
    ]


def confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Return a confusion matrix's columns and rows, and the layout of a map of them.

    Args:
        counts: (k, k + 1), row true class, column predicted class, last column unreadable.
        classes: k names.

    Returns:
        columns: names, "not read" among them where clips were not.
        rows: label, n clips, and their counts by column.
        map: sizes in px and short labels for a matrix too large to hold numbers, else None.
    """
    columns = [*classes, "not read"][: len(classes) + int(counts[:, -1].any())]

    rows = [
        {"label": label, "n": sum(row), "counts": row[: len(columns)]}
        for label, row in zip(classes, counts.tolist(), strict=True)
    ]
    return {"columns": columns, "rows": rows, "map": matrix_layout(classes, columns)}


def matrix_layout(classes: Sequence[str], columns: Sequence[str]) -> dict[str, Any] | None:
    """Return the layout of a matrix too large to hold numbers: sizes in px, short labels."""
    if len(classes) <= TABLE_CLASSES:
        return None
    longest = min(_LONGEST_LABEL, max(map(len, classes)))
    return {
        "cell": _CELL_PX,
        "margin": round(longest * _CELL_PX * 0.56) + 10,
        "labels": [c if len(c) <= longest else c[: longest - 1] + "…" for c in columns],
    }


def curve_plot(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    references: Mapping[str, float],
    *,
    shares: bool,
) -> dict[str, Any]:
    """Return curves over training steps as lines of a plot of 100 x 100, y downwards.

    Args:
        curves: model -> (steps, values): as measured; at least one finite value in all.
        references: model -> a level to compare with (the accuracy on test clips).
        shares: y runs over 0..100 %, else from 0 to a round number above all trends.

    Returns:
        last: the last step.
        ticks: (position in 0..1, words) of the y axis.
        lines: model, raw and trend (points, thinned out and smoothed), reference (y, or None).
    """
    points = {model: thin_out(*curve) for model, curve in curves.items()}
    trends = {model: smooth(each) for model, each in points.items() if each}
    last = max([x for each in points.values() for x, _ in each] + [1])
    highest = max([y for each in trends.values() for _, y in each] + [1e-9])
    step = 0.25 if shares else _nice_step(highest)
    top = 1.0 if shares else step * math.ceil(highest / step - 1e-9)

    def down(y: float) -> str:
        return f"{100 - 100 * y / top:.2f}"

    def line(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{100 * x / last:.2f},{down(min(y, top))}" for x, y in points)

    values = [step * i for i in range(round(top / step) + 1)]
    lines = [
        {
            "model": model,
            "raw": line(points[model]),
            "trend": line(trend),
            "reference": down(references[model]) if model in references else None,
        }
        for model, trend in trends.items()
    ]
    ticks = [(y / top, percent(y, 0) if shares else f"{y:.3g}") for y in values]
    return {"last": last, "ticks": ticks, "lines": lines}


def _nice_step(highest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that three to six steps reach ``highest``."""
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if rough <= power * factor * 1.0001)

"""How well point events are found: one to one, within a tolerance in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from twostream.judging.stretches import Compared

_SLACK = 1e-9  # a distance of 0.1 must reach 0.3 - 0.2


@dataclass(frozen=True, slots=True)
class PointAgreement:
    """How well two files agree on one kind of point events; None: nothing to judge it by.

    Attributes:
        label: the kind.
        true_points, predicted_points, matched: how many.
        precision, recall, f1: of the events, 0..1.
        error_seconds: median distance in time of matched ones.
        late_seconds: median of predicted minus true.
        false_an_hour: predicted ones without a true one, for each watched hour.
    """

    label: str
    true_points: int
    predicted_points: int
    matched: int
    precision: float | None
    recall: float | None
    f1: float | None
    error_seconds: float | None
    late_seconds: float | None
    false_an_hour: float | None


def compare_points(compared: Compared, tolerance_seconds: float) -> tuple[PointAgreement, ...]:
    """Match the point events of each label in each stretch."""
    hours = sum(stretch.seconds for stretch in compared.stretches) / 3600
    rows = []
    for label in compared.points:
        late: list[float] = []
        counts = [0, 0]
        for stretch in compared.stretches:
            true, predicted = (
                [bout.start_seconds for bout in side if bout.label == label]
                for side in (stretch.true_points, stretch.predicted_points)
            )
            counts[0] += len(true)
            counts[1] += len(predicted)
            pairs = match_points(true, predicted, tolerance_seconds)
            late += [predicted[j] - true[i] for i, j in pairs]
        matched, either = len(late), sum(counts)
        rows.append(
            PointAgreement(
                label=label,
                true_points=counts[0],
                predicted_points=counts[1],
                matched=matched,
                precision=matched / counts[1] if counts[1] else None,
                recall=matched / counts[0] if counts[0] else None,
                f1=2 * matched / either if either else None,
                error_seconds=float(np.median(np.abs(late))) if late else None,
                late_seconds=float(np.median(late)) if late else None,
                false_an_hour=(counts[1] - matched) / hours,
            )
        )
    return tuple(rows)


def match_points(
    true: Sequence[float], predicted: Sequence[float], tolerance_seconds: float
) -> list[tuple[int, int]]:
    """Return (true, predicted) indices of point events that are at most a tolerance apart.

    One to one; as many as can be matched, and of these matchings the one with the least error.
    Both are sorted.

    >>> match_points([1.0, 2.0], [0.8, 1.1, 5.0], 1.0)
    [(0, 0), (1, 1)]
    """
    reach = tolerance_seconds + _SLACK
    events = sorted(
        [(t, 0, i) for i, t in enumerate(true)] + [(t, 1, i) for i, t in enumerate(predicted)]
    )
    pairs: list[tuple[int, int]] = []
    near: tuple[list[int], list[int]] = ([], [])
    for number, (time, side, index) in enumerate(events):
        if number and time - events[number - 1][0] > reach:  # nobody reaches across
            pairs += _assigned(true, predicted, near, reach)
            near = ([], [])
        near[side].append(index)
    return pairs + _assigned(true, predicted, near, reach)


def _assigned(
    true: Sequence[float],
    predicted: Sequence[float],
    near: tuple[list[int], list[int]],
    reach: float,
) -> list[tuple[int, int]]:
    rows, columns = near
    if not rows or not columns:
        return []
    apart = np.abs(
        np.array([true[i] for i in rows])[:, None] - np.array([predicted[i] for i in columns])
    )
    # no sum of errors within reach weighs as much as one pair more
    costs = np.where(apart <= reach, apart, 2 * reach * (min(apart.shape) + 1))
    matched = zip(*linear_sum_assignment(costs), strict=True)
    return [(rows[i], columns[j]) for i, j in matched if apart[i, j] <= reach]

"""Mean average precision at thresholds of temporal overlap, as ActivityNet defines it.

Caba Heilbron et al. 2015, as in the challenge's code: the predicted bouts of a class, most
confident first, each take the free true bout of their video that they overlap most, if by at least
the threshold; all others are wrong. The average precision is the area under the interpolated curve
of precision over recall (Pascal VOC 2010 on: at each recall the best precision from there on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twostream.judging.bout_measures import SLACK, overlaps, spans
from twostream.judging.stretches import Compared, Stretch
from twostream.judging.time_measures import mean_of_known, share

Numbers = NDArray[np.float64]
TIOUS = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The predicted bouts of a class, most confident first, and whether they are right.

    Attributes:
        recordings: (n,) where each lies.
        confidences: (n,) falling; a bout without one counts as certain, 1.
        right: (5, n) whether it takes a true bout, at each of ``TIOUS``.
        true: (r,) number of true bouts in each recording.
    """

    recordings: NDArray[np.int64]
    confidences: Numbers
    right: NDArray[np.bool_]
    true: Numbers


def rank(compared: Compared, label: str) -> Ranking:
    """Match the bouts of a class. Equally confident ones take true bouts in the order of time."""
    rows: list[tuple[float, int, list[bool]]] = []
    true = np.zeros(len(compared.videos))
    for stretch in compared.stretches:
        true[stretch.recording] += sum(bout.label == label for bout in stretch.true)
        rows += _matched(stretch, label)
    rows.sort(key=lambda row: -row[0])
    return Ranking(
        np.array([recording for _, recording, _ in rows], np.int64),
        np.array([confidence for confidence, _, _ in rows]),
        np.array([right for _, _, right in rows], np.bool_).reshape(-1, len(TIOUS)).T,
        true,
    )


def _matched(stretch: Stretch, label: str) -> list[tuple[float, int, list[bool]]]:
    true = spans([bout for bout in stretch.true if bout.label == label])
    certain = [
        (1.0 if bout.confidence is None else bout.confidence, bout)
        for bout in stretch.predicted
        if bout.label == label
    ]
    taken: list[set[int]] = [set() for _ in TIOUS]
    rows = []
    for confidence, bout in sorted(certain, key=lambda each: -each[0]):
        shares = overlaps(bout, true)
        order = np.argsort(-shares, kind="stable").tolist()
        right = []
        for tiou, before in zip(TIOUS, taken, strict=True):
            free = (i for i in order if i not in before and shares[i] >= tiou - SLACK)
            best = next(free, None)
            before |= set() if best is None else {best}
            right.append(best is not None)
        rows.append((confidence, stretch.recording, right))
    return rows


def average_precision(ranking: Ranking, tiou: int, weights: Numbers) -> Numbers:
    """Return (d,) average precision at ``TIOUS[tiou]``; NaN where there is no true bout.

    Bouts of one confidence come together, as one point of the curve: their order says nothing.

    Args:
        ranking: of a class.
        tiou: index of the threshold.
        weights: (d, r) how often each recording counts: once, or as often as it is drawn.
    """
    true = weights @ ranking.true
    if not len(ranking.confidences):
        return np.where(true > 0, 0.0, np.nan)
    counts = weights[:, ranking.recordings]
    last = np.append(np.diff(ranking.confidences) != 0, True)
    right = np.cumsum(counts * ranking.right[tiou], axis=1)[:, last]
    precision = np.nan_to_num(share(right, np.cumsum(counts, axis=1)[:, last]))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = share(right, true[:, None])
    area = (np.diff(recall, axis=1, prepend=0.0) * best).sum(axis=1)
    return np.where(true > 0, area, np.nan)


def mean_average_precision(
    rankings: Sequence[Ranking], tious: Sequence[int], weights: Numbers
) -> Numbers:
    """Return (d,) the mean over classes that have a true bout, and over thresholds."""
    each = [[average_precision(r, tiou, weights) for r in rankings] for tiou in tious]
    if not rankings:
        return np.full(len(weights), np.nan)
    return mean_of_known(np.moveaxis(np.array(each), 1, -1)).mean(axis=0)

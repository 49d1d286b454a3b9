"""The numbers of the report: pure functions of ``VideoScores``, nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from twostream.types import VideoScores

CALIBRATION_BINS = 15  # as Guo et al. 2017; their number matters little
CALIBRATION_DRAWS = 200


def confidence_interval(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share (Wilson 1927).

    Unlike the textbook interval it stays inside 0..1 and is of use near 0 and 1 and for few clips.

    Args:
        correct: clips that are right.
        n: clips; with none nothing is known and the interval is 0..1.

    Raises:
        ValueError: correct is not within 0..n.

    >>> [round(x, 4) for x in confidence_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if not 0 <= correct <= n:
        raise ValueError(f"needs 0 <= correct <= n, got {correct} of {n}")
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    # rounding must not push a bound past the share itself
    return min(float(interval.low), correct / n), max(float(interval.high), correct / n)


def paired_p_value(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the two-sided exact McNemar p value of two models on the same clips.

    Args:
        first, second: (n,) whether each clip is right, in the same order of clips.

    >>> paired_p_value(np.array([True] * 6), np.array([False] * 6))
    0.03125
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """An accuracy with what it rests on.

    Attributes:
        correct, n: clips that are right, of how many.
        low, high: 95 % Wilson interval, in 0..1.
    """

    correct: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Accuracy in 0..1; 0 without clips."""
        return self.correct / self.n if self.n else 0.0


def accuracy(scores: VideoScores) -> Accuracy:
    """Return the accuracy of scores; unreadable clips count as wrong."""
    correct, n = int(scores.correct().sum()), len(scores.video_ids)
    return Accuracy(correct, n, *confidence_interval(correct, n))


def chance(scores: VideoScores) -> float:
    """Return the accuracy of always guessing the most frequent class of these clips, in 0..1."""
    known = scores.labels[scores.labels >= 0]
    return float(np.bincount(known).max() / len(scores.labels)) if len(known) else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether scores are chances: of clips with a best score near 80 %, 80 % should be right.

    Attributes:
        error: expected calibration error, in 0..1.
        by_chance: the error that scores which are chances would have on so many clips, as a mean
            over drawn labels.
        mean_score: of the best classes.
        share: of the same clips that are right.
        bins: (lowest score, clips, mean best score, share right) of each that holds clips.
    """

    error: float
    by_chance: float
    mean_score: float
    share: float
    bins: tuple[tuple[float, int, float, float], ...]


def calibration(scores: VideoScores, bins: int = CALIBRATION_BINS) -> Calibration | None:
    """Return the expected calibration error of probabilities (Guo et al. 2017, equation 3).

    Clips are put in bins of equal width by their best score; the error is the mean over the clips
    of how far the share that is right lies from the mean best score in their bin. Clips that could
    not be read or have no label are left out.

    Args:
        scores: probabilities.
        bins: their number.

    Returns:
        None where scores are no probabilities, or there are no clips.
    """
    usable = (scores.predictions() >= 0) & (scores.labels >= 0)
    if scores.kind != "probabilities" or not usable.any():
        return None
    best, right = scores.scores[usable].max(axis=1).astype(np.float64), scores.correct()[usable]
    places = np.minimum((best * bins).astype(int), bins - 1)
    found = []
    for place in np.unique(places).tolist():
        rows = places == place
        found.append(
            (place / bins, int(rows.sum()), float(best[rows].mean()), float(right[rows].mean()))
        )
    error = sum(n * abs(mean - share) for _, n, mean, share in found) / len(best)
    by_chance = _error_by_chance(best, places, bins)
    return Calibration(error, by_chance, float(best.mean()), float(right.mean()), tuple(found))


def _error_by_chance(best: NDArray[np.float64], places: NDArray[np.int64], bins: int) -> float:
    """Return the mean error where each clip is right with its best score as the chance."""
    drawn = np.random.default_rng(0).random((CALIBRATION_DRAWS, len(best))) < best
    gaps = np.stack(
        [(drawn - best)[:, places == place].sum(axis=1) for place in range(bins)], axis=1
    )
    return float(np.abs(gaps).sum(axis=1).mean() / len(best))


def confusion(scores: VideoScores) -> NDArray[np.int64]:
    """Return (k, k + 1) counts: row true class, column predicted class, last column unreadable."""
    k = len(scores.classes)
    counts = np.zeros((k, k + 1), np.int64)
    predicted = scores.predictions()
    known = scores.labels >= 0
    np.add.at(counts, (scores.labels[known], predicted[known] % (k + 1)), 1)
    return counts


def recalls(scores: VideoScores) -> NDArray[np.float64]:
    """Return (k,) share of each class's clips that are right; NaN for a class without clips."""
    counts = confusion(scores)
    with np.errstate(invalid="ignore"):
        return counts.diagonal() / counts.sum(axis=1)


def agreement(
    spatial: VideoScores, temporal: VideoScores, fused: Mapping[str, VideoScores]
) -> dict[str, Any]:
    """Count clips that both, one or neither stream has right; all in the same order of clips.

    Returns:
        clips: {"both", "spatial", "temporal", "neither"} -> number of clips.
        fused: fusion -> the same keys -> how many of these clips it has right.
    """
    s, t = spatial.correct(), temporal.correct()
    groups = {"both": s & t, "spatial": s & ~t, "temporal": t & ~s, "neither": ~s & ~t}
    return {
        "clips": {name: int(rows.sum()) for name, rows in groups.items()},
        "fused": {
            method: {name: int((rows & scores.correct()).sum()) for name, rows in groups.items()}
            for method, scores in fused.items()
        },
    }


def hardest(scores: VideoScores, at_most: int = 12, at_least: int = 6) -> list[int]:
    """Return rows of the hardest clips: wrong with the highest score first.

    With fewer than ``at_least`` wrong ones, right ones follow, lowest score of the true class
    first. Clips that could not be read or have no label are left out.
    """
    predicted = scores.predictions()
    usable = (predicted >= 0) & (scores.labels >= 0)
    right = predicted == scores.labels
    top = scores.scores.max(axis=1, initial=-np.inf)
    sure, unsure = (np.argsort(order, kind="stable").tolist() for order in (-top, top))
    wrong = [row for row in sure if usable[row] and not right[row]][:at_most]
    fill = [row for row in unsure if usable[row] and right[row]]
    return wrong + fill[: max(0, at_least - len(wrong))]


def top_confusions(
    counts: NDArray[np.int64], at_most: int = 8
) -> list[tuple[int, int, int, float]]:
    """Return the most frequent mistakes as (true, predicted, clips, share of the true class)."""
    wrong = counts[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:at_most].tolist()
    cells = [divmod(cell, len(counts)) for cell in order]
    found = [(i, j, int(wrong[i, j])) for i, j in cells if wrong[i, j]]
    return [(i, j, count, count / int(counts[i].sum())) for i, j, count in found]


def thin_out(
    steps: Sequence[float], values: Sequence[float], at_most: int = 240
) -> list[tuple[float, float]]:
    """Return a curve with at most ``at_most`` points, means over neighbours; NaNs are dropped."""
    points = [(x, y) for x, y in zip(steps, values, strict=True) if math.isfinite(y)]
    group = max(1, -(-len(points) // at_most))
    chunks = [points[i : i + group] for i in range(0, len(points), group)]
    return [tuple(np.mean(chunk, axis=0).tolist()) for chunk in chunks]


def smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the mean over a twelfth of the curve around each point, so that nothing lags behind.

    Near the ends the window shrinks on both sides alike.

    >>> smooth([(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)])
    [(0.0, 1.0), (1.0, 2.0), (2.0, 2.0)]
    """
    reach = max(1, len(points) // 24)
    result = []
    for i, (x, _) in enumerate(points):
        near = min(reach, i, len(points) - 1 - i)
        around = [y for _, y in points[i - near : i + near + 1]]
        result.append((x, sum(around) / len(around)))
    return result

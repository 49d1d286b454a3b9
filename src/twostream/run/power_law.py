"""A learning curve: accuracy over clips a class as a power law, and what more clips would bring.

Pure functions of arrays. Accuracy rises as ``a - b * n ** -c`` with the number n of clips a class:
the inverse power law of Figueroa et al. 2012, "Predicting sample size required for classification
performance"; how far such curves can be trusted: Viering and Loog 2021, "The shape of learning
curves". What is drawn for the interval are groups of held-out clips, which resemble each other, and
the luck of each point's training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

EXPONENTS = np.linspace(0.05, 2.0, 196)  # c: nearly a logarithm .. saturated after a few clips
SHARE = 0.9  # of the intervals
TAIL = (1 - SHARE) / 2
DRAWS = 1000

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """accuracy(n) = a - b * n ** -c.

    Attributes:
        a: the accuracy of endlessly many clips, in 0..1.
        b: 0 or more: more clips never harm.
        c: one of ``EXPONENTS``.

    >>> round(PowerLaw(0.9, 0.8, 0.5).at(16), 3)
    0.7
    """

    a: float
    b: float
    c: float

    def at(self, clips: float) -> float:
        """Return the accuracy in 0..1 at so many clips a class."""
        return min(1.0, max(0.0, self.a - self.b * clips**-self.c))


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate with its ``SHARE`` interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """A fitted curve with what is sure of it; see ``learning_curve``.

    Attributes:
        law: fitted to the points.
        points: accuracy at each point.
        ahead: times as many clips as now -> accuracy there.
        gains: likewise -> the accuracy that is gained over the fitted curve now.
    """

    law: PowerLaw
    points: tuple[Range, ...]
    ahead: dict[int, Range]
    gains: dict[int, Range]


def fit_power_law(clips: Sequence[float], accuracy: Sequence[float]) -> PowerLaw:
    """Fit a power law by least squares.

    Args:
        clips: a class, ascending, above 0.
        accuracy: at each, in 0..1.
    """
    found = _fitted(np.asarray(clips, float), np.asarray(accuracy, float)[None])
    return PowerLaw(*(float(value) for value in found[0]))


def learning_curve(
    clips: Sequence[float],
    right: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    now: float,
    times: Sequence[int] = (2, 4),
) -> LearningCurve:
    """Fit a power law to points, and draw them again and again for the intervals.

    Each draw is of held-out groups, the same at all points, and of each point's own luck: of its
    training and of which clips it was trained on. The range of a point is of the groups alone.

    Args:
        clips: (p,) a class, ascending.
        right: (p, n) whether each held-out clip is right, at each of three points or more.
        groups: (n,) the group of each clip.
        now: the clips a class that gains are counted from.
        times: how many times as many to look ahead to.
    """
    n, measured = np.asarray(clips, float), right.mean(axis=1)
    law = fit_power_law(n.tolist(), measured.tolist())
    random = np.random.default_rng(0)
    accuracies = measured + _luck_of_groups(right, groups, random)  # (draws, p)
    a, b, c = _fitted(n, accuracies + _luck_of_points(n, measured, random)).T

    def at(many: float) -> Array:
        return np.clip(a - b * many**-c, 0, 1)

    def around(value: float, draws: Array) -> Range:
        return _range(value, draws, right.shape[1]) if len(set(groups)) > 1 else Range(value, 0, 1)

    return LearningCurve(
        law,
        tuple(map(around, measured.tolist(), accuracies.T)),
        {k: around(law.at(k * now), at(k * now)) for k in times},
        {k: around(law.at(k * now) - law.at(now), at(k * now) - at(now)) for k in times},
    )


def _luck_of_groups(
    right: NDArray[np.bool_], groups: Sequence[str], random: np.random.Generator
) -> Array:
    """Return (draws, p) how far each point's accuracy is off where groups are drawn again.

    A bootstrap of few groups lies too near: what it draws is stretched as a t interval is
    (``experiments.paired_differences`` does the same).
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    if count < 2:
        return np.zeros((DRAWS, len(right)))
    sums = np.stack([np.bincount(member, weights=row, minlength=count) for row in right])
    drawn = random.multinomial(count, np.full(count, 1 / count), size=DRAWS)
    off = (drawn @ sums.T) / (drawn @ np.bincount(member))[:, None] - right.mean(axis=1)
    stretch = t.ppf(1 - TAIL, count - 1) / norm.ppf(1 - TAIL) * math.sqrt(count / (count - 1))
    return np.asarray(stretch * off)


def _luck_of_points(clips: Array, accuracy: Array, random: np.random.Generator) -> Array:
    """Return (draws, p) how far each point is off by luck of its own, as the points tell it.

    Three points always lie near some power law, so it says nothing of luck. They need not lie on a
    line over n ** -0.5, the middle of the exponents that learning curves have: how far they miss
    it, with p - 2 degrees of freedom, is taken for luck, and how sure that is is drawn too.
    """
    line = np.stack([np.ones_like(clips), clips**-0.5], axis=1)
    missed = accuracy - line @ np.linalg.lstsq(line, accuracy, rcond=None)[0]
    deviation = np.sqrt((missed**2).sum() / random.chisquare(len(clips) - 2, (DRAWS, 1)))
    return np.asarray(deviation * random.standard_normal((DRAWS, len(clips))))


def _range(value: float, draws: Array, clips: int) -> Range:
    """Return an estimate between the quantiles of its draws; all lie in 0..1.

    Draws that all agree are no certainty: so many clips more could have differed unseen (the "rule
    of three", as in ``experiments.paired_differences``).
    """
    low, high = np.quantile(draws, [TAIL, 1 - TAIL]).tolist()
    if high - low < 1e-9:
        low, high = value + math.log(TAIL) / clips, value - math.log(TAIL) / clips
    return Range(value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def _fitted(clips: Array, accuracies: Array) -> Array:
    """Return (d, 3) a, b and c of the least squares for each of (d, p) accuracies.

    For a given c the law is a straight line in n ** -c, whose least squares inside 0 <= a <= 1 and
    b >= 0 is the free one, or lies on an edge.
    """
    x = (clips / clips[0])[None] ** -EXPONENTS[:, None]  # (c, p), 1 at the first point
    y = accuracies
    x_mean, y_mean = x.mean(axis=1), y.mean(axis=1)
    spread = x - x_mean[:, None]
    slope = -(spread @ y.T) / (spread**2).sum(axis=1)[:, None]  # (c, d)
    free_a = y_mean + slope * x_mean[:, None]
    at_most = np.maximum(0.0, (x @ (1 - y).T) / (x**2).sum(axis=1)[:, None])
    inside = (slope >= 0) & (free_a <= 1)
    a = np.where(inside, free_a, np.where(slope < 0, y_mean, 1.0))
    b = np.where(inside, slope, np.where(slope < 0, 0.0, at_most))
    errors = ((a[..., None] - b[..., None] * x[:, None] - y) ** 2).sum(axis=2)
    best = errors.argmin(axis=0)
    rows = np.arange(len(y))
    c = EXPONENTS[best]
    return np.stack([a[best, rows], b[best, rows] * clips[0] ** c, c], axis=1)

"""A learning curve: accuracy over clips a class as a power law, and what more clips would bring.

Pure functions of arrays. Accuracy rises as ``a - b * n ** -c`` with the number n of clips a class:
the inverse power law of Figueroa et al. 2012, "Predicting sample size required for classification
performance"; how far such curves can be trusted: Viering and Loog 2021, "The shape of learning
curves". What is drawn for the interval are groups of held-out clips, which resemble each other.
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
    """Fit a power law to points, and draw held-out groups again and again for the intervals.

    Quantiles of a bootstrap of few groups lie too near: their distances are stretched as those of a
    t interval are (``experiments.paired_differences`` does the same). The luck of which clips were
    drawn for training is not in the interval.

    Args:
        clips: (p,) a class, ascending.
        right: (p, n) whether each held-out clip is right, at each point.
        groups: (n,) the group of each clip.
        now: the clips a class that gains are counted from.
        times: how many times as many to look ahead to.
    """
    n = np.asarray(clips, float)
    law = fit_power_law(n.tolist(), right.mean(axis=1).tolist())
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.stack([np.bincount(member, weights=row, minlength=len(names)) for row in right])
    sizes = np.bincount(member)
    shares = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(0).multinomial(len(names), shares, size=DRAWS)
    accuracies = (drawn @ sums.T) / (drawn @ sizes)[:, None]  # (draws, p)
    a, b, c = _fitted(n, accuracies).T

    def at(many: float) -> Array:
        return np.clip(a - b * many**-c, 0, 1)

    def around(value: float, draws: Array) -> Range:
        return _range(value, draws, len(names))

    measured = right.mean(axis=1).tolist()
    return LearningCurve(
        law,
        tuple(around(value, draws) for value, draws in zip(measured, accuracies.T, strict=True)),
        {k: around(law.at(k * now), at(k * now)) for k in times},
        {k: around(law.at(k * now) - law.at(now), at(k * now) - at(now)) for k in times},
    )


def _range(value: float, draws: Array, groups: int) -> Range:
    """Return an estimate between the stretched quantiles of its draws; all lie in 0..1."""
    if groups < 2:
        return Range(value, 0.0, 1.0)
    tail = (1 - SHARE) / 2
    stretch = t.ppf(1 - tail, groups - 1) / norm.ppf(1 - tail) * math.sqrt(groups / (groups - 1))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Range(
        value,
        max(0.0, value - float(stretch * max(0.0, value - low))),
        min(1.0, value + float(stretch * max(0.0, high - value))),
    )


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

"""How sure a measure over recordings is: bootstrap over groups of recordings.

What is drawn are groups (people, takes), not bouts or seconds: those of one recording resemble each
other (Davison and Hinkley 1997, section 3.8: the cluster bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

Numbers = NDArray[np.float64]
DRAWS = 1000
UNSEEN = -math.log(0.025)  # events that may come where none was seen (Poisson), two-sided


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its 95% interval over groups of recordings.

    Attributes:
        value: None: nothing to judge it by, such as no bout in any file.
        low, high: None: with a single group, or where all agree exactly, nothing is known of how
            far others may be off.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def stretched(groups: int) -> float:
    """Return by how much the bootstrap's quantiles of few groups lie too near to the mean.

    As much as a normal interval of the plain variance does against Student's: for G groups
    t(G - 1) / 1.96 * sqrt(G / (G - 1)).
    """
    return float(t.ppf(0.975, groups - 1) / norm.ppf(0.975) * math.sqrt(groups / (groups - 1)))


def drawn_weights(groups: Sequence[str], draws: int) -> Numbers:
    """Return (draws, r) how often each recording counts where groups are drawn with replacement.

    The random numbers are fixed.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(len(names), [1 / len(names)] * len(names), draws)
    return drawn[:, member].astype(float)


def measured(
    measure: Callable[[Numbers], Numbers],
    groups: Sequence[str],
    draws: int = DRAWS,
    bounds: tuple[float, float] = (0.0, 1.0),
    unseen: float | None = None,
    over_labels: bool = False,
) -> Measure:
    """Return a measure of all recordings, and its interval where there are several groups.

    Args:
        measure: of (d, r) weights of the recordings, (d,); NaN where it is not defined.
        groups: of each recording.
        draws: resamples of the groups; 0: no interval.
        bounds: between which the measure lies.
        unseen: how far it may be off where all draws agree, if that is known.
        over_labels: whether it is a mean over labels. A label that a draw lacks falls out of it,
            which moves draws of few recordings to one side alone: the wider one holds for both.
    """
    value = float(measure(np.ones((1, len(groups))))[0])
    if math.isnan(value):
        return Measure(None)
    count = len(set(groups))
    if count < 2 or not draws:
        return Measure(value)
    parts = np.array_split(
        drawn_weights(groups, draws), min(draws, 20)
    )  # of many bouts, not all at once
    values = np.concatenate([measure(part) for part in parts])
    values = values[~np.isnan(values)]  # a draw may have no recording with the class
    if not len(values):
        return Measure(value)
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    below, above = (stretched(count) * max(0.0, d) for d in (value - low, high - value))
    if over_labels:
        below = above = max(below, above)
    if below + above < 1e-9:
        if unseen is None:
            return Measure(value)
        below = above = unseen
    return Measure(value, max(bounds[0], value - below), min(bounds[1], value + above))


def weighted_median(values: Numbers, weights: Numbers) -> Numbers:
    """Return (d,) medians of (n,) values that count (d, n) whole times; NaN where none does.

    >>> weighted_median(np.array([3.0, 1.0, 2.0, 9.0]), np.array([[1, 1, 1, 0], [1, 1, 1, 1]]))
    array([2. , 2.5])
    """
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values)
    below = np.cumsum(weights[:, order], axis=1)
    half = below[:, -1:] / 2
    middle = [values[order][(reached).argmax(axis=1)] for reached in (below >= half, below > half)]
    return np.where(half[:, 0] > 0, (middle[0] + middle[1]) / 2, np.nan)

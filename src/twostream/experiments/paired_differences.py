"""How sure a difference is: paired bootstrap over groups, and what it would take to decide.

Pure functions of arrays. Clips of one group (person, take, source video) resemble each other, so
groups are drawn, not clips (Davison and Hinkley 1997, section 3.8: the cluster bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twostream.judging.intervals import stretched

DRAWS = 10_000
Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over clips with its 95% interval, in per cent or in points; see ``group_interval``."""

    mean: float
    low: float
    high: float
    clips: int
    groups: int


def group_interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    *,
    least: float = -1.0,
    draws: int = DRAWS,
) -> Interval:
    """Return the mean of per-clip values and its 95% bootstrap interval over groups.

    The quantiles of a bootstrap of few groups lie too near (of 9 groups they hold the truth about
    91 times in 100), so their distances from the mean are stretched as a t interval's are against
    a normal one's of the plain variance: by t(G - 1) / 1.96 * sqrt(G / (G - 1)) for G groups.
    Groups that all agree would give no width at all, which is no certainty either: then up to
    ``-ln(0.025)`` clips more could have differed unseen (the "rule of three", two-sided).

    Args:
        values: (n,) one value a clip, n at least 1: the share of seeds that were right, or a
            difference of two such shares (paired, because it is of the same clip).
        groups: the group of each clip.
        least: the least value that a clip can have: 0 for shares, -1 for differences; 1 is the
            most. The interval stays between.
        draws: resamples of the groups, with replacement; their random numbers are fixed.

    Returns:
        In 100ths: per cent, or points. With a single group nothing is known of others: the
        interval is infinite.

    >>> result = group_interval(np.tile([0.0, 0.1, 0.2, 0.3], 5), list("abcd" * 5))
    >>> result.mean, round(result.low, 1), round(result.high, 1)
    (15.0, -3.7, 33.7)
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    sums = np.bincount(member, weights=values)
    counts = np.bincount(member)
    # thirds of three seeds do not cancel exactly: rounding noise must not decide a verdict
    mean = round(100 * float(values.mean()), 9)
    count = len(names)
    if count < 2:
        return Interval(mean, -math.inf, math.inf, len(values), count)
    drawn = np.random.default_rng(0).integers(count, size=(draws, count))
    means = 100 * sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    below, above = mean - np.quantile(means, 0.025), np.quantile(means, 0.975) - mean
    stretch = stretched(count)
    unseen = 100 * -math.log(0.025) / len(values) if below + above < 1e-9 else 0.0
    low = max(100 * least, mean - max(float(stretch * below), unseen))
    high = min(100.0, mean + max(float(stretch * above), unseen))
    return Interval(mean, round(low, 9), round(high, 9), len(values), count)


def verdict(
    difference: Interval, kind: Literal["better", "similar"], margin_points: float
) -> Verdict:
    """Return what an interval of a difference says of a comparison.

    >>> sure, wide = Interval(4, 1, 7, 80, 9), Interval(4, -1, 9, 80, 9)
    >>> verdict(sure, "better", 5), verdict(wide, "better", 5), verdict(sure, "similar", 5)
    ('confirmed', 'undecided', 'undecided')
    >>> verdict(Interval(9, 6, 12, 80, 9), "similar", 5)
    'refuted'
    """
    low, high = difference.low, difference.high
    if kind == "better":
        return "confirmed" if low > 0 else "refuted" if high < 0 else "undecided"
    if -margin_points < low and high < margin_points:
        return "confirmed"
    return "refuted" if low > margin_points or high < -margin_points else "undecided"


def clips_to_decide(
    difference: Interval, kind: Literal["better", "similar"], margin_points: float
) -> int | None:
    """Return how many clips of such groups would decide, if the difference stayed as it is.

    Each bound comes nearer to the mean with the square root of the number of groups; what counts
    are the bounds that have to come off a line, 0 or a margin. None: no number of clips decides,
    because the difference lies on the line itself, or nothing is known of the interval.
    """
    below, above = difference.mean - difference.low, difference.high - difference.mean
    if not (math.isfinite(below) and math.isfinite(above)):
        return None
    reach = abs(difference.mean)
    towards_zero = below if difference.mean > 0 else above
    if kind == "better":
        needed = [(towards_zero, reach)]
    elif reach > margin_points:
        needed = [(towards_zero, reach - margin_points)]
    else:
        away = above if difference.mean > 0 else below
        needed = [(towards_zero, margin_points + reach), (away, margin_points - reach)]
    if any(distance < 1e-9 for _, distance in needed):
        return None
    factor = max(1.0, *(width / distance for width, distance in needed))
    return math.ceil(difference.clips * factor**2)

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

DRAWS = 10_000
Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95% interval, in per cent or in points.

    Attributes:
        mean: over all clips.
        low, high: 2.5% and 97.5% quantile over draws of groups.
        clips, groups: what it rests on.
    """

    mean: float
    low: float
    high: float
    clips: int
    groups: int


def group_interval(
    values: NDArray[np.float64], groups: Sequence[str], *, draws: int = DRAWS
) -> Interval:
    """Return the mean of per-clip values and its bootstrap interval over groups.

    Args:
        values: (n,) one value a clip: the share of seeds that were right, or a difference of two
            such shares (paired, because it is of the same clip).
        groups: the group of each clip.
        draws: resamples of the groups, with replacement; their random numbers are fixed.

    Returns:
        In 100ths: per cent, or points. With a single group nothing is known of others: the
        interval is infinite.

    Raises:
        ValueError: no clips.

    >>> result = group_interval(np.array([1.0, 1.0, 0.0, 0.0]), ["a", "a", "b", "b"])
    >>> result.mean, result.low, result.high
    (50.0, 0.0, 100.0)
    """
    if not len(values) or len(values) != len(groups):
        raise ValueError(f"needs a group for each clip, got {len(values)} and {len(groups)}")
    names, member = np.unique(np.array(groups), return_inverse=True)
    sums = np.bincount(member, weights=values)
    counts = np.bincount(member)
    mean = 100 * float(values.mean())
    if len(names) < 2:
        return Interval(mean, -math.inf, math.inf, len(values), len(names))
    drawn = np.random.default_rng(0).integers(len(names), size=(draws, len(names)))
    means = 100 * sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    # thirds of three seeds do not cancel exactly: rounding noise must not decide a verdict
    low, high = np.quantile(means, [0.025, 0.975]).round(9)
    return Interval(round(mean, 9), float(low), float(high), len(values), len(names))


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

    The interval's half-width falls with the square root of the number of groups. None: no number
    of clips decides, because the difference lies on the line itself.
    """
    reach = abs(difference.mean)
    if kind == "similar":
        reach = abs(margin_points - reach)
    half = max(difference.high - difference.mean, difference.mean - difference.low)
    if reach < 1e-9 or not math.isfinite(half):
        return None
    return math.ceil(difference.clips * max(1.0, (half / reach) ** 2))

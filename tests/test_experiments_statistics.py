"""Intervals over groups and verdicts, with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from twostream.experiments.claims import MARGIN_POINTS
from twostream.experiments.paired_differences import (
    Interval,
    clips_to_decide,
    group_interval,
    verdict,
)


def test_the_interval_is_over_groups_not_clips() -> None:
    rng = np.random.default_rng(0)
    one_each = group_interval(rng.random(400).round(), [str(i) for i in range(400)])
    # the same number of clips, but all clips of a group agree: the interval is some sqrt(20) wider
    values = np.repeat(rng.random(20).round(), 20)
    whole = group_interval(values, [str(i // 20) for i in range(400)])
    assert one_each.high - one_each.low == pytest.approx(2 * 196 * 0.5 / 20, rel=0.15)
    assert whole.high - whole.low == pytest.approx(2 * 196 * 0.5 / np.sqrt(20), rel=0.2)
    assert (whole.clips, whole.groups) == (400, 20)


@pytest.mark.parametrize("groups", [5, 9, 40])
def test_the_interval_covers_what_it_should(groups: int) -> None:
    """Of many samples about 95% of the intervals hold the true mean, with few groups too."""
    rng = np.random.default_rng(1)
    samples = 500
    hits = 0
    for _ in range(samples):
        levels = rng.normal(0.1, 0.2, groups)
        values = np.repeat(levels, 5) + rng.normal(0, 0.1, 5 * groups)
        found = group_interval(values, [str(i // 5) for i in range(5 * groups)], draws=500)
        hits += found.low <= 10 <= found.high
    # three standard errors of a share of 0.95 of 500 are 2.9 points
    assert 0.921 <= hits / samples <= 0.979


def test_clips_that_all_agree_are_no_certainty() -> None:
    names = [str(i // 10) for i in range(100)]
    equal = group_interval(np.zeros(100), names)
    assert (equal.low, equal.high) == pytest.approx((-3.689, 3.689), abs=1e-3)
    perfect = group_interval(np.ones(100), names, least=0)
    assert (perfect.low, perfect.high) == (pytest.approx(96.311, abs=1e-3), 100)
    few = group_interval(np.zeros(50), names[:50])
    assert verdict(few, "similar", MARGIN_POINTS) == "undecided"


@pytest.mark.parametrize("one_group", [[1.0, 0, 0, 0, 0], [1.0, -1, 0, 0, 0]])
def test_groups_that_all_agree_are_no_certainty_either(one_group: list[float]) -> None:
    """In each of nine groups the same: drawing groups anew changes nothing."""
    names = [str(i // 5) for i in range(45)]
    found = group_interval(np.array(one_group * 9), names)
    unseen = 100 * 3.689 / 45
    assert found.mean - found.low == pytest.approx(unseen, abs=1e-2)
    assert found.high - found.mean == pytest.approx(unseen, abs=1e-2)


def test_unequal_groups_weigh_by_their_clips() -> None:
    found = group_interval(np.array([1.0] * 9 + [0.0]), ["a"] * 9 + ["b"], least=0)
    assert found.mean == 90
    assert (found.low, found.high) == (0, 100)


def test_rounding_noise_decides_nothing() -> None:
    values = np.array([(1 - 2 / 3) - 1 / 3, 0.0] * 6)
    assert values.max() > 0  # thirds do not cancel
    found = group_interval(values, [str(i) for i in range(12)])
    assert verdict(found, "better", MARGIN_POINTS) == "undecided"


def test_a_single_group_decides_nothing() -> None:
    found = group_interval(np.ones(5), ["a"] * 5)
    assert verdict(found, "better", MARGIN_POINTS) == "undecided"
    assert clips_to_decide(found, "better", MARGIN_POINTS) is None


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0.1, 9, "better", "confirmed"),
        (0.0, 9, "better", "undecided"),
        (-9, -0.1, "better", "refuted"),
        (-4.9, 4.9, "similar", "confirmed"),
        (-5.1, 4.9, "similar", "undecided"),
        (5.1, 9, "similar", "refuted"),
        (-9, -5.1, "similar", "refuted"),
        (-9, 9, "similar", "undecided"),
    ],
)
def test_verdicts_at_their_edges(low: float, high: float, kind: str, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 80, 9), kind, 5) == expected  # type: ignore[arg-type]


def test_clips_that_would_decide() -> None:
    # half-width 8 around 2: four times too wide, so sixteen times the clips
    assert clips_to_decide(Interval(2, -6, 10, 80, 9), "better", 5) == 80 * 16
    # only the bound on the side of 0 has to move
    assert clips_to_decide(Interval(2, -2, 42, 80, 9), "better", 5) == 80 * 4
    assert clips_to_decide(Interval(-2, -42, 2, 80, 9), "better", 5) == 80 * 4
    # similar: 2 is 3 points from the margin
    assert clips_to_decide(Interval(2, -4, 8, 90, 9), "similar", 5) == 90 * 4
    # 9 is 4 points from the margin, towards which it reaches 8
    assert clips_to_decide(Interval(9, 1, 99, 90, 9), "similar", 5) == 90 * 4
    assert clips_to_decide(Interval(0, -6, 6, 80, 9), "better", 5) is None
    assert clips_to_decide(Interval(5, -1, 11, 80, 9), "similar", 5) is None

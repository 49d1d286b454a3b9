"""Warm start: the same results whatever was computed before, cuts, runs of fixed length."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from test_solvers import X, Y, grey, inner_error, waves
from twostream.flow import make_estimator
from twostream.flow.warm_start import WarmStart

NAMES = ("tvl1", "brox")


def clip(num_frames: int = 6, dx: float = 1.7, dy: float = -0.8) -> list[np.ndarray]:
    """Frames whose content moves by (dx, dy) px each."""
    return [grey(waves(X - dx * t, Y - dy * t)) for t in range(num_frames)]


def fields(name: str, frames: list[np.ndarray], **parameters: int | float) -> list[np.ndarray]:
    estimator = make_estimator(name, **parameters)
    return [estimator(*pair) for pair in itertools.pairwise(frames)]


@pytest.mark.parametrize("name", NAMES)
class TestEstimators:
    def test_a_steady_motion_stays_known(self, name: str) -> None:
        truth = np.array([1.7, -0.8])[:, None, None]
        warm = fields(name, clip(), warm_start=100)
        cold = fields(name, clip())
        np.testing.assert_array_equal(warm[0], cold[0])
        for one, other in zip(warm[1:], cold[1:], strict=True):
            assert (one != other).any()
            assert inner_error(one, truth) < 0.05

    def test_a_run_begins_anew_at_fixed_pairs(self, name: str) -> None:
        warm = fields(name, clip(), warm_start=2)
        cold = fields(name, clip())
        same = [np.array_equal(*both) for both in zip(warm, cold, strict=True)]
        assert same == [True, False, True, False, True]

    def test_backward_flow_between_does_not_show(self, name: str) -> None:
        frames = clip()
        alone = fields(name, frames, warm_start=3)
        reversed_alone = make_estimator(name, warm_start=3)
        both = make_estimator(name, warm_start=3)
        for expected, first, second in zip(alone, frames, frames[1:], strict=False):
            np.testing.assert_array_equal(both(first, second), expected)
            backward = reversed_alone(second, first)
            np.testing.assert_array_equal(both(second, first), backward)

    def test_a_cut_starts_from_nothing(self, name: str) -> None:
        other = [grey(waves(X + 300 - 2 * t, Y)) for t in range(3)]
        frames = [*clip(3), *other]
        warm, cold = fields(name, frames, warm_start=100), fields(name, frames)
        np.testing.assert_array_equal(warm[2], cold[2])

    def test_another_clip_starts_from_nothing(self, name: str) -> None:
        frames = clip(3)
        estimator = make_estimator(name, warm_start=100)
        expected = estimator(*frames[:2])
        estimator.restart()
        assert (make_estimator(name)(*frames[1:3]) == estimator(*frames[1:3])).all()
        estimator.restart()
        np.testing.assert_array_equal(estimator(*frames[:2]), expected)

    def test_a_repeated_frame_does_not_break_a_run(self, name: str) -> None:
        frames = clip(3)
        plain = fields(name, frames, warm_start=100)
        repeated = fields(name, [frames[0], frames[1], frames[1], frames[2]], warm_start=100)
        assert not repeated[1].any()
        np.testing.assert_array_equal(repeated[2], plain[1])


def test_without_runs_nothing_is_kept() -> None:
    warm = WarmStart(0)
    first, second = clip(2)
    assert warm.find(first, second) is None
    warm.keep(first, second, np.zeros((2, 128, 128), np.float32))
    assert warm.find(second, first) is None

"""The numbers of the report, with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from invented_run import CLASSES, LABELS, SPATIAL, TEMPORAL, scores
from twostream.report import confidence_interval
from twostream.report.measures import (
    agreement,
    calibration,
    chance,
    confusion,
    hardest,
    paired_p_value,
    recalls,
    smooth,
    thin_out,
    top_confusions,
)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_published_values(
    correct: int, n: int, low: float, high: float
) -> None:
    found = confidence_interval(correct, n)
    assert found == pytest.approx((low, high), abs=5e-5)
    mirrored = confidence_interval(n - correct, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_interval_at_its_edges() -> None:
    assert confidence_interval(0, 0) == (0.0, 1.0)
    for n in range(1, 60):
        assert confidence_interval(0, n)[0] == 0.0
        assert confidence_interval(n, n)[1] == 1.0
        for correct in range(n + 1):
            low, high = confidence_interval(correct, n)
            assert 0 <= low <= correct / n <= high <= 1
    for correct, n in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match=f"got {correct} of {n}"):
            confidence_interval(correct, n)


def test_paired_p_value_is_mcnemars_exact_test() -> None:
    first = np.array([True] * 10 + [False] * 2 + [True] * 30)
    second = np.array([False] * 10 + [True] * 2 + [True] * 30)
    assert paired_p_value(first, second) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert paired_p_value(second, first) == paired_p_value(first, second)
    assert paired_p_value(first, first) == 1.0


def test_confusion_and_recall_count_unreadable_clips_apart() -> None:
    found = scores(
        [0, 0, 1, 1, -1], [0, 1, 1, 1, 0], "abc", "spatial", unreadable={"clip3.avi": "broken"}
    )
    assert confusion(found).tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert recalls(found).tolist()[:2] == [0.5, 0.5]
    assert np.isnan(recalls(found)[2])
    assert chance(found) == 2 / 5


def test_top_confusions_are_the_largest_mistakes() -> None:
    counts = np.array([[5, 3, 0, 2], [1, 9, 0, 0], [0, 0, 0, 0]])
    assert top_confusions(counts) == [(0, 1, 3, 0.3), (1, 0, 1, 0.1)]
    assert top_confusions(counts, at_most=1) == [(0, 1, 3, 0.3)]


def test_agreement_counts_by_stream_and_fusion() -> None:
    spatial = scores(LABELS, SPATIAL, CLASSES, "spatial")
    temporal = scores(LABELS, TEMPORAL, CLASSES, "temporal")
    fused = scores(LABELS, [0, 0, 0, 1, 1, 0, 0, 2, 2, 3], CLASSES, "average")
    found = agreement(spatial, temporal, {"average": fused})
    assert found["clips"] == {"both": 3, "spatial": 3, "temporal": 4, "neither": 0}
    assert found["fused"] == {"average": {"both": 3, "spatial": 2, "temporal": 3, "neither": 0}}


def test_hardest_clips_are_wrong_and_sure_first() -> None:
    found = scores(
        [0, 0, 0, 0, -1, 0, 0],
        [1, 1, 0, 0, 1, 1, 0],
        "abc",
        "average",
        top=[0.5, 0.9, 0.6, 0.4, 0.99, 0.95, 0.8],
        unreadable={"clip5.avi": "broken"},
    )
    assert hardest(found, at_most=12, at_least=4) == [1, 0, 3, 2]
    assert hardest(found, at_most=1, at_least=1) == [1]
    nothing = scores([], [], "abc", "average", top=0.5)
    assert hardest(nothing) == []


def test_curves_are_thinned_and_smoothed_without_a_shift() -> None:
    line = thin_out(range(1000), [2.0 * x for x in range(1000)], at_most=100)
    assert len(line) == 100
    assert line[0] == (4.5, 9.0)
    assert smooth(line) == pytest.approx(np.array(line))
    assert thin_out([1, 2, 3], [1.0, float("nan"), 3.0]) == [(1.0, 1.0), (3.0, 3.0)]


def test_the_calibration_error_by_hand() -> None:
    """Bins of 1 / 15: .95 and .94 in the last, one of two right; .5 twice, both right; .3 wrong."""
    best = [0.95, 0.94, 0.5, 0.5, 0.3]
    found = calibration(scores([0, 0, 1, 2, 3], [0, 1, 1, 2, 0], CLASSES, "average", top=best))
    assert found is not None
    wanted = (2 * abs(0.945 - 0.5) + 2 * abs(0.5 - 1) + abs(0.3 - 0)) / 5
    assert found.error == pytest.approx(wanted) and found.mean_score == pytest.approx(0.638)
    assert found.share == 0.6
    assert [(round(15 * low), n) for low, n, _, _ in found.bins] == [(4, 1), (7, 2), (14, 2)]
    assert found.bins[2][2:] == pytest.approx((0.945, 0.5))
    # in one bin for all, only the means differ
    one = calibration(scores([0, 1], [0, 0], "ab", "x", top=[0.6, 0.9]), 1)
    # of 400 clips at .8 in one bin: the mean of |binomial - 320| / 400, sqrt(2 p q / (pi n))
    many = calibration(scores([0] * 400, [0] * 400, "ab", "x", top=0.8), 1)
    assert many is not None
    assert many.by_chance == pytest.approx((2 * 0.8 * 0.2 / (np.pi * 400)) ** 0.5, rel=0.15)
    assert one is not None and one.error == pytest.approx(0.25)


def test_calibration_leaves_out_what_has_no_score() -> None:
    bad = {"clip1.avi": "cut off"}
    found = calibration(scores([0, 0, -1, 1], [0, 0, 0, 1], "ab", "x", top=1.0, unreadable=bad))
    assert found is not None and (found.error, found.share) == (0, 1)
    assert [n for _, n, _, _ in found.bins] == [2]  # a best score of 1 is in the last bin
    nothing = scores([], [], "ab", "x", top=0.5)
    decisions = replace(scores([0], [0], "ab", "svm"), kind="logits")
    assert calibration(nothing) is None and calibration(decisions) is None

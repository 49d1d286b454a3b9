"""Judging labels in time: values worked out by hand, and slow references from the definitions."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from made_labels import CLASSES, bouts, labels, of, value
from twostream.judging import compare_labels, time_budget
from twostream.judging.bout_measures import edit_score
from twostream.judging.intervals import Measure, drawn_weights, measured
from twostream.judging.point_events import match_points
from twostream.judging.stretches import compared
from twostream.judging.time_measures import count_time
from twostream.labels import Bout, Labels, Recording
from twostream.types import DataError, UsageError

# 20 s: sit 0-4, walk 4-10, nothing 10-20; predicted: sit 0-5, walk 6-10, walk 18-19
TRUE = labels(bouts((0, 4, "sit"), (4, 10, "walk")))
PREDICTED = labels(bouts((0, 5, "sit", 0.9), (6, 10, "walk", 0.8), (18, 19, "walk", 0.7)))


def test_time_by_hand() -> None:
    found = compare_labels(TRUE, PREDICTED)
    sit, walk = of(found, "sit"), of(found, "walk")
    # sit: 4 s right, 1 s wrong, none missed. walk: 4 right, 1 wrong, 2 missed
    assert (sit.precision, sit.recall, sit.f1) == (4 / 5, 1, 8 / 9)
    assert (walk.precision, walk.recall, walk.f1) == pytest.approx((4 / 5, 4 / 6, 8 / 11))
    assert (sit.true_seconds, sit.predicted_seconds) == (4, 5)
    assert value(found, "f1") == pytest.approx((8 / 9 + 8 / 11) / 2)
    # background: 10 s true and 10 s predicted, 9 s of them the same
    assert found.background == {"precision": 0.9, "recall": 0.9, "f1": 0.9}
    # the same state: 4 + 4 + 9 = 17 of 20 s; by chance (4*5 + 6*5 + 10*10) / 400 = 3/8
    assert value(found, "agreed") == pytest.approx(17 / 20)
    assert value(found, "kappa") == pytest.approx((17 / 20 - 3 / 8) / (1 - 3 / 8))
    # sit or not: 19 of 20 s; by chance (4*5 + 16*15) / 400 = 13/20
    assert sit.kappa == pytest.approx((19 / 20 - 13 / 20) / (1 - 13 / 20))
    assert found.confusion is not None
    assert found.confusion.states == ("sit", "walk", "(none)")
    assert found.confusion.seconds == ((4, 0, 0), (1, 4, 1), (0, 1, 9))
    assert found.watched_seconds == 20 and found.exclusive


def test_bouts_by_hand() -> None:
    found = compare_labels(TRUE, PREDICTED)
    sit, walk = of(found, "sit"), of(found, "walk")
    # overlaps: sit 4/5, walk 4/6; the walk at 18 s overlaps nothing
    assert sit.segmental_f1 == (1, 1, 1)
    assert walk.segmental_f1 == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert value(found, "f1@50") == pytest.approx(4 / 5)
    # sit walk / sit walk walk: one insertion, the longer has three
    assert value(found, "edit") == pytest.approx(2 / 3)
    # 2/3 is over 0.3 to 0.6 and not over 0.7; the wrong one comes last
    assert walk.average_precision == pytest.approx((1, 1, 1, 1, 0))
    assert value(found, "map@0.7") == 0.5 and value(found, "map") == pytest.approx(0.9)
    # sit: its start is the start of the video for both, its end is 1 s late; walk: 2 s late, 0
    assert (sit.boundary_seconds, sit.starts_late_seconds, sit.ends_late_seconds) == (1, None, 1)
    assert (walk.boundary_seconds, walk.starts_late_seconds) == (1, 2)
    assert value(found, "boundary_seconds") == 1
    # one false bout in 10 s of background, and in 14 s without walk
    assert value(found, "false_bouts_an_hour") == pytest.approx(360)
    assert walk.false_bouts_an_hour == pytest.approx(3600 / 14)
    assert sit.false_bouts_an_hour == 0


def test_a_bout_is_false_by_what_most_of_it_lies_on() -> None:
    true = labels(bouts((10, 12, "walk")))
    long, half = (labels(bouts(row)) for row in ((0, 19, "walk"), (8, 12, "walk")))
    assert value(compare_labels(true, long), "false_bouts_an_hour") == pytest.approx(200)
    assert value(compare_labels(true, half), "false_bouts_an_hour") == 0
    # of another label it is not false on background, but it is where its own class is absent
    other = compare_labels(true, labels(bouts((10, 12, "sit"))))
    assert value(other, "false_bouts_an_hour") == 0
    assert of(other, "sit").false_bouts_an_hour == pytest.approx(180)


def test_average_precision_of_a_known_ranking() -> None:
    """Right, wrong, right, wrong, right of 4 bouts: (1 + 2/3 + 3/5) / 4."""
    true = labels(bouts(*((3 * i, 3 * i + 2, "sit") for i in range(4))))
    places = ((0, 0.9), (1, 0.8), (3, 0.7), (4, 0.6), (6, 0.5))  # of which 1 and 4 miss
    ranked = bouts(*((t, t + 2, "sit", c) for t, c in places))
    found = of(compare_labels(true, labels(ranked)), "sit")
    assert found.average_precision[2] == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)
    # without confidences the order says nothing: 3 of 5 right, a recall of 3/4
    plain = labels(tuple(replace(bout, confidence=None) for bout in ranked))
    unsure = compare_labels(true, plain)
    assert of(unsure, "sit").average_precision[2] == pytest.approx(3 / 5 * 3 / 4)
    assert any("confidence" in note for note in unsure.notes)


def test_a_true_bout_is_found_once() -> None:
    true = labels(bouts((0, 10, "sit")))
    twice = labels(bouts((0, 9, "sit", 0.5), (0, 10, "sit", 0.9)))
    found = of(compare_labels(true, twice), "sit")
    assert found.average_precision == (1, 1, 1, 1, 1)  # the second comes after full recall
    better_last = labels(bouts((0, 6, "sit", 0.9), (0, 10, "sit", 0.5)))
    # at 0.6 the first takes it and the better one is wrong; at 0.7 only the second can: 1/2
    found = of(compare_labels(true, better_last), "sit")
    assert found.average_precision == (1, 1, 1, 1, 0.5)


def test_a_predicted_bout_takes_the_true_one_that_it_overlaps_most() -> None:
    true = labels(bouts((0, 10, "sit"), (10, 20, "sit")))
    # the first overlaps them by 6/20 and 10/16, and takes the latter from the second
    found = of(compare_labels(true, labels(bouts((4, 20, "sit", 0.9), (9, 20, "sit", 0.5)))), "sit")
    assert found.average_precision == (0.5, 0.5, 0.5, 0.5, 0.25)


def test_classes_that_never_occur_are_named_and_left_out() -> None:
    found = compare_labels(TRUE, PREDICTED)
    groom = of(found, "groom")
    assert groom.f1 is groom.kappa is groom.precision is groom.segmental_f1[0] is None
    assert "in no file, left out of all means: groom" in found.notes
    extra = labels((*PREDICTED.recordings[0].bouts, *bouts((12, 13, "groom"))))
    found = compare_labels(TRUE, extra)
    assert of(found, "groom").f1 == 0 and of(found, "groom").recall is None
    assert value(found, "f1") == pytest.approx((8 / 9 + 8 / 11) / 3)
    assert any("in PREDICTED but not in TRUE" in note and "groom" in note for note in found.notes)
    assert of(found, "groom").average_precision[0] is None  # ActivityNet: classes with true bouts


def test_overlapping_labels_are_judged_one_by_one() -> None:
    true = labels(bouts((0, 10, "sit"), (5, 15, "groom")))
    found = compare_labels(true, labels(bouts((0, 10, "sit"), (5, 10, "groom"))))
    assert not found.exclusive and found.confusion is None
    assert "kappa" not in found.overall and "edit" not in found.overall
    assert of(found, "sit").kappa == of(found, "sit").f1 == 1
    # groom or not: 15 of 20 s; by chance (10*5 + 10*15) / 400 = 1/2
    assert of(found, "groom").kappa == pytest.approx(1 / 2)
    assert of(found, "groom").f1 == pytest.approx(2 / 3)
    assert any("several labels hold at once" in note for note in found.notes)
    rounded = labels(bouts((0, 5.02, "sit"), (5, 10, "walk")))
    assert compare_labels(rounded, rounded).exclusive


def test_only_time_that_both_watched_counts() -> None:
    """The wrong walk at 18 s is not looked at; sit is cut at 3 s, which is no boundary."""
    true = Labels((replace(TRUE.recordings[0], watched=((0, 3), (5, 12))),), CLASSES)
    found = compare_labels(true, PREDICTED)
    assert found.watched_seconds == 10
    assert (of(found, "sit").f1, of(found, "walk").f1) == (1, pytest.approx(8 / 9))
    assert of(found, "sit").boundary_seconds is None
    assert value(found, "false_bouts_an_hour") == 0
    nothing = Labels((replace(TRUE.recordings[0], watched=((15, 16),)),), CLASSES)
    other = Labels((replace(PREDICTED.recordings[0], watched=((0, 9),)),), CLASSES)
    with pytest.raises(DataError, match="no time was watched in both"):
        compare_labels(nothing, other)


def test_point_events_within_a_tolerance() -> None:
    true = labels(bouts((1, 1, "nod"), (5, 5, "nod"), (9, 9, "nod")))
    predicted = labels(bouts((1.2, 1.2, "nod"), (5.6, 5.6, "nod"), (9.3, 9.3, "nod")))
    (nod,) = compare_labels(true, predicted, tolerance_seconds=0.5).points
    assert (nod.true_points, nod.predicted_points, nod.matched) == (3, 3, 2)
    assert nod.f1 == pytest.approx(2 / 3) and nod.error_seconds == pytest.approx(0.25)
    assert nod.false_an_hour == pytest.approx(180)
    # a bout of what is a point event counts by its middle
    lasting = compare_labels(true, labels(bouts((0.6, 1.6, "nod"))))
    assert lasting.points[0].error_seconds == pytest.approx(0.1)
    assert any("by their middle (nod)" in note for note in lasting.notes)
    with pytest.raises(UsageError, match="tolerance"):
        compare_labels(true, true, tolerance_seconds=-1)


def test_as_many_points_as_can_be_are_matched() -> None:
    # the nearest pair, 1.0 with 0.9, would leave 0.2 and 1.8 without a partner
    assert match_points([0.2, 1.0], [0.9, 1.8], 0.8) == [(0, 0), (1, 1)]
    assert match_points([1.0], [0.7, 1.1], 0.5) == [(0, 1)]
    assert match_points([0.3], [0.2 + 0.2], 0.1) == [(0, 0)]  # 0.1000...0003 apart
    assert match_points([], [1.0], 9) == []


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abcd", "abcd", 0), ("ab", "ba", 2)],
)
def test_edit_score_is_of_the_levenshtein_distance(first: str, second: str, distance: int) -> None:
    expected = 1 - distance / max(len(first), len(second))
    assert edit_score(list(first), list(second)) == pytest.approx(expected)
    assert edit_score(list(second), list(first)) == pytest.approx(expected)


def test_recordings_are_matched_by_the_names_of_their_videos() -> None:
    def named(*videos: str) -> Labels:
        each = bouts((1, 2, "sit"))
        return Labels(tuple(Recording(v, each, seconds=9) for v in videos), CLASSES)

    found = compare_labels(named("a.mp4", "b.mp4", "c.mp4"), named("d\\c.AVI", "b", "x"))
    assert found.recordings == ("b.mp4", "c.mp4")
    assert "not compared, in TRUE alone: 1 recording, a.mp4" in found.notes
    assert "not compared, in PREDICTED alone: 1 recording, x" in found.notes
    assert compare_labels(named(""), named("anything.mp4")).recordings == ("anything.mp4",)
    twins = compare_labels(named("1/a.mp4", "2/a.mp4"), named("r/2/a.mp4", "r/1/a.mp4"))
    assert twins.recordings == ("1/a.mp4", "2/a.mp4")
    twice = named("./d//a.mp4", "d/a.mp4")
    with pytest.raises(DataError, match=r"two recordings of d/a\.mp4: which one is meant"):
        compare_labels(twice, twice)
    with pytest.raises(DataError, match=r"no video in common: TRUE names a.mp4.*names b.mp4"):
        compare_labels(named("a.mp4"), named("b.mp4"))


def test_one_name_in_two_folders_is_said() -> None:
    here, there = (
        Labels((replace(TRUE.recordings[0], video=f"/data/{camera}/day1.mp4"),), CLASSES)
        for camera in ("cam1", "cam2")
    )
    assert not any("lies in" in note for note in compare_labels(here, here).notes)
    (note,) = [each for each in compare_labels(here, there).notes if "lies in" in each]
    assert note.endswith("day1.mp4 lies in cam1 in TRUE and in cam2 in PREDICTED")


def test_what_may_mislead_is_said() -> None:
    unknown = labels(bouts((0, 4, "Sit")), seconds=None)
    notes = " | ".join(compare_labels(unknown, replace(unknown)).notes)
    assert "no file says how long a video is" in notes
    found = compare_labels(TRUE, labels(bouts((0, 4, "Sit")), seconds=30))
    assert any('"sit" in TRUE, "Sit" in PREDICTED' in note for note in found.notes)
    one, other = (labels(bouts((0, 4, name))) for name in ("caf\xe9", "cafe\u0301"))
    told = " ".join(compare_labels(one, other).notes)
    assert '"caf\xe9" in TRUE, "cafe\\u0301" in PREDICTED' in told
    assert "written differently" not in " ".join(compare_labels(one, one).notes)
    assert any("v0.mp4 (20.0 and 30.0 s)" in note for note in found.notes)
    late = compare_labels(TRUE, labels(bouts((24, 25, "sit")), seconds=None))
    assert any("v0.mp4 (to 25.0 s of 20.0 s)" in note for note in late.notes)
    unseen = Labels((*TRUE.recordings, Recording("x", (), 9, watched=())), CLASSES)
    assert any(
        "no time was watched" in n and "x" in n for n in compare_labels(unseen, unseen).notes
    )
    pair = (Bout(0, 4, "sit", subject="a"), Bout(3, 9, "sit", subject="b"))
    assert any("2 subjects" in note for note in compare_labels(labels(pair), TRUE).notes)


def test_the_time_budget_of_both() -> None:
    rows = [row.split(",") for row in time_budget(TRUE, PREDICTED).splitlines()]
    walk = dict(zip(rows[0], rows[2], strict=True))
    assert (walk["video"], walk["label"]) == ("v0.mp4", "walk")
    assert (walk["true_count"], walk["predicted_count"]) == ("1", "2")
    numbers = {name: float(cell) for name, cell in walk.items() if cell[0].isdigit()}
    assert (numbers["true_total_seconds"], numbers["predicted_total_seconds"]) == (6, 5)
    assert (numbers["true_mean_seconds"], numbers["predicted_mean_seconds"]) == (6, 2.5)
    assert (numbers["true_latency_seconds"], numbers["predicted_latency_seconds"]) == (4, 6)
    assert (numbers["true_share"], numbers["predicted_share"]) == (0.3, 0.25)
    groom = dict(zip(rows[0], rows[3], strict=True))
    assert groom["true_count"] == "0" and groom["true_latency_seconds"] == ""
    both = labels(TRUE.recordings[0].bouts, bouts((10, 14, "walk")))
    last = time_budget(both, both).splitlines()[8].split(",")
    # over both: 10 s in 2 bouts, first after 4 and after 10 s, 10 of 40 s
    assert last[:2] == ["(all)", "walk"]
    assert [float(cell) for cell in last[2::2]] == [2, 10, 5, 7, 0.25]


def test_the_time_budget_is_of_watched_time_and_joins_what_touches() -> None:
    two = bouts((0, 1, "sit"), (6, 8, "sit"), (8, 9, "sit"))
    part = labels(two, watched=((5, 10),))
    sit = time_budget(part, part).splitlines()[1].split(",")
    # one bout of 3 s, 1 s after the start at 5 s, 3 of 5 s
    assert [float(cell) for cell in sit[2::2]] == [1, 3, 3, 1, 0.6]


def test_windows_that_touch_are_one_bout_whatever_their_sums_round_to() -> None:
    """1.6 + 0.1 is 1.7000000000000002: written so, each window began a bout of its own."""
    starts = [i * 0.1 for i in range(40, 100)]
    windows = bouts((0, 4, "sit"), *((start, start + 0.1, "walk") for start in starts))
    assert any(a + 0.1 < b for a, b in itertools.pairwise(starts))
    for true, predicted in ((TRUE, labels(windows)), (labels(windows), TRUE)):
        found = compare_labels(true, predicted)
        for name in ("kappa", "edit", "f1@50", "f1"):
            assert value(found, name) == 1
        assert value(found, "boundary_seconds") == 0 and value(found, "false_bouts_an_hour") == 0
    watched = tuple((i * 0.1, i * 0.1 + 0.1) for i in range(200))
    assert labels(windows, watched=watched).recordings[0].watched == ((0, 20),)


def test_groups_are_drawn_whole() -> None:
    weights = drawn_weights(["a", "a", "b", "c"], 50)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 0] != weights[:, 3]).any()
    assert (weights[:, 1:].sum(axis=1) == 3).all()


def test_intervals_are_over_groups_of_recordings() -> None:
    rng = np.random.default_rng(0)
    shifts = rng.uniform(0, 2, 12)
    true = labels(*[bouts((2, 8, "sit")) for _ in shifts])
    predicted = labels(*[bouts((2 + s, 8 + s, "sit")) for s in shifts])
    each = compare_labels(true, predicted).overall["f1"]
    assert each.value is not None and each.low is not None and each.high is not None
    # of F1 = (6 - s) / 6 here: 1.96 standard errors of a mean, somewhat more for 12 groups
    half = 1.96 * np.std((6 - shifts) / 6, ddof=1) / math.sqrt(12)
    assert (each.high - each.low) / 2 == pytest.approx(1.12 * half, rel=0.1)
    one = replace(true, recordings=tuple(replace(r, group="all") for r in true.recordings))
    assert compare_labels(one, predicted).overall["f1"].low is None
    # no false bout in 12 * 14 s: up to 3.69 might have come
    rate = compare_labels(true, true).overall["false_bouts_an_hour"]
    assert (rate.value, rate.high) == (0, pytest.approx(3.689 * 3600 / (12 * 14), rel=1e-3))


def shown_by_chance(recordings: int, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """True and predicted labels: each recording shows two of four, predicted well or less so."""
    names = ("a", "b", "c", "d")
    found: tuple[list[Recording], list[Recording]] = ([], [])
    for i in range(recordings):
        own, sure = rng.choice(names, 2, replace=False), rng.beta(8, 2)
        said = [str(rng.choice(own)) for _ in range(8)]
        heard = [name if rng.random() < sure else str(rng.choice(names)) for name in said]
        for side, rows in zip(found, (said, heard), strict=True):
            each = bouts(*((4 * k, 4 * k + 3, name) for k, name in enumerate(rows)))
            side.append(Recording(f"v{i}.mp4", each, seconds=32))
    return Labels(tuple(found[0]), names), Labels(tuple(found[1]), names)


def test_intervals_of_means_over_labels_cover_few_recordings() -> None:
    """A draw of few recordings lacks labels, which moves a mean over labels to one side alone."""
    rng = np.random.default_rng(0)

    def f1(recordings: int) -> Measure:
        sides = compared(*shown_by_chance(recordings, rng))
        time = count_time(sides)
        return measured(lambda w: time.macro(w)[2], sides.groups, draws=100, over_labels=True)

    truth = f1(500).value
    assert truth is not None
    for count in (2, 3, 5):
        found = [f1(count) for _ in range(80)]
        known = [(f.low, f.high) for f in found if f.low is not None and f.high is not None]
        # with each side by itself 0.79, 0.83, 0.86; a standard error of 0.95 of 80 is 0.024
        assert np.mean([low <= truth <= high for low, high in known]) > 0.9
    overall = compare_labels(*shown_by_chance(30, rng)).overall
    for name in ("precision", "recall", "f1", "mean_kappa", "map"):
        one = overall[name]
        assert one.value is not None and one.low is not None and one.high is not None
        assert one.high < 1 and one.high - one.value == pytest.approx(one.value - one.low), name

"""The nouns: what they refuse, and what counts as right."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from twostream import types
from twostream.types import (
    DataError,
    TemporalInput,
    UsageError,
    VideoScores,
)


def scores(**changes: object) -> VideoScores:
    values: dict = {
        "video_ids": ("a", "b", "c", "d"),
        "labels": np.array([0, 1, 1, -1]),
        "classes": ("run", "walk"),
        "scores": np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0, 0]], np.float32),
    }
    return VideoScores(**{**values, **changes})


def test_an_error_is_one_line_whatever_names_it_tells() -> None:
    said = str(types.VideoError("a\r\nb.mp4", "x\u2028y"))
    assert said == r"a\r\nb.mp4: x\u2028y" and len(said.splitlines()) == 1


@pytest.mark.parametrize("length", [1, 2, 5, 10])
def test_a_stack_has_two_channels_a_field_and_three_a_frame(length: int) -> None:
    assert TemporalInput(length=length).num_channels == 2 * length
    assert TemporalInput(length=length, rgb=True).num_channels == 3 * length


def test_bidirectional_input_keeps_2l_channels_and_needs_both_directions() -> None:
    both = TemporalInput(length=10, bidirectional=True)
    assert both.num_channels == 20
    assert both.directions == ("forward", "backward")
    assert TemporalInput(trajectory=True).directions == ("forward",)
    assert TemporalInput(rgb=True).directions == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"length": 0}, "at least 1, got 0"),
        ({"length": -3}, "got -3"),
        ({"length": 5, "bidirectional": True}, "even length, got 5: use 4 or 6"),
        ({"rgb": True, "trajectory": True}, "no trajectory"),
        ({"rgb": True, "bidirectional": True}, "no direction"),
    ],
)
def test_impossible_inputs_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TemporalInput(**changes)


def test_predictions_and_accuracy() -> None:
    some = scores()
    assert some.predictions().tolist() == [0, 0, 1, 0]
    assert some.correct().tolist() == [True, False, True, False]
    assert some.accuracy() == 0.5


def test_an_unreadable_video_is_wrong_even_where_its_zeros_would_be_right() -> None:
    some = scores(
        scores=np.zeros((4, 2), np.float32), unreadable={"a": "cut off", "d": "not a video"}
    )
    assert some.predictions().tolist() == [-1, 0, 0, -1]
    # d has label -1 (unknown) and prediction -1: that must not count as right
    assert some.correct().tolist() == [False, False, False, False]


def test_no_videos_have_no_accuracy() -> None:
    none = scores(video_ids=(), labels=np.zeros(0, np.int64), scores=np.zeros((0, 2), np.float32))
    assert none.predictions().shape == (0,)
    assert math.isnan(none.accuracy())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": np.zeros((4, 3), np.float32)}, r"\(4, 3\), expected \(4, 2\)"),
        ({"labels": np.zeros(3, np.int64)}, r"\(3,\), expected \(4,\)"),
        ({"video_ids": ("a", "b", "a", "d")}, "twice"),
    ],
)
def test_scores_that_do_not_fit_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        scores(**changes)


def test_select_goes_by_id_in_the_order_asked_for() -> None:
    some = scores(stream="temporal", unreadable={"d": "cut off", "b": "empty"})
    chosen = some.select(["d", "a"])
    assert chosen.video_ids == ("d", "a")
    assert chosen.labels.tolist() == [-1, 0]
    np.testing.assert_array_equal(chosen.scores, some.scores[[3, 0]])
    assert chosen.unreadable == {"d": "cut off"}
    assert (chosen.stream, chosen.kind, chosen.classes) == ("temporal", some.kind, some.classes)


def test_select_names_what_is_missing() -> None:
    with pytest.raises(DataError, match=r"no temporal scores for 2 videos, the first is x"):
        scores(stream="temporal").select(["a", "x", "y"])


def test_a_model_spec_comes_back_from_json() -> None:
    for temporal in (None, types.TemporalInput(length=4, trajectory=True)):
        spec = types.ModelSpec(
            stream="temporal" if temporal else "spatial",
            architecture="small-bn",
            classes=("a", "b"),
            temporal=temporal,
            crop_size=32,
            mean=(0.5,),
            std=(2.0,),
            dropout=0.1,
            flips=False,
            test_positions=3,
            store={"codec": "jpeg"},
            fps=12.5,
        )
        text = json.dumps(dataclasses.asdict(spec))
        assert types.ModelSpec.from_json(json.loads(text)) == spec
        assert spec.is_flow == (temporal is not None)
        with pytest.raises(ValueError, match="'colour', which is not known"):
            types.ModelSpec.from_json({**json.loads(text), "colour": "red"})

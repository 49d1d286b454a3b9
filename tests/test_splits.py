"""Splits that are made here: groups stay together, classes even, nobody on both sides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clip_folders import assert_no_leak, ids, touch
from twostream.datasets import (
    Dataset,
    load_dataset,
)
from twostream.types import DataError, UsageError


@pytest.fixture
def people(tmp_path: Path) -> Dataset:
    """3 classes x 9 people x 2 clips, named as UCF-101's."""
    touch(
        tmp_path,
        *(f"{c}/v_{c}_g{g:02}_c{n:02}.avi" for c in "ABC" for g in range(1, 10) for n in (1, 2)),
    )
    return load_dataset(tmp_path)


def test_made_splits_keep_groups_apart_and_classes_even(people: Dataset) -> None:
    split = people.split()
    assert_no_leak(people, split)
    assert Counter(v.label for v in split.test) == {0: 6, 1: 6, 2: 6}
    assert split.name == "split 1 by group, seed 0"
    assert people.split() == split
    assert any(people.split(seed=seed).test != split.test for seed in (1, 2, 3))
    tested = [video_id for number in (1, 2, 3) for video_id in ids(people.split(number).test)]
    assert sorted(tested) == sorted(ids(people.videos))


@pytest.mark.parametrize("count", [2, 3, 9])
def test_folds_test_every_video_once(people: Dataset, count: int) -> None:
    folds = [people.split(fold=f"{i}/{count}", seed=3) for i in range(1, count + 1)]
    for fold in folds:
        assert_no_leak(people, fold)
        assert set(Counter(v.label for v in fold.test)) == {0, 1, 2}
    assert sorted(i for fold in folds for i in ids(fold.test)) == sorted(ids(people.videos))
    assert folds[0].name == f"fold 1/{count}"


def test_without_groups_videos_are_dealt_per_class(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/{n}.mp4" for c in ("x", "y") for n in range(30)))
    data = load_dataset(tmp_path)
    split = data.split()
    assert Counter(v.label for v in split.test) == {0: 10, 1: 10}
    assert split.name == "split 1 per video, seed 0"
    assert any("no groups are known" in note for note in split.notes)


def test_a_class_of_one_clip_or_one_group_trains_and_is_named(tmp_path: Path) -> None:
    touch(tmp_path, *(f"x/v_x_g{g:02}_c01.avi" for g in range(1, 9)))
    touch(tmp_path, *(f"y/v_y_g{g:02}_c01.avi" for g in range(1, 9)))
    touch(tmp_path, *(f"z/v_z_g99_c{c:02}.avi" for c in range(1, 9)), "w/v_w_g98_c01.avi")
    data = load_dataset(tmp_path)
    for seed in range(5):
        split = data.split(seed=seed)
        assert_no_leak(data, split)
        assert {v.label for v in split.train} == {0, 1, 2, 3}
        notes = " ".join(split.notes)
        assert "class z is in training only (all its 8 clips are of one group, g99)" in notes
        assert "class w is in training only (it has one clip): it is never tested" in notes
    told = [n for i in (1, 2, 3) for n in data.split(fold=f"{i}/3").notes if "class z" in n]
    assert sum("in the test only" in note for note in told) == 1


def test_a_class_of_two_groups_stands_on_both_sides(tmp_path: Path) -> None:
    touch(tmp_path, *(f"x/v_x_g{g:02}_c01.avi" for g in range(1, 13)))
    touch(tmp_path, "y/v_y_g77_c01.avi", "y/v_y_g78_c01.avi")
    data = load_dataset(tmp_path)
    for seed in range(5):
        split = data.split(seed=seed)
        assert_no_leak(data, split)
        assert {v.label for v in split.train} == {v.label for v in split.test} == {0, 1}


def test_some_videos_without_group_are_taken_by_themselves(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/v_{c}_g{g:02}_c01.avi" for c in "xy" for g in range(1, 7)))
    touch(tmp_path, "x/mine.mp4", "y/mine.mp4")
    data = load_dataset(tmp_path)
    split = data.split()
    assert_no_leak(data, split)
    assert any("2 videos have no group" in note for note in split.notes)


def test_smallest_data_sets(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.mp4", "x/2.mp4", "y/1.mp4", "y/2.mp4")
    split = load_dataset(tmp_path).split()
    assert {v.label for v in split.train} == {v.label for v in split.test} == {0, 1}
    (tmp_path / "x" / "2.mp4").unlink()
    (tmp_path / "y" / "2.mp4").unlink()
    with pytest.raises(DataError, match="has one clip only"):
        load_dataset(tmp_path).split()


def test_one_group_for_all_cannot_be_split(tmp_path: Path) -> None:
    touch(tmp_path, "x/v_x_g01_c01.avi", "x/v_x_g01_c02.avi", "y/v_y_g01_c01.avi")
    with pytest.raises(DataError, match="all videos are of the one group g01"):
        load_dataset(tmp_path).split()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"fold": "0/3"}, "i from 1 to k"),
        ({"fold": "4/3"}, "i from 1 to k"),
        ({"fold": "1/1"}, "k of 2 or more"),
        ({"fold": "1 of 3"}, "written i/k"),
        ({"fold": "1/10"}, "has 9 groups, too few for 10 folds"),
        ({"test_groups": ["g01", "g77"]}, r"has the groups g01, .*g09; got g77"),
        ({"test_groups": []}, "has the groups"),
        ({"number": 4}, "numbered 1 to 3; got split 4"),
        ({"number": 0}, "numbered 1 to 3; got split 0"),
        ({"number": 1, "fold": "1/3"}, "not several"),
        ({"seed": -1}, "a seed lies between"),
    ],
)
def test_wrong_choices_are_usage_errors(people: Dataset, choice: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        people.split(**choice)


def test_all_groups_for_testing_leave_none_to_train(people: Dataset) -> None:
    with pytest.raises(DataError, match="no video is left to train"):
        people.split(test_groups=people.groups)


def test_test_groups_need_groups(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.mp4", "y/1.mp4")
    with pytest.raises(UsageError, match="has no groups"):
        load_dataset(tmp_path).split(test_groups=["a"])

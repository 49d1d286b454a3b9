"""UCF-101's and HMDB-51's lists beside videos that lie otherwise than their authors had them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clip_folders import ids, touch, write
from twostream.datasets import load_dataset
from twostream.types import DataError


@pytest.mark.parametrize("suffix", ["", ".avi"])
def test_a_number_after_a_point_is_no_suffix(tmp_path: Path, suffix: str) -> None:
    """A/1.5 is not A/1, whether A/1.5 is there or not."""
    touch(tmp_path, "A/1.mp4", "A/1.5.mp4", "A/2.mp4", "B/1.mp4", "B/2.mp4")
    write(tmp_path / "trainlist01.txt", f"A/1.5{suffix} 1\nB/1{suffix} 2\n")
    write(tmp_path / "testlist01.txt", f"A/2{suffix}\nB/2{suffix}\n")
    assert ids(load_dataset(tmp_path).split(1).train) == ["A/1.5.mp4", "B/1.mp4"]
    (tmp_path / "A" / "1.5.mp4").unlink()
    split = load_dataset(tmp_path).split(1)
    assert ids(split.train) == ["B/1.mp4"]
    assert any("1 of the 4" in note and f"is A/1.5{suffix}" in note for note in split.notes)


def test_a_name_may_end_as_if_in_a_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "A/take.264.mp4", "A/take.mp4", "B/1.mp4", "B/2.mp4")
    write(tmp_path / "trainlist01.txt", "A/take.264 1\nB/1 2\n")
    write(tmp_path / "testlist01.txt", "A/take\nB/2\n")
    split = load_dataset(tmp_path).split(1)
    assert ids(split.train) == ["A/take.264.mp4", "B/1.mp4"]
    assert ids(split.test) == ["A/take.mp4", "B/2.mp4"]


CLS = ((1, "B"), (2, "A"))


def ucf(root: Path, *above: str) -> Path:
    """Two classes of three groups, those of group 1 tested; the groups lie in these folders."""
    lists = root / "ucfTrainTestlist"
    for number, folder in enumerate(above, start=1):
        touch(root / folder, *(f"{cls}/v_{cls}_g0{number}_c01.avi" for cls in "BA"))
    write(lists / "classInd.txt", "1 B\n2 A\n")
    train = [f"{cls}/v_{cls}_g0{number}_c01.avi {label}" for number in (2, 3) for label, cls in CLS]
    write(lists / "trainlist01.txt", "\n".join(train))
    write(lists / "testlist01.txt", "\n".join(f"{cls}/v_{cls}_g01_c01.avi" for _, cls in CLS))
    return root


def test_ucf101_in_train_and_test_keeps_its_classes(tmp_path: Path) -> None:
    plain = load_dataset(ucf(tmp_path / "plain", "", "", ""))
    assert plain.classes == ("B", "A") and plain.notes == ()
    sides = load_dataset(ucf(tmp_path / "sides", "Test", "train", "train"))
    assert (sides.kind, sides.classes, sides.given_splits) == ("UCF-101", ("B", "A"), (1,))
    assert sides.notes == ("the folders Test, train are split 1 of the official lists",)
    assert all(video.path.is_file() for video in sides.videos)
    for mine, theirs in zip(
        (sides.split(1).train, sides.split(1).test),
        (plain.split(1).train, plain.split(1).test),
        strict=True,
    ):
        assert [(v.video_id, v.label, v.group) for v in mine] == [
            (v.video_id, v.label, v.group) for v in theirs
        ]


def test_other_sides_give_way_to_the_official_lists(tmp_path: Path) -> None:
    data = load_dataset(ucf(tmp_path, "train", "val", "test"))
    assert {video.group for video in data.split().test} == {"g01"}
    (note,) = data.notes
    assert "splits are those of the official lists: the folders test, train, val" in note
    shutil.rmtree(tmp_path / "ucfTrainTestlist")
    assert {video.group for video in load_dataset(tmp_path).split().test} == {"g03"}


def test_a_video_on_both_sides_is_refused_beside_lists_too(tmp_path: Path) -> None:
    touch(ucf(tmp_path, "train", "train", "test"), "test/A/v_A_g01_c01.avi")
    with pytest.raises(DataError, match=r"video A/v_A_g01_c01\.avi is there twice"):
        load_dataset(tmp_path)


def hmdb(root: Path, *listed: str) -> Path:
    """Three classes of a clip that trains, one that is tested and one that is neither."""
    for cls in ("clap", "jump", "wave"):
        touch(root / cls, "a.avi", "b.avi", "c.avi")
        if cls in listed:
            write(root / "lists" / f"{cls}_test_split1.txt", "a.avi 1\nb.avi 2\nc.avi 0\n")
    return root


def test_a_lost_list_of_hmdb51_is_said(tmp_path: Path) -> None:
    assert load_dataset(hmdb(tmp_path / "whole", "clap", "jump", "wave")).notes == ()
    root = hmdb(tmp_path / "lost", "clap", "wave")
    data = load_dataset(root)
    assert data.classes == ("clap", "jump", "wave")
    assert data.notes == (
        "3 videos are in none of the official lists, the first is jump/a.avi",
        "the official lists name no video of 1 class: jump; it has no clip in their splits, so put "
        "its list there or move its folder away",
    )
    touch(root, "clap/d.avi")
    assert "4 videos are in none of the official lists" in load_dataset(root).notes[0]


def test_a_class_that_ucf101s_lists_do_not_name_is_said(tmp_path: Path) -> None:
    notes = load_dataset(touch(ucf(tmp_path, "", "", ""), "C/x.avi", "D/x.avi")).notes
    assert "2 videos are in none of the official lists, the first is C/x.avi" in notes
    assert any("no video of 2 classes: C, D; they have no clip" in note for note in notes)

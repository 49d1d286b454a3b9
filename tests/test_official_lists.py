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
    if not suffix:  # a run of before goes on with the file that it took
        assert ids(load_dataset(tmp_path, reading=3).split(1).train) == ["A/1.mp4", "B/1.mp4"]


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
    assert load_dataset(tmp_path / "sides", reading=3).classes == ("Test", "train")


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

"""Data sets: every layout, odd names, and splits without leaks; whole ones: test_official.py."""

from __future__ import annotations

import doctest
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from twostream import foreign
from twostream.datasets import (
    Dataset,
    groups_on_both_sides,
    load_dataset,
    official_lists,
    relabeled,
    unlabeled_videos,
)
from twostream.types import DataError, DatasetSplit, LabeledVideo, UsageError


def touch(root: Path, *names: str) -> Path:
    """Make empty files; nothing is decoded here."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def ids(videos) -> list[str]:
    return [video.video_id for video in videos]


def assert_no_leak(data: Dataset, split: DatasetSplit) -> None:
    """Every video stands on one side, whole groups together."""
    assert sorted(ids(split.train) + ids(split.test)) == sorted(ids(data.videos))
    assert groups_on_both_sides(split.train, split.test) == ()


# --- official lists -----------------------------------------------------------------------------


def test_hmdb51_reads_1_train_2_test_0_unused(tmp_path: Path) -> None:
    for cls in ("wave", "shoot ball"):
        touch(tmp_path / cls, "#1 a.AVI", "b.avi", "c.avi")
        write(tmp_path / "s" / f"{cls}_test_split2.txt", "#1 a.AVI 1 \nb.avi 2 \nc.avi 0 \n")
    data = load_dataset(tmp_path)
    assert (data.kind, data.given_splits, data.classes) == ("HMDB-51", (2,), ("shoot ball", "wave"))
    split = data.split()
    assert split.name == "split 2"
    assert ids(split.train) == ["shoot ball/#1 a.AVI", "wave/#1 a.AVI"]
    assert ids(split.test) == ["shoot ball/b.avi", "wave/b.avi"]
    write(tmp_path / "s" / "wave_test_split2.txt", "b.avi 3\n")
    with pytest.raises(DataError, match=r"wave_test_split2\.txt: expected a line"):
        load_dataset(tmp_path)


def test_missing_official_videos_are_left_out_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "A/v_A_g01_c01.avi", "A/v_A_g02_c01.avi", "B/v_B_g01_c01.avi")
    touch(tmp_path, "B/v_B_g02_c01.avi", "B/v_B_g09_c01.avi")
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 B\r\n2 A\r\n")
    write(
        lists / "trainlist01.txt",
        "A/v_A_g02_c01.avi 2\r\nA/v_A_g03_c01.avi 2\r\nB/v_B_g02_c01.avi 1",
    )
    write(
        lists / "testlist01.txt", "A/v_A_g01_c01.avi\r\nB/v_B_g01_c01.avi\r\nB/v_B_g01_c02.avi\r\n"
    )
    data = load_dataset(tmp_path)
    assert data.classes == ("B", "A")  # in the order of classInd
    split = data.split(1)
    assert ids(split.train) == ["A/v_A_g02_c01.avi", "B/v_B_g02_c01.avi"]
    assert any("2 of the 6 videos" in n and "A/v_A_g03_c01.avi" in n for n in split.notes)
    assert any("1 videos are in none of the lists" in note for note in split.notes)


def test_official_lists_that_name_nothing_here_are_no_ucf101(tmp_path: Path) -> None:
    touch(tmp_path / "data", "walk/a.mp4", "walk/b.mp4", "run/a.mp4", "run/b.mp4")
    write(tmp_path / "ucfTrainTestlist" / "trainlist01.txt", "A/v_A_g02_c01.avi 1\n")
    assert load_dataset(tmp_path / "data").kind == "class folders"
    shutil.move(tmp_path / "ucfTrainTestlist", tmp_path / "data" / "ucfTrainTestlist")
    assert load_dataset(tmp_path / "data", reading=2).classes == ("run", "walk")


# --- class folders ------------------------------------------------------------------------------


def test_class_folders_with_spaces_brackets_unicode_and_any_case(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "ice skating/clip [1] (final).MP4",
        "ice skating/sub folder/b.MoV",
        "Übung/käse 日本.avi",
        "Übung/#2.webm",
        "Übung/notes.txt",
        ".cache/x.mp4",
        "Übung/.hidden.mp4",
        "Übung/__MACOSX/._a.mp4",
    )
    data = load_dataset(str(tmp_path))
    assert data.classes == ("ice skating", "Übung")
    assert ids(data.videos) == [
        "ice skating/clip [1] (final).MP4",
        "ice skating/sub folder/b.MoV",
        "Übung/#2.webm",
        "Übung/käse 日本.avi",
    ]
    assert [video.label for video in data.videos] == [0, 0, 1, 1]
    assert all(video.path.is_file() for video in data.videos)
    assert data.describe() == (
        f"{tmp_path.name} (class folders): 4 videos of 2 classes, no given split, "
        "2 other files ignored"
    )


def test_one_folder_too_high_is_forgiven(tmp_path: Path) -> None:
    touch(tmp_path / "unpacked" / "clips", "walk/a.mp4", "run/b.mp4")
    assert ids(load_dataset(tmp_path).videos) == ["run/b.mp4", "walk/a.mp4"]


def test_folders_called_train_and_test_are_a_given_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/walk/a.mp4", "train/run/a.mp4", "Test/walk/a.mp4", "Test/run/b.mp4")
    data = load_dataset(tmp_path)
    assert (data.classes, data.given_splits) == (("run", "walk"), (1,))
    split = data.split()
    assert ids(split.train) == ["train/run/a.mp4", "train/walk/a.mp4"]
    assert ids(split.test) == ["Test/run/b.mp4", "Test/walk/a.mp4"]
    with pytest.raises(UsageError, match="has split 1; got split 2"):
        data.split(2)


def test_val_trains_where_there_is_a_test_and_is_the_test_where_there_is_none(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "train/walk/a.mp4", "train/run/a.mp4", "val/walk/b.mp4", "val/run/b.mp4")
    split = load_dataset(tmp_path).split()
    assert ids(split.test) == ["val/run/b.mp4", "val/walk/b.mp4"]
    assert any("2 validation videos are the test" in note for note in split.notes)
    touch(tmp_path, "test/walk/c.mp4", "test/run/c.mp4")
    split = load_dataset(tmp_path).split()
    assert (len(split.train), len(split.test)) == (4, 2)
    assert any("2 validation videos were added to training" in note for note in split.notes)


def test_a_class_on_one_given_side_only_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "train/walk/a.mp4", "train/run/a.mp4", "test/walk/b.mp4", "test/fly/b.mp4")
    notes = " ".join(load_dataset(tmp_path).split().notes)
    assert "class run is in training only (it has one clip)" in notes
    assert "class fly is in the test only (it has one clip): it cannot be learnt" in notes


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.mp4", "train/b.mp4", "plane/a.mp4", "test/b.mp4")
    assert load_dataset(tmp_path).classes == ("plane", "test", "train")


def test_loose_videos_and_unused_tables_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4", "run/a.mp4", "z.mp4", "y.mp4", "clips.csv")
    notes = " ".join(load_dataset(tmp_path).notes)
    assert "2 videos lie outside the class folders" in notes
    assert str(tmp_path / "y.mp4") in notes
    assert "clips.csv lies in this folder and is not used" in notes


def test_links_that_run_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4", "run/a.mp4")
    (tmp_path / "run" / "again").symlink_to(tmp_path)
    assert {"run/a.mp4", "walk/a.mp4"} <= set(ids(load_dataset(tmp_path).videos))


def _pipe(root: Path) -> Path:
    os.mkfifo(root / "pipe.csv")
    return root / "pipe.csv"


def _link(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda root: root / "no such", "no such file or folder"),
    "a pipe": (_pipe, "neither a folder nor a file"),
    "a device": (lambda root: _link(root / "null", "/dev/null"), "neither a folder nor a file"),
    "a video": (lambda root: touch(root, "a.MP4") / "a.MP4", "is one video, not a data set"),
    "an empty folder": (lambda root: root, "holds no video"),
    "archives": (lambda root: touch(root, "a.rar", "b.rar"), "2 archives .* unpack them first"),
    "no class folders": (
        lambda root: touch(root, "a.mp4", "b.mp4"),
        "2 videos but no class folder",
    ),
    "one class": (lambda root: touch(root, "walk/a.mp4"), "only the class walk: .* two classes"),
    "a stray folder": (
        lambda root: touch(root, "train/a/1.mp4", "test/a/1.mp4", "more/a/1.mp4"),
        "more lies beside the folder",
    ),
    "two test folders": (
        lambda root: touch(root, "train/a/1.mp4", "test/a/1.mp4", "testing/a/1.mp4"),
        "are both for test: keep one",
    ),
    "a list of one class": (
        lambda root: write(touch(root, "a.mp4") / "l.txt", "a.mp4 walk\n"),
        "only the class walk",
    ),
    "an empty list": (lambda root: write(root / "l.txt", "\n"), "lists no video"),
    "a header alone": (lambda root: write(root / "l.csv", "path,label\n"), "lists no video"),
    "no header": (lambda root: write(root / "l.csv", "a.mp4,walk\n"), "has no header"),
    "no header in txt": (lambda root: write(root / "l.txt", "a.mp4,walk\n"), "has no header"),
    "no label": (lambda root: write(root / "l.txt", "\na.mp4\n"), "line 2: expected `path label`"),
    "an empty label": (
        lambda root: write(touch(root, "a.mp4") / "l.csv", "path,label\na.mp4,\n"),
        "line 2: the column label is empty",
    ),
    "a missing file": (
        lambda root: write(touch(root, "a.mp4") / "l.csv", "path,label\na.mp4,x\nb c.mp4,y\n"),
        r"l\.csv, line 3: b c\.mp4 does not exist",
    ),
    "a missing file in a list": (
        lambda root: write(touch(root, "a.mp4") / "l.txt", "a.mp4 x\nb c.mp4 y\n"),
        r"l\.txt, line 2: b c\.mp4 does not exist",
    ),
    "a folder": (
        lambda root: write(touch(root, "a/b.mp4") / "l.txt", "a x\n"),
        "line 1: a is a folder",
    ),
    "a video twice": (
        lambda root: write(touch(root, "a.mp4") / "l.txt", "a.mp4 x\n./a.mp4 y\n"),
        r"line 2: \./a\.mp4 stands in line 1 already",
    ),
    "a wrong side": (
        lambda root: write(touch(root, "a.mp4") / "l.csv", "path,label,split\na.mp4,x,dev\n"),
        "split must be train, val or test, got dev",
    ),
    "a stray comma": (
        lambda root: write(root / "l.csv", "path,label\na, b.mp4,x\n"),
        "line 2: 3 columns, but the header has 2",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_used_gets_one_clear_sentence(case: str, tmp_path: Path) -> None:
    make, message = BROKEN[case]
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(make(tmp_path))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_binary_files_are_no_lists(tmp_path: Path) -> None:
    for content in (b"\xff\xfe\x00\x01", b"a\x00b c\n"):
        (tmp_path / "weights.bin").write_bytes(content)
        with pytest.raises(DataError, match=r"not (UTF-8 text|a text file)"):
            load_dataset(tmp_path / "weights.bin")


# --- lists --------------------------------------------------------------------------------------


def test_csv_with_quotes_bom_other_columns_groups_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, "a, b.mp4", "sub dir/c [2].mp4", 'say "hi".mp4', "ü.mp4")
    text = (
        "\ufefflabel,PATH,frames,Group,split\r\n"
        'walk,"a, b.mp4",12,g 1,train\r\n'
        '"run, fast",sub dir/c [2].mp4,,g 2,Test\r\n'
        '"run, fast","say ""hi"".mp4",9,g 3,train\r\n'
        "\r\n"
        "walk,ü.mp4,9,g 2,val\r\n"
    )
    data = load_dataset(write(tmp_path / "clips.csv", text))
    assert (data.kind, data.name, data.classes) == ("CSV", tmp_path.name, ("run, fast", "walk"))
    assert ids(data.videos) == ["a, b.mp4", "sub dir/c [2].mp4", 'say "hi".mp4', "ü.mp4"]
    assert [video.label for video in data.videos] == [1, 0, 0, 1]
    assert data.groups == ("g 1", "g 2", "g 3")
    split = data.split()
    assert ids(split.test) == ["sub dir/c [2].mp4"]
    assert len(split.train) == 3
    assert any("1 groups are on both sides" in n and "g 2" in n for n in split.notes)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_of_other_delimiters(delimiter: str, tmp_path: Path) -> None:
    touch(tmp_path, "a,1.mp4", "b.mp4")
    rows = [("path", "label"), ("a,1.mp4", "x"), ("b.mp4", "y")]
    file = write(tmp_path / "mine.tsv", "\n".join(map(delimiter.join, rows)))
    assert ids(load_dataset(file).videos) == ["a,1.mp4", "b.mp4"]
    assert load_dataset(file).name == "mine"


def test_a_split_column_of_one_value_is_ignored_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    text = "path,label,split\na.mp4,x,train\nb.mp4,x,train\nc.mp4,y,train\nd.mp4,y,train\n"
    data = load_dataset(write(tmp_path / "clips.csv", text))
    assert data.given_splits == ()
    assert any("all videos are marked train" in note for note in data.split().notes)


def test_plain_list_with_spaces_brackets_and_a_hash(tmp_path: Path) -> None:
    touch(tmp_path, "my clips/a [1].mp4", "#20_Rhythm.avi")
    text = "my clips/a [1].mp4 walk\n\n#20_Rhythm.avi\trun\r\n"
    data = load_dataset(write(tmp_path / "train_v2.txt", text))
    assert (data.kind, data.name, data.classes) == ("list", "train_v2", ("run", "walk"))
    assert ids(data.videos) == ["my clips/a [1].mp4", "#20_Rhythm.avi"]


@pytest.mark.parametrize("first", [0, 1])
def test_integer_labels_sort_by_value_from_0_or_1(first: int, tmp_path: Path) -> None:
    names = [f"{i}.mp4" for i in range(12)]
    touch(tmp_path, *names)
    lines = [f"{name} {i + first}" for i, name in enumerate(names)]
    data = load_dataset(write(tmp_path / "list.txt", "\n".join(lines)))
    assert [video.label for video in data.videos] == list(range(12))
    assert data.classes == tuple(str(i + first) for i in range(12))


def test_lists_written_on_another_system(tmp_path: Path) -> None:
    touch(tmp_path, "walk/caf\u00e9.mp4", "b.mp4")
    text = "path,label\nwalk\\cafe\u0301.mp4,x\nb.mp4,y\n"  # backslashes, decomposed accents
    data = load_dataset(write(tmp_path / "clips.csv", text))
    assert ids(data.videos)[0] == "walk/caf\u00e9.mp4"


def test_ids_never_lead_out_of_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "lists/b.mp4", "lists/c.mp4")
    text = f"../videos/a.mp4 x\n{tmp_path / 'lists' / 'b.mp4'} x\n./c.mp4 y\n"
    data = load_dataset(write(tmp_path / "lists" / "l.txt", text))
    assert ids(data.videos) == ["up/videos/a.mp4", "b.mp4", "c.mp4"]


def test_weizmann_folds_by_person(shared_data: Path) -> None:
    data = load_dataset(shared_data / "weizmann" / "clips.csv")
    assert (len(data.videos), len(data.classes), len(data.groups)) == (83, 9, 9)
    split = data.split(test_groups=["lyova", "moshe", "shahar"])
    assert split.name == "test groups lyova,moshe,shahar"
    assert split.dataset == "weizmann"
    assert len(split.test) == 27
    assert_no_leak(data, split)
    assert {v.label for v in split.train} == {v.label for v in split.test} == set(range(9))


# --- making splits ------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("fraction", "groups"), [(0.5, 4), (0.34, 3), (0.1, 1), (0.66, 6)])
def test_test_fraction(people: Dataset, fraction: float, groups: int) -> None:
    tested = {video.group for video in people.split(test_fraction=fraction).test}
    assert len(tested) in (groups, groups + 1)


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
        ({"test_fraction": 0.0}, "between 0 and 1"),
        ({"test_fraction": float("nan")}, "between 0 and 1"),
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


def test_unlabeled_videos_of_a_flat_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a.avi", "frames/1.jpg")
    assert ids(unlabeled_videos(tmp_path)) == ["a.avi", "b.mp4"]
    assert {video.label for video in unlabeled_videos(tmp_path)} == {-1}
    touch(tmp_path, "walk/c.mp4")
    assert unlabeled_videos(tmp_path) == ()


def test_doctests_hold() -> None:
    for module in (foreign, official_lists):
        results = doctest.testmod(module)
        assert results.attempted
        assert not results.failed


def test_reading_a_data_set_imports_nothing_heavy() -> None:
    code = (
        "import sys, twostream.datasets; "
        "print([m for m in ('torch', 'av', 'cv2', 'sklearn') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_labels_follow_the_models_classes_by_name() -> None:
    videos = [LabeledVideo(str(i), Path(str(i)), label) for i, label in enumerate((0, 1, -1))]
    found = relabeled(videos, ("run", "walk"), ("jump", "walk", "run"))
    assert [video.label for video in found] == [2, 1, -1]
    with pytest.raises(DataError, match="does not know 1 classes of gym, the first is swim"):
        relabeled(videos, ("run", "swim"), ("jump", "walk", "run"), name="gym")

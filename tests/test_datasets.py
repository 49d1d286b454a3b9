"""Data sets: every layout, odd names, and splits without leaks; whole ones: test_official.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clip_folders import ids, touch, write
from twostream.datasets import (
    load_dataset,
    relabeled,
    unlabeled_videos,
)
from twostream.types import DataError, LabeledVideo, UsageError

# --- official lists -----------------------------------------------------------------------------


def test_hmdb51_reads_1_train_2_test_0_unused(tmp_path: Path) -> None:
    for cls in ("wave", "shoot ball"):
        touch(tmp_path / cls, "#1 a.AVI", "b.mp4", "c.avi")
        write(tmp_path / "s" / f"{cls}_test_split2.txt", "#1 a.AVI 1 \nb.avi 2 \nc.avi 0 \n")
    data = load_dataset(tmp_path)
    assert (data.kind, data.given_splits, data.classes) == ("HMDB-51", (2,), ("shoot ball", "wave"))
    split = data.split()
    assert split.name == "split 2"
    assert ids(split.train) == ["shoot ball/#1 a.AVI", "wave/#1 a.AVI"]
    assert ids(split.test) == ["shoot ball/b.mp4", "wave/b.mp4"]  # of another suffix
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
    assert any("1 videos are in none of the official lists" in note for note in split.notes)


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


@pytest.mark.parametrize(
    ("names", "calls"),
    [
        (("train", "Test_set"), "train and test"),
        (("trian", "test"), "train and test"),
        (("train", "validation1"), "train and val"),
        (("tset", "Training data"), "train and test"),
        (("trainval", "UCF-TestSet"), "train and test"),
        (("train_part1", "train_part2", "tests"), "train and test"),
    ],
)
def test_sides_under_other_names_become_no_classes(
    names: tuple[str, ...], calls: str, tmp_path: Path
) -> None:
    touch(tmp_path, *(f"{name}/{label}/a.mp4" for name in names for label in ("walk", "run")))
    with pytest.raises(DataError, match=f"{names[0]}.* call them {calls} and"):
        load_dataset(tmp_path)


def test_a_side_under_another_name_beside_classes_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "trian/a/1.mp4", "trian/b/1.mp4", "test/a/1.mp4", "test/b/1.mp4", "c/1.mp4")
    data = load_dataset(tmp_path)
    assert data.classes == ("c", "test", "trian")
    assert any("test, trian, which look like the sides of a split" in each for each in data.notes)


@pytest.mark.parametrize(
    "clips",
    [
        ("train/s1/a.mp4", "train/s2/a.mp4", "car/s1/a.mp4", "van/s1/a.mp4", "van/s2/a.mp4"),
        ("rest/s1/a.mp4", "rest/s2/a.mp4", "rain/s1/a.mp4", "rain/s2/a.mp4"),
        ("test1/s1/a.mp4", "test1/s2/a.mp4", "test2/s1/a.mp4", "test2/s2/a.mp4"),
        ("test drive/s1/a.mp4", "train station/s3/a.mp4"),
        ("trail/a.mp4", "test/a.mp4"),
    ],
)
def test_names_alone_make_no_sides(clips: tuple[str, ...], tmp_path: Path) -> None:
    touch(tmp_path, *clips)
    data = load_dataset(tmp_path)
    assert data.classes == tuple(sorted({clip.partition("/")[0] for clip in clips}))
    assert not any("sides of a split" in note for note in data.notes)


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
    for content in (b"\xff\x00\x01", b"a\x00b c\n"):
        (tmp_path / "weights.bin").write_bytes(content)
        with pytest.raises(DataError, match=r"not (UTF-8 text|a text file)"):
            load_dataset(tmp_path / "weights.bin")


def test_unlabeled_videos_of_a_flat_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a.avi", "frames/1.jpg")
    assert ids(unlabeled_videos(tmp_path)) == ["a.avi", "b.mp4"]
    assert {video.label for video in unlabeled_videos(tmp_path)} == {-1}
    touch(tmp_path, "walk/c.mp4")
    assert unlabeled_videos(tmp_path) == ()


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

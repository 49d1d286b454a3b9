"""A folder with clips.csv inside: its groups and splits count if it describes the folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clip_folders import touch, write
from twostream.datasets import Dataset, groups_on_both_sides, load_dataset
from twostream.datasets.video_folders import read_folder
from twostream.types import DataError

ROWS = {
    "run/a.mp4": ("run", "ann", "train", "test"),
    "run/b.mp4": ("run", "bob", "test", "train"),
    "walk/a.mp4": ("walk", "ann", "train", "test"),
    "walk/b.mp4": ("walk", "bob", "test", "train"),
}
HEADER = "path,label,group,split1,split2"


def make(root: Path, rows: dict[str, tuple[str, ...]] = ROWS, header: str = HEADER) -> Path:
    """Make two classes of two videos, and a list that says ``rows``."""
    for name in ROWS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    lines = [header, *(",".join((name, *row)) for name, row in rows.items())]
    (root / "clips.csv").write_text("\n".join(lines) + "\n")
    return root


def groups_of(data: Dataset) -> dict[str, str | None]:
    return {video.video_id: video.group for video in data.videos}


def test_the_list_in_a_folder_brings_its_groups_and_splits(tmp_path: Path) -> None:
    data = load_dataset(make(tmp_path))
    assert (data.kind, data.given_splits, data.ignored) == ("class folders", (1, 2), 0)
    assert groups_of(data) == {name: row[1] for name, row in ROWS.items()}
    for number in (1, 2):
        split = data.split(number)
        tested = {name for name, row in ROWS.items() if row[1 + number] == "test"}
        assert {video.video_id for video in split.test} == tested
        assert not groups_on_both_sides(split.train, split.test)
    assert data.notes == ()
    assert "(class folders, groups and splits of clips.csv): 4 videos" in data.describe()
    alone = load_dataset(tmp_path / "clips.csv")
    assert [set(split.test) for split in alone.given] == [set(split.test) for split in data.given]
    assert {v.group for v in data.split(fold="1/2").test} in ({"ann"}, {"bob"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"walk/b.mp4": None}, "lists 3 of the 4 videos here, the first that it lacks is walk/b"),
        ({"run/a.mp4": ("jump", "x", "", "")}, "labels 1 videos otherwise .* run/a.mp4 as jump"),
        ({"run/c.mp4": ("run", "x", "", "")}, "no list of its videos .*run/c.mp4 does not exist"),
        ({"loose.mp4": ("run", "x", "", "")}, "1 of its videos are in no class folder here"),
    ],
)
def test_a_list_of_something_else_changes_nothing_and_is_said(
    tmp_path: Path, change: dict, why: str
) -> None:
    (tmp_path / "loose.mp4").touch()
    rows = {name: row for name, row in (ROWS | change).items() if row}
    before = read_folder(make(tmp_path))
    data = load_dataset(make(tmp_path, rows))
    assert (data.videos, data.given, data.groups) == (before.videos, (), ())
    (said,) = [note for note in data.notes if "clips.csv" in note]
    assert said.startswith("clips.csv lies in this folder and is not used, since ")
    assert re.search(why, said)


def test_videos_without_class_folders_take_their_list(tmp_path: Path) -> None:
    names = {name.replace("/", "-"): row for name, row in ROWS.items()}
    make(tmp_path, names)
    for name in ROWS:
        (tmp_path / name).rename(tmp_path / name.replace("/", "-"))
    for empty in ("run", "walk"):
        (tmp_path / empty).rmdir()
    data = load_dataset(tmp_path)
    assert (data.classes, data.given_splits, len(data.groups)) == (("run", "walk"), (1, 2), 2)
    (tmp_path / "clips.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match=r"no class folders.*clips\.csv does not help"):
        load_dataset(tmp_path)


def test_split_columns_that_contradict_are_refused(tmp_path: Path) -> None:
    make(tmp_path, {"run/a.mp4": ("run", "train", "test")}, "path,label,split,split1")
    with pytest.raises(DataError, match="the columns split and split1"):
        load_dataset(tmp_path / "clips.csv")


def test_a_split_that_leaves_videos_out_says_which_one(tmp_path: Path) -> None:
    data = load_dataset(make(tmp_path, ROWS | {"run/a.mp4": ("run", "ann", "", "test")}))
    assert "split 1: 1 videos have no split value and are on neither side" in data.notes
    assert [len(split.train) for split in data.given] == [1, 2]


def test_the_folders_own_splits_stand_where_the_list_has_none(tmp_path: Path) -> None:
    for name in ("train/run/a.mp4", "test/run/b.mp4", "train/walk/a.mp4", "test/walk/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    text = "path,label,group\n" + "".join(
        f"{side}/{cls}/{name}.mp4,{cls},{name}\n"
        for side, name in (("train", "a"), ("test", "b"))
        for cls in ("run", "walk")
    )
    (tmp_path / "clips.csv").write_text(text)
    data = load_dataset(tmp_path)
    assert {video.video_id for video in data.split().test} == {"test/run/b.mp4", "test/walk/b.mp4"}
    assert {video.group for video in data.split().test} == {"b"}
    swapped = text.replace("group\n", "group,split1\n").replace("a\n", "a,test\n")
    (tmp_path / "clips.csv").write_text(swapped.replace("b\n", "b,train\n"))
    data = load_dataset(tmp_path)
    assert {video.group for video in data.split().test} == {"a"}
    assert "the splits are those of clips.csv" in data.notes[0]


@pytest.mark.parametrize("official_lists", [True, False])
def test_jhmdb_is_read_as_a_folder(shared_data: Path, tmp_path: Path, official_lists: bool) -> None:
    root = shared_data / "jhmdb"
    if not official_lists:  # class folders and clips.csv alone
        for entry in root.iterdir():
            if entry.name != "splits":
                (tmp_path / entry.name).symlink_to(entry)
        root = tmp_path
    data = load_dataset(root)
    assert (len(data.videos), len(data.classes), len(data.groups)) == (928, 21, 336)
    sizes = [(len(data.split(i).train), len(data.split(i).test)) for i in (1, 2, 3)]
    assert sizes == [(660, 268), (658, 270), (663, 265)]
    for number in (1, 2, 3):  # a film may serve other classes on the other side, as in HMDB-51
        split = data.split(number)
        sides = [{(v.label, v.group) for v in side} for side in (split.train, split.test)]
        assert not sides[0] & sides[1]
    fold = data.split(fold="2/3")
    assert not groups_on_both_sides(fold.train, fold.test)


@pytest.mark.parametrize(
    ("name", "groups"),
    [("tennis", 6), ("weizmann", 9), ("weizmann-original", 9), ("skateboard", 16)],
)
def test_real_folders_take_the_groups_of_their_lists(
    shared_data: Path, name: str, groups: int
) -> None:
    data = load_dataset(shared_data / name)
    assert (data.kind, len(data.groups)) == ("class folders", groups)
    assert not groups_on_both_sides(data.split().train, data.split().test)
    tested = [
        {v.group for v in data.split(fold=f"{i}/{groups}").test} for i in range(1, groups + 1)
    ]
    assert sorted(group for each in tested for group in each) == sorted(data.groups)


def test_a_typo_in_the_split_of_a_list_makes_no_other_split(tmp_path: Path) -> None:
    clips = [f"{cls}/{i}.mp4" for cls in ("run", "walk") for i in (1, 2)]
    touch(tmp_path, *clips)
    sides = ("train", "test", "train", "tset")
    rows = [f"{path},{path.split('/')[0]},{side}" for path, side in zip(clips, sides, strict=True)]
    text = "\n".join(["path,label,split", *rows])
    file = write(tmp_path / "clips.csv", text)
    with pytest.raises(DataError, match="line 5: split must be train, val or test, got tset: mend"):
        load_dataset(tmp_path)
    write(file, text.replace("train", "1").replace("tset", "2").replace("test", "2"))
    assert any("is not used" in note for note in load_dataset(tmp_path).notes)

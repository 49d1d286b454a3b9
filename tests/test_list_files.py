"""CSV files and plain lists: columns, separators, spaces, labels, ids, and folds of people."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_folders import assert_no_leak, ids, touch, write
from twostream.datasets import (
    load_dataset,
)
from twostream.types import DataError


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


@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_two_byte_order_marks_are_no_part_of_the_header(coding: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "clips.csv").write_bytes(
        "\ufeff\ufeffpath,label\na.mp4,x\nb.mp4,y\n".encode(coding)
    )
    assert ids(load_dataset(tmp_path / "clips.csv").videos) == ["a.mp4", "b.mp4"]


def test_an_archive_is_no_text_that_another_coding_would_mend(tmp_path: Path) -> None:
    (tmp_path / "clips.zip").write_bytes(b"PK\x03\x04\x00\x00\xff\xfe\x80")
    with pytest.raises(DataError, match="is not a text file"):
        load_dataset(tmp_path / "clips.zip")


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

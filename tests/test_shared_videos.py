"""Clips that two data sets have in common are found, by any name, and refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from twostream.__main__ import run
from twostream.datasets import load_dataset, refuse_shared_videos, shared_videos
from twostream.types import DataError


def some_files(root: Path, text: str) -> Path:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for i in range(2):
            (root / name / f"{i}.avi").write_text(f"{text} {name} {i}")
    return root


def test_one_file_two_names_copies_and_links(tmp_path: Path) -> None:
    first = some_files(tmp_path / "first", "one")
    second = some_files(tmp_path / "second", "two")  # files of the same sizes, not the same
    datasets = [load_dataset(first), load_dataset(second)]
    assert list(shared_videos(datasets)) == []
    refuse_shared_videos(datasets)
    assert len(list(shared_videos([datasets[0], load_dataset(first)]))) == 4
    shutil.copy(first / "b" / "1.avi", second / "a" / "copy.avi")
    os.symlink(first / "a" / "0.avi", second / "b" / "link.avi")
    again = load_dataset(second)
    found = {(a.video_id, b.video_id) for a, b in shared_videos([datasets[0], again])}
    assert found == {("b/1.avi", "a/copy.avi"), ("a/0.avi", "b/link.avi")}
    with pytest.raises(DataError, match=r"first/.*\.avi \(there .*second/.*name another data set"):
        refuse_shared_videos([datasets[0], again])


def test_copies_inside_one_data_set_and_empty_files_are_not_shared(tmp_path: Path) -> None:
    first, second = some_files(tmp_path / "first", "one"), some_files(tmp_path / "second", "two")
    shutil.copy(first / "b" / "1.avi", first / "a" / "copy.avi")
    for root in (first, second):
        (root / "a" / "empty.avi").touch()
    assert list(shared_videos([load_dataset(first), load_dataset(second)])) == []


@pytest.mark.parametrize("case", ["same", "list", "copies"])
def test_train_refuses_other_data_with_clips_of_its_own(
    case: str, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    if case == "same":
        other.symlink_to(tiny_data)
    elif case == "list":
        videos = load_dataset(tiny_data).videos[:20]
        rows = [f"{video.path},{video.path.parent.name}" for video in videos]
        other = tmp_path / "other.csv"
        other.write_text("\n".join(["path,label", *rows]))
    else:
        shutil.copytree(tiny_data, other)
    out = tmp_path / "run"
    command = ["train", str(tiny_data), "--also", str(other), "--out", str(out), "--steps", "2"]
    assert run(command) == 1
    said = capsys.readouterr().err
    assert "share videos, the first is" in said and "name another data set" in said
    assert not out.exists()

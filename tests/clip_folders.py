"""Folders of empty clips and lists of them: nothing is decoded where only names are read."""

from __future__ import annotations

from pathlib import Path

from twostream.datasets import Dataset, groups_on_both_sides
from twostream.types import DatasetSplit


def touch(root: Path, *names: str) -> Path:
    """Make empty files below a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, text: str) -> Path:
    """Write a text file with the line ends that it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def ids(videos) -> list[str]:
    return [video.video_id for video in videos]


def assert_no_leak(data: Dataset, split: DatasetSplit) -> None:
    """Every video stands on one side, whole groups together."""
    assert sorted(ids(split.train) + ids(split.test)) == sorted(ids(data.videos))
    assert groups_on_both_sides(split.train, split.test) == ()

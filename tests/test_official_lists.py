"""UCF-101's and HMDB-51's lists beside videos that lie otherwise than their authors had them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_folders import ids, touch, write
from twostream.datasets import load_dataset


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

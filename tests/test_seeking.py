"""Stretches of videos: the same frames and times as reading all of them gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odd_videos import encode, moving_square, with_empty_packets
from twostream.video import VideoReader
from twostream.video.seeking import SeekableVideo

ORDER = (0, 1, 5, 6, 2, 0, 7, 11, 3)  # seconds: on, far on, back, beyond the end

KINDS = {
    "x264 with B-frames.mp4": ({"g": "30"}, True),
    "open groups.mkv": ({"x264-params": "keyint=20:open-gop=1:bframes=2"}, True),
    "ASP.avi": ({"codec": "mpeg4"}, True),
    "x264.avi": ({}, False),  # without times
    "x264.ts": ({}, False),
    "starts late.mp4": ({"start": 3.2}, True),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_stretch_is_what_reading_all_gives(tmp_path: Path, name: str) -> None:
    options, sought_in = KINDS[name]
    path = encode(tmp_path / name, moving_square(200), **options)  # type: ignore[arg-type]
    check(path, sought_in)


def test_a_frame_that_is_shown_longer(tmp_path: Path) -> None:
    check(with_empty_packets(tmp_path / "held.avi"), None)


def check(path: Path, sought_in: bool | None) -> None:
    with VideoReader(path) as reader:
        frames = list(reader)
        end = reader.end_seconds
    video = SeekableVideo(path)
    assert sought_in is None or video.sought_in == sought_in
    for second in ORDER:
        found = video.stretch(second, second + 1)
        wanted = [each for each in frames if second <= each.pts_seconds < second + 1]
        assert [each.pts_seconds for each in found.frames] == [each.pts_seconds for each in wanted]
        for one, other in zip(found.frames, wanted, strict=True):
            np.testing.assert_array_equal(one.rgb, other.rgb)
        later = [each.pts_seconds for each in frames if each.pts_seconds >= second + 1]
        assert found.after == (later[0] if later else None)
        if not found.frames:
            assert found.before == frames[-1].pts_seconds
        if found.after is None:
            assert found.end == pytest.approx(end)
    video.close()

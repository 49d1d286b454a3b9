"""Frames at an even rate, by their own times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moving_clips import SETTINGS, SPEED_PX, make_clip
from twostream.extraction import (
    extract_to_memory,
)
from twostream.extraction.frame_pairs import resample
from twostream.store.flow_store import StoreSettings
from twostream.types import Frame


def picked(times: Sequence[float], fps: float) -> list[tuple[int, int]]:
    """(index, gap) of what `resample` picks among frames at these times."""
    frames = [Frame(np.full((1, 1, 3), i, np.uint8), t) for i, t in enumerate(times)]
    return [(int(frame.rgb[0, 0, 0]), gap) for frame, gap in resample(frames, fps)]


class TestRate:
    def test_half_the_rate_takes_every_second_frame(self) -> None:
        times = np.arange(9) / 50
        assert picked(times, 25) == [(0, 0), (2, 1), (4, 1), (6, 1), (8, 1)]
        assert picked(times[:8], 25) == [(0, 0), (2, 1), (4, 1), (6, 1)]

    def test_a_third_off(self) -> None:
        """30 to 25: one frame in six is left out."""
        indices = [i for i, _ in picked(np.arange(31) / 30, 25)]
        np.testing.assert_array_equal(indices, np.floor(np.arange(26) * 1.2 + 0.499))
        assert {gap for _, gap in picked(np.arange(31) / 30, 25)[1:]} == {1}

    def test_twice_the_rate_spreads_each_pair(self) -> None:
        assert picked(np.arange(4) / 25, 50) == [(0, 0), (1, 2), (2, 2), (3, 2)]

    def test_rounded_timestamps_spread_evenly(self) -> None:
        """Matroska rounds to 1 ms: 15 frames/s to 30."""
        times = np.round(np.arange(20) / 15, 3)
        assert {gap for _, gap in picked(times, 30)[1:]} == {2}

    def test_gaps_add_up_to_the_duration(self) -> None:
        rng = np.random.default_rng(0)
        times = np.concatenate([[0], np.cumsum(rng.uniform(0.01, 0.12, 60))])
        for fps in (7.0, 12.5, 25.0, 60.0):
            got = picked(times, fps)
            position = 0
            for index, gap in got:
                position += gap
                nearest = np.abs(times - position / fps).min()
                assert abs(times[index] - position / fps) <= nearest + 0.11 / fps
            assert abs(position / fps - times[-1]) < 1.1 / fps + 0.12

    def test_one_frame_and_none(self) -> None:
        assert picked([0.0], 25) == [(0, 0)]
        assert picked([], 25) == []
        assert picked([0.0, 0.001], 25) == [(0, 0)]

    @pytest.mark.parametrize("native", [50.0, 25.0, 12.5, 30.0, 10.0])
    def test_motion_is_that_of_the_wanted_rate(self, tmp_path: Path, native: float) -> None:
        """50 px/s at 25 frames/s is 2 px a field, however fast the video is."""
        path = make_clip(tmp_path / "a.avi", round(native), native)
        settings = StoreSettings(short_side=48, flow="farneback", fps=25)
        clips = extract_to_memory(path, settings, ("rgb", "forward"))
        fields = clips["forward"].fields()
        assert clips["forward"].header.fps == 25
        assert abs(len(fields) - 24) <= 2
        assert len(clips["rgb"]) == len(fields) + 1
        inner = fields[:, 0, 12:-12, 16:-16]
        np.testing.assert_allclose(inner.mean(), SPEED_PX, atol=0.2)
        if 25 % native == 0:  # each field, not just their mean
            np.testing.assert_allclose(inner.mean(axis=(1, 2)), SPEED_PX, atol=0.3)

    def test_the_rate_is_kept_without_a_wish(self, tmp_path: Path) -> None:
        clips = extract_to_memory(make_clip(tmp_path / "a.avi", 12, 12.5), SETTINGS)
        assert clips["forward"].header.fps == 12.5
        np.testing.assert_allclose(
            clips["forward"].fields()[:, 0, 12:-12, 16:-16].mean(), 2 * SPEED_PX, atol=0.2
        )

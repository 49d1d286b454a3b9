"""Windows that share their looks: which frames each is scored on, and that none is scored twice."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from twostream.prediction.looks import Looks
from twostream.prediction.window import Window

FPS = 25


class Numbers:
    """A stream whose score of a frame is the frame's number."""

    spec = SimpleNamespace(temporal=None)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def looks(self, wanted: Sequence[tuple[Any, int]]) -> np.ndarray:
        self.seen += [clip.first + place for clip, place in wanted]
        return np.array([[clip.first + place] for clip, place in wanted], np.float32)


def window(first: int, frames: int = 20) -> Window:
    header = SimpleNamespace(fps=FPS)
    clip: Any = SimpleNamespace(first=first, header=header, num_positions=lambda _: frames)
    return Window(clip, first / FPS, (first + frames) / FPS)


def scored(stream: Numbers, *groups: Sequence[Window], positions: int = 3, every: int = 5) -> list:
    looks = Looks({"spatial": stream}, positions, every)  # type: ignore[dict-item]
    return [float(found["spatial"][0]) for group in groups for found in looks.score(group)]


@pytest.mark.parametrize("together", [1, 2, 4])
def test_a_look_counts_in_all_windows_that_hold_it(together: int) -> None:
    windows = [window(first) for first in (0, 5, 10, 15)]
    groups = [windows[i : i + together] for i in range(0, 4, together)]
    stream = Numbers()
    # of 20 frames, 5 apart: 2, 7, 12 and 17, and so on
    assert scored(stream, *groups) == [9.5, 14.5, 19.5, 24.5]
    assert stream.seen == [2, 7, 12, 17, 22, 27, 32]


def test_what_was_left_out_is_not_made_up_for() -> None:
    """As of a watch whose networks are too slow: each window costs one look more."""
    stream = Numbers()
    found = scored(stream, *([window(first)] for first in (0, 15, 20, 60)))
    assert stream.seen == [2, 7, 12, 17, 32, 37, 62, 67, 72, 77]
    assert found == pytest.approx([9.5, (17 + 32) / 2, (32 + 37) / 2, 69.5])


def test_the_first_window_takes_no_more_than_is_asked_for() -> None:
    stream = Numbers()
    found = scored(stream, [window(0), window(5), window(10)], positions=2)
    assert stream.seen == [7, 17, 22, 27]
    assert found == pytest.approx([12.0, (7 + 17 + 22) / 3, (17 + 22 + 27) / 3])


def test_the_last_window_comes_sooner_and_costs_one_look() -> None:
    stream = Numbers()
    found = scored(stream, [window(0), window(5), window(7)])
    assert stream.seen == [2, 7, 12, 17, 22, 24]
    assert found[-1] == pytest.approx(np.mean([7, 12, 17, 22, 24]))


def test_windows_apart_share_nothing() -> None:
    stream = Numbers()
    assert scored(stream, [window(0), window(40)], every=40) == [
        pytest.approx(29 / 3),
        pytest.approx(149 / 3),
    ]
    assert len(stream.seen) == len(set(stream.seen)) == 6


def test_two_looks_a_step_where_windows_overlap_by_half() -> None:
    stream = Numbers()
    found = scored(stream, [window(first, 40) for first in (0, 20, 40)], positions=5, every=20)
    assert stream.seen == [4, 14, 24, 34, 44, 54, 64, 74]
    assert found == [19.0, 39.0, 59.0]

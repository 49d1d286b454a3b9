"""One clip on several threads: the bytes are those of one thread, with cuts, runs and repeats."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from frame_images import write_video
from moving_clips import contents, make_clip
from test_solvers import X, Y, grey, waves
from twostream.extraction import extract
from twostream.extraction.frame_pairs import FramePairs, with_flow
from twostream.extraction.idle_threads import Helpers, with_flow_ahead
from twostream.flow import FlowEstimator, make_estimator
from twostream.store.flow_store import StoreSettings
from twostream.types import Frame, LabeledVideo


def shots(copies: int = 1) -> list[np.ndarray]:
    """Two shots of 7 and 8 frames, one after the other; frame 4 is frame 3 again."""
    one = [grey(waves(X - 1.7 * t, Y + 0.8 * t)) for t in (0, 1, 2, 3, 3, 4, 5)]
    other = [grey(waves(X + 300 - 2 * t, Y)) for t in range(8)]
    return [np.repeat(picture[..., None], 3, 2) for picture in (*one, *other)] * copies


SETTINGS = StoreSettings(flow="brox", codec="lossless")


def test_threads_do_not_show_in_one_clip(tmp_path: Path) -> None:
    video = LabeledVideo("a.avi", write_video(tmp_path / "a.avi", shots(), quality=1), 0)
    kinds = ("rgb", "forward", "backward")
    for workers in (1, 2, 5):
        summary = extract(
            [video],
            store=tmp_path / str(workers),
            settings=SETTINGS,
            kinds=kinds,
            workers=workers,
        )
        assert (summary.done, summary.pairs, summary.device) == (1, 14, "cpu")
    one = contents(tmp_path / "1")
    assert one == contents(tmp_path / "2") == contents(tmp_path / "5")


def frames_of(pictures: list[np.ndarray], alone: tuple[int, ...] = (0,)) -> list[tuple[Frame, int]]:
    """Frames, of which some follow none."""
    return [(Frame(rgb, t / 25), int(t not in alone)) for t, rgb in enumerate(pictures)]


class Recorder(FlowEstimator):
    """An estimator that tells in every field which call on which thread made it."""

    name = "recorder"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.threads: set[str] = set()

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.full((2, *first.shape), float(second[0, 0]) - float(first[0, 0]), np.float32)


class TestHelpers:
    @pytest.mark.parametrize("alone", [(0,), (0, 1, 2, 7, 11, 12, 39)])
    def test_idle_threads_help_and_the_order_stays(self, alone: tuple[int, ...]) -> None:
        pictures = [np.full((4, 4, 3), t * t % 251, np.uint8) for t in range(40)]
        made: list[Recorder] = []
        together = threading.Barrier(2, timeout=20)

        class Waiting(Recorder):
            def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
                if self.calls == 0:
                    together.wait()  # passes only if two threads compute at once
                return super().__call__(first, second)

        def make() -> Recorder:
            made.append(Waiting())
            return made[-1]

        helpers = Helpers(make, threads=2, clips=1)
        frames = frames_of(pictures, alone)
        found = list(with_flow_ahead(frames, ["forward"], pairs=3, helpers=helpers))
        helpers.close()
        assert len(made) == 2
        wanted = list(with_flow(frames, Recorder(), ["forward"]))
        assert len(found) == len(wanted) == 40
        assert tuple(t for t, (*_, fields) in enumerate(wanted) if not fields) == alone
        for (frame, gap, fields), (same, same_gap, expected) in zip(found, wanted, strict=True):
            assert frame is same or np.array_equal(frame.rgb, same.rgb)
            assert gap == same_gap
            np.testing.assert_array_equal(fields, expected)

    def test_nobody_helps_while_there_are_clips_enough(self) -> None:
        helpers = Helpers(Recorder, threads=2, clips=3)
        pictures = [np.full((4, 4, 3), t, np.uint8) for t in range(9)]

        def calls_of_this_thread() -> int:
            before = helpers.estimator().calls
            flow = with_flow_ahead(frames_of(pictures), ["forward"], pairs=1, helpers=helpers)
            assert len(list(flow)) == 9
            return helpers.estimator().calls - before

        assert calls_of_this_thread() == 8
        helpers.clip_ended()
        assert calls_of_this_thread() == 8
        helpers.clip_ended()  # one clip is left, and one of two threads has none
        assert calls_of_this_thread() < 8
        helpers.close()

    def test_memory_is_that_of_the_runs_begun(self) -> None:
        """No more frames are taken than the runs ahead need."""
        helpers = Helpers(Recorder, threads=2, clips=1)
        taken = 0

        def source() -> object:
            nonlocal taken
            for t in range(1000):
                taken += 1
                yield Frame(np.full((2, 2, 3), t % 250, np.uint8), t / 25), min(t, 1)

        flow = with_flow_ahead(source(), ["forward"], pairs=2, helpers=helpers)
        for given, _ in enumerate(flow):
            assert taken <= given + 1 + 2 * (helpers.runs_ahead + 2)
        assert taken == 1000
        helpers.close()

    def test_what_a_helper_raises_reaches_the_clip(self) -> None:
        class Broken(Recorder):
            def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
                raise ValueError("out of luck")

        helpers = Helpers(Broken, threads=2, clips=1)
        pictures = [np.full((4, 4, 3), t, np.uint8) for t in range(9)]
        with pytest.raises(ValueError, match="out of luck"):
            list(with_flow_ahead(frames_of(pictures), ["forward"], pairs=1, helpers=helpers))
        helpers.close()

    @pytest.mark.parametrize("count", [0, 1])
    def test_without_a_pair(self, count: int) -> None:
        helpers = Helpers(Recorder, threads=2, clips=1)
        frames = frames_of([np.zeros((2, 2, 3), np.uint8)] * count)
        flow = list(with_flow_ahead(frames, ["forward"], pairs=1, helpers=helpers))
        assert [fields for *_, fields in flow] == [[]] * count
        helpers.close()


@pytest.mark.parametrize("name", ["dis", "farneback", "brox", "tvl1"])
def test_repeated_frames_cost_nothing(name: str) -> None:
    """Their field is zero, and the estimator is not asked."""
    estimator = make_estimator(name)
    asked = 0

    class Counting(Recorder):
        def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
            nonlocal asked
            asked += 1
            return estimator(first, second)

    one, two = shots()[:2]
    frames = [one, one, two, two, two]
    flow = list(with_flow(frames_of(frames), Counting(), ["forward", "backward"]))
    assert asked == 2
    assert [any(field.any() for field in fields) for *_, fields in flow[1:]] == [
        False,
        True,
        False,
        False,
    ]
    pairs = FramePairs(estimator, ["forward", "backward"])
    for (frame, _), (*_, fields) in zip(frames_of(frames), flow, strict=True):
        np.testing.assert_array_equal(pairs.push(frame), fields)


def test_a_long_clip_and_short_ones(tmp_path: Path) -> None:
    """The long one gets help when the short ones are done; the store is that of one worker."""
    names = {"long.avi": 60, "b.avi": 3, "c.avi": 3}
    videos = [LabeledVideo(n, make_clip(tmp_path / n, count), 0) for n, count in names.items()]
    made = StoreSettings(short_side=48, flow="farneback")
    for workers in (1, 2):
        summary = extract(videos, store=tmp_path / str(workers), settings=made, workers=workers)
        assert summary.pairs == 59 + 2 + 2
    assert contents(tmp_path / "1") == contents(tmp_path / "2")

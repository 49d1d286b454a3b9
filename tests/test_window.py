"""Streams of frames: a window gives what a video of its frames gives, each flow computed once."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream.flow.opencv import Dis
from twostream.prediction import Prediction, TwoStreamPredictor
from twostream.types import Frame, UsageError, VideoError
from twostream.video import VideoReader, VideoWriter, shrink
from untrained import INPUTS, SETTINGS, make_models, write_clip


def stored_frames(path: Path) -> list[Frame]:
    """The frames of a video at the models' size."""
    with VideoReader(path, short_side=SETTINGS.short_side) as reader:
        return list(reader)


def same(found: Prediction, wanted: Prediction) -> None:
    assert found.streams.keys() == wanted.streams.keys()
    for stream, scores in wanted.streams.items():
        np.testing.assert_array_equal(found.streams[stream], scores)
    np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("name", list(INPUTS))
@pytest.mark.parametrize("codec", ["jpeg", "lossless"])
def test_one_window_over_all_is_the_video(name: str, codec: str, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=30)
    models = make_models(INPUTS[name], replace(SETTINGS, codec=codec))
    predictor = TwoStreamPredictor.from_models(models)
    wanted = predictor.predict(video)
    assert (wanted.start_seconds, wanted.end_seconds) == (0, 1.2)
    (found,) = predictor.stream(stored_frames(video), fps=25)
    same(found, wanted)
    assert found.video is None
    assert (found.start_seconds, found.end_seconds) == (0, 1.2)
    (long,) = predictor.stream(stored_frames(video), fps=25, window_seconds=60)
    same(long, wanted)


@pytest.mark.parametrize("rate", [12.5, 50])
def test_frames_of_another_rate_are_resampled(
    rate: float, predictor: TwoStreamPredictor, tmp_path: Path
) -> None:
    video = write_clip(tmp_path / "clip.avi", fps=rate, frames=round(rate))
    (found,) = predictor.stream(stored_frames(video), fps=rate)
    same(found, predictor.predict(video))
    pictures = [frame.rgb for frame in stored_frames(video)]
    (timed,) = predictor.stream(pictures, fps=rate)
    same(timed, found)


def test_each_window_is_what_its_frames_alone_give(
    predictor: TwoStreamPredictor, tmp_path: Path
) -> None:
    frames = [f.rgb for f in stored_frames(write_clip(tmp_path / "clip.avi", frames=47))]
    windows = list(predictor.stream(frames, fps=25, window_seconds=0.8, every_seconds=0.32))
    ends = [20, 28, 36, 44, 47]
    assert [round(25 * w.end_seconds) for w in windows] == ends
    assert [round(25 * w.start_seconds) for w in windows] == [end - 20 for end in ends]
    for window, end in zip(windows, ends, strict=True):
        (alone,) = predictor.stream(frames[end - 20 : end], fps=25)
        same(window, alone)
    assert np.abs(windows[0].scores - windows[-1].scores).max() > 1e-3


@pytest.mark.parametrize(
    ("rate", "seconds"), [(25, 0.28), (25, 2.4), (12.5, 2.4), (12.5, 2.96), (60, 3.2)]
)
def test_flow_between_windows_is_left_out(
    rate: float, seconds: float, predictor: TwoStreamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window is what it is where they overlap; the last one ends with the last frame."""
    shape = (round(seconds * rate), 40, 50, 3)
    frames = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    pairs: list[int] = []
    compute = Dis.__call__
    monkeypatch.setattr(Dis, "__call__", lambda self, a, b: pairs.append(1) or compute(self, a, b))

    def scored(every: float) -> dict[int, Prediction]:
        windows = predictor.stream(
            frames, fps=rate, window_seconds=0.4, every_seconds=every, positions=2
        )
        return {round(25 * window.end_seconds): window for window in windows}

    wanted = scored(0.2)
    every_pair = len(pairs)
    found = scored(1)
    assert list(found) == [*[end for end in (10, 35, 60) if end < max(wanted)], max(wanted)]
    for end, window in found.items():
        same(window, wanted[end])
    in_a_window = 9 if rate > 12.5 else 5
    assert len(pairs) - every_pair <= min(every_pair, in_a_window * len(found) + 9)  # begun anew


def test_who_gives_arrays_may_fill_one_anew(predictor: TwoStreamPredictor, tmp_path: Path) -> None:
    frames = [f.rgb for f in stored_frames(write_clip(tmp_path / "clip.avi", frames=30))]
    buffer = np.empty_like(frames[0])

    def filled() -> Iterator[np.ndarray]:
        for frame in frames:
            buffer[:] = frame
            yield buffer

    (wanted,) = predictor.stream(frames, fps=25)
    (found,) = predictor.stream(filled(), fps=25)
    same(found, wanted)


def test_windows_stand_side_by_side_unless_told(predictor: TwoStreamPredictor) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (50, 40, 50, 3), np.uint8)
    windows = predictor.stream(frames, fps=25, window_seconds=1, positions=1)
    assert [w.start_seconds for w in windows] == [0, 1]
    (short,) = predictor.stream(frames[:5], fps=25, window_seconds=1)
    assert short.end_seconds == 0.2
    (single,) = predictor.stream(frames[:1], fps=25, window_seconds=1)
    assert single.scores.sum() == pytest.approx(1, abs=1e-5)
    assert list(predictor.stream([], fps=25, window_seconds=1)) == []


def test_fewer_positions_are_scored_where_asked(predictor: TwoStreamPredictor) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (12, 40, 50, 3), np.uint8)
    (one,) = predictor.stream(frames, fps=25, positions=1)
    (middle,) = predictor.stream(frames[5:6], fps=25)
    np.testing.assert_allclose(one.streams["spatial"], middle.streams["spatial"], atol=1e-6)


def test_the_flow_of_a_pair_is_computed_once_and_predictions_come_at_once(
    predictor: TwoStreamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (30, 40, 50, 3), np.uint8)
    pairs = []
    compute = Dis.__call__
    monkeypatch.setattr(Dis, "__call__", lambda self, a, b: pairs.append(1) or compute(self, a, b))
    taken = []

    def camera() -> Iterator[np.ndarray]:
        for i, frame in enumerate(frames):
            taken.append(i)
            yield frame

    windows = predictor.stream(camera(), fps=25, window_seconds=0.4, every_seconds=0.04)
    before = cv2.getNumThreads()
    next(windows)
    assert cv2.getNumThreads() == before
    assert len(taken) == 10 and len(pairs) == 9
    assert len(list(windows)) == 20
    assert len(pairs) == 29


def test_memory_is_that_of_a_window(
    predictor: TwoStreamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["twostream.prediction.window"]
    kept: list = []

    class Watched(module.RecentClip):  # type: ignore[name-defined, misc]
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            kept.append(self._kept)

    monkeypatch.setattr(sys.modules[TwoStreamPredictor.__module__], "RecentClip", Watched)
    picture = np.zeros((40, 50, 3), np.uint8)
    for _ in predictor.stream((picture for _ in range(300)), fps=25, window_seconds=0.4):
        sizes = {kind: len(values) for kind, values in kept[0].items()}
        assert sizes == {"forward": 9, "rgb": 10}


def test_larger_frames_are_shrunk_as_the_reader_does(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.avi", size=96, frames=3)
    with VideoReader(video) as whole, VideoReader(video, short_side=40) as small:
        for mine, wanted in zip(whole, small, strict=True):
            found = shrink(mine.rgb, 40)
            assert found.shape == wanted.rgb.shape
            assert np.abs(found.astype(int) - wanted.rgb).mean() < 4
            assert shrink(mine.rgb, None) is mine.rgb
            assert shrink(found, 60) is found


@pytest.mark.parametrize(
    "wrong", [{"fps": 0}, {"window_seconds": -1}, {"every_seconds": 0}, {"positions": 0}]
)
def test_wrong_numbers_are_refused_before_the_first_frame(
    wrong: dict, predictor: TwoStreamPredictor
) -> None:
    with pytest.raises(UsageError, match="must be a number above 0"):
        predictor.stream([], **{"fps": 25, "window_seconds": 1, **wrong})


def test_what_is_no_frame_is_refused(predictor: TwoStreamPredictor) -> None:
    good = np.zeros((40, 50, 3), np.uint8)
    for bad in (np.zeros((40, 50), np.uint8), np.zeros((40, 50, 3)), np.zeros((3, 40, 50), "u1")):
        with pytest.raises(UsageError, match=r"frame 1 is .* expected"):
            list(predictor.stream([good, bad], fps=25))
    with pytest.raises(VideoError, match="frame 1 is 54x40 px after frames of 50x40"):
        list(predictor.stream([good, np.zeros((40, 54, 3), np.uint8)], fps=25))
    with pytest.raises(VideoError, match="smaller than the model's crop"):
        list(predictor.stream([good[:20, :20]], fps=25))


def test_threads_share_a_predictor(predictor: TwoStreamPredictor, tmp_path: Path) -> None:
    videos = []
    for i in range(4):
        path = tmp_path / f"{i}.avi"
        with VideoWriter(path, fps=25, width=64, height=48) as writer:
            for frame in np.random.default_rng(i).integers(0, 255, (15, 48, 64, 3), np.uint8):
                writer.write(frame)
        videos.append(path)
    wanted = [predictor.predict(video) for video in videos]

    def streamed(video: Path) -> Prediction:
        return next(predictor.stream(stored_frames(video), fps=25))

    with ThreadPoolExecutor(4) as pool:
        jobs = [(pool.submit(predictor.predict, v), pool.submit(streamed, v)) for v in videos * 4]
        for (predicted, stream), each in zip(jobs, wanted * 4, strict=True):
            same(predicted.result(), each)
            same(stream.result(), each)


def test_times_of_frames_that_go_back_are_refused(predictor: TwoStreamPredictor) -> None:
    rgb = np.zeros((64, 80, 3), np.uint8)
    for odd in (0.5, math.nan, math.inf):
        frames = [Frame(rgb, 0.04 * i) for i in range(30)] + [Frame(rgb, odd)]
        with pytest.raises(UsageError, match=r"frame 30 is at .* after one at 1\.16 s: times must"):
            list(predictor.stream(frames, fps=25, window_seconds=0.4))

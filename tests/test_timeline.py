"""Timelines: smoothing and segments by known answers, and real videos from end to end."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from twostream import scoring
from twostream.checkpoint import StreamModel
from twostream.flow.opencv import Dis
from twostream.prediction import TwoStreamPredictor, model_files
from twostream.prediction import predictor as predictor_module
from twostream.prediction.model_files import TorchStream
from twostream.prediction.timeline import find_segments, smooth
from twostream.prediction.window import Window
from twostream.store.clips import Clip
from twostream.store.flow_store import StoreSettings
from twostream.threads import ahead
from twostream.types import TemporalInput, UsageError, VideoError
from twostream.video import VideoReader, VideoWriter
from untrained import make_models, own_threads, write_clip

FPS = 25


def scenes(path: Path, *parts: tuple[tuple[int, int, int], float]) -> Path:
    """A video that shows one colour after another, each for its seconds."""
    with VideoWriter(path, fps=FPS, width=64, height=48, quality=1) as writer:
        for colour, seconds in parts:
            for _ in range(round(seconds * FPS)):
                writer.write(np.full((48, 64, 3), colour, np.uint8))
    return path


# --- smoothing and segments


def test_smoothing_is_the_mean_of_the_windows_around() -> None:
    times = np.array([0.5, 1.0, 1.5, 2.0, 9.0])
    scores = np.array([[0], [4], [2], [6], [8]], np.float32)
    np.testing.assert_array_equal(smooth(times, scores, 0), scores)
    np.testing.assert_array_equal(smooth(times, scores, 0.9), scores)
    wanted = [[2], [2], [4], [4], [8]]  # half a second to either side; 9.0 stands alone
    np.testing.assert_allclose(smooth(times, scores, 1.0), wanted)
    np.testing.assert_allclose(smooth(times, scores, 100), np.full((5, 1), 4.0))


def test_smoothing_keeps_probabilities_and_the_place_of_a_boundary() -> None:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(5), 40).astype(np.float32)
    times = 1 + 0.5 * np.arange(40)
    np.testing.assert_allclose(smooth(times, scores, 3.0).sum(axis=1), 1, atol=1e-5)
    sharp = np.repeat(np.eye(2, dtype=np.float32), [20, 20], axis=0)
    first, second = find_segments(
        times, smooth(times, sharp, 3.0), ("a", "b"), threshold=0.4, seconds=22
    )
    assert (first.label, second.label) == ("a", "b")
    assert first.end_seconds == second.start_seconds == 10.75  # midway between 10.5 and 11.0


def test_a_short_flicker_disappears() -> None:
    scores = np.tile(np.array([[0.8, 0.2]], np.float32), (20, 1))
    scores[10] = (0.3, 0.7)
    times = 1 + 0.5 * np.arange(20)

    def labels(seconds: float) -> list[str | None]:
        smoothed = smooth(times, scores, seconds)
        return [s.label for s in find_segments(times, smoothed, "ab", threshold=0.4, seconds=11.5)]

    assert labels(0) == ["a", "b", "a"]
    assert labels(1.5) == ["a"]


def test_below_the_threshold_it_is_none_of_these() -> None:
    times = np.array([1.0, 2.0, 3.0, 4.0])
    scores = np.array([[0.9, 0.1], [0.55, 0.45], [0.48, 0.52], [0.3, 0.7]], np.float32)
    found = find_segments(times, scores, ("walk", "run"), threshold=0.6, seconds=5.0)
    assert [(s.start_seconds, s.end_seconds, s.label) for s in found] == [
        (0.0, 1.5, "walk"),
        (1.5, 3.5, None),
        (3.5, 5.0, "run"),
    ]
    assert found[1].score == pytest.approx((0.55 + 0.52) / 2)
    assert found[1].title == "none of these"
    # the threshold itself is enough
    (at,) = find_segments(times[:1], scores[1:2], "ab", threshold=float(scores[1, 0]), seconds=2.0)
    assert at.label == "a"


# --- whole videos

PROGRESS = [(0.8, 2.4), (1.2, 2.4), (1.6, 2.4), (2.0, 2.4), (2.4, 2.8), (2.4, 2.4)]


def test_two_actions_one_after_the_other_are_two_segments(
    predictor: TwoStreamPredictor, tmp_path: Path
) -> None:
    red, blue = (200, 30, 30), (30, 30, 200)
    spatial = TwoStreamPredictor.from_models(make_models(None)[:1])
    alone = [spatial.predict(scenes(tmp_path / "one.avi", (c, 1))).label for c in (red, blue)]
    assert alone[0] != alone[1]
    video = scenes(tmp_path / "both.avi", (red, 6), (blue, 4))
    for options in ({}, {"window_seconds": 1.0, "every_seconds": 0.2, "positions": 2}):
        timeline = spatial.timeline(video, threshold=0, **options)
        assert [s.label for s in timeline.segments] == alone
        first, second = timeline.segments
        assert (first.start_seconds, second.end_seconds) == (0, 10)
        window = options.get("window_seconds", 2.0)
        assert abs(first.end_seconds - 6) <= window / 2
        assert first.end_seconds == second.start_seconds
    strict = spatial.timeline(video, threshold=1)
    assert [s.label for s in strict.segments] == [None]


def test_threads_that_share_the_flow_change_nothing(
    predictor: TwoStreamPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=60)
    threads = set[str]()
    flow = Dis.__call__

    def seen(dis: Dis, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        threads.add(threading.current_thread().name)
        return flow(dis, first, second)

    monkeypatch.setattr(Dis, "__call__", seen)
    scores = []
    for count in ("1", "3"):
        threads.clear()
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        scores.append(predictor.timeline(video).scores)
        assert any(name.startswith("twostream pairs") for name in threads) == (count == "3")
    np.testing.assert_array_equal(*scores)
    assert own_threads() == 0


def test_windows_that_overlap_look_once_at_what_they_share(
    predictor: TwoStreamPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=60)
    told: list[tuple[float, float]] = []
    looked: list[int] = []
    looks = TorchStream.looks

    def counted(stream: TorchStream, wanted: Sequence[tuple[Clip, int]]) -> np.ndarray:
        looked.append(len(wanted))
        return looks(stream, wanted)

    monkeypatch.setattr(TorchStream, "looks", counted)
    timeline = predictor.timeline(
        str(video),
        window_seconds=0.8,
        every_seconds=0.4,
        positions=3,
        smooth_seconds=0,
        progress=lambda task, done, total: told.append((done, total)),
    )
    # windows of 20 frames, 10 apart, look at two each, of which they share one
    assert looked == [6, 6]
    with VideoReader(video, short_side=40) as reader:
        windows = list(predictor.recent_clip(0.8).windows(reader, 25, every=10))
    assert len(windows) == 5
    places = {"spatial": (4, 14), "temporal": (2, 12)}
    for name, stream in predictor.streams.items():
        wanted = [stream.looks([(w.clip, p) for p in places[name]]).mean(0) for w in windows]
        np.testing.assert_allclose(timeline.streams[name], wanted, atol=1e-6)
    both = np.mean(list(timeline.streams.values()), axis=0)
    np.testing.assert_allclose(timeline.scores, both, atol=1e-6)
    np.testing.assert_allclose(timeline.times, [0.4, 0.8, 1.2, 1.6, 2.0])
    assert told == [(pytest.approx(s), pytest.approx(total)) for s, total in PROGRESS]
    assert (timeline.video, timeline.seconds, timeline.warning) == (video, 2.4, None)
    assert timeline.segments[0].start_seconds == 0
    assert timeline.segments[-1].end_seconds == 2.4
    assert timeline.segment_at(2.39) == timeline.segment_at(99) == timeline.segments[-1]
    said = json.loads(json.dumps(timeline.to_json()))
    assert set(said) == {
        *("video", "seconds", "segments", "classes", "times", "scores", "streams", "warning")
    }
    assert np.array(said["streams"]["temporal"]).shape == np.array(said["scores"]).shape == (5, 7)


def test_few_long_windows_wait_for_the_networks(
    predictor: TwoStreamPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All their frames are in memory, those of one every 30 s too."""
    waiting = list[int]()

    def counted(windows: Iterator[Window], depth: int) -> Generator[Window, None, None]:
        waiting.append(depth)
        return ahead(windows, depth)

    monkeypatch.setattr(predictor_module, "ahead", counted)
    video = write_clip(tmp_path / "clip.avi", frames=5)
    for every in (1e-320, 0.5, 2, 30):
        predictor.timeline(video, window_seconds=60, every_seconds=every)
    assert waiting == [8, 8, 2, 1]


def test_stacks_of_many_looks_are_not_in_memory_together(
    predictor: TwoStreamPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoReader(write_clip(tmp_path / "clip.avi", frames=30), short_side=40) as reader:
        (window,) = predictor.recent_clip(None).windows(reader, 25, None)
    stream = predictor.streams["temporal"]
    monkeypatch.setattr(scoring, "_BATCH_BYTES", 0)  # one sample a batch
    wanted = np.concatenate([stream.looks([(window.clip, place)]) for place in range(20)])
    together = list[int]()

    def counted(model: StreamModel, stacks: np.ndarray) -> torch.Tensor:
        together.append(len(stacks))
        return scoring.score_samples(model, stacks)

    monkeypatch.setattr(model_files, "score_samples", counted)
    found = stream.looks([(window.clip, place) for place in range(20)])
    assert together == [8, 8, 4]
    np.testing.assert_array_equal(found, wanted)


def test_each_field_is_computed_once(
    predictor: TwoStreamPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = []
    compute = Dis.__call__
    monkeypatch.setattr(
        Dis,
        "__call__",
        lambda self, a, b: pairs.append(threading.current_thread()) or compute(self, a, b),
    )
    video = write_clip(tmp_path / "clip.avi", frames=50)
    timeline = predictor.timeline(video, window_seconds=0.8, every_seconds=0.04, positions=1)
    assert len(timeline.times) == 31
    assert len(pairs) == 49
    assert threading.current_thread() not in pairs  # flow has a thread of its own


def test_short_and_broken_videos(predictor: TwoStreamPredictor, tmp_path: Path) -> None:
    short = predictor.timeline(write_clip(tmp_path / "short.avi", frames=5))
    assert short.times.tolist() == [0.1] and len(short.segments) == 1
    single = predictor.timeline(write_clip(tmp_path / "single.avi", frames=1))
    assert single.seconds == 0.04
    whole = write_clip(tmp_path / "whole.avi", frames=60)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    broken = predictor.timeline(cut)
    assert broken.warning is not None and "cut.avi" in broken.warning
    assert 0 < broken.seconds < 2.4
    tiny = write_clip(tmp_path / "tiny.avi", size=24)
    with pytest.raises(VideoError, match=r"tiny\.avi.*smaller than the model's crop of 32 px"):
        predictor.timeline(tiny)
    assert own_threads() == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("window_seconds", float("nan"), "must be a number above 0"),
        ("every_seconds", 0, "must be a number above 0"),
        ("positions", 0, "must be a whole number from 1 up"),
        ("positions", 2.5, "must be a whole number from 1 up"),
        ("positions", float("nan"), "must be a whole number from 1 up"),
        ("smooth_seconds", float("nan"), "must be a number from 0 up"),
        ("smooth_seconds", -1, "must be a number from 0 up"),
        ("threshold", float("nan"), r"must lie in 0\.\.1"),
        ("threshold", 1.5, r"must lie in 0\.\.1"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_opened(
    name: str, value: float, words: str, predictor: TwoStreamPredictor
) -> None:
    with pytest.raises(UsageError, match=f"{name} {words}"):
        predictor.timeline("nowhere.avi", **{name: value})  # type: ignore[arg-type]


def test_flow_of_the_codec_is_seen(tmp_path: Path) -> None:
    """The flow of `mv` comes with the frames, from the file."""
    settings = StoreSettings(flow="mv", short_side=40).complete()
    predictor = TwoStreamPredictor.from_models(make_models(TemporalInput(length=4), settings))
    video = write_clip(tmp_path / "clip.avi", frames=20)
    timeline = predictor.timeline(video, positions=6, smooth_seconds=0)
    wanted = predictor.predict(video)
    np.testing.assert_array_equal(timeline.streams["temporal"][0], wanted.streams["temporal"])
    # vectors lead from each frame to the next: half of the frames have half of the motion
    predictor = TwoStreamPredictor.from_models(
        make_models(TemporalInput(length=4), settings, fps=12.5)
    )
    for answer in (predictor.predict, predictor.timeline):
        with pytest.raises(VideoError, match=r"motion vectors, .* cannot be brought to 12\.5"):
            answer(video)

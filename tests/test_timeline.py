"""Timelines: smoothing and segments by known answers, and real videos from end to end."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from twostream import scoring
from twostream.__main__ import run
from twostream.checkpoint import StreamModel
from twostream.flow.opencv import Dis
from twostream.prediction import Prediction, TwoStreamPredictor, model_files
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


# --- the command


def test_the_command_writes_what_it_is_asked_for(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=60)
    outputs = [f"--{kind}={tmp_path / kind}" for kind in ("csv", "scores", "srt")]
    outputs.append(f"--video={tmp_path / 'film.mp4'}")
    command = ["predict", str(run_folder), str(video), "--timeline", "--json", *outputs]
    assert run([*command, "--threshold", "0", "--every", "0.2", "--window", "1"]) == 0
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["seconds"] == 2.4 and len(found["times"]) == 8
    rows = list(csv.DictReader(io.StringIO((tmp_path / "csv").read_text())))
    assert [row["label"] for row in rows] == [s["label"] for s in found["segments"]]
    assert len((tmp_path / "scores").read_text().splitlines()) == 9
    assert (tmp_path / "srt").read_text().startswith("1\n00:00:00,000 --> ")
    with VideoReader(tmp_path / "film.mp4") as reader:
        assert len(list(reader)) == 60


def test_what_a_person_wrote_is_copied_before_it_is_replaced(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, path = write_clip(tmp_path / "clip.avi", frames=60), tmp_path / "clip.csv"
    path.write_text(hand_made := "path,label,start,end\nclip.avi,walk,0,1\n")
    command = ["predict", str(run_folder), str(video), "--timeline", "--threshold", "0"]
    for option in ("--labels", "--labels", "--csv", "--csv", "--scores", "--scores"):
        assert run([*command, f"{option}={path}"]) == 0
        assert path.read_text() != hand_made
    # labels of a time line too, which may have been corrected since, but no table
    copies = [".clip.csv.original", ".clip.csv.original-2"]
    assert sorted(each.name for each in tmp_path.glob(".*")) == copies
    assert (tmp_path / copies[0]).read_text() == hand_made
    said = capsys.readouterr()
    assert (said.out + said.err).count("was there: what it held is in .clip.csv.original") == 2


def test_one_bad_video_does_not_end_the_run(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "a.avi").write_text("no video")
    for name in ("b.avi", "c.avi"):
        write_clip(clips / name)
    command = ["predict", str(run_folder), str(clips)]
    assert run([*command, "--timeline", "--csv", str(tmp_path / "out"), "--json"]) == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out.splitlines()[-1])) == 2
    assert captured.err.count("a.avi") == 1 and "not labelled" in captured.err
    assert "predict: 3/3" in captured.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.csv", "c.csv"]
    assert run([*command, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_leaves_whole_files_only(run_folder: Path, tmp_path: Path) -> None:
    """One video is done, the other is at work: of the first everything is there."""
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    write_clip(clips / "a.avi", frames=30)
    scenes(clips / "b.avi", ((90, 90, 90), 600))
    outputs = [f"--{kind}={out / kind}" for kind in ("csv", "srt", "video")]
    command = ["predict", str(run_folder), str(clips), "--timeline", *outputs]
    process = subprocess.Popen(
        [sys.executable, "-m", "twostream", *command], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while not (out / "video" / "a.mp4").is_file():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said and "stopped" in said
    assert sorted(path.name for path in out.rglob("*.*")) == ["a.csv", "a.mp4", "a.srt"]
    with VideoReader(out / "video" / "a.mp4") as reader:
        assert len(list(reader)) == 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--srt", "x.srt"], "--srt is for --timeline"),
        (["--timeline", "--video", "x.txt"], "a film is written as one of"),
        (["--window", "3"], "--window is for --timeline"),
        (["--timeline", "--window", "nan"], "window_seconds must be a number above 0"),
        (["--timeline", "--threshold", "2"], "threshold must lie in 0..1"),
        (["--timeline", "--csv", "nowhere/x.csv"], "no folder nowhere"),
        (["--timeline", "--csv", "x.csv", "--scores", "./x.csv"], "would both write x.csv"),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: list[str],
    words: str,
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = write_clip(tmp_path / "clip.avi")
    assert run(["predict", str(run_folder), str(video), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


@pytest.mark.slow
def test_an_exported_folder_needs_no_torch(run_folder: Path, tmp_path: Path) -> None:
    from twostream.export import export_onnx

    export_onnx(run_folder, tmp_path / "onnx")
    video = write_clip(tmp_path / "clip.avi", frames=60)
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'lightning', 'timm', 'sklearn', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "from twostream.__main__ import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    arguments = ["predict", str(tmp_path / "onnx"), str(video), "--timeline", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout.splitlines()[-1])
    wanted = TwoStreamPredictor.load(run_folder).timeline(video)
    np.testing.assert_allclose(found["scores"], wanted.scores, atol=2e-4)


def test_what_nobody_foresaw_does_not_either(
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail_of_one(self: TwoStreamPredictor, video: Path) -> Prediction:
        if video.name == "a.avi":
            raise ZeroDivisionError("none of five")
        return predict(self, video)

    predict = TwoStreamPredictor.predict
    monkeypatch.setattr(TwoStreamPredictor, "predict", fail_of_one)
    for name in ("a.avi", "b.avi"):
        write_clip(tmp_path / name)
    assert run(["predict", str(run_folder), str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out.splitlines()[-1])) == 1
    said = f"not labelled: {tmp_path / 'a.avi'}: an unexpected ZeroDivisionError (none of five)"
    assert said in captured.err.replace("\n", " ")

"""Live prediction: bounded delay, counted drops, breaks that are told, files at their own speed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from camera_on_paper import FPS, PICTURES, Camera, PaperClock, wait_for_others, with_room
from twostream.__main__ import run
from twostream.bout_model import Belief, BoutModel
from twostream.flow.opencv import Dis
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.live import FRAMES_WAITING, Gap, Live, LivePrediction, Waiting
from twostream.prediction.timeline import Windows
from twostream.store.flow_store import StoreSettings
from twostream.types import Frame, TemporalInput, UsageError, VideoError
from twostream.video import VideoWriter
from twostream.video.live_clock import Clock, paced
from twostream.video.live_sources import CameraSource, FileSource, NetworkSource, open_source
from untrained import make_models, own_threads, write_clip


def predictions(events: list[LivePrediction | Gap]) -> list[LivePrediction]:
    return [event for event in events if isinstance(event, LivePrediction)]


# --- waiting


def test_the_oldest_give_way_and_are_counted() -> None:
    waiting: Waiting[int] = Waiting(3)
    for i in range(10):
        waiting.put(i)
    waiting.put(99, keep=True)
    waiting.close()
    assert not waiting.ended
    assert list(waiting) == [99, 7, 8, 9]
    assert waiting.dropped == 7
    assert waiting.ended and waiting.get(0) is None


def test_what_came_at_once_waits_together_where_there_is_room() -> None:
    waiting: Waiting[int] = Waiting(1)
    for i in range(3):
        waiting.put(i, joins=i > 0)
    assert waiting.dropped == 0 and waiting.get(0) == 0
    for i in range(3, 6):  # the others were not taken in time: of these the last one waits
        waiting.put(i, joins=i > 3)
    assert waiting.dropped == 4 and waiting.get(0) == 5
    for i in range(6, 8):
        waiting.put(i, joins=i > 6)
    waiting.put(8)
    waiting.close()
    assert list(waiting) == [8] and waiting.dropped == 6


def test_an_error_comes_after_what_waits() -> None:
    waiting: Waiting[int] = Waiting(3)
    waiting.put(1)
    waiting.close(VideoError("camera", "gone"))
    assert waiting.get(0) == 1
    with pytest.raises(VideoError, match="gone"):
        waiting.get(0)
    assert waiting.ended


# --- sources


def test_a_file_plays_at_its_own_speed(tmp_path: Path) -> None:
    clock = PaperClock()
    source = FileSource(write_clip(tmp_path / "clip.avi", frames=20), short_side=40)
    seen = []
    for frame in source.frames(clock):
        seen.append((clock.now() - 100, frame.pts_seconds))
        assert frame.rgb.shape == (40, 53, 3)
        if len(seen) == 10:
            clock.time += 0.3  # a slow reader: what is late comes at once, then it is on time again
    times, pts = np.array(seen).T
    np.testing.assert_allclose(times[:10], pts[:10], atol=1e-6)
    np.testing.assert_allclose(times[10:17], pts[9] + 0.3, atol=1e-6)
    np.testing.assert_allclose(times[17:], pts[17:], atol=1e-6)
    assert sum(wait for wait in clock.waits if wait > 0) == pytest.approx(0.76 - 0.3)


def test_stopping_ends_the_waiting() -> None:
    clock = Clock()
    frames = paced(iter([Frame(PICTURES[0], 0.0), Frame(PICTURES[0], 3600.0)]), clock)
    next(frames)
    threading.Timer(0.1, clock.stop).start()
    started = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - started < 30


def test_names_of_sources() -> None:
    assert isinstance(open_source("0"), CameraSource)
    assert isinstance(open_source("rtsp://host/live"), NetworkSource)
    assert isinstance(open_source("clip.mp4"), FileSource)
    for address in ("file:///etc/passwd", "concat://x"):
        with pytest.raises(UsageError, match="an address starts with one of http"):
            open_source(address)


def test_a_camera_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(VideoError, match="camera 97: cannot be opened"):
        next(CameraSource(97).frames(Clock()))


def test_a_cameras_frames_are_timed_by_their_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = PaperClock()

    class Capture:
        left = 3

        def __init__(self, index: int) -> None:
            assert index == 0

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            clock.time += 0.04
            self.left -= 1
            return (self.left >= 0, PICTURES[0] if self.left >= 0 else None)

        def release(self) -> None:
            released.append(True)

    released: list[bool] = []
    monkeypatch.setattr("cv2.VideoCapture", Capture)
    frames = CameraSource(0).frames(clock)
    taken = [next(frames) for _ in range(3)]
    np.testing.assert_allclose([frame.pts_seconds for frame in taken], [0.04, 0.08, 0.12])
    np.testing.assert_array_equal(taken[0].rgb, PICTURES[0][..., ::-1])  # blue first
    with pytest.raises(VideoError, match="gives no frames any more"):
        next(frames)
    assert released == [True]


# --- the watch


def test_windows_score_what_a_time_line_scores(predictor: TwoStreamPredictor) -> None:
    camera = Camera(47, reconnects=False)
    options = {"window_seconds": 0.8, "every_seconds": 0.4, "positions": 3}
    live = with_room(Live(predictor, camera, clock=PaperClock(), **options))
    events = list(live)
    frames = [Frame(PICTURES[(i + 1) % 50], i / FPS) for i in range(47)]
    windows = predictor.recent_clip(0.8).windows(frames, FPS, every=10)
    wanted = list(predictor.slide(windows, Windows(0.8, 0.4, 3, 0)))
    assert len(events) == len(wanted) == 4
    for found, window in zip(predictions(events), wanted, strict=True):
        np.testing.assert_allclose(found.prediction.scores, window.scores, atol=1e-6)
        # second 0 of the source is one frame after the start of the watch
        assert found.prediction.end_seconds == pytest.approx(window.end_seconds + 0.04)
    summary = live.summary()
    assert (summary.frames, summary.predictions, summary.dropped, summary.skipped) == (47, 4, 0, 0)
    assert own_threads() == 0


def test_a_slow_source_does_not_make_a_fast_machine_skip_windows(
    predictor: TwoStreamPredictor,
) -> None:
    """Each frame stands for 12 or 13 places, and completes the windows that end there."""
    clock = PaperClock()
    camera = Camera(12, reconnects=False, apart=0.5)
    live = Live(predictor, camera, window_seconds=0.8, every_seconds=0.2, clock=clock)
    wait_for_others(live, clock)
    found = [each.prediction.end_seconds - 0.5 for each in predictions(list(live))]
    assert live.summary().skipped == 0
    np.testing.assert_allclose(found, [*np.arange(0.8, 5.5, 0.2), 5.52], atol=1e-6)


def test_a_run_that_knows_its_bouts_believes_what_it_has_seen(
    predictor: TwoStreamPredictor,
) -> None:
    """Looks of one stack; a break of the source is forgotten with what was before it."""
    count = len(predictor.spec.classes)
    columns = [(value,) * count for value in (0.2, 1.0, 1 / count)]
    model = BoutModel(predictor.spec.classes, *columns, bouts=9)
    aware = TwoStreamPredictor(list(predictor.streams.values()), predictor.fusion, model)
    live = with_room(Live(aware, Camera(30, reconnects=False), clock=PaperClock()))
    events = predictions(list(live))
    frames = [Frame(PICTURES[(i + 1) % 50], i / FPS) for i in range(30)]
    seconds = aware.windows.seconds
    looks = list(
        predictor.stream(frames, fps=FPS, window_seconds=seconds, every_seconds=0.2, positions=1)
    )
    belief = Belief(model)
    assert len(events) == len(looks) > 4
    for found, look in zip(events, looks, strict=True):
        wanted = belief.update(look.scores, found.prediction.end_seconds)
        np.testing.assert_allclose(found.prediction.scores, wanted, atol=1e-6)
        np.testing.assert_array_equal(
            found.prediction.streams["temporal"], look.streams["temporal"]
        )


def test_a_slow_flow_drops_the_oldest_frames_and_counts_them(
    predictor: TwoStreamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_sent = threading.Event()
    compute = Dis.__call__

    def slow(self: Dis, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert all_sent.wait(60)  # one pair takes as long as all frames of the source
        return compute(self, a, b)

    monkeypatch.setattr(Dis, "__call__", slow)
    camera = Camera(200, reconnects=False, after=lambda n: all_sent.set() if n == 200 else None)
    live = Live(predictor, camera, window_seconds=0.4, clock=PaperClock())
    (*_, last) = predictions(list(live))
    # waiting, and a few that were in hand before the flow got stuck
    assert 200 - FRAMES_WAITING - 4 <= last.dropped <= 200 - FRAMES_WAITING
    assert live.summary().dropped == last.dropped and last.frames == 200
    # what is shown at the end is the end: nothing of the past has piled up
    assert last.prediction.end_seconds == pytest.approx(200 / FPS, abs=0.1)
    assert last.delay_seconds < 0.1


def test_a_slow_network_skips_windows_and_stays_at_bounded_delay(
    predictor: TwoStreamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each prediction takes as long as ten frames: only the newest window is scored."""
    ten = threading.Semaphore(0)
    taken = threading.Semaphore(0)

    def after(number: int) -> None:
        taken.release()
        if number > 20:
            assert ten.acquire(timeout=60)

    camera = Camera(100, reconnects=False, after=after)
    clock = PaperClock()
    # shorter than the frames that wait: the first ones may all have been dropped
    live = Live(predictor, camera, window_seconds=0.24, every_seconds=0.08, clock=clock)
    answer = predictor.answer

    def slow(*what):  # type: ignore[no-untyped-def]
        before = live._taken
        ten.release(10)
        while live._taken < min(before + 10, 100):
            time.sleep(0.001)
        time.sleep(0.02)
        return answer(*what)

    monkeypatch.setattr(predictor, "answer", slow)
    found = predictions(list(live))
    summary = live.summary()
    assert summary.skipped > 20 and summary.predictions + summary.skipped <= 50
    assert summary.skipped == found[-1].skipped
    # bounded: the windows that wait, the prediction itself, and frames on the way
    assert summary.longest_delay_seconds < 2
    assert max(each.delay_seconds for each in found[-3:]) < 1.5


def test_a_break_is_told_and_mended(predictor: TwoStreamPredictor) -> None:
    clock = PaperClock()
    camera = Camera(30, None, None, 40)
    live = Live(predictor, camera, window_seconds=0.4, every_seconds=0.2, clock=clock)
    events = list(with_room(live))
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [gap.cause for gap in gaps] == ["the plug was pulled"] * 2
    assert gaps[0].at_seconds == gaps[1].at_seconds == pytest.approx(1.2)
    assert gaps[0].seconds is None
    assert gaps[1].seconds == pytest.approx(0.5 + 1 + 2 + 0.04)  # three tries, each wait the double
    ends = np.array([each.prediction.end_seconds for each in predictions(events)])
    before, after = ends[ends < 2], ends[ends > 2]
    assert before.max() == pytest.approx(1.24) and after.max() == pytest.approx(6.34)
    # no window reaches across the break: the first one after it starts with its first frame
    firsts = [e for e in predictions(events) if e.prediction.end_seconds > 2]
    assert firsts[0].prediction.start_seconds == pytest.approx(1.2 + 3.54)
    assert live.summary().gaps == 1
    json.dumps([event.to_json() for event in events])


def test_what_was_seen_before_a_silence_is_not_taken_for_what_comes_after_it(
    predictor: TwoStreamPredictor,
) -> None:
    """The source stands still, its frames' times do not show it: a break, and second 0 again."""
    clock = PaperClock()

    def after(number: int) -> None:
        if number == 30:
            clock.time += 10

    live = Live(
        predictor,
        Camera(80, reconnects=False, after=after),
        window_seconds=0.4,
        every_seconds=0.2,
        positions=3,
        clock=clock,
    )
    events = list(with_room(live))
    assert [event.cause for event in events if isinstance(event, Gap)] == ["no frames come"] * 2
    found = predictions(events)
    assert [each.begins for each in found].count(True) == 2
    frames = [Frame(PICTURES[(i + 1) % 50], i / FPS) for i in range(80)]
    wanted = [
        window
        for run in (frames[:30], frames[30:])
        for window in predictor.slide(
            predictor.recent_clip(0.4).windows(run, FPS, every=5), Windows(0.4, 0.2, 3, 0)
        )
    ]
    assert len(found) == len(wanted) > 10
    for each, window in zip(found, wanted, strict=True):
        np.testing.assert_allclose(each.prediction.scores, window.scores, atol=1e-6)


def test_what_never_worked_is_an_error(predictor: TwoStreamPredictor) -> None:
    with pytest.raises(VideoError, match="no connection"):
        list(Live(predictor, Camera(None), clock=PaperClock()))
    with pytest.raises(VideoError, match="the plug was pulled"):
        list(Live(predictor, Camera(5, 5, reconnects=False), clock=PaperClock()))
    small = Camera(30, reconnects=False)
    small.frames = lambda clock: iter([Frame(PICTURES[0, :20], 0.0)])  # type: ignore[method-assign]
    with pytest.raises(VideoError, match="camera: its frames of 50x20 px are smaller"):
        list(Live(predictor, small, clock=PaperClock()))
    assert own_threads() == 0


def test_it_ends_when_its_seconds_are_over(predictor: TwoStreamPredictor) -> None:
    live = Live(predictor, Camera(10**9, reconnects=False), seconds=20, clock=PaperClock())
    for event in live:
        assert isinstance(event, LivePrediction)
    assert live.summary().seconds >= 20
    assert own_threads() == 0


@pytest.mark.parametrize(
    "wrong", [{"seconds": float("nan")}, {"every_seconds": 0}, {"window_seconds": float("inf")}]
)
def test_wrong_options_are_refused(wrong: dict, predictor: TwoStreamPredictor) -> None:
    with pytest.raises(UsageError, match="must be a number above 0"):
        Live(predictor, Camera(1), **wrong)


def test_flow_of_the_codec_is_refused() -> None:
    settings = StoreSettings(flow="mv", short_side=40).complete()
    codec = TwoStreamPredictor.from_models(make_models(TemporalInput(length=4), settings))
    with pytest.raises(UsageError, match="comes out of the video file"):
        Live(codec, Camera(1))


# --- the command


def test_the_command_prints_json_lines_and_a_summary(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=40)
    command = ["predict", str(run_folder), "--live", str(video), "--window", "0.4"]
    assert run([*command, "--json", "--threshold", "0"]) == 0
    *lines, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert last["summary"]["frames"] == 40
    assert last["summary"]["predictions"] == len(lines) >= 1
    assert {"label", "labels", "streams", "end_seconds", "delay_seconds", "dropped"} <= set(
        lines[0]
    )
    assert lines[0]["label"] == lines[0]["labels"][0]["label"]
    assert run([*command, "--threshold", "1", "--seconds", "0.9"]) == 0
    captured = capsys.readouterr()
    assert "none of these" in captured.out and "frames dropped" in captured.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_ends_it_with_a_summary(run_folder: Path, tmp_path: Path) -> None:
    clip = tmp_path / "long.avi"
    with VideoWriter(clip, fps=FPS, width=64, height=48) as writer:
        for _ in range(60 * FPS):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
    command = [sys.executable, "-m", "twostream", "predict", str(run_folder), "--live", str(clip)]
    process = subprocess.Popen(
        [*command, "--json", "--window", "0.4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "labels" in json.loads(first)
    assert json.loads(out.splitlines()[-1])["summary"]["predictions"] >= 1
    assert "Traceback" not in err and "predictions" in err

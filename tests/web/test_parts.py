"""The parts behind the page: limits, uploads, analysis, words and what the page shows."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysed import analysed, service_of
from twostream.prediction import Timeline, TwoStreamPredictor
from twostream.prediction.timeline import Segment
from twostream.types import Progress, UsageError, VideoError
from twostream.web.analysis import in_words
from twostream.web.explain import which_decided
from twostream.web.limits import Deadline, Limits, RefusedError
from twostream.web.news import told
from twostream.web.pictures import heat
from twostream.web.service import KEEP, Service
from twostream.web.shown import moment_shown, video_shown
from twostream.web.uploads import Uploads
from untrained import INPUTS, make_model, make_models, write_clip

LIMITS = Limits(max_mb=0.001, max_seconds=5, time_limit=60, at_once=1)


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for i in range(0, len(content), 100):
        yield content[i : i + 100]


def send(uploads: Uploads, content: bytes, name: str = "a.avi") -> str:
    """Send a file and return what its name was while it was there."""

    async def sent() -> str:
        async with uploads.received(chunks(content), name) as path:
            assert path.parent == uploads.folder and path.read_bytes() == content
            return path.name

    return asyncio.run(sent())


def test_an_upload_is_there_for_its_request_and_gone_afterwards(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, LIMITS)
    names = [send(uploads, b"abc" * 100, "../../x/holiday.MP4") for _ in range(2)]
    assert names[0] != names[1]
    for name in names:
        assert name.endswith(".mp4") and "holiday" not in name and len(name) == 36
    assert send(uploads, b"x", "a.exe").endswith(".video")
    assert not list(tmp_path.iterdir())


def test_an_upload_is_gone_after_an_error(tmp_path: Path) -> None:
    async def fail(error: BaseException) -> None:
        async with uploads.received(chunks(b"x"), "a.avi") as path:
            assert path.is_file()
            raise error

    uploads = Uploads(tmp_path, LIMITS)
    for error in (VideoError("x", "broken"), TimeoutError("of the disk"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            asyncio.run(fail(error))
    for content, words in ((b"x" * 1001, "larger than 0.001 MB"), (b"", "empty")):
        with pytest.raises(RefusedError, match=words):
            send(uploads, content)
    assert not list(tmp_path.iterdir())


def test_only_so_many_wait(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, LIMITS)
    with ExitStack() as waiting:
        for _ in range(LIMITS.max_videos):
            waiting.enter_context(uploads.place())
        with pytest.raises(RefusedError, match="too many videos wait"):
            send(uploads, b"x")
    assert not list(tmp_path.iterdir())
    send(uploads, b"x")


def test_a_file_that_never_ends_is_given_up(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    async def receive() -> None:
        async with uploads.received(endless(), "a.avi"):
            pass

    uploads = Uploads(tmp_path, replace(LIMITS, time_limit=0.02))
    with pytest.raises(RefusedError, match="too slowly"):
        asyncio.run(receive())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["max_mb", "max_seconds", "time_limit", "max_memory_mb", "at_once"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_are_numbers_above_0(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be"):
        Limits(**{name: value})


def test_so_many_work_at_once() -> None:
    places, most, inside = threading.Semaphore(2), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal most, inside
        with Deadline(30).place(places):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    stopped = threading.Event()
    stopped.set()
    with Deadline(9).place(places), Deadline(9).place(places):
        for deadline, words in (
            (Deadline(0.01), r"took more than 0\.01 s"),
            (Deadline(60, stopped), "being stopped"),
        ):
            with pytest.raises(RefusedError, match=words), deadline.place(places):
                pass
    with pytest.raises(ValueError, match="x"), Deadline(9).place(places):
        raise ValueError("x")
    with Deadline(9).place(places), Deadline(9).place(places):  # all of them are free again
        pass


@pytest.mark.parametrize(
    ("name", "fps", "frames"),
    [
        *((name, *clip) for name in INPUTS for clip in ((25, 60), (12.5, 30), (25, 7))),
        ("stack", 50, 110),
        ("stack", 25, 1),
    ],
)
def test_the_analysis_is_what_the_predictor_says(
    tmp_path: Path, name: str, fps: float, frames: int
) -> None:
    predictor = TwoStreamPredictor.from_models(make_models(INPUTS[name]))
    video = write_clip(tmp_path / "a.avi", fps=fps, frames=frames)
    analysis = analysed(predictor, video)
    wanted, line = predictor.predict(video), predictor.timeline(video)
    video.unlink()  # it is not needed any more
    timeline = analysis.timeline()
    np.testing.assert_allclose(timeline.times, line.times)
    np.testing.assert_array_equal(timeline.scores, line.scores)
    assert timeline.segments == line.segments and timeline.seconds == line.seconds
    found = analysis.predict()
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.end_seconds == wanted.end_seconds
    last = analysis.moment(1e9)
    assert last.seconds == pytest.approx((analysis.clip.num_frames - 1) / analysis.clip.header.fps)
    assert analysis.moment(-1).seconds == 0
    for stream, stack in last.stacks.items():
        temporal = predictor.streams[stream].spec.temporal
        assert len(stack) == (temporal.length if temporal else 1)
    flow = predictor.streams["temporal"].spec.is_flow
    assert (last.field is not None) == (flow and frames > 1)


@pytest.mark.parametrize(
    "name", ["corrupted.mp4", "video_90.mov", "h264_10bits.mp4", "phone_hevc_rotated_vfr.mov"]
)
def test_odd_real_files(shared_data: Path, name: str) -> None:
    """Broken off, rotated, 10 bits, a varying frame rate: as the predictor has them."""
    predictor = TwoStreamPredictor.from_models(make_models(INPUTS["stack"]))
    path = shared_data / "robustness" / name
    found = analysed(predictor, path, name)
    timeline, wanted = found.timeline(), predictor.timeline(path)
    np.testing.assert_array_equal(timeline.scores, wanted.scores)
    assert found.moment(0.1).frame.shape[0] > 0
    assert (found.warning is None) == (name != "corrupted.mp4")
    if found.warning is not None:
        assert found.warning.startswith(f"{name}: a damaged packet was left out")


def test_the_frame_of_a_moment(tmp_path: Path) -> None:
    """Frame i of this clip is grey value 5 i, and nothing moves."""
    from twostream.video import VideoWriter

    video = tmp_path / "a.avi"
    with VideoWriter(video, fps=25, width=64, height=48) as writer:
        for i in range(50):
            writer.write(np.full((48, 64, 3), 5 * i, np.uint8))
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    analysis = analysed(predictor, video)
    for i in (0, 10, 49):
        moment = analysis.moment(i / 25)
        assert abs(float(moment.frame.mean()) - 5 * i) < 3
        assert moment.field is None  # this run sees no flow


def test_limits_hold_while_decoding(tmp_path: Path) -> None:
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    video = write_clip(tmp_path / "a.avi", frames=60)
    with pytest.raises(RefusedError, match="longer than 1 s"):
        analysed(predictor, video, limits=Limits(max_seconds=1))
    with pytest.raises(RefusedError, match="took more than 1e-09 s: send"):
        analysed(predictor, video, seconds=1e-9).predict()
    with pytest.raises(RefusedError, match="too large"):
        Limits().check_pixels(16384, 16384)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One place for work, and one video of its own."""
    (tmp_path / "sent").mkdir()
    video = write_clip(tmp_path / "own.avi", frames=15)
    limits = Limits(at_once=1)
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    with closing(service_of(predictor, limits, tmp_path / "sent", video)) as service:
        yield service


def test_a_service_keeps_its_own_videos_and_removes_the_visitors(service: Service) -> None:
    folder, (video,) = service.uploads.folder, service.videos

    async def sent(content: bytes, name: str) -> None:
        async with service.uploads.received(chunks(content), name) as path:
            answer = service.predict(path, name, 1, False)
            assert not list(folder.iterdir())
            assert answer["labels"][0]["label"] in service.run.networks.served.classes
            assert answer["video"] == name

    asyncio.run(sent(video.read_bytes(), "theirs.avi"))
    service.predict(video, "own.avi", 1, False)
    assert video.is_file()
    with pytest.raises(VideoError) as caught:
        asyncio.run(sent(b"text", "notes.mp4"))
    words = in_words(caught.value, "notes.mp4")
    assert words.startswith("notes.mp4: cannot be opened") and str(folder) not in words
    assert not list(folder.iterdir())
    service.predict(video, "own.avi", 1, False)  # the one place is free again


def test_only_so_many_videos_stay_in_memory(service: Service) -> None:
    (video,) = service.videos
    first, second, *_ = [service.show(video, "a")["key"] for _ in range(KEEP)]
    assert service.show_moment(first, 0) is not None  # seen now: the second is the oldest
    third = service.show(video, "a")["key"]
    assert service.show_moment(second, 0) is None
    assert service.show_moment(first, 0) and service.show_moment(third, 0)
    assert service.show_moment("x", 0) is None


def lines_of(work: Callable[[Progress], dict[str, Any]], most: int = 99) -> list[Any]:
    """Return what is told of work until it ends, or until somebody who waits has enough."""

    async def read() -> list[Any]:
        told_lines = told(work, "a.avi")
        lines: list[Any] = []
        while len(lines) < most and (line := await anext(told_lines, None)) is not None:
            assert line.endswith("\n") and line.count("\n") == 1
            lines.append(json.loads(line))
        await told_lines.aclose()
        return lines

    return asyncio.run(read())


def test_progress_is_told_line_by_line() -> None:
    def work(progress: Progress) -> dict[str, Any]:
        progress("frames", 1, 2, "one\nof two")
        return {"label": "a"}

    frames = {"task": "frames", "done": 1, "total": 2, "detail": "one\nof two"}
    assert lines_of(work) == [frames, {"label": "a"}]

    def refused(progress: Progress) -> dict[str, Any]:
        raise VideoError("/tmp/x.avi", "cannot be opened")

    assert lines_of(refused) == [{"error": "a.avi: cannot be opened"}]

    def defect(progress: Progress) -> dict[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # the server logs it
        lines_of(defect)
    assert lines_of(defect, 1) == [{"error": "a.avi: the server failed, its log says why"}]


def test_work_that_nobody_waits_for_ends() -> None:
    steps, ended = 0, threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        nonlocal steps
        try:
            for steps in range(1000):
                progress("frames", steps, 1000)
                time.sleep(0.01)
        finally:
            ended.set()
        return {}

    assert len(lines_of(work, 2)) == 2
    assert ended.wait(10) and steps < 900


@pytest.mark.parametrize(
    ("spatial", "temporal", "words"),
    [
        ([0.5, 0.3, 0.2], [0.9, 0.1, 0.0], "Both agree: appearance (50%) and motion (90%) say a, "),
        ([0.5, 0.3, 0.2], [0.5, 0.4, 0.1], "Both agree: appearance (50%) and motion (50%) say a."),
        ([0.6, 0.3, 0.1], [0.1, 0.9, 0.0], "Motion decided: it says b (90%), appearance alone "),
        ([0.9, 0.1, 0.0], [0.3, 0.4, 0.3], "Appearance decided: it says a (90%), motion alone "),
        ([0.5, 0.0, 0.45], [0.0, 0.5, 0.45], "Neither alone would say c: appearance says a (50%)"),
    ],
)
def test_which_stream_decided(spatial: list[float], temporal: list[float], words: str) -> None:
    streams = {"spatial": np.array(spatial), "temporal": np.array(temporal)}
    fused = np.mean(list(streams.values()), axis=0)
    assert which_decided(("a", "b", "c"), fused, streams).startswith(words)


def test_one_stream_decides_alone() -> None:
    scores = np.array([0.3, 0.7])
    words = which_decided(("a", "b"), scores, {"temporal": scores})
    assert words == "This run has one stream, motion: it says b (70%)."


def test_what_the_page_shows(tmp_path: Path) -> None:
    """Names are text; what has no label has no class; bars are the best classes of the moment."""
    classes = ("<script>", *"bcdefghi")
    rows = np.full((2, 9), 0.05, np.float32)
    rows[0, 0], rows[1, 8] = 0.6, 0.3
    segments = (Segment(0.0, 1.0, "<script>", 0.6), Segment(1.0, 2.0, None, 0.3))
    predictor = TwoStreamPredictor.from_models([make_model(None, classes=classes)])
    video = write_clip(tmp_path / "a.avi", frames=50)
    analysis = analysed(predictor, video, "<b>.avi")
    times = np.array([0.5, 1.5])
    timeline = Timeline(
        video, classes, times, rows, {"spatial": rows[::-1]}, segments, None, analysis.seconds
    )
    shown = json.loads(json.dumps(video_shown(analysis, analysis.predict(), timeline)))
    assert shown["name"] == "<b>.avi" and shown["label"] in classes and shown["warning"] is None
    together, spatial = shown["rows"]
    assert together["blocks"] == [
        {"start": 0.0, "end": 1.0, "class": 0, "label": "<script>", "score": 0.6},
        {"start": 1.0, "end": 2.0, "class": None, "label": "none of these", "score": 0.3},
    ]
    assert spatial["name"] == "appearance"
    assert [(b["start"], b["end"], b["class"]) for b in spatial["blocks"]] == [
        (0, 1, 8),
        (1, 2, 0),
    ]
    moment = json.loads(json.dumps(moment_shown(analysis, timeline, 1.4)))
    assert moment["seconds"] == pytest.approx(1.4) and moment["note"] is None
    assert list(moment["pictures"]) == ["frame", "where appearance looked"]
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in moment["pictures"].values())
    assert len(moment["classes"]) == 6 and moment["others"] == 3
    best = moment["classes"][0]
    assert (best["class"], best["label"]) == (8, "i")
    assert best["scores"] == {
        "together": pytest.approx(0.3),
        "appearance": pytest.approx(0.05),
    }


def test_heat_is_warm_where_it_was_looked() -> None:
    grey = np.full((20, 20, 3), 100, np.uint8)
    looked = np.zeros((20, 20), np.float32)
    looked[5, 5] = 1
    picture = heat(grey, looked)
    assert picture.shape == (20, 20, 3) and picture.dtype == np.uint8
    red, _, blue = (int(value) for value in picture[5, 5])
    assert red > blue + 50
    assert len({int(value) for value in picture[15, 15]}) == 1 and picture[15, 15, 0] > 150

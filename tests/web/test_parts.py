"""The parts behind the page: limits, uploads, analysis, words and HTML."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream.prediction import Timeline, TwoStreamPredictor
from twostream.prediction.timeline import Segment
from twostream.types import TwoStreamError, UsageError, VideoError
from twostream.web.analysis import Analysis, in_words
from twostream.web.explain import which_decided
from twostream.web.limits import Deadline, Gate, Limits, RefusedError
from twostream.web.markup import bars, headline, problem, track
from twostream.web.pictures import heat
from twostream.web.service import KEEP, Service
from twostream.web.uploads import Uploads
from untrained import INPUTS, make_model, make_models, write_clip

LIMITS = Limits(max_mb=0.001, max_seconds=5, time_limit=60, at_once=1)


def send(uploads: Uploads, content: bytes, name: str = "a.avi") -> str:
    async def chunks() -> AsyncIterator[bytes]:
        for i in range(0, len(content), 100):
            yield content[i : i + 100]

    return asyncio.run(uploads.receive(chunks(), name))


def test_an_upload_is_there_once_and_gone_afterwards(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, LIMITS)
    token = send(uploads, b"abc" * 100, "../../x/holiday.MP4")
    with uploads.taken(token) as path:
        assert path.parent == tmp_path and path.suffix == ".mp4" and "holiday" not in path.name
        assert path.read_bytes() == b"abc" * 100
        with pytest.raises(RefusedError, match="not here any more"), uploads.taken(token):
            pass
        uploads.sweep(0)  # what is worked on stays
        assert path.is_file()
    assert not list(tmp_path.iterdir())
    with pytest.raises(RefusedError), uploads.taken(token):
        pass


def test_an_upload_is_gone_after_an_error(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, LIMITS)
    with pytest.raises(VideoError), uploads.taken(send(uploads, b"x")):
        raise VideoError("x", "broken")
    for content, words in ((b"x" * 1001, "larger than 0.001 MB"), (b"", "empty")):
        with pytest.raises(RefusedError, match=words):
            send(uploads, content)
    assert not list(tmp_path.iterdir())


def test_only_so_many_wait_and_the_old_ones_go(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, LIMITS)
    tokens = [send(uploads, b"x", "a.exe") for _ in range(LIMITS.max_files)]
    assert {path.suffix for path in tmp_path.iterdir()} == {".video"}
    with pytest.raises(RefusedError, match="too many videos wait"):
        send(uploads, b"x")
    uploads.sweep(60)
    assert len(list(tmp_path.iterdir())) == len(tokens)
    uploads.sweep(0)
    assert not list(tmp_path.iterdir())
    send(uploads, b"x")


def test_a_file_that_never_ends_is_given_up(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    uploads = Uploads(tmp_path, replace(LIMITS, time_limit=0.02))
    with pytest.raises(RefusedError, match="too slowly"):
        asyncio.run(uploads.receive(endless(), "a.avi"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["max_mb", "max_seconds", "time_limit", "at_once"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_are_numbers_above_0(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be"):
        Limits(**{name: value})


def test_the_gate_lets_so_many_through() -> None:
    gate, most, inside = Gate(2), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal most, inside
        with gate.opened(Deadline(30)):
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
    assert most == 2 and gate.free == 2
    refused = pytest.raises(RefusedError, match=r"took more than 0\.01 s")
    with gate.opened(Deadline(9)), gate.opened(Deadline(9)), refused, gate.opened(Deadline(0.01)):
        pass
    stopped = threading.Event()
    stopped.set()
    refused = pytest.raises(RefusedError, match="being stopped")
    last = Deadline(60, stopped)
    with gate.opened(Deadline(9)), gate.opened(Deadline(9)), refused, gate.opened(last):
        pass
    with pytest.raises(ValueError, match="x"), gate.opened(Deadline(9)):
        raise ValueError("x")
    assert gate.free == 2


@pytest.mark.parametrize("name", list(INPUTS))
@pytest.mark.parametrize(("fps", "frames"), [(25, 60), (50, 110), (12.5, 30), (25, 1), (25, 7)])
def test_the_analysis_is_what_the_predictor_says(
    tmp_path: Path, name: str, fps: float, frames: int
) -> None:
    predictor = TwoStreamPredictor.from_models(make_models(INPUTS[name]))
    video = write_clip(tmp_path / "a.avi", fps=fps, frames=frames)
    told: list[float] = []
    analysis = Analysis(
        predictor,
        video,
        "b",
        limits=Limits(),
        deadline=Deadline(600),
        progress=lambda share, words: told.append(share),
    )
    wanted = predictor.predict(video)
    video.unlink()  # it is not needed any more
    found = analysis.predict()
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.end_seconds == wanted.end_seconds
    assert all(0 < share <= 1 for share in told) and told == sorted(told)
    last = analysis.moment(1e9)
    assert last.seconds == pytest.approx((analysis.frames - 1) / analysis.rate)
    assert analysis.moment(-1).seconds == 0
    for stream, stack in last.stacks.items():
        temporal = predictor.streams[stream].spec.temporal
        assert len(stack) == (temporal.length if temporal else 1)
    flow = predictor.streams["temporal"].spec.is_flow
    assert (last.field is not None) == (flow and frames > 1)


@pytest.mark.parametrize("name", list(INPUTS))
@pytest.mark.parametrize(("fps", "frames"), [(25, 60), (12.5, 30), (25, 7)])
def test_its_time_line_is_what_the_predictor_says(
    tmp_path: Path, name: str, fps: float, frames: int
) -> None:
    predictor = TwoStreamPredictor.from_models(make_models(INPUTS[name]))
    video = write_clip(tmp_path / "a.avi", fps=fps, frames=frames)
    wanted = predictor.timeline(video)
    limits = Limits()
    found = Analysis(predictor, video, "b", limits=limits, deadline=Deadline(600)).timeline()
    np.testing.assert_allclose(found.times, wanted.times)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.segments == wanted.segments and found.seconds == wanted.seconds


@pytest.mark.parametrize(
    "name", ["corrupted.mp4", "video_90.mov", "h264_10bits.mp4", "phone_hevc_rotated_vfr.mov"]
)
def test_odd_real_files(shared_data: Path, name: str) -> None:
    """Broken off, rotated, 10 bits, a varying frame rate: as the predictor has them."""
    predictor = TwoStreamPredictor.from_models(make_models(INPUTS["stack"]))
    path = shared_data / "robustness" / name
    found = Analysis(predictor, path, name, limits=Limits(), deadline=Deadline(600))
    timeline, wanted = found.timeline(), predictor.timeline(path)
    np.testing.assert_array_equal(timeline.scores, wanted.scores)
    assert found.moment(0.1).frame.shape[0] > 0
    assert (found.warning is None) == (name != "corrupted.mp4")
    if found.warning is not None:
        assert found.warning.startswith(f"{name}: decoding broke off after 28")


def test_the_frame_of_a_moment(tmp_path: Path) -> None:
    """Frame i of this clip is grey value 5 i, and nothing moves."""
    from twostream.video import VideoWriter

    video = tmp_path / "a.avi"
    with VideoWriter(video, fps=25, width=64, height=48) as writer:
        for i in range(50):
            writer.write(np.full((48, 64, 3), 5 * i, np.uint8))
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    analysis = Analysis(predictor, video, "a", limits=Limits(), deadline=Deadline(60))
    for i in (0, 10, 49):
        moment = analysis.moment(i / 25)
        assert abs(float(moment.frame.mean()) - 5 * i) < 3
        assert moment.field is None  # this run sees no flow


def test_limits_hold_while_decoding(tmp_path: Path) -> None:
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    video = write_clip(tmp_path / "a.avi", frames=60)
    for limits, words in (
        (Limits(max_seconds=1), "longer than 1 s"),
        (Limits(time_limit=1e-9), "took more than 1e-09 s: send"),
    ):
        with pytest.raises(RefusedError, match=words):
            Analysis(predictor, video, "a", limits=limits, deadline=Deadline(limits.time_limit))
    with pytest.raises(RefusedError, match="too large"):
        Limits().check_pixels(16384, 16384)


def test_a_service_keeps_its_own_videos_and_removes_the_visitors(tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    video = write_clip(tmp_path / "own.avi", frames=15)
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    limits = Limits(at_once=1)
    service = Service(predictor, "run", limits, Uploads(tmp_path / "sent", limits), (video,))
    token = send(service.uploads, video.read_bytes())
    with service.analysed(token, "theirs.avi") as (analysis, prediction):
        assert not list((tmp_path / "sent").iterdir()) and service.gate.free == 0
        assert prediction.label in predictor.spec.classes and analysis.name == "theirs.avi"
    with service.analysed(video, "own.avi"):
        pass
    assert video.is_file() and service.gate.free == 1
    token = send(service.uploads, b"text")
    with pytest.raises(VideoError) as caught, service.analysed(token, "notes.mp4"):
        pass
    words = in_words(caught.value, "notes.mp4")
    assert words.startswith("notes.mp4: cannot be opened") and str(tmp_path) not in words
    assert isinstance(caught.value, TwoStreamError) and service.gate.free == 1
    assert not list((tmp_path / "sent").iterdir())


def test_only_so_many_videos_stay_in_memory(tmp_path: Path) -> None:
    predictor = TwoStreamPredictor.from_models([make_model(None)])
    limits = Limits(at_once=1)
    service = Service(predictor, "run", limits, Uploads(tmp_path, limits))
    video = write_clip(tmp_path / "a.avi", frames=5)
    analysis = Analysis(predictor, video, "a", limits=limits, deadline=Deadline(60))
    timeline = analysis.timeline()
    first, second, *_ = [service.keep(analysis, timeline) for _ in range(KEEP)]
    assert service.kept(first) == (analysis, timeline)  # seen now: the second is the oldest
    third = service.keep(analysis, timeline)
    assert service.kept(second) is None and service.kept(first) and service.kept(third)
    assert service.kept(None) is None and service.kept("x") is None


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


def test_names_are_text_not_html(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    classes = (bad, "b")
    scores = np.array([0.7, 0.3], np.float32)
    rows = np.stack([scores, scores])
    segments = (Segment(0.0, 1.0, bad, 0.7), Segment(1.0, 2.0, None, 0.3))
    timeline = Timeline(
        tmp_path / bad, classes, np.array([0.5, 1.5]), rows, {"temporal": rows}, segments, bad, 2.0
    )
    predictor = TwoStreamPredictor.from_models([make_model(None, classes=classes)])
    video = write_clip(tmp_path / "a.avi")
    prediction = predictor.predict(video)
    for html in (
        track(timeline, 0.5),
        bars(classes, scores, {"temporal": scores}),
        headline(prediction, bad, bad),
        problem(bad),
    ):
        assert "<script" not in html and "&lt;script" in html
    assert "none of these" in track(timeline, 0.5)


def test_heat_is_warm_where_it_was_looked() -> None:
    grey = np.full((20, 20, 3), 100, np.uint8)
    looked = np.zeros((20, 20), np.float32)
    looked[5, 5] = 1
    picture = heat(grey, looked)
    assert picture.shape == (20, 20, 3) and picture.dtype == np.uint8
    red, _, blue = (int(value) for value in picture[5, 5])
    assert red > blue + 50
    assert len({int(value) for value in picture[15, 15]}) == 1 and picture[15, 15, 0] > 150

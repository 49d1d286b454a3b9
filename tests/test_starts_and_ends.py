"""Times as a player shows them: of a late first picture, of slow ones, and of the last one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from timed_clips import picture_at, write_timed
from twostream.doctor import examine
from twostream.extraction.one_video import extract_to_memory
from twostream.labels.video_facts import rate_of
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.annotate import write_annotated
from twostream.store.flow_store import StoreSettings
from twostream.video import VideoReader
from twostream.video.seeking import SeekableVideo

LOSSLESS = StoreSettings(short_side=48, flow="farneback", codec="lossless")
LATE = 2.0


@pytest.fixture(scope="module", params=[".mp4", ".mkv", ".ts"])
def late(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds of sound; the picture begins after two of them."""
    path = tmp_path_factory.mktemp("late") / f"late{request.param}"
    return write_timed(path, [LATE + i / 25 for i in range(125)], ticks=90000, sound=7.0)


def shows(rgb: np.ndarray, seconds: float) -> bool:
    """Whether a picture is what the camera saw at a time, and not a fifth of a second beside it."""
    error, *others = (
        np.abs(rgb.astype(int) - picture_at(at % 40)).mean()
        for at in (seconds, seconds - 0.2, seconds + 0.2)
    )
    return error < 0.5 * min(others)


def test_a_picture_that_begins_late_has_a_players_times(late: Path) -> None:
    with VideoReader(late) as reader:
        frames = list(reader)
        assert frames[0].pts_seconds == pytest.approx(LATE, abs=0.03)
        assert reader.end_seconds == pytest.approx(7, abs=0.03)
        assert reader.claimed_seconds == pytest.approx(7, abs=0.03)
        assert reader.warning is None


def test_its_stretches_are_sought_at_those_times(late: Path) -> None:
    video = SeekableVideo(late)
    with VideoReader(late) as reader:
        times = [frame.pts_seconds for frame in reader]
    for start, end in ((4.0, 5.0), (0.0, 1.0), (1.0, 3.0), (6.0, 8.0), (0.0, 8.0)):
        found = [frame.pts_seconds for frame in video.stretch(start, end).frames]
        np.testing.assert_allclose(found, [at for at in times if start <= at < end], atol=1e-6)
    assert video.stretch(0.0, 1.0).after == pytest.approx(LATE, abs=0.03)
    assert video.sought_in == (late.suffix != ".ts")
    video.close()


def test_nothing_is_said_of_the_time_before_it(late: Path) -> None:
    clips = extract_to_memory(late, LOSSLESS)
    header = clips["rgb"].header
    first = round(LATE * 25)
    assert [pause[0] for pause in header.pauses] == [0]
    assert abs(header.pauses[0][1] - first) <= 1
    assert abs(header.count - 175) <= 1
    assert clips["forward"].header.count == header.count - 1
    assert header.warning is not None and "no frames from 0.0 to 2.0 s" in header.warning
    assert any(shows(clips["rgb"].frames([100])[0], at) for at in (4.0, 3.96))  # a codec's start
    fields = clips["forward"].fields()
    assert not fields[: first - 2].any()
    moved = fields[first + 2 :, 0, 12:-12, 16:-16]
    np.testing.assert_allclose(moved.mean(axis=(1, 2)), -2.0, atol=0.4)


def test_a_time_line_and_a_film_of_it_have_those_times(
    late: Path, predictor: TwoStreamPredictor
) -> None:
    timeline = predictor.timeline(late, window_seconds=1)
    assert timeline.seconds == pytest.approx(7, abs=0.05)
    begins = timeline.segments[0]
    assert (begins.start_seconds, begins.score) == (0.0, None)
    assert begins.end_seconds == pytest.approx(LATE, abs=0.05)
    assert timeline.times[0] == pytest.approx(LATE + 0.5, abs=0.05)
    if late.suffix == ".mp4":  # the film is of the time line, whatever the video lies in
        film = late.with_name("film.mp4")
        write_annotated(timeline, film, [stream.spec for stream in predictor.streams.values()])
        with VideoReader(film) as reader:
            assert abs(sum(1 for _ in reader) - 175) <= 2


def test_the_doctor_says_so(late: Path, tmp_path: Path) -> None:
    (problem,) = [each for each in examine(late).problems if each.problem == "pause"]
    assert problem.detail == "no frames from 0.0 to 2.0 s; nothing is said of that time"
    standing = write_standing(tmp_path / "a.mp4", 7.0)
    (problem,) = [each for each in examine(standing).problems if each.problem == "pause"]
    assert problem.detail == "no frames from 3.0 to 10.0 s; nothing is said of that time"


@pytest.mark.parametrize("fps", [1, 2, 5])
def test_a_slow_video_is_stored_as_a_player_shows_it(fps: int, tmp_path: Path) -> None:
    """Each picture stands until the next one comes, and the last one as long as all others."""
    video = write_timed(tmp_path / "slow.mp4", [i / fps for i in range(10 * fps)], fps=fps)
    clips = extract_to_memory(video, StoreSettings(short_side=48, codec="lossless", fps=25))
    assert 10 - clips["rgb"].header.count / 25 <= 0.2
    for place, picture in enumerate(clips["rgb"].frames()):
        assert shows(picture, ((place + 0.5) * fps // 25) / fps), place


def test_motion_of_a_slow_video_lies_between_its_pictures(tmp_path: Path) -> None:
    """It moves in the third second alone: three pixels, a twenty-fifth of that in each field."""
    shown = [0.0, 0.0, 0.0, 0.06, 0.06, 0.06]
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"bf": "0", "crf": "10"}
        for number, at in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture_at(at), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 1)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    settings = StoreSettings(short_side=48, flow="dis", codec="lossless", fps=25)
    fields = extract_to_memory(tmp_path / "a.mp4", settings)["forward"].fields()
    moved = fields[:, 0, 12:-12, 20:-12].mean(axis=(1, 2))
    assert len(moved) == 149
    np.testing.assert_allclose(moved[50:75], -3 / 25, atol=0.02)
    np.testing.assert_allclose(moved[:50], 0, atol=0.01)
    np.testing.assert_allclose(moved[75:], 0, atol=0.01)


def write_standing(path: Path, seconds: float) -> Path:
    """Three seconds at 25 frames/s, whose last picture stands for some seconds more."""
    moving = write_timed(path.with_name("moving.mp4"), [i / 25 for i in range(75)])
    with av.open(str(moving)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packets = [each for each in source.demux(video=0) if each.size]
        for packet in packets:
            if packet is packets[-1]:
                packet.duration = round(seconds / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_nothing_is_said_of_the_time_that_the_last_picture_stands(
    suffix: str, tmp_path: Path, predictor: TwoStreamPredictor
) -> None:
    video = write_standing(tmp_path / f"a{suffix}", 7.0)
    clips = extract_to_memory(video, LOSSLESS)
    assert clips["rgb"].header.pauses == ((75, 249),)
    assert clips["rgb"].header.count == clips["forward"].header.count + 1 == 249
    timeline = predictor.timeline(video, window_seconds=1)
    assert timeline.seconds == pytest.approx(9.96)
    assert timeline.pauses == (pytest.approx((3.0, 9.96)),)
    ends = timeline.segments[-1]
    assert (ends.start_seconds, ends.end_seconds, ends.score) == (3.0, 9.96, None)
    assert timeline.warning is not None and "no frames from 3.0 to 10.0 s" in timeline.warning


def test_what_stands_for_half_a_second_is_shown(tmp_path: Path) -> None:
    clips = extract_to_memory(write_standing(tmp_path / "a.mp4", 0.5), LOSSLESS)
    header = clips["rgb"].header
    assert (header.pauses, header.warning) == ((), None)
    assert abs(header.count - 25 * (74 / 25 + 0.5)) < 1
    assert not clips["forward"].fields()[75:].any()
    assert shows(clips["rgb"].frames([header.count - 1])[0], 74 / 25)


def test_delay_of_an_avis_decoder_is_no_late_start(tmp_path: Path) -> None:
    """AVI counts the frames that a decoder keeps back as time; a slow video's are long."""
    with av.open(str(tmp_path / "a.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=2, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("mp2", rate=48000, layout="mono")
        for at in range(0, 48000 * 5, 1152):
            part = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
            part.sample_rate, part.pts, part.time_base = 48000, at, Fraction(1, 48000)
            out.mux(sound.encode(part))
        out.mux(sound.encode(None))
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture_at(number / 2), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 2)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with VideoReader(tmp_path / "a.avi") as reader:
        assert next(iter(reader)).pts_seconds == 0 == reader.late_seconds


def test_labels_by_frame_of_a_late_video_are_told(
    late: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rate_of(late.name, late.parent)
    assert "its picture begins 2.0" in caplog.text and "not evenly spaced" not in caplog.text

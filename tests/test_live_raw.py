"""Live sources without times of their own, and what tells a file on a server from a stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from camera_on_paper import Container, Packet, PaperClock, opening
from odd_videos import encode, moving_square
from twostream.types import VideoError
from twostream.video import VideoReader
from twostream.video.frame_times import FrameTimes
from twostream.video.live_sources import NetworkSource


def test_raw_h264_that_piled_up_is_decoded_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame is made of the one before: none may be missing to the decoder."""
    path = tmp_path / "a.h264"
    encode(path, moving_square(60), g="60", bf="0", tune="zerolatency")
    with VideoReader(path) as reader:
        wanted = [frame.rgb for frame in reader]
    clock = PaperClock()
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1

        def packets() -> Iterator[Any]:
            for i, packet in enumerate(packet for packet in file.demux(stream) if packet.size):
                clock.wait(0 if i < 30 else 0.04)  # FFmpeg's probing, or a server that stood still
                yield packet

        container = Container(packets(), format_name="h264")
        container.streams.video[0].decode = stream.decode
        monkeypatch.setattr(av, "open", opening(lambda: container))
        source, shown, times = NetworkSource("http://camera/a"), [], []
        with pytest.raises(VideoError, match="the stream ended"):
            for frame in source.frames(clock):
                shown.append(frame.rgb.astype(int))
                times.append(frame.pts_seconds)
    numbers = [*range(8), *range(30, 60)]
    assert (len(shown), source.dropped, source.damaged) == (len(numbers), 22, 0)
    for rgb, number in zip(shown, numbers, strict=True):
        assert np.abs(rgb - wanted[number]).mean() < 1
    np.testing.assert_allclose(times[8:], 0.04 * np.arange(1, 31), atol=1e-6)


@pytest.mark.parametrize("form", ["hevc", "vc1", "mpjpeg", "jpeg_pipe", "rtsp"])
def test_raw_streams_and_pictures_are_timed_by_arrival(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 frames a second, which FFmpeg counts as 25; one with times of its own is believed."""
    clock = PaperClock()

    def packets() -> Iterator[Packet]:
        for i in range(20):
            clock.wait(1 / 8)
            yield Packet(i, i / 25)

    monkeypatch.setattr(av, "open", opening(lambda: Container(packets(), format_name=form)))
    frames = []
    with pytest.raises(VideoError, match="the stream ended"):
        for frame in NetworkSource("http://camera/a").frames(clock):
            frames.append(frame.pts_seconds)
    rate = 25 if form == "rtsp" else 8
    np.testing.assert_allclose(frames, np.arange(20) / rate, atol=1e-6)


def test_a_decoder_that_is_too_slow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = PaperClock()

    class Slow(Packet):
        def decode(self) -> list[av.VideoFrame]:
            clock.time += 0.06
            return super().decode()

    def packets() -> Iterator[Packet]:
        for i in range(1000):
            clock.wait(100 + i / 25 - clock.now())
            yield Slow(i, i / 25)

    monkeypatch.setattr(av, "open", opening(lambda: Container(packets(), format_name="h264")))
    frames = []
    with pytest.raises(VideoError, match="it fell 10 s behind"):
        for frame in NetworkSource("http://camera/a").frames(clock):
            frames.append(frame)
    assert len(frames) == 8 and clock.now() < 112


@pytest.mark.parametrize(
    ("form", "size", "ends"),
    [
        ("mpegts", 10_000, True),
        ("matroska,webm", 10_000, True),
        ("mpegts", -38, False),
        ("hls", 10_000, False),  # a playlist's size
        ("mpjpeg", 2**31 - 1, False),  # what some cameras say
    ],
)
def test_a_size_makes_a_file(
    form: str, size: int, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container((Packet(i, i / 25) for i in range(20)), format_name=form)
    container.size = size
    monkeypatch.setattr(av, "open", opening(lambda: container))
    frames = NetworkSource("http://server/a").frames(PaperClock())
    if ends:
        assert len(list(frames)) == 20
    else:
        with pytest.raises(VideoError, match="the stream ended"):
            list(frames)


@pytest.mark.parametrize("known", ["its size", "its length"])
def test_a_file_that_breaks_is_tried_once_more(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = NetworkSource("http://server/a.ts")
    for words in (r"error\), at 2.0 s$", r"at 2.0 s for the second time$"):
        assert source.reconnects
        packets = iter([*(Packet(i, i / 25) for i in range(50)), OSError(5, "Input/output error")])
        container = Container(packets, "mpegts", seconds=8 if known == "its length" else 0)
        container.size = 10_000 if known == "its size" else -38
        monkeypatch.setattr(av, "open", opening(lambda: container))  # noqa: B023
        with pytest.raises(VideoError, match=words):
            list(source.frames(PaperClock()))
    assert not source.reconnects


def test_times_are_mended() -> None:
    times = FrameTimes(0.04)
    assert times.shown(None) == 0
    assert times.shown(9.0) == pytest.approx(0.04)  # the first that is known counts from here
    assert times.shown(9.1, 0.5) == pytest.approx(0.14)
    assert times.end == pytest.approx(0.64)
    assert times.shown(9.1) == pytest.approx(0.18)  # repeated
    assert times.shown(11.0) == pytest.approx(2.04)
    assert times.set_back(3.0) and not times.set_back(10.5)
    assert times.shown(3.0) == pytest.approx(2.08) and times.shown(3.5) == pytest.approx(2.58)
    assert times.missing(2.7) == 0 and times.missing(8.0) == pytest.approx(8 - 2.62)

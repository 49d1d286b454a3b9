"""Live over the network: connections that break, files on a server, addresses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from camera_on_paper import PaperClock
from frame_images import write_video
from odd_videos import MATRICES, encode, moving_square, set_matrix, with_empty_packets
from twostream.__main__ import run
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.live import Gap, Live, LivePrediction
from twostream.types import VideoError
from twostream.video import VideoReader
from twostream.video.live_clock import Clock
from twostream.video.live_sources import NetworkSource, open_source


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (count, 48, 64, 3), np.uint8)


@contextmanager
def serving(*answers: bytes, length: bool = False) -> Iterator[int]:
    """A server's port; connection after connection gives another answer, the last one for good."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(200)
            if length:  # else it goes on and on, as far as the reader knows
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                for start in range(0, len(data), 4096):
                    self.wfile.write(data[start : start + 4096])
                    time.sleep(0.002)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the reader has seen enough

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transport stream of two seconds."""
    path = tmp_path_factory.mktemp("streams") / "stream.ts"
    return write_video(path, noise(50), codec="libx264")


def test_a_stream_that_breaks_is_connected_again(
    predictor: TwoStreamPredictor, stream: Path
) -> None:
    data = stream.read_bytes()
    events: list[LivePrediction | Gap] = []
    with serving(data[: len(data) // 2], data) as port:
        source = open_source(f"http://127.0.0.1:{port}/stream.ts", short_side=40)
        live = Live(predictor, source, window_seconds=0.4, seconds=60)
        for event in live:
            events.append(event)
            mended = [e for e in events if isinstance(e, Gap) and e.seconds is not None]
            # a prediction of before the break may still be on its way when the break is mended
            if mended and isinstance(event, LivePrediction) and live.summary().frames > 30:
                break
    told = [event for event in events if isinstance(event, Gap)]
    assert told[0].seconds is None and told[1].seconds is not None
    assert told[1].seconds >= 0.5
    assert live.summary().gaps >= 1 and live.summary().frames > 30


def test_no_server_is_one_sentence(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(run_folder), "--live", "http://127.0.0.1:9/x.ts"]) == 1
    said = capsys.readouterr().err
    assert "cannot be opened as a stream" in said and "Traceback" not in said


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_on_a_server_is_played_at_its_own_speed(
    whole: bool, tmp_path: Path, said: list[str]
) -> None:
    """One that is cut off ends where its server says that it ends."""
    clip = tmp_path / "clip.avi"
    write_video(clip, noise(100))
    data = clip.read_bytes()
    address = "http://127.0.0.1:{}/clip.avi"
    clock = PaperClock()
    frames = []
    with serving(data if whole else data[: len(data) // 2], length=True) as port:
        for frame in NetworkSource(address.format(port)).frames(clock):
            frames.append(frame)
            assert clock.now() >= 100 + frame.pts_seconds - 1e-6
    assert len(said) == (not whole)
    assert whole or "although the file claims 4.00 s: it seems to be cut off" in said[0]
    assert clock.now() == pytest.approx(100 + frames[-1].pts_seconds)
    assert len(frames) == 100 if whole else 30 < len(frames) < 70


def test_network_frames_are_those_of_the_file(stream: Path) -> None:
    frames = []
    with serving(stream.read_bytes()) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/stream.ts")
        with pytest.raises(VideoError, match=r"the stream (ended|broke)"):
            for frame in source.frames(Clock()):
                frames.append(frame)
    with VideoReader(stream) as reader:
        wanted = list(reader)
    assert len(wanted) == 50 and 45 <= len(frames) <= 50  # the decoder keeps the last few
    np.testing.assert_allclose(
        [f.pts_seconds for f in frames], [f.pts_seconds for f in wanted[: len(frames)]], atol=1e-3
    )
    np.testing.assert_array_equal(frames[30].rgb, wanted[30].rgb)


def test_a_mirrored_file_on_a_server_is_shown_upright(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    square = moving_square(10)
    encode(path, square, muxing={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    set_matrix(path, MATRICES["transverse"][0])
    with serving(path.read_bytes(), length=True) as port:
        frames = NetworkSource(f"http://127.0.0.1:{port}/clip.mp4").frames(PaperClock())
        first = next(frames).rgb
    assert np.abs(first.astype(int) - MATRICES["transverse"][1](square[0])).mean() < 12


def with_longer_audio(path: Path) -> Path:
    """40 frames, and 5 s of silence."""
    video = encode(path.with_suffix(".mp4"), moving_square(40))
    options = {"movflags": "faststart"} if path.suffix == ".mov" else {}  # no seeking here
    with av.open(str(video)) as source, av.open(str(path), "w", options=options) as out:
        pictures = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("pcm_s16le", rate=800, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = pictures
                out.mux(packet)
        for second in range(5):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
            samples.rate, samples.pts = 800, 800 * second
            out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
    return path


def odd_file(name: str, folder: Path) -> Path:
    path, square = folder / name, moving_square(40)
    match name:
        case "audio.mov" | "audio.mkv":
            return with_longer_audio(path)
        case "late.mkv":
            return encode(path, square, start=5)
        case "browser.mkv":  # of no length, as browsers record
            return encode(path, square, muxing={"live": "1"})
        case "a.gif":
            return encode(path, square, codec="gif", pixels="rgb8")
        case "joined.ts":
            part = encode(folder / "part.ts", square).read_bytes()
            path.write_bytes(part + part)
            return path
    return encode(path, square)


@pytest.mark.parametrize(
    "name",
    ["audio.mov", "audio.mkv", "late.mkv", "browser.mkv", "a.gif", "a.ts", "joined.ts"]
    + ["a.avi", "a.h264"],
)
def test_a_file_on_a_server_ends_once(name: str, tmp_path: Path, said: list[str]) -> None:
    path = odd_file(name, tmp_path)
    with serving(path.read_bytes(), length=True) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/{name}")
        frames = list(source.frames(PaperClock()))
    count = 80 if name == "joined.ts" else 40
    np.testing.assert_allclose([f.pts_seconds for f in frames], np.arange(count) / 25, atol=2e-3)
    assert (source.damaged, source.dropped, said) == (0, 0, [])
    with VideoReader(path) as reader:
        for found, wanted in zip(frames, reader, strict=True):
            assert np.abs(found.rgb.astype(int) - wanted.rgb).mean() < 2


def test_empty_packets_of_a_file_on_a_server_end_nothing(tmp_path: Path) -> None:
    """AVI's way to show a frame longer."""
    path = with_empty_packets(tmp_path / "a.avi")
    with serving(path.read_bytes(), length=True) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.avi")
        times = [frame.pts_seconds for frame in source.frames(PaperClock())]
    assert (len(times), source.damaged) == (20, 0)
    assert times[10] - times[9] == pytest.approx(6 / 25)

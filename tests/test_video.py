"""Decoding and writing of videos: real odd files, and files written here with known content."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from frame_images import write_video
from twostream.types import Frame, VideoError
from twostream.video import VideoReader, VideoWriter, stored_size

UCF = "v_ApplyEyeMakeup_g01_c01.avi"
# name: frames that decode, upright (height, width), rotation, fps
ROBUSTNESS = {
    "av1_video.mkv": (125, (360, 640), 0, 25),
    "corrupted.mp4": (49, (720, 1280), 0, 10),
    "h264_10bits.mp4": (30, (200, 200), 0, 30),
    "h265_video.mp4": (10, (128, 128), 0, 10),
    "kinetics_demo.mp4": (280, (256, 427), 0, 28),  # 340 columns, shown as 16:9
    "one_frame.gif": (1, (24, 30), 0, 1),
    "phone_hevc_rotated_vfr.mov": (60, (1920, 1080), 90, 30000 / 1001),
    UCF: (164, (240, 320), 0, 25),
    "video_270.mov": (3, (568, 320), 270, 30),
    "video_90.mov": (3, (568, 320), 90, 30),
    "yuv444_realshort.mp4": (36, (240, 320), 0, 30.02),
}


def counting_frames(n: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames whose grey level says which they are: 4 * index + 20."""
    return [np.full((height, width, 3), 4 * i + 20, np.uint8) for i in range(n)]


def read(path: Path, short_side: int | None = None) -> list[Frame]:
    with VideoReader(path, short_side=short_side) as reader:
        return list(reader)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((240, 320), 256, (240, 320)),  # never enlarged
        ((240, 320), None, (240, 320)),
        ((480, 640), 256, (256, 341)),
        ((640, 480), 256, (341, 256)),
        ((1080, 1920), 64, (64, 114)),
        ((4, 4000), 2, (2, 2000)),
        ((4000, 3), 1, (1333, 1)),
        ((1, 1), 1, (1, 1)),
    ],
)
def test_stored_size(size: tuple[int, int], short_side: int | None, expected: tuple) -> None:
    assert stored_size(*size, short_side) == expected


@pytest.mark.parametrize("name", ROBUSTNESS)
def test_every_odd_file_streams(shared_data: Path, name: str) -> None:
    count, size, rotation, fps = ROBUSTNESS[name]
    with VideoReader(shared_data / "robustness" / name, short_side=64) as reader:
        assert (reader.info.height, reader.info.width) == size
        assert reader.info.rotation == rotation
        assert reader.info.fps == pytest.approx(fps, rel=1e-3)
        assert reader.size == stored_size(*size, 64)
        times = []
        for frame in reader:
            assert frame.rgb.shape == (*reader.size, 3)
            assert frame.rgb.dtype == np.uint8
            times.append(frame.pts_seconds)
        assert reader.frames_read == len(times) == count
        assert times[0] == 0
        assert (np.diff(times) > 0).all()
        assert (reader.warning is not None) == (name == "corrupted.mp4")
        assert reader.variable_frame_rate == (name == "phone_hevc_rotated_vfr.mov")


def test_packed_b_frames_come_out_evenly_timed(shared_data: Path) -> None:
    """UCF-101's AVI carries timestamps in coding order (1 2 4 3 5 7 6 ...)."""
    path = shared_data / "robustness" / UCF
    with av.open(str(path)) as container:
        raw = [frame.pts for frame in container.decode(video=0)]
    assert (np.diff(raw) < 0).sum() > 50  # or the test tests nothing
    times = [frame.pts_seconds for frame in read(path, 32)]
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=1e-9)


@pytest.mark.parametrize(("name", "turns"), [("video_90.mov", -1), ("video_270.mov", 1)])
def test_rotation_is_applied_and_both_scales_agree(
    shared_data: Path, name: str, turns: int
) -> None:
    path = shared_data / "robustness" / name
    with av.open(str(path)) as container:
        coded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    upright = np.rot90(coded, turns)  # negative turns clockwise
    full = read(path)[0].rgb
    assert full.shape == upright.shape
    assert np.abs(full.astype(int) - upright).mean() < 3
    small = read(path, 80)[0].rgb
    assert small.shape == (142, 80, 3)
    blocks = upright[:568].reshape(142, 4, 80, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - blocks).mean() < 3
    assert np.abs(small[::-1, ::-1] - blocks).mean() > 15  # the other way up is far off


def test_colours_are_rgb_and_full_range(tmp_path: Path) -> None:
    colours = [(250, 5, 5), (5, 250, 5), (5, 5, 250), (255, 255, 255), (0, 0, 0)]
    frames = [np.full((32, 48, 3), colour, np.uint8) for colour in colours]
    got = read(write_video(tmp_path / "c.mp4", frames, codec="libx264", crf=1))
    for frame, colour in zip(got, colours, strict=True):
        np.testing.assert_allclose(frame.rgb[16, 24], colour, atol=6)


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p10le", "gray", "yuva420p", "pal8", "bgra"])
def test_any_pixel_format(tmp_path: Path, pixels: str) -> None:
    """Written with av itself: the left half bright, the right half dark."""
    codec = {"yuv444p": "libx264", "pal8": "png"}.get(pixels, "ffv1")
    bright = np.zeros((32, 48), np.uint8)
    bright[:, :24] = 200
    path = tmp_path / ("x.mov" if pixels == "pal8" else "x.mkv")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        for i in range(3):
            if pixels == "pal8":
                palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
                palette[:, 0] = 255  # alpha
                frame = av.VideoFrame.from_ndarray((bright, palette), format="pal8")
            else:
                frame = av.VideoFrame.from_ndarray(bright, format="gray").reformat(format=pixels)
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).format.name == pixels
    frames = read(path)
    assert len(frames) == 3
    for frame in frames:
        assert frame.rgb.shape == (32, 48, 3)
        np.testing.assert_allclose(frame.rgb[16, 8], 200, atol=4)
        np.testing.assert_allclose(frame.rgb[16, 40], 0, atol=4)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.avi", {}), ("b.mp4", {"codec": "libx264"}), ("c.mkv", {"codec": "libx264"})],
)
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1), (2, 31)])
def test_what_is_written_is_read(
    tmp_path: Path, name: str, options: dict[str, str], size: tuple[int, int]
) -> None:
    path = write_video(tmp_path / name, counting_frames(40, *size), 29.97, **options)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert (reader.info.height, reader.info.width) == size
        assert reader.info.fps == pytest.approx(29.97, rel=1e-3)
        assert reader.info.num_frames_claimed == 40
        assert reader.warning is None
        assert not reader.variable_frame_rate
    levels = [round(frame.rgb.mean()) for frame in frames]
    np.testing.assert_allclose(levels, [4 * i + 20 for i in range(40)], atol=2)
    times = [frame.pts_seconds for frame in frames]
    np.testing.assert_allclose(times, np.arange(40) / 29.97, atol=1.5e-3)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_better_quality_is_closer(tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    frames = [np.kron(coarse, np.ones((8, 8, 1), np.uint8))] * 3
    errors = []
    for quality in (2, 25):
        got = read(write_video(tmp_path / f"{quality}.avi", frames, quality=quality))
        errors.append(np.abs(got[0].rgb.astype(int) - frames[0]).mean())
    assert errors[0] < 0.5 * errors[1]


def test_iterating_again_starts_again(tmp_path: Path) -> None:
    reader = VideoReader(write_video(tmp_path / "a.avi", counting_frames(9)))
    with reader:
        first = [frame.rgb.mean() for frame, _ in zip(reader, range(4), strict=False)]
        assert [frame.rgb.mean() for frame in reader][:4] == first
        assert reader.frames_read == 9
    assert len(list(reader)) == 9
    reader.close()


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_a_cut_off_file_warns(shared_data: Path, tmp_path: Path) -> None:
    """The decoder sees no error at the cut: the claimed length gives it away."""
    for name in (UCF, "av1_video.mkv"):
        path = tmp_path / name
        path.write_bytes((shared_data / "robustness" / name).read_bytes())
        with VideoReader(cut(path, 0.7), short_side=64) as reader:
            count = len(list(reader))
            assert 5 < count < ROBUSTNESS[name][0]
            assert reader.warning is not None
            assert name in reader.warning
            assert "cut off" in reader.warning


def test_variable_frame_rate_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    times_ms = np.cumsum([40] * 10 + [80] * 10)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1000)
        stream.width, stream.height = 32, 32
        stream.pix_fmt = "yuv420p"
        for pts in times_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts = int(pts)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        times = [frame.pts_seconds for frame in reader]
        assert reader.variable_frame_rate
    np.testing.assert_allclose(times, (times_ms - times_ms[0]) / 1000, atol=2e-3)


def bad_files(folder: Path) -> list[tuple[Path, str]]:
    text = folder / "text.mp4"
    text.write_text("this is no video\n" * 50)
    (folder / "empty.avi").touch()
    os.mkfifo(folder / "pipe.avi")
    headless = write_video(folder / "headless.mp4", counting_frames(20), codec="libx264")
    sound = folder / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        block.sample_rate = 8000
        container.mux(stream.encode(block))
    return [
        (text, "cannot be opened as a video"),
        (folder / "empty.avi", "the file is empty"),
        (folder, "is a folder"),
        (folder / "pipe.avi", "is no file on disk"),
        (folder / "no such file.mp4", "no such file"),
        (cut(headless, 0.6), "it is no video, or a damaged one"),
        (sound, "it is sound, a picture,"),
    ]


def test_a_bad_file_raises_one_clear_error(tmp_path: Path) -> None:
    for path, cause in bad_files(tmp_path):
        with pytest.raises(VideoError) as caught:
            VideoReader(path)
        assert cause in str(caught.value)
        assert str(path) in str(caught.value)
        assert caught.value.path == path
        assert str(path) not in caught.value.cause


def test_a_stream_of_garbage_is_an_error(tmp_path: Path) -> None:
    """The container opens, but not one frame decodes."""
    path = write_video(tmp_path / "a.mkv", counting_frames(3), codec="libx264")
    data = bytearray(path.read_bytes())
    start = data.index(b"\x1f\x43\xb6\x75")  # the first cluster
    data[start + 30 :] = bytes(len(data) - start - 30)
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"a\.mkv: no frame can be decoded"):
        VideoReader(path)


def test_odd_names_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where FFmpeg would see a protocol, a pattern or an option in a relative path."""
    monkeypatch.chdir(tmp_path)
    for name in ("with space [x](1) %d é.avi", "http:x.avi", "-v.avi"):
        assert len(read(write_video(Path(name), counting_frames(3)))) == 3


def test_no_noise_on_stderr(shared_data: Path) -> None:
    code = (
        "import sys; from twostream.video import VideoReader\n"
        "for name in sys.argv[1:]:\n    list(VideoReader(name, short_side=32))"
    )
    names = [shared_data / "robustness" / name for name in ("corrupted.mp4", UCF)]
    command = [sys.executable, "-c", code, *map(str, names)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(VideoError, match="takes frames of"),
        VideoWriter(tmp_path / "a.avi", fps=25, width=32, height=32) as writer,
    ):
        writer.write(np.zeros((32, 32, 3), np.uint8))
        writer.write(np.zeros((32, 33, 3), np.uint8))
    with pytest.raises(VideoError, match="cannot be written"):
        VideoWriter(tmp_path / "a.avi", fps=25, width=32, height=32, codec="nonsense")
    with pytest.raises(VideoError, match="cannot be written"):
        VideoWriter(tmp_path / "a.nonsense", fps=25, width=32, height=32)
    with pytest.raises(VideoError, match="cannot be written"):
        VideoWriter(tmp_path / "no" / "a.avi", fps=25, width=32, height=32)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_write_does_not_replace(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", counting_frames(3))
    before = path.read_bytes()
    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(path, fps=25, width=64, height=48) as writer,
    ):
        writer.write(counting_frames(1)[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.avi"]

"""What lies in video files: whole pictures and times where the file is written oddly or damaged."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from odd_videos import (
    MATRICES,
    blank_packets,
    encode,
    huge_gif,
    moving_square,
    set_matrix,
    with_empty_packets,
    with_still_first,
)
from twostream.types import VIDEO_SUFFIXES, Frame, VideoError
from twostream.video import VideoReader, opening
from twostream.video import reader as reader_module


def read(path: Path) -> tuple[list[Frame], VideoReader]:
    with VideoReader(path) as reader:
        return list(reader), reader


def mean_error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - wanted).mean())


@pytest.mark.parametrize("name", MATRICES)
def test_a_picture_is_turned_and_mirrored_as_its_matrix_says(tmp_path: Path, name: str) -> None:
    matrix, show = MATRICES[name]
    square = moving_square(2)
    path = set_matrix(encode(tmp_path / "a.mp4", square), matrix)
    (first, _), reader = read(path)
    wanted = show(square[0])
    assert first.rgb.shape == wanted.shape == (reader.info.height, reader.info.width, 3)
    assert mean_error(first.rgb, wanted) < 12  # another orientation: over 25
    assert reader.info.mirrored == (name in ("hflip", "vflip", "transpose", "transverse"))
    small = VideoReader(path, short_side=32)
    with small:
        assert (
            next(iter(small)).rgb.shape[:2] == small.size == tuple(n // 2 for n in wanted.shape[:2])
        )


def test_a_matrix_of_zeros_turns_nothing(tmp_path: Path) -> None:
    square = moving_square(2)
    (first, _), _ = read(set_matrix(encode(tmp_path / "a.mp4", square), (0, 0, 0, 0)))
    assert mean_error(first.rgb, square[0]) < 12


class TestStreams:
    @pytest.mark.parametrize("cover", [True, False])
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_a_picture_before_the_video_is_left_out(
        self, tmp_path: Path, suffix: str, cover: bool
    ) -> None:
        frames, reader = read(
            with_still_first(tmp_path / f"a{suffix}", moving_square(12), cover=cover)
        )
        assert len(frames) == 12
        assert (reader.info.width, reader.info.height) == (96, 64)

    def test_of_two_videos_the_first_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as out:
            streams = [out.add_stream("mpeg4", rate=25) for _ in range(2)]
            for stream, width in zip(streams, (48, 640), strict=True):
                stream.width, stream.height, stream.pix_fmt = width, 32, "yuv420p"
            for i in range(6):
                for stream in streams:
                    grey = np.full((32, stream.width, 3), 20 * i, np.uint8)
                    frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                    frame.pts = i
                    out.mux(stream.encode(frame))
            for stream in streams:
                out.mux(stream.encode(None))
        frames, reader = read(path)
        assert (len(frames), reader.info.width) == (6, 48)

    @pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
    @pytest.mark.parametrize("chosen", [0, 1])
    def test_of_two_cameras_the_default_one_is_read(
        self, tmp_path: Path, suffix: str, chosen: int
    ) -> None:
        with av.open(str(tmp_path / f"a{suffix}"), "w") as out:
            streams = [out.add_stream("libx264", rate=25) for _ in range(2)]
            for number, stream in enumerate(streams):
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                stream.disposition = int(number == chosen)
            for _ in range(12):
                for grey, stream in zip((60, 190), streams, strict=True):
                    picture = np.full((48, 64, 3), grey, np.uint8)
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            for stream in streams:
                out.mux(stream.encode(None))
        with VideoReader(tmp_path / f"a{suffix}") as reader:
            found = [frame.rgb.mean() for frame in reader]
        assert len(found) == 12 and found == pytest.approx([(60, 190)[chosen]] * 12, abs=3)

    def test_a_cover_alone_is_no_video(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w") as out:
            sound = out.add_stream("aac", rate=8000)
            cover = out.add_stream("mjpeg", rate=25)
            cover.width, cover.height, cover.pix_fmt = 32, 24, "yuvj420p"
            cover.disposition = 1 << 10
            frame = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), format="rgb24")
            frame.pts = 0
            out.mux(cover.encode(frame))
            block = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            block.sample_rate = 8000
            for stream, last in ((sound, block), (sound, None), (cover, None)):
                out.mux(stream.encode(last))
        with pytest.raises(VideoError, match="a cover picture, and no video"):
            VideoReader(path)


class TestTimes:
    @pytest.mark.parametrize("fps", [25, 30])
    @pytest.mark.parametrize("bframes", ["0", "2"])
    def test_h264_in_avi_has_its_own_rate(self, tmp_path: Path, fps: int, bframes: str) -> None:
        """FFmpeg counts fields there, two ticks a frame."""
        path = encode(tmp_path / "a.avi", moving_square(50), fps=fps, ticks=2, bf=bframes)
        frames, reader = read(path)
        assert reader.info.num_frames_claimed == 50
        assert reader.info.fps == pytest.approx(fps)
        times = [frame.pts_seconds for frame in frames]
        np.testing.assert_allclose(times, np.arange(50) / fps, atol=1e-6)
        assert (reader.warning, reader.variable_frame_rate) == (None, False)

    @pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
    @pytest.mark.parametrize("ticks", [1, 3])
    def test_ticks_without_a_frame_are_none(self, tmp_path: Path, codec: str, ticks: int) -> None:
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = tmp_path / "a.avi"
        encode(path, moving_square(30), codec=codec, pixels=pixels, ticks=ticks)
        frames, reader = read(path)
        assert (reader.info.fps, reader.info.num_frames_claimed) == (25, 30)
        np.testing.assert_allclose([f.pts_seconds for f in frames], np.arange(30) / 25, atol=1e-6)
        assert (reader.warning, reader.variable_frame_rate) == (None, False)

    @pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "mpeg2video", "mjpeg"])
    def test_frames_without_times_come_at_the_nominal_rate(
        self, tmp_path: Path, codec: str
    ) -> None:
        """Raw streams, as recorders of cameras write them, under any name."""
        form = {"libx264": "h264", "libx265": "hevc", "mpeg4": "m4v"}.get(codec, codec)
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = tmp_path / "dvr.mp4"
        encode(path, moving_square(40), codec=codec, form=form, pixels=pixels)
        frames, reader = read(path)
        assert len(frames) == 40
        times = [frame.pts_seconds for frame in frames]
        np.testing.assert_allclose(times, np.arange(40) / reader.info.fps, atol=1e-6)
        assert reader.info.fps == pytest.approx(25)
        assert (reader.warning, reader.variable_frame_rate) == (None, False)

    def test_a_raw_stream_tells_its_rate(self, tmp_path: Path) -> None:
        """H.264 may say it in its parameters; FFmpeg's guess for all raw streams is 25."""
        path = encode(tmp_path / "a.h264", moving_square(40), fps=50)
        frames, reader = read(path)
        assert reader.info.fps == pytest.approx(50)
        assert frames[-1].pts_seconds == pytest.approx(39 / 50)

    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            (".mkv", {}),
            (".mp4", {}),
            (".ts", {}),
            (".avi", {"bf": "2"}),
            (".flv", {}),
        ],
    )
    def test_a_late_start_is_no_missing_end(
        self, tmp_path: Path, suffix: str, options: dict[str, Any]
    ) -> None:
        """Segments of a recording go on where the one before ended, here after 10 s."""
        path = tmp_path / f"a{suffix}"
        encode(path, moving_square(75), start=10, **options)
        frames, reader = read(path)
        assert (len(frames), reader.warning) == (75, None)
        assert frames[0].pts_seconds == 0
        assert reader.claimed_seconds == pytest.approx(3, abs=0.2)
        assert reader.info.num_frames_claimed == pytest.approx(75, abs=5)

    def test_segments_of_dash_are_whole(self, tmp_path: Path) -> None:
        """As a player keeps them: the header, and here the second and third second."""
        segments = {"seg_duration": "1"}
        encode(tmp_path / "a.mpd", moving_square(75), form="dash", muxing=segments, g="25")
        parts = [tmp_path / "init-stream0.m4s", *sorted(tmp_path.glob("chunk-*.m4s"))[1:]]
        path = tmp_path / "kept.mp4"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        frames, reader = read(path)
        assert (len(frames), reader.warning) == (50, None)
        assert reader.claimed_seconds == pytest.approx(2, abs=0.1)

    @pytest.mark.parametrize(("suffix", "start"), [(".mkv", 0), (".mkv", 10), (".avi", 0)])
    def test_a_missing_end_is_told_wherever_it_started(
        self, tmp_path: Path, suffix: str, start: int
    ) -> None:
        path = tmp_path / f"a{suffix}"
        encode(path, moving_square(75), codec="mjpeg", pixels="yuvj420p", start=start)
        data = path.read_bytes()
        path.write_bytes(data[: int(0.6 * len(data))])
        frames, reader = read(path)
        assert 30 < len(frames) < 60
        assert reader.warning is not None
        assert "cut off" in reader.warning or f"broke off after {len(frames)} of about 75" in (
            reader.warning  # where the last packet is there in part
        )

    def test_a_missing_end_beside_a_longer_sound_is_told(self, tmp_path: Path) -> None:
        """The container's length is that of the sound; the stream's own stands in a tag."""
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as out:
            video = out.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            sound = out.add_stream("mp2", rate=48_000)
            sound.layout = "stereo"
            for rgb in moving_square(75):
                out.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            out.mux(video.encode(None))
            for i in range(240):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "stereo")
                block.sample_rate, block.pts = 48_000, 960 * i
                out.mux(sound.encode(block))
            out.mux(sound.encode(None))
        frames, reader = read(path)
        assert (len(frames), reader.warning, reader.info.num_frames_claimed) == (75, None, 75)
        assert reader.claimed_seconds == pytest.approx(3, abs=0.05)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 3])
        frames, reader = read(path)
        assert 5 < len(frames) < 60
        assert "although the file claims 3.00 s: it seems to be cut off" in (reader.warning or "")


class TestDamage:
    @pytest.mark.parametrize(
        ("suffix", "codec"), [(".avi", "mjpeg"), (".mkv", "mjpeg"), (".mp4", "mpeg4")]
    )
    def test_a_damaged_packet_costs_its_frame_alone(
        self, tmp_path: Path, suffix: str, codec: str
    ) -> None:
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = tmp_path / f"a{suffix}"
        encode(path, moving_square(50), codec=codec, pixels=pixels, g="1")
        frames, reader = read(blank_packets(path, [20, 31]))
        assert len(frames) == 48 and reader.packets_lost == 2
        left = [i for i in range(50) if i not in (20, 31)]
        times = [frame.pts_seconds for frame in frames]
        np.testing.assert_allclose(times, np.array(left) / 25, atol=2e-3)
        assert reader.warning is not None
        assert not reader.variable_frame_rate  # for all that two intervals are longer
        assert "2 damaged packets were left out (Invalid data" in reader.warning
        assert reader.warning.endswith("48 of about 50 frames are used")

    def test_damage_at_the_end_is_a_break(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.avi", moving_square(50), codec="mjpeg", pixels="yuvj420p")
        frames, reader = read(blank_packets(path, [10, 47, 48, 49]))
        assert len(frames) == 46
        assert reader.warning is not None
        assert "a damaged packet was left out" in reader.warning
        assert "broke off after 46 of about 50 frames (Invalid data" in reader.warning

    def test_damage_and_a_missing_end_are_both_told(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.avi", moving_square(100), codec="mjpeg", pixels="yuvj420p")
        blank_packets(path, [10])
        data = path.read_bytes()
        path.write_bytes(data[: int(0.6 * len(data))])
        _, reader = read(path)
        assert reader.warning is not None
        assert "a damaged packet was left out" in reader.warning
        assert "cut off" in reader.warning or "broke off" in reader.warning

    def test_an_empty_packet_is_a_frame_shown_longer(self, tmp_path: Path) -> None:
        """To the decoder it would be the end."""
        path = with_empty_packets(tmp_path / "a.avi")
        frames, reader = read(path)
        assert (len(frames), reader.packets_lost, reader.warning) == (20, 0, None)
        gap = frames[10].pts_seconds - frames[9].pts_seconds
        assert gap == pytest.approx(6 / 25)

    def test_a_stream_that_begins_later_ends_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PyAV raises an IndexError at its first packet, in some transport streams."""

        class Raising:
            def __init__(self, container: Any) -> None:
                self._container, self._left = container, [7, 20]

            def __getattr__(self, name: str) -> Any:
                return getattr(self._container, name)

            def demux(self, stream: Any) -> Iterator[Any]:
                for packet in self._container.demux(stream):
                    yield packet
                    self._left = [left - 1 for left in self._left]
                    if 0 in self._left:
                        raise IndexError("list index out of range")

        def opened(path: Path) -> tuple[Any, Any]:
            container, stream = opening.open_video(path)
            return Raising(container), stream

        monkeypatch.setattr(reader_module, "open_video", opened)
        frames, reader = read(encode(tmp_path / "a.ts", moving_square(30)))
        assert (len(frames), reader.warning) == (30, None)

    def test_what_nobody_foresaw_is_an_error_of_this_video(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("none of five")

        path = encode(tmp_path / "a.mp4", moving_square(3))
        monkeypatch.setattr(reader_module, "to_rgb", fail)
        with pytest.raises(VideoError, match=r"a\.mp4: an unexpected ZeroDivisionError \(none of"):
            read(path)


class TestStrangers:
    def test_scripts_and_playlists_are_no_videos(self, tmp_path: Path) -> None:
        encode(tmp_path / "own.mp4", moving_square(5))
        encode(tmp_path / "own.ts", moving_square(5))
        cases = {
            "concat.mp4": "ffconcat version 1.0\nfile own.mp4\nfile own.mp4\n",
            "endless.mp4": "ffconcat version 1.0\n" + "file endless.mp4\n" * 9,
            "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nown.ts\n#EXT-X-ENDLIST\n",
            "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
            "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
            'type="static"><Period><AdaptationSet><Representation id="0" bandwidth="1">'
            "<BaseURL>own.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
        }
        for name, content in cases.items():
            (tmp_path / name).write_text(content)
            with pytest.raises(VideoError, match="cannot be opened as a video: it is"):
                VideoReader(tmp_path / name)
        assert len(read(tmp_path / "own.ts")[0]) == 5

    @pytest.mark.parametrize(
        "name", ["concat:a.ts|b.ts", "subfile,,start,0,end,0,,:a.ts", "http://localhost:1/a.mp4"]
    )
    def test_a_name_is_a_file_and_no_address(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        encode(Path("a.ts"), moving_square(2))
        with pytest.raises(VideoError, match="no such file"):
            VideoReader(name)

    def test_a_still_picture_is_no_video(self, tmp_path: Path) -> None:
        import cv2

        path = tmp_path / "a.png"
        cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
        path.rename(tmp_path / "a.mp4")
        with pytest.raises(VideoError, match="a picture, a script or a list of files and no"):
            VideoReader(tmp_path / "a.mp4")

    def test_frames_are_measured_before_they_are_decoded(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gif"
        path.write_bytes(huge_gif())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(VideoError, match="are larger than 67 million px"):
            VideoReader(path)
        if not av.__version__.startswith("17.0."):  # its decoders get no options while opening
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB

    @pytest.mark.parametrize("suffix", [".h264", ".ts", ".mkv", ".mpg"])
    def test_so_they_are_where_the_stream_alone_tells_their_size(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        codec = "mpeg2video" if suffix == ".mpg" else "libx264"
        path = encode(tmp_path / f"a{suffix}", moving_square(5), codec=codec)
        monkeypatch.setattr(opening, "MAX_PIXELS", 96 * 64 - 1)
        with pytest.raises(VideoError, match="96x64 px are larger than"):
            VideoReader(path)
        monkeypatch.setattr(opening, "MAX_PIXELS", 128 * 128)
        assert len(read(path)[0]) == 5

    def test_what_may_not_be_read_is_not_called_damaged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever runs the tests may read everything, perhaps."""
        path = encode(tmp_path / "a.mp4", moving_square(2))

        def refuse(*_: object, **__: object) -> None:
            raise failure

        monkeypatch.setattr(opening.av, "open", refuse)
        failure = av.error.PermissionError(13, "Permission denied", str(path))
        with pytest.raises(VideoError, match="may not be read: allow it") as caught:
            VideoReader(path)
        assert "damaged" not in str(caught.value)
        failure = av.error.OSError(5, "Input/output error", str(path))
        with pytest.raises(VideoError, match=r"cannot be read: Input/output error"):
            VideoReader(path)


def test_suffixes_of_recorders_discs_and_raw_streams_are_known() -> None:
    assert {".m2ts", ".vob", ".ogv", ".h264", ".hevc"} < VIDEO_SUFFIXES

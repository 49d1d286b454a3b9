"""Flow out of the codec: known motion comes back, and files that would be wrong are refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from odd_videos import MATRICES, set_matrix
from twostream.__main__ import run
from twostream.display.film import write_film
from twostream.extraction import extract, extract_to_memory
from twostream.flow import make_estimator
from twostream.flow.codec import MotionVectors, _upright, rasterise
from twostream.store.flow_store import StoreSettings
from twostream.types import BlockMotion, LabeledVideo, UsageError, VideoError
from twostream.video import VideoReader
from twostream.video.h264 import max_reference_frames
from twostream.video.motion import read_motion

DX, DY = 4, -2  # of the content, px a frame to the right and down
SETTINGS = StoreSettings(flow="mv", short_side=None, codec="lossless")
PLAIN = {"mpeg4": "avi", "mpeg1video": "mpg", "mpeg2video": "mpg", "libx264": "mp4"}


def pictures(count: int, height: int = 96, width: int = 128, dx: int = DX, dy: int = DY) -> list:
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (500, 700, 3), np.uint8), (0, 0), 2)
    ground = cv2.normalize(ground, None, 0, 255, cv2.NORM_MINMAX)
    return [
        np.ascontiguousarray(ground[200 - t * dy :, 300 - t * dx :][:height, :width])
        for t in range(count)
    ]


def encode(path: Path, frames: list, codec: str = "mpeg4", gop: int = 100, **options: str) -> Path:
    """One intra frame, then predicted frames from the one before, unless the options say more."""
    settings = {"bf": "0", "qmin": "2", "qmax": "4"}
    if codec == "libx264":
        settings = {"bf": "0", "refs": "1", "crf": "16"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.options = settings | options
        stream.codec_context.thread_count = 1
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def fields(path: Path, settings: StoreSettings = SETTINGS, kind: str = "forward") -> np.ndarray:
    return extract_to_memory(path, settings, (kind,))[kind].fields()  # type: ignore[arg-type,index]


@pytest.mark.parametrize("codec", PLAIN)
class TestKnownMotion:
    @pytest.mark.parametrize(("dx", "dy"), [(DX, DY), (-3, 5)])
    def test_a_translation(self, codec: str, dx: int, dy: int, tmp_path: Path) -> None:
        path = encode(tmp_path / f"a.{PLAIN[codec]}", pictures(6, dx=dx, dy=dy), codec)
        for kind, sign in (("forward", 1), ("backward", -1)):
            found = fields(path, kind=kind)
            assert found.shape == (5, 2, 96, 128)
            inner = found[:, :, 32:64, 32:96]
            np.testing.assert_allclose(np.median(inner[:, 0]), sign * dx, atol=0.26)
            np.testing.assert_allclose(np.median(inner[:, 1]), sign * dy, atol=0.26)
            assert (np.abs(inner[:, 0] - sign * dx) < 0.6).mean() > 0.9

    def test_a_box_moves_on_a_still_ground(self, codec: str, tmp_path: Path) -> None:
        """The vectors stand where the box is in the later frame; all else is zero."""
        ground, box = pictures(1)[0], pictures(1, 32, 32, dx=40)[0][::-1] // 2 + 120
        frames = []
        for t in range(5):
            frame = ground.copy()
            frame[32:64, 16 + 8 * t : 48 + 8 * t] = box
            frames.append(frame)
        found = fields(encode(tmp_path / f"a.{PLAIN[codec]}", frames, codec))
        for t in range(4):
            left = 16 + 8 * (t + 1)
            inside = found[t, 0, 36:60, left + 4 : left + 28]
            assert (np.abs(inside - 8) < 0.6).mean() > 0.6
            assert np.abs(found[t, :, :, 96:]).max() == 0
            assert np.abs(found[t, :, 80:]).max() == 0

    def test_intra_frames_are_zero(self, codec: str, tmp_path: Path) -> None:
        path = encode(tmp_path / f"a.{PLAIN[codec]}", pictures(9), codec, gop=4)
        moves = [bool(np.abs(field).max() > 1) for field in fields(path)]
        assert moves == [True, True, True, False, True, True, True, False]


@pytest.mark.parametrize("name", MATRICES)
def test_vectors_are_turned_and_mirrored_with_their_picture(tmp_path: Path, name: str) -> None:
    (a, b, c, d), _ = MATRICES[name]
    path = set_matrix(encode(tmp_path / "a.mp4", pictures(4), "libx264"), (a, b, c, d))
    wanted = a * DX + c * DY, b * DX + d * DY
    for flow in ("mv", "dis"):  # what is computed from the pictures says so too
        found = fields(path, StoreSettings(flow=flow, short_side=None, codec="lossless"))
        np.testing.assert_allclose(np.median(found, axis=(0, 2, 3)), wanted, atol=0.3)


class TestSize:
    def test_vectors_shrink_with_the_frames(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.avi", pictures(4, 98, 130))
        found = fields(path, StoreSettings(flow="mv", short_side=49, codec="lossless"))
        assert found.shape == (3, 2, 49, 65)
        np.testing.assert_allclose(np.median(found, axis=(0, 2, 3)), [DX / 2, DY / 2], atol=0.15)

    @pytest.mark.parametrize(
        ("rotation", "mirrored", "corner", "vector"),
        [
            (0, False, (0, 0), (3, 1)),
            (90, False, (0, -1), (-1, 3)),
            (180, False, (-1, -1), (-3, -1)),
            (270, False, (-1, 0), (1, -3)),
            (0, True, (0, -1), (-3, 1)),
            (90, True, (0, 0), (1, 3)),
            (180, True, (-1, 0), (3, -1)),
            (270, True, (-1, -1), (-1, -3)),
        ],
    )
    def test_upright(self, rotation: int, mirrored: bool, corner: tuple, vector: tuple) -> None:
        """The block at the top left, and its vector, turn with the picture, and are mirrored."""
        block, vectors = np.int32([[0, 0, 8, 8]]), np.float32([[3, 1]])
        motion = BlockMotion(block, vectors, 16, 24, rotation, mirrored)
        size = (24, 16) if rotation in (90, 270) else (16, 24)
        field = _upright(motion, size)
        assert field.shape == (2, *size)
        np.testing.assert_array_equal(field[:, corner[0], corner[1]], vector)
        assert (field != 0).any(axis=0).sum() == 64

    def test_blocks_may_overhang(self) -> None:
        blocks = np.int32([[-8, 4, 16, 16], [16, 8, 16, 16], [8, 0, 8, 8]])
        vectors = np.float32([[1, 0], [2, 0], [3, 0]])
        field = rasterise(BlockMotion(blocks, vectors, 18, 22, 0))[0]
        assert field.shape == (18, 22)
        assert (field[4:, :8] == 1).all() and (field[8:, 16:] == 2).all()
        assert (field[:8, 8:16] == 3).all() and (field[:4, :8] == 0).all()


class TestRefused:
    """What the vectors of a file would get wrong is said, never computed."""

    @pytest.mark.parametrize(
        ("codec", "name", "options", "why"),
        [
            ("mpeg4", "a.avi", {"bf": "2"}, "it has B-frames"),
            ("mpeg2video", "a.mpg", {"bf": "2"}, "it has B-frames"),
            (
                "libx264",
                "a.mp4",
                {"bf": "2", "b-pyramid": "none"},
                "B-frames|may point into any of",
            ),
            ("libx264", "a.mp4", {"refs": "3"}, "may point into any of 3 frames before"),
            ("libx264", "a.avi", {"refs": "2"}, "may point into any of 2 frames before"),
            ("mjpeg", "a.avi", {}, "its codec mjpeg gives no motion vectors"),
            ("libx265", "a.mp4", {"x265-params": "log-level=none"}, "its codec hevc gives no"),
        ],
    )
    def test_one_sentence(
        self, codec: str, name: str, options: dict[str, str], why: str, tmp_path: Path
    ) -> None:
        if codec == "mjpeg":
            path = tmp_path / name
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, rate=25)
                stream.height, stream.width, stream.pix_fmt = 96, 128, "yuvj420p"
                for rgb in pictures(8):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
                container.mux(stream.encode(None))
        else:
            path = encode(tmp_path / name, pictures(8), codec, **options)
        with pytest.raises(VideoError, match=why) as caught:
            fields(path)
        assert "use another flow method" in str(caught.value)
        assert len(fields(path, StoreSettings(flow="farneback"))) == 7  # others take it

    def test_real_files(self, shared_data: Path) -> None:
        """UCF-101's packed B-frames, and H.264 as a phone or x264 writes it."""
        robustness = shared_data / "robustness"
        with pytest.raises(VideoError, match="it has B-frames"):
            fields(robustness / "v_ApplyEyeMakeup_g01_c01.avi")
        with pytest.raises(VideoError, match="may point into any of"):
            fields(robustness / "kinetics_demo.mp4")
        for name in ("h265_video.mp4", "av1_video.mkv"):
            with pytest.raises(VideoError, match="gives no motion vectors"):
                fields(robustness / name)

    def test_interlaced(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.mpg", pictures(6), "mpeg2video", flags="+ildct+ilme")
        with pytest.raises(VideoError, match="it is interlaced"):
            fields(path)

    def test_another_rate(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.avi", pictures(6))
        with pytest.raises(VideoError, match=r"cannot be brought to 12\.5: leave --fps away"):
            fields(path, StoreSettings(flow="mv", fps=12.5))
        assert len(fields(path, StoreSettings(flow="mv", fps=25))) == 5

    def test_images(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
        name = str(tmp_path / "a.png")
        command = ["flow", name, name, "--method", "mv", "--out", str(tmp_path / "x.flo")]
        assert run(command) == UsageError.exit_status
        assert "takes the motion vectors out of a video file" in capsys.readouterr().err

    def test_the_others_of_a_data_set_are_extracted(self, tmp_path: Path) -> None:
        good = encode(tmp_path / "good.avi", pictures(6))
        bad = encode(tmp_path / "bad.avi", pictures(6), bf="2")
        videos = [LabeledVideo(path.name, path, 0) for path in (good, bad)]
        summary = extract(videos, store=tmp_path / "s", settings=SETTINGS)
        assert summary.done == 1 and "B-frames" in summary.failed["bad.avi"]
        clips = {path.name for path in (tmp_path / "s").rglob("*") if path.is_file()}
        assert clips == {"store.json", ".lock", "good.avi.clip"}


def test_ffmpegs_table_is_read_as_it_is_meant() -> None:
    """dst is the middle of a block; motion is in motion_scale-ths of a pixel, towards the past."""
    row = np.zeros(
        1,
        [(name, "i4") for name in ("source", "w", "h", "dst_x", "dst_y")]
        + [(name, "i4") for name in ("motion_x", "motion_y", "motion_scale")],
    )
    row[0] = (-1, 16, 8, 24, 4, -6, 3, 4)
    table = SimpleNamespace(to_ndarray=lambda: row)
    raw = SimpleNamespace(
        pict_type=2, interlaced_frame=False, side_data={"MOTION_VECTORS": table}, height=8, width=32
    )
    motion = read_motion(Path("a"), raw, 90)
    np.testing.assert_array_equal(motion.blocks, [[16, 0, 16, 8]])
    np.testing.assert_array_equal(motion.vectors, [[-1.5, 0.75]])
    assert (motion.height, motion.width, motion.rotation) == (8, 32, 90)
    row["source"] = 1
    with pytest.raises(VideoError, match="into the future"):
        read_motion(Path("a"), raw, 0)


class TestReferenceFrames:
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
    @pytest.mark.parametrize("profile", ["baseline", "main", "high"])
    @pytest.mark.parametrize("refs", [1, 2, 4])
    def test_what_x264_was_told(self, refs: int, profile: str, name: str, tmp_path: Path) -> None:
        path = encode(tmp_path / name, pictures(8), "libx264", refs=str(refs), profile=profile)
        with av.open(str(path)) as container:
            extradata = container.streams.video[0].codec_context.extradata
        assert max_reference_frames(extradata) == refs

    def test_scaling_lists_are_skipped(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.mp4", pictures(8), "libx264", **{"x264-params": "cqm=jvt"})
        with av.open(str(path)) as container:
            extradata = container.streams.video[0].codec_context.extradata
        assert max_reference_frames(extradata) == 1

    @pytest.mark.parametrize(
        "data", [None, b"", b"\1d\0\n\xff\xe1\0\3gd\0", b"\0\0\1\x67", b"\0" * 9]
    )
    def test_no_parameter_set(self, data: bytes | None) -> None:
        assert max_reference_frames(data) is None


def test_the_contract_of_estimators() -> None:
    estimator = make_estimator("mv")
    assert isinstance(estimator, MotionVectors) and estimator.parameters == {}
    with pytest.raises(UsageError, match="no parameter"):
        make_estimator("mv", block=3)


def test_frames_carry_motion_only_where_asked(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", pictures(3))
    with VideoReader(path) as reader:
        assert all(frame.motion is None for frame in reader)
    with VideoReader(path, motion_vectors=True) as reader:
        counts = [len(frame.motion.blocks) for frame in reader if frame.motion is not None]
        again = [len(frame.motion.blocks) for frame in reader if frame.motion is not None]
    assert counts == again and counts[0] == 0 and counts[1] >= 40


def test_a_film_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = encode(tmp_path / "a.avi", pictures(6, dx=4, dy=0))
    summary = write_film(path, tmp_path / "out.mp4", make_estimator("mv"))
    assert summary.pairs == 5
    with VideoReader(tmp_path / "out.mp4") as reader:
        frame = next(iter(reader)).rgb
    red, green, blue = np.median(frame[60:130, 256 + 60 : 512 - 60], axis=(0, 1))
    assert red > 170 and green < 130 and blue < 130  # to the right
    out = str(tmp_path / "b.mp4")
    assert run(["flow", str(path), "--method", "mv", "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["pairs"] == 5

"""A folder of numbered images is a video wherever a file is one, and to the bit the same."""

from __future__ import annotations

import json
import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from clip_folders import ids, touch, write
from frame_images import moving_frames, write_images, write_lossless
from twostream.__main__ import run
from twostream.datasets import load_dataset
from twostream.datasets.kept_videos import hashes_of
from twostream.doctor import examine
from twostream.extraction import extract
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.videos import find_videos
from twostream.run.data_settings import probe, shared_rate
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import DataError, LabeledVideo, VideoError
from twostream.video import FrameFolder, VideoReader, open_reader
from twostream.video.fingerprint import source_hash

FRAMES = moving_frames()


def images(tmp_path: Path, *names: str, count: int = 3, **how) -> Path:
    """Folders of frames below a folder."""
    for seed, name in enumerate(names):
        write_images(tmp_path / name, moving_frames(count, seed, (16, 16)), **how)
    return tmp_path


class TestReader:
    @pytest.mark.parametrize("short_side", [None, 20])
    def test_the_same_frames_as_a_lossless_video(
        self, tmp_path: Path, short_side: int | None
    ) -> None:
        folder = write_images(tmp_path / "clip", FRAMES)
        write_images(folder, FRAMES // 2, name="flow_x_{:05d}.jpg")
        write_images(folder, FRAMES // 2, name="y_{:05d}.png")
        video = write_lossless(tmp_path / "clip.mov", FRAMES)
        with (
            open_reader(folder, short_side=short_side) as ours,
            open_reader(video, short_side=short_side) as theirs,
        ):
            assert isinstance(ours, FrameFolder)
            assert isinstance(theirs, VideoReader)
            assert (ours.size, ours.info.fps) == (theirs.size, 25)
            got, wanted = list(ours), list(theirs)
        np.testing.assert_array_equal([f.rgb for f in got], [f.rgb for f in wanted])
        np.testing.assert_allclose([f.pts_seconds for f in got], np.arange(8) / 25)
        if short_side is None:
            np.testing.assert_array_equal([f.rgb for f in got], FRAMES)
        for name in ("frames_read", "warning", "packets_lost", "variable_frame_rate"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.end_seconds == ours.claimed_seconds == pytest.approx(theirs.end_seconds)
        assert ours.info.num_frames_claimed == 8
        assert [f.pts_seconds for f in ours] == [f.pts_seconds for f in got]  # once more

    def test_jpeg_is_read_as_inside_a_video(self, tmp_path: Path) -> None:
        folder = write_images(tmp_path / "clip", FRAMES, name="{:d}.jpg", first=0)
        with av.open(str(tmp_path / "a.avi"), "w") as out:
            stream = out.add_stream("mjpeg", rate=25)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
            for i in range(8):
                packet = av.Packet((folder / f"{i}.jpg").read_bytes())
                packet.stream, packet.pts, packet.dts = stream, i, i
                packet.time_base = stream.time_base = Fraction(1, 25)
                out.mux(packet)
        got = [frame.rgb for frame in open_reader(folder, short_side=30)]
        wanted = [frame.rgb for frame in open_reader(tmp_path / "a.avi", short_side=30)]
        np.testing.assert_array_equal(got, wanted)

    @pytest.mark.parametrize(
        ("name", "first"),
        [
            ("img_{:05d}.jpg", 1),
            ("image_{:05d}.jpg", 1),
            ("frame_{:010d}.png", 0),
            ("{:06d}.PNG", 0),
            ("frame{}.jpeg", 0),
            ("my clip_{:04d}.jpg", 1),
            ("my clip-{:06d}.jpg", 1),
        ],
    )
    def test_numbers_decide_the_order(self, tmp_path: Path, name: str, first: int) -> None:
        shades = np.arange(0, 240, 20, np.uint8)[:, None, None, None]
        frames = np.broadcast_to(shades, (12, 16, 16, 3))
        folder = write_images(tmp_path / "my clip", frames, name=name, first=first)
        with open_reader(folder, fps=12) as reader:
            read = [(round(frame.rgb.mean()), frame.pts_seconds) for frame in reader]
        assert read == [(20 * i, i / 12) for i in range(12)]
        assert reader.warning is None

    def test_what_is_missing_or_damaged_keeps_its_time(self, tmp_path: Path) -> None:
        folder = write_images(tmp_path / "a", FRAMES, name="{:02d}.jpg")
        (folder / "04.jpg").unlink()
        whole = (folder / "06.jpg").read_bytes()
        (folder / "06.jpg").write_bytes(whole[: len(whole) // 2])  # its rest would be grey
        (folder / "01.jpg").write_bytes(b"no image")
        with open_reader(folder) as reader:
            times = [round(frame.pts_seconds * 25) for frame in reader]
        assert times == [0, 1, 3, 5, 6]
        assert (reader.packets_lost, reader.frames_read) == (3, 5)
        assert reader.warning == (
            f"{folder}: 2 images were left out (01.jpg is neither a JPEG nor a PNG image); a frame "
            "is missing, the first is number 4; 5 of 8 frames are used"
        )

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                lambda f: cv2.imwrite(f"{f}/img_00005.png", np.zeros((48, 60, 3))),
                "60x48 px, the im",
            ),
            (lambda f: (f / "img_00001.png").rename(f / "img_00019.png"), "start at 2, expected 0"),
            (
                lambda f: (f / "img_00008.png").rename(f / "img_00019.png"),
                "8 of the frames 1 to 19",
            ),
            (
                lambda f: cv2.imwrite(f"{f}/00005.jpg", FRAMES[4]),
                "frame 5 is there twice, as 00005",
            ),
            (lambda f: [p.write_bytes(b"\x89PNG") for p in f.iterdir()], "decoded: img_00001.png"),
            (lambda f: [p.unlink() for p in f.iterdir()], "is a folder without numbered images"),
        ],
    )
    def test_no_clip(self, tmp_path: Path, change, said: str) -> None:
        folder = write_images(tmp_path / "clip", FRAMES)
        change(folder)
        with pytest.raises(VideoError, match=said):
            list(open_reader(folder))

    def test_a_picture_that_is_too_large_takes_no_memory(self, tmp_path: Path) -> None:
        def chunk(name: bytes, data: bytes) -> bytes:
            whole = name + data
            return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
        for i in range(2):
            write_images(tmp_path / "a", FRAMES[:1], first=i)
            (tmp_path / "a" / f"img_{i:05d}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + data)
        with pytest.raises(VideoError, match="larger than 67 million px"):
            open_reader(tmp_path / "a")

    def test_no_motion_vectors(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="no motion vectors: use another flow"):
            open_reader(write_images(tmp_path / "a", FRAMES), motion_vectors=True)


class TestStore:
    def test_the_same_store_and_prediction_as_of_a_file(
        self, tmp_path: Path, predictor: TwoStreamPredictor
    ) -> None:
        frames = moving_frames(13)
        paths = [
            write_images(tmp_path / "images" / "a", frames, first=0),
            write_lossless(tmp_path / "a.mov", frames).rename(tmp_path / "a"),
        ]
        settings = StoreSettings(short_side=40, codec="lossless")
        clips = []
        for path in paths:
            store = tmp_path / "stores" / str(len(clips))
            summary = extract([LabeledVideo("a", path, 0)], store=store, settings=settings)
            assert (summary.done, summary.pairs, summary.warnings) == (1, 12, {})
            clips.append([FlowStore.open(store).clip("a", kind) for kind in ("rgb", "forward")])
        for ours, theirs in zip(*clips, strict=True):
            assert ours.header.source_name == "a"
            assert ours.header.fps == 25
            take = ours.frames if ours.header.kind == "rgb" else ours.fields
            wanted = theirs.frames if ours.header.kind == "rgb" else theirs.fields
            np.testing.assert_array_equal(take(), wanted())
        ours, theirs = map(predictor.predict, paths)
        np.testing.assert_array_equal(ours.scores, theirs.scores)

    def test_a_missing_frame_is_as_in_a_file(self, tmp_path: Path) -> None:
        """Shown longer, its flow divided; a second of them is a pause."""
        frames = moving_frames(80, size=(16, 16))
        folder = write_images(tmp_path / "a", frames)
        for number in (5, *range(12, 42)):
            (folder / f"img_{number:05d}.png").unlink()
        store = tmp_path / "store"
        summary = extract([LabeledVideo("a", folder, 0)], store=store, settings=StoreSettings())
        clip = FlowStore.open(store).clip("a", "forward")
        assert len(clip) == 79
        assert clip.header.pauses == ((11, 41),)
        assert "31 frames are missing, the first is number 5" in summary.warnings["a"]
        assert "no frames from 0.4 to 1.6 s" in summary.warnings["a"]

    def test_the_rate_is_that_of_the_store(self, tmp_path: Path) -> None:
        videos = [LabeledVideo("a", write_images(tmp_path / "a", FRAMES), 0)]
        for fps in (None, 12.0, 30.0):
            store = tmp_path / f"{fps}"
            extract(videos, store=store, settings=StoreSettings(fps=fps), kinds=["rgb"])
            clip = FlowStore.open(store).clip("a", "rgb")
            assert (len(clip), clip.header.fps) == (8, fps or 25.0)

    def test_the_fingerprint_follows_names_sizes_and_contents(self, tmp_path: Path) -> None:
        folder = write_images(tmp_path / "a", FRAMES)
        first = source_hash(folder)
        copy = write_images(tmp_path / "b", FRAMES)
        touch(copy, "n_frames", "flow_x_00001.jpg")
        assert source_hash(copy) == first
        changes = (
            lambda path: path.write_bytes(path.read_bytes() + b"0"),
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"9"),
            lambda path: path.rename(path.with_name("img_00009.png")),
        )
        for number, change in zip((4, 8, 8), changes, strict=True):
            write_images(folder, FRAMES)
            change(folder / f"img_{number:05d}.png")
            assert source_hash(folder) != first
        assert hashes_of([LabeledVideo("c", touch(tmp_path / "c", "x"), 0)]) == {"c": ""}


class TestTrees:
    def test_folders_are_videos(self, tmp_path: Path) -> None:
        root = images(tmp_path, "walk/a", "walk/b.x", "run/v_Run_g07_c01", "run/deep/c")
        touch(root, "run/deep/notes.txt")
        data = load_dataset(root)
        assert ids(data.videos) == ["run/v_Run_g07_c01", "run/deep/c", "walk/a", "walk/b.x"]
        assert data.groups == ("g07",)
        assert data.ignored == 1
        assert data.notes == (
            f"folders of frames: 4 taken as videos, the first is {root / 'run/deep/c'}; no image "
            "tells their frame rate: it is that of --fps, else the other clips', else 25 frames/s",
        )

    def test_official_lists_find_folders(self, tmp_path: Path) -> None:
        names = [f"Run/v_Run_g{g:02}_c01" for g in (1, 2)] + ["Walk/v_Walk_g01_c01"]
        root = images(tmp_path / "data", *names)
        lists = tmp_path / "data" / "ucfTrainTestlist"
        write(lists / "trainlist01.txt", "Run/v_Run_g01_c01.avi 1\nWalk/v_Walk_g01_c01.avi 2\n")
        write(lists / "testlist01.txt", "Run/v_Run_g02_c01.avi\n")
        split = load_dataset(root).split(1)
        assert ids(split.train) == [names[0], names[2]]
        assert ids(split.test) == [names[1]]

    def test_trees_of_files_mean_what_they_meant(self, tmp_path: Path) -> None:
        """Frames of the files, their flow, single pictures, images beside videos: no clips."""
        root = touch(tmp_path, "walk/0.avi", "walk/b.avi", "run/1.avi", "run/clips/c.avi")
        before = load_dataset(root)
        images(root, "walk/b", "run/frames/c", "run/clips", "run/jpegs/u", "run/jpegs/v", "run/0")
        images(root, "walk/cover", count=1)
        images(root, "walk/photos", name="tree {:03d}.jpg")
        after = load_dataset(root)
        assert after.videos == before.videos
        assert any("not taken, beside video files" in note for note in after.notes)

    def test_images_that_might_be_either_are_left_out_and_named(self, tmp_path: Path) -> None:
        root = images(tmp_path, "walk/a", "walk/a/flow", "run/b", "run/c", "run/c/mask")
        data = load_dataset(root)
        assert ids(data.videos) == ["run/b", "walk/a"]
        assert (
            f"1 left out, with numbered images in folders below too, the first is {root}"
            in (data.notes[1])
        )

    def test_images_alone_are_no_data_set(self, tmp_path: Path) -> None:
        images(tmp_path, "cats", "dogs")
        with pytest.raises(DataError, match="holds 2 videos but no class folders"):
            load_dataset(tmp_path)
        with pytest.raises(DataError, match="cats is one video, not a data set"):
            load_dataset(tmp_path / "cats")


class TestLists:
    @pytest.mark.parametrize("label", ["3", "long jump"])
    def test_folder_number_label(self, tmp_path: Path, label: str) -> None:
        images(tmp_path, "a b/1", "a b/2", "c")
        listed = write(tmp_path / "train.txt", f"a b/1 3 {label}\na b/2 2 {label}\nc 3 walk\n")
        data = load_dataset(listed)
        assert {v.video_id: data.classes[v.label] for v in data.videos} == {
            "a b/1": label,
            "a b/2": label,
            "c": "walk",
        }
        assert [note.partition(",")[0] for note in data.notes] == [
            "folders of frames: 3 taken as videos"
        ]

    def test_other_numbers_are_said(self, tmp_path: Path) -> None:
        images(tmp_path, "a", "b", "c")
        data = load_dataset(write(tmp_path / "l.txt", "a 5 x\nb 1 y\nc 3 y\n"))
        assert data.notes[1:] == (
            "folders of frames: 1 with fewer frames than the list says, the first is a (3 instead "
            "of 5); they seem to be cut off, and the frames that are there are used",
            "folders of frames: 1 with more frames than the list says, the first is b (3 instead "
            "of 1); all of them are used",
        )

    @pytest.mark.parametrize("lines", ["a 0 3 7\nb 0 3 9\n", "a 3 7 8 9\nb 3 9 2 1\n"])
    def test_first_frames_and_several_labels_are_refused(self, tmp_path: Path, lines: str) -> None:
        images(tmp_path, "a", "b")
        with pytest.raises(
            DataError, match="line 1: expected `folder number-of-frames label`, got"
        ):
            load_dataset(write(tmp_path / "l.txt", lines))

    def test_csv_and_files_first(self, tmp_path: Path) -> None:
        images(tmp_path, "w/a", "w/b", "w/c")
        touch(tmp_path, "w/b.avi")
        text = "path,label\nw/a.mp4,x\nw/b,y\nw/c,y\n"
        data = load_dataset(write(tmp_path / "l.csv", text))
        assert ids(data.videos) == ["w/a", "w/b.avi", "w/c"]
        (tmp_path / "w" / "c").rename(tmp_path / "w" / "d")
        (tmp_path / "w" / "c").mkdir()
        with pytest.raises(DataError, match="w/c is a folder without numbered images"):
            load_dataset(tmp_path / "l.csv")


class TestRates:
    def test_folders_have_no_say(self, tmp_path: Path) -> None:
        def split(fps: int):
            root = images(tmp_path / str(fps), "walk/a", "run/b", "run/c")
            files = ("walk/x.mov", "run/y.mov", "run/z.mov")
            for name in files:
                write_lossless(root / name, moving_frames(3), fps=fps)
            rows = [f"{name},{name[:3]}" for name in ("walk/a", "run/b", "run/c", *files)]
            return load_dataset(write(root / "l.csv", "\n".join(["path,label", *rows]))).whole()

        assert shared_rate(split(30)) == 30
        assert shared_rate(split(25)) is None
        alone = load_dataset(images(tmp_path / "alone", "walk/a", "run/b")).whole()
        assert shared_rate(alone) is None
        assert [info.fps_told for info in probe(alone.train)] == [False, False]


def test_the_doctor_reads_folders(tmp_path: Path) -> None:
    root = images(tmp_path, "walk/a", "run/b", "run/c", count=12)
    write_images(root / "walk" / "d", moving_frames(12, 0, (16, 16)), first=0)
    (root / "run" / "c" / "img_00003.png").unlink()
    found = {(os.path.relpath(p.path, root), p.problem): p.detail for p in examine(root).problems}
    assert found.pop(("walk/d", "duplicate")).startswith("the same bytes as")
    assert found.pop(("run/c", "damaged")).startswith("a frame is missing, the first is number 3")
    assert found.pop((".", "folders of frames")).startswith("4 taken as videos")
    assert {problem for _, problem in found} == {"class with too few clips"}
    assert examine(root / "walk" / "a").description.endswith("one video")


def test_predict_takes_a_folder_by_what_it_holds(
    tmp_path: Path, run_folder: Path, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_images(tmp_path / "clips" / "a", moving_frames(13))
    write_images(tmp_path / "clips" / "b", moving_frames(13))
    assert list(find_videos([clip])) == [clip]
    assert "taken as one video" in said[-1]
    below = find_videos([tmp_path / "clips"])
    assert [str(name) for name in below.values()] == ["a", "b"]
    answers = []
    for video in (clip, tmp_path / "clips"):
        assert run(["predict", str(run_folder), str(video), "--json"]) == 0
        answers += json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [Path(answer["video"]).name for answer in answers] == ["a", "a", "b"]
    assert answers[0]["labels"] == answers[1]["labels"] == answers[2]["labels"]
    out = tmp_path / "a.csv"
    asked = ["--timeline", "--csv", str(out), "--video", str(tmp_path / "a.mp4")]
    assert run(["predict", str(run_folder), str(clip), *asked]) == 0
    assert out.is_file()
    with VideoReader(tmp_path / "a.mp4") as film:
        assert len(list(film)) == 13

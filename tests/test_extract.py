"""Extraction: the same result whatever the workers, and one bad video costs that video."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from moving_clips import SETTINGS, SPEED_PX, contents, ids, make_clip, make_data
from twostream.extraction import (
    ExtractSummary,
    extract,
    extract_to_memory,
)
from twostream.files import PARTIAL_SUFFIX
from twostream.flow import FlowEstimator, make_estimator
from twostream.flow.opencv import one_opencv_thread
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import LabeledVideo, StoreError, VideoError
from twostream.video import VideoReader, VideoWriter
from twostream.video.fingerprint import source_hash


class TestOnePass:
    def test_all_kinds(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "a.avi", 8)
        clips = extract_to_memory(path, SETTINGS, ("rgb", "forward", "backward"))
        with VideoReader(path, short_side=48) as reader:
            frames = [frame.rgb for frame in reader]
        assert [len(clips[kind]) for kind in ("rgb", "forward", "backward")] == [8, 7, 7]
        assert np.abs(clips["rgb"].frames().astype(int) - frames).mean() < 6
        for kind, sign in (("forward", 1), ("backward", -1)):
            inner = clips[kind].fields()[:, :, 10:-10, 10:-10]
            np.testing.assert_allclose(inner[:, 0].mean(), sign * SPEED_PX, atol=0.1)
            np.testing.assert_allclose(inner[:, 1].mean(), 0, atol=0.1)

    def test_field_i_is_from_frame_i_to_the_next(self, tmp_path: Path) -> None:
        """Bit for bit what the estimator gives, with the lossless codec."""
        path = make_clip(tmp_path / "a.avi", 4)
        lossless = StoreSettings(short_side=32, codec="lossless")
        clips = extract_to_memory(path, lossless, ("rgb", "forward", "backward"))
        frames = clips["rgb"].frames()
        assert frames.shape == (4, 32, 43, 3)
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        with one_opencv_thread():
            dis = make_estimator("dis")
            for i in range(3):
                there, back = dis(greys[i], greys[i + 1]), dis(greys[i + 1], greys[i])
                np.testing.assert_array_equal(clips["forward"].fields(i, i + 1)[0], there)
                np.testing.assert_array_equal(clips["backward"].fields(i, i + 1)[0], back)

    def test_flow_does_not_depend_on_what_else_is_stored(self, tmp_path: Path) -> None:
        """With or without frames, in one pass or two: the same bytes."""
        videos = [LabeledVideo("a.avi", make_clip(tmp_path / "a.avi", 6), 0)]
        settings = StoreSettings(short_side=32, flow="dis")
        for name, passes in {
            "flow": [("forward",)],
            "both": [("rgb", "forward")],
            "later": [("rgb",), ("backward",), ("forward",)],
        }.items():
            for kinds in passes:
                extract(videos, store=tmp_path / name, settings=settings, kinds=kinds)
        flow = contents(tmp_path / "flow")["forward/a.avi.clip"]
        assert flow == contents(tmp_path / "both")["forward/a.avi.clip"]
        assert flow == contents(tmp_path / "later")["forward/a.avi.clip"]

    def test_header(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "a.avi")
        header = extract_to_memory(path, SETTINGS)["forward"].header
        assert (header.height, header.width, header.fps, header.count) == (48, 64, 25, 7)
        assert header.method == "farneback"
        assert header.parameters == make_estimator("farneback").parameters
        assert header.source_name == "a.avi"
        assert header.warning is None

    def test_one_frame(self, tmp_path: Path, shared_data: Path) -> None:
        gif = shared_data / "robustness" / "one_frame.gif"
        for path in (make_clip(tmp_path / "a.avi", 1), gif):
            clips = extract_to_memory(path, SETTINGS, ("rgb", "forward", "backward"))
            assert [len(clips[kind]) for kind in clips] == [1, 0, 0]

    def test_flow_is_in_px_of_the_stored_size(self, tmp_path: Path) -> None:
        clip = extract_to_memory(
            make_clip(tmp_path / "a.avi"), StoreSettings(short_side=24, flow="farneback")
        )["forward"]
        assert (clip.header.height, clip.header.width) == (24, 32)
        inner = clip.fields()[:, 0, 6:-6, 6:-6]
        np.testing.assert_allclose(inner.mean(), SPEED_PX / 2, atol=0.1)


class TestManyClips:
    def test_workers_do_not_change_the_bytes(self, tmp_path: Path) -> None:
        videos = make_data(tmp_path / "data")
        settings = StoreSettings(short_side=48)
        kinds = ("rgb", "forward", "backward")
        stores = [tmp_path / f"s{workers}" for workers in (1, 3)]
        for store, workers in zip(stores, (1, 3), strict=True):
            summary = extract(videos, store=store, settings=settings, kinds=kinds, workers=workers)
            assert (summary.done, summary.skipped, summary.failed) == (5, 0, {})
            assert summary.pairs == sum(4 + 3 * i for i in range(5))
            assert summary.pairs_per_second > 0
        assert contents(stores[0]) == contents(stores[1])
        assert len(contents(stores[0])) == 16
        memory = extract_to_memory(videos[2].path, settings)["forward"]
        disk = FlowStore.open(stores[0]).clip(videos[2].video_id, "forward")
        np.testing.assert_array_equal(memory.fields(), disk.fields())

    def test_what_another_process_makes_meanwhile_is_of_the_same_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
    ) -> None:
        videos = make_data(tmp_path / "data", 1)
        extract(videos, store=tmp_path / "s", settings=SETTINGS, kinds=("forward",))
        found, asked = FlowStore.valid, []

        def missed(store: FlowStore, video_id: str, *rest: str) -> object:
            asked.append(rest)  # the other one is a moment behind the first look
            return found(store, video_id, *rest) if len(asked) > 1 else None

        monkeypatch.setattr(FlowStore, "valid", missed)
        extract(videos, store=tmp_path / "s", settings=SETTINGS, kinds=("forward",))
        assert len(asked) > 2 and not [text for text in said if "another file" in text]

    def test_finished_clips_are_skipped(self, tmp_path: Path) -> None:
        videos = make_data(tmp_path / "data", 3)
        store = tmp_path / "s"
        extract(videos[:2], store=store, settings=SETTINGS)
        before = {name: (store / name).stat().st_mtime_ns for name in contents(store)}
        summary = extract(videos, store=store, settings=SETTINGS)
        assert (summary.videos, summary.done, summary.skipped) == (3, 1, 2)
        assert summary.pairs == 10
        assert all((store / name).stat().st_mtime_ns == at for name, at in before.items())

    def test_what_is_damaged_or_changed_is_made_again(self, tmp_path: Path) -> None:
        videos = make_data(tmp_path / "data", 3)
        store = tmp_path / "s"
        extract(videos, store=store, settings=SETTINGS)
        whole = contents(store)
        damaged = FlowStore.open(store).path(videos[0].video_id, "forward")
        damaged.write_bytes(damaged.read_bytes()[:-7])
        make_clip(videos[1].path, 6, seed=99)
        summary = extract(videos, store=store, settings=SETTINGS)
        assert (summary.done, summary.skipped) == (2, 1)
        now = contents(store)
        changed = {name for name in whole if whole[name] != now[name]}
        assert changed == {f"{kind}/{videos[1].video_id}.clip" for kind in ("rgb", "forward")}

    def test_two_data_sets_of_equal_names_in_one_store_are_told_once(
        self, tmp_path: Path, said: list[str]
    ) -> None:
        one, store = make_data(tmp_path / "one", 2), tmp_path / "s"
        extract(one, store=store, settings=SETTINGS)
        other = [
            replace(video, path=make_clip(tmp_path / "two" / video.video_id, seed=9))
            for video in one
        ]
        assert extract(other, store=store, settings=SETTINGS, workers=1).done == 2
        assert len(said) == 1
        assert "from another file, and is made again" in said[0]
        assert "a --store of their own" in said[0]

    @pytest.mark.parametrize("kind", ["rgb", "forward"])
    def test_a_single_flipped_bit_is_found_named_and_made_again(
        self, kind: str, tmp_path: Path, said: list[str]
    ) -> None:
        videos, store = make_data(tmp_path / "data", 2), tmp_path / "s"
        extract(videos, store=store, settings=SETTINGS)
        whole, path = contents(store), FlowStore.open(store).path(videos[0].video_id, kind)  # type: ignore[arg-type]
        flipped = bytearray(path.read_bytes())
        flipped[len(flipped) // 3] ^= 4  # in a frame or field: index and header are at the end
        path.write_bytes(flipped)
        assert extract(videos, store=store, settings=SETTINGS).done == 1
        assert contents(store) == whole
        damage = "what was stored of it is damaged, and is made again"
        assert said == [f"{videos[0].video_id}: {damage}"]
        assert extract(videos, store=store, settings=SETTINGS).done == 0

    def test_a_direction_can_be_added(self, tmp_path: Path) -> None:
        videos = make_data(tmp_path / "data", 2)
        store = tmp_path / "s"
        extract(videos, store=store, settings=SETTINGS)
        before = contents(store)
        kinds = ("rgb", "forward", "backward")
        summary = extract(videos, store=store, settings=SETTINGS, kinds=kinds)
        assert summary.done == 2
        after = contents(store)
        assert {name: after[name] for name in before} == before
        assert len(after) == len(before) + 2

    def test_frames_alone_need_no_flow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def none_is_made(*settings: object) -> None:
            raise AssertionError("frames alone need no estimator")

        monkeypatch.setattr(sys.modules[extract.__module__], "make_on_device", none_is_made)
        summary = extract(
            make_data(tmp_path / "d", 2), store=tmp_path / "s", settings=SETTINGS, kinds=("rgb",)
        )
        assert (summary.done, summary.pairs) == (2, 0)

    def test_bad_videos_are_listed(self, tmp_path: Path, shared_data: Path) -> None:
        videos = make_data(tmp_path / "data", 2)
        text = tmp_path / "data" / "text.mp4"
        text.write_text("no video")
        corrupted = shared_data / "robustness" / "corrupted.mp4"
        videos = [
            LabeledVideo("text.mp4", text, 0),
            LabeledVideo("gone.mp4", tmp_path / "gone.mp4", 0),
            *videos,
            LabeledVideo("corrupted.mp4", corrupted, 0),
        ]
        for run in range(2):
            summary = extract(videos, store=tmp_path / "s", settings=SETTINGS, workers=2)
            assert (summary.done, summary.skipped) == ((3, 0) if run == 0 else (0, 3))
            assert set(summary.failed) == {"text.mp4", "gone.mp4"}
            assert "cannot be opened as a video" in summary.failed["text.mp4"]
            assert summary.failed["gone.mp4"] == "no such file"
            assert set(summary.warnings) == {"corrupted.mp4"}
            assert "a damaged packet was left out" in summary.warnings["corrupted.mp4"]
            # 49 frames, one of them in the lost one's place too
            assert len(FlowStore.open(tmp_path / "s").clip("corrupted.mp4", "rgb")) == 50
        assert not list((tmp_path / "s").rglob(f"*{PARTIAL_SUFFIX}"))

    @pytest.mark.parametrize("kind", [cv2.error, ZeroDivisionError])
    def test_a_failing_estimator_fails_its_clip_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
    ) -> None:
        class Broken(FlowEstimator):
            def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
                raise kind("out of luck")

        monkeypatch.setattr(sys.modules[extract.__module__], "make_on_device", lambda *a: Broken())
        summary = extract(make_data(tmp_path / "d", 2), store=tmp_path / "s", settings=SETTINGS)
        assert len(summary.failed) == 2
        assert "out of luck" in next(iter(summary.failed.values()))

    def test_an_id_for_two_files_is_refused(self, tmp_path: Path) -> None:
        one, two = make_data(tmp_path / "data", 2)
        twice = LabeledVideo(one.video_id, two.path, 0)
        assert extract([one, one], store=tmp_path / "s", settings=SETTINGS).videos == 1
        with pytest.raises(StoreError, match="stands for two files"):
            extract([one, twice], store=tmp_path / "s", settings=SETTINGS)

    def test_progress(self, tmp_path: Path) -> None:
        videos = make_data(tmp_path / "data", 4)
        calls: list[tuple[str, float, float, str]] = []
        extract(
            videos,
            store=tmp_path / "s",
            settings=SETTINGS,
            progress=lambda *arguments: calls.append(arguments),
        )
        assert {call[0] for call in calls} == {"extract flow"}
        assert [call[1] for call in calls] == sorted(call[1] for call in calls)
        assert calls[-1][1:3] == (4, 4)
        for *_, detail in calls:
            assert re.fullmatch(r"\d+ pairs/s, (\d+:\d\d left, )?.*", detail)
            assert detail.rpartition(", ")[2] in {"", *ids(videos)}
        assert "left" not in calls[-1][3]

    @pytest.mark.slow  # measures time
    def test_time_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the share of one long clip that is done; what was there before does not count."""
        pool = sys.modules["twostream.threads"]
        monkeypatch.setattr(pool, "TICK_SECONDS", 0.01)  # the clip is soon done
        videos = make_data(tmp_path / "data", 2)
        settings = StoreSettings(short_side=48, flow="dis")
        extract(videos, store=tmp_path / "s", settings=settings)
        videos.append(LabeledVideo("long.avi", make_clip(tmp_path / "data/long.avi", 400), 0))
        calls: list[tuple[float, float, float]] = []
        seconds_left: list[float] = []
        last = ""
        started = time.monotonic()

        def told(seconds: float) -> str:
            seconds_left.append(seconds)
            return "0:00"

        def note(task: str, done: float, total: float, detail: str = "") -> None:
            nonlocal last
            last = detail
            rate = int(detail.partition(" pairs/s")[0])
            if rate and "left" in detail:
                elapsed = time.monotonic() - started
                calls.append((rate * elapsed, elapsed, seconds_left[-1]))

        monkeypatch.setattr(sys.modules[extract.__module__], "duration", told)
        summary = extract(videos, store=tmp_path / "s", settings=settings, progress=note)
        halfway = [call for call in calls if 100 < call[0] < 300]
        assert halfway
        for pairs, elapsed, left in halfway:
            assert 0.5 < left / (elapsed * (399 - pairs) / pairs) < 2
        assert last and "left" not in last
        assert summary.pairs == 399

    def test_nothing_to_do(self, tmp_path: Path) -> None:
        summary = extract([], store=tmp_path / "s", settings=SETTINGS)
        assert (summary.videos, summary.done, summary.pairs) == (0, 0, 0)
        assert isinstance(summary, ExtractSummary)

    def test_real_clips(self, shared_data: Path, tmp_path: Path) -> None:
        """The container's frame counts are checked against clips.csv; the flow is not noise."""
        root = shared_data / "weizmann"
        with open(root / "clips.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["group"] == "lyova"]
        videos = [LabeledVideo(row["path"], root / row["path"], 0) for row in rows]
        assert len(videos) == 9
        summary = extract(videos, store=tmp_path / "s", settings=StoreSettings(short_side=64))
        assert summary.done == 9
        store = FlowStore.open(tmp_path / "s")
        for row in rows:
            assert len(store.clip(row["path"], "rgb")) == int(row["frames"])
            assert len(store.clip(row["path"], "forward")) == int(row["frames"]) - 1
            lengths = np.linalg.norm(store.clip(row["path"], "forward").fields(), axis=1)
            assert np.median(lengths) < 0.2  # the camera stands still
            assert lengths.max() > 0.7  # and someone moves
            assert lengths.max() > 6 * np.median(lengths)


def test_source_hash_tells_files_apart(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"abc")
    data = bytearray(os.urandom(1_000_000))
    large.write_bytes(data)
    first = source_hash(large)
    assert first == source_hash(large)
    assert first != source_hash(small)
    for position in (0, 500_100, 999_999):
        changed = bytearray(data)
        changed[position] ^= 1
        large.write_bytes(changed)
        assert source_hash(large) != first
    large.write_bytes(data + b"x")
    assert source_hash(large) != first
    with pytest.raises(VideoError, match="no such file"):
        source_hash(tmp_path / "none")


@pytest.mark.slow  # measures memory
@pytest.mark.skipif(sys.platform == "win32", reason="needs resource")
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """Ten times the frames; the frames alone would take 100 MiB more, were they kept."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from twostream.extraction import extract\n"
        "from twostream.store.flow_store import StoreSettings\n"
        "from twostream.types import LabeledVideo\n"
        "settings = StoreSettings(flow='farneback', parameters={'iterations': 1, 'levels': 1})\n"
        "extract([LabeledVideo('a', Path(sys.argv[1]), 0)], store=sys.argv[2],"
        " settings=settings, workers=1)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    peaks = []
    for frames in (60, 600):
        path = tmp_path / f"{frames}.avi"
        with VideoWriter(path, fps=25, width=256, height=256) as writer:
            for t in range(frames):
                frame = np.zeros((256, 256, 3), np.uint8)
                frame[:, t % 250 :] = 200
                writer.write(frame)
        command = [sys.executable, "-c", code, str(path), str(tmp_path / f"s{frames}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    assert peaks[1] < peaks[0] + 25

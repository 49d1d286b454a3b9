"""Extraction that is interrupted: a full disk, Ctrl-C, a kill; nothing finished is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moving_clips import SETTINGS, contents, ids, make_clip, make_data
from twostream.extraction import extract, many_videos
from twostream.files import PARTIAL_SUFFIX
from twostream.store import clip_writer
from twostream.store.flow_store import ClipFile, StoreSettings
from twostream.types import LabeledVideo, StoreError


class TestInterruption:
    def test_a_full_disk_is_one_sentence_and_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        videos = make_data(tmp_path / "data", 5)
        store = tmp_path / "s"
        extract(videos[:2], store=store, settings=SETTINGS)
        finished = contents(store)
        write = clip_writer.ClipWriter._append_blob

        def full_disk(writer: clip_writer.ClipWriter, blob: bytes) -> None:
            if writer.count == 5:
                with open("/dev/full", "wb") as full:
                    os.dup2(full.fileno(), writer._file.fileno())
            write(writer, blob)

        monkeypatch.setattr(clip_writer.ClipWriter, "_append_blob", full_disk)
        with pytest.raises(StoreError, match="no space left on the disk") as caught:
            extract(videos, store=store, settings=SETTINGS, workers=2)
        assert "\n" not in str(caught.value)
        monkeypatch.undo()
        now = contents(store)
        assert {name: now[name] for name in finished} == finished
        summary = extract(videos, store=store, settings=SETTINGS)
        assert summary.skipped >= 2
        assert summary.failed == {}
        assert not list(store.rglob(f".*{PARTIAL_SUFFIX}"))

    def test_ctrl_c_leaves_finished_clips_and_no_temporary_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        videos = make_data(tmp_path / "data", 5)
        store = tmp_path / "s"

        def interrupt(task: str, done: float, total: float, detail: str = "") -> None:
            if done >= 2:
                raise KeyboardInterrupt

        def until_stopped(job: many_videos._Job, video: LabeledVideo) -> tuple[bool, str | None]:
            if video is videos[2]:  # else all may be done before the interruption is seen
                assert job.stop.wait(60)
            return extract_one(job, video)

        extract_one = many_videos._Job.run
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(many_videos._Job, "run", until_stopped)
            extract(videos, store=store, settings=SETTINGS, workers=1, progress=interrupt)
        left = contents(store)
        assert not [name for name in left if name.endswith(PARTIAL_SUFFIX)]
        assert len(left) == 5  # frames and flow of two, and the store's settings
        clean = tmp_path / "clean"
        extract(videos, store=store, settings=SETTINGS)
        extract(videos, store=clean, settings=SETTINGS)
        assert contents(store) == contents(clean)

    def test_ctrl_c_does_not_wait_for_a_long_clip(self, tmp_path: Path) -> None:
        videos = [LabeledVideo("long.avi", make_clip(tmp_path / "long.avi", 400), 0)]
        settings = StoreSettings(short_side=48, flow="tvl1-opencv")  # 400 pairs take many seconds

        def interrupt(task: str, done: float, total: float, detail: str = "") -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            extract(videos, store=tmp_path / "s", settings=settings, progress=interrupt)
        assert list(contents(tmp_path / "s")) == ["store.json"]

    def test_a_kill_is_continued(self, tmp_path: Path) -> None:
        """kill -9 in the middle of a clip; the next run ends with the same bytes as a clean one."""
        videos = make_data(tmp_path / "data", 4)
        videos.append(LabeledVideo("long.avi", make_clip(tmp_path / "data/long.avi", 200), 0))
        store = tmp_path / "killed"
        code = (
            "import sys; from pathlib import Path; from twostream.extraction import extract\n"
            "from twostream.store.flow_store import StoreSettings\n"
            "from twostream.types import LabeledVideo\n"
            "videos = [LabeledVideo(a, Path(sys.argv[2]) / a, 0) for a in sys.argv[3:]]\n"
            "slow = StoreSettings(short_side=48, flow='farneback')\n"
            "import time; e = sys.modules[extract.__module__]; real = e.make_on_device\n"
            "from twostream.flow import FlowEstimator\n"
            "class Slow(FlowEstimator):\n"
            "    def __init__(self): self.real = real('farneback', {}, 'cpu')\n"
            "    def __call__(self, a, b): time.sleep(.02); return self.real(a, b)\n"
            "e.make_on_device = lambda *a: Slow()\n"
            "extract(videos, store=sys.argv[1], settings=slow, workers=2)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(store), str(tmp_path / "data"), *ids(videos)]
        )
        wait_for(lambda: len(list(store.glob("forward/**/clip*.clip"))) >= 2, process)
        wait_for(lambda: list(store.glob(f"*/**/.long*{PARTIAL_SUFFIX}")), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stale = list(store.rglob(f".*{PARTIAL_SUFFIX}"))
        assert stale
        finished = list(store.rglob("*.clip"))
        summary = extract(videos, store=store, settings=SETTINGS)
        assert summary.skipped >= 2
        assert summary.done == 5 - summary.skipped
        assert not list(store.rglob(f".*{PARTIAL_SUFFIX}"))
        extract(videos, store=tmp_path / "clean", settings=SETTINGS)
        assert contents(store) == contents(tmp_path / "clean")
        assert all(ClipFile(path) for path in finished)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)

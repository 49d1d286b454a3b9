"""The folder of clips: settings, what is there, and what a crash leaves."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from test_clip_file import header, on_disk, smooth_fields
from twostream.files import PARTIAL_SUFFIX
from twostream.store.flow_store import ClipWriter, FlowStore, StoreSettings
from twostream.types import StoreError, UsageError


def hold_a_writer(path: Path, ready: multiprocessing.synchronize.Event) -> None:
    writer = ClipWriter(path, header())
    writer.append(smooth_fields(1)[0])
    ready.set()
    threading.Event().wait(60)
    writer.close()


class TestStore:
    def test_create_and_open(self, tmp_path: Path) -> None:
        settings = StoreSettings(short_side=64, bound_px=20.0, fps=12.5)
        made = FlowStore.create(tmp_path / "s", settings)
        assert made.settings.parameters["finest_scale"] == 0  # spelt out
        opened = FlowStore.open(tmp_path / "s")
        assert opened.settings == made.settings == settings.complete()
        assert FlowStore.create(tmp_path / "s", settings).settings == opened.settings

    def test_other_settings_are_named(self, tmp_path: Path) -> None:
        FlowStore.create(tmp_path, StoreSettings(short_side=64))
        other = StoreSettings(flow="farneback", short_side=32, quality=80)
        with pytest.raises(StoreError) as caught:
            FlowStore.create(tmp_path, other)
        message = str(caught.value)
        for part in (
            "flow is 'dis', wanted 'farneback'",
            "short_side is 64, wanted 32",
            "quality is 90, wanted 80",
            "parameters",
            "use another --store or the same options",
        ):
            assert part in message
        assert "codec" not in message
        with pytest.raises(StoreError, match="parameters"):
            FlowStore.create(tmp_path, StoreSettings(short_side=64, parameters={"patch_size": 9}))

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").touch()
        with pytest.raises(StoreError, match="not empty and holds no flow store"):
            FlowStore.create(tmp_path, StoreSettings())
        with pytest.raises(StoreError, match="holds no flow store"):
            FlowStore.open(tmp_path)
        with pytest.raises(StoreError, match="is a file: --store needs a folder"):
            FlowStore.create(tmp_path / "thesis.txt", StoreSettings())

    def test_one_that_another_process_begins_meanwhile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings, look = StoreSettings(short_side=64), Path.iterdir

        def begun_meanwhile(folder: Path) -> Iterator[Path]:
            monkeypatch.setattr(Path, "iterdir", look)
            FlowStore.create(tmp_path, settings)
            return look(folder)

        monkeypatch.setattr(Path, "iterdir", begun_meanwhile)
        assert FlowStore.create(tmp_path, settings).settings == settings.complete()
        monkeypatch.setattr(Path, "iterdir", begun_meanwhile)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        with pytest.raises(StoreError, match="short_side is 64, wanted 32"):
            FlowStore.create(tmp_path, StoreSettings(short_side=32))

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "colour": 3}', "\0"])
    def test_broken_settings(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "store.json").write_text(text)
        with pytest.raises(StoreError, match=r"store\.json cannot be read"):
            FlowStore.open(tmp_path)

    def test_a_newer_format(self, tmp_path: Path) -> None:
        FlowStore.create(tmp_path, StoreSettings())
        path = tmp_path / "store.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "version": 9}))
        with pytest.raises(StoreError, match="has format 9, this version reads 1"):
            FlowStore.open(tmp_path)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"quality": 0},
            {"codec": "gif"},
            {"bound_px": float("nan")},
            {"bound_px": -1.0},
            {"fps": 0.0},
            {"fps": float("inf")},
            {"short_side": 0},
        ],
    )
    def test_senseless_settings(self, wrong: dict) -> None:
        with pytest.raises(UsageError):
            StoreSettings(**wrong)

    def test_clips(self, tmp_path: Path) -> None:
        store = FlowStore.create(tmp_path, StoreSettings())
        writer = store.writer(header())
        writer.append(smooth_fields(1)[0])
        assert not store.has("walk/a b [1].avi", "forward")
        writer.close()
        assert store.has("walk/a b [1].avi", "forward")
        assert store.has("walk/a b [1].avi", "forward", "abc")
        assert not store.has("walk/a b [1].avi", "forward", "another source")
        assert not store.has("walk/a b [1].avi", "backward")
        assert len(store.clip("walk/a b [1].avi", "forward")) == 1
        assert list(store.paths()) == [store.path("walk/a b [1].avi", "forward")]
        with pytest.raises(StoreError, match=r"no backward of walk/a b \[1\]\.avi"):
            store.clip("walk/a b [1].avi", "backward")
        store.path("walk/a b [1].avi", "forward").write_bytes(b"junk")
        assert not store.has("walk/a b [1].avi", "forward")

    def test_a_clip_is_opened_once_to_be_known_and_once_to_be_checked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A shared disk is asked at each opening, and a large data set has millions."""
        store = FlowStore.create(tmp_path, StoreSettings())
        writer = store.writer(header())
        writer.append(smooth_fields(1)[0])
        writer.close()
        monkeypatch.setattr("twostream.store.clip_file._CHECKED_BYTES", 1)  # in many pieces
        opened: list[object] = []

        def counted(*given: object) -> object:
            opened.append(given)
            return open(*given, buffering=0)

        module = "twostream.store.clip_file.open"
        monkeypatch.setattr(module, lambda *given, buffering: counted(*given), raising=False)
        file = store.valid("walk/a b [1].avi", "forward", "abc")
        assert file is not None and file.header.count == 1
        assert len(opened) == 2

    def test_a_clip_under_another_name_is_not_it(self, tmp_path: Path) -> None:
        store = FlowStore.create(tmp_path, StoreSettings())
        store.writer(header()).close()
        source = store.path("walk/a b [1].avi", "forward")
        shutil.copy(source, store.path("walk/other.avi", "forward"))
        assert not store.has("walk/other.avi", "forward")

    def test_no_id_leads_out_of_the_store(self, tmp_path: Path) -> None:
        store = FlowStore.create(tmp_path / "s", StoreSettings())
        ids = ["../../x.avi", "/etc/x.avi", "a/../../../x.avi", "..", "x.avi", "a/x.avi"]
        paths = [store.path(video_id, "rgb").resolve() for video_id in ids]
        assert len(set(paths)) == len(ids)
        for path in paths:
            assert path.is_relative_to((tmp_path / "s" / "rgb").resolve())

    def test_cleaning_spares_live_writers(self, tmp_path: Path) -> None:
        """A killed writer's file goes, a live one's stays: of this and of other processes."""
        store = FlowStore.create(tmp_path, StoreSettings())
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Event()
        path = tmp_path / "forward" / "x.clip"
        process = spawn.Process(target=hold_a_writer, args=(path, ready))
        process.start()
        own = store.writer(header(video_id="own.avi"))
        assert ready.wait(60)
        assert store.clean() == 0
        assert len(list(path.parent.glob(f".*{PARTIAL_SUFFIX}"))) == 2
        process.kill()
        process.join()
        assert store.clean() == 1
        own.close()
        assert [p.name for p in path.parent.iterdir()] == ["own.avi.clip"]

    def test_reading_keeps_no_file_open(self, tmp_path: Path) -> None:
        clips = [on_disk(tmp_path / f"{i}.clip", smooth_fields(2)) for i in range(50)]
        for clip in clips:
            clip.fields()
        fd_folder = Path("/proc/self/fd")
        if fd_folder.is_dir():
            names = [os.readlink(p) for p in fd_folder.iterdir() if p.exists()]
            assert not any(name.endswith(".clip") for name in names)

    def test_threads_and_pickling(self, tmp_path: Path) -> None:
        fields = smooth_fields(30)
        clip = pickle.loads(pickle.dumps(on_disk(tmp_path / "x.clip", fields)))
        whole = clip.fields()
        wrong: list[int] = []

        def read(seed: int) -> None:
            for i in np.random.default_rng(seed).integers(0, 30, 100):
                if not np.array_equal(clip.fields(i, i + 1)[0], whole[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

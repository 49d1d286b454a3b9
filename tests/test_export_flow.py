"""Flow for other tools: it comes back the same, nothing is overwritten, clipping is said."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_layouts import STEP_PX, fields
from twostream.__main__ import run
from twostream.interchange import (
    LAYOUTS,
    export_flow,
    find_flow,
    flow_export,
    import_flow,
    import_settings,
)
from twostream.store.flow_store import ClipHeader, FlowStore, Kind, StoreSettings
from twostream.types import StoreError, UsageError

HEIGHT, WIDTH = 40, 56


def add(store: FlowStore, video_id: str, kind: Kind, items: np.ndarray) -> None:
    header = ClipHeader(
        kind=kind, video_id=video_id, height=HEIGHT, width=WIDTH, fps=25, codec="lossless"
    )
    writer = store.writer(header)
    for item in items:
        writer.append(item)
    writer.close()


def make_store(root: Path, *ids: str, seed: int = 0) -> FlowStore:
    store = FlowStore.create(root, StoreSettings(codec="lossless"))
    for video_id in ids or ("walk/a [1]#.avi", "run/b.mp4"):
        add(store, video_id, "forward", fields(5, seed))
        add(store, video_id, "backward", -fields(5, seed + 1))
        add(store, video_id, "rgb", np.full((6, HEIGHT, WIDTH, 3), (200, 80, 20), np.uint8))
    return store


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_goes_out_comes_back(layout: str, tmp_path: Path) -> None:
    """Within half a step of the classic code, and what JPEG adds to smooth fields."""
    store = make_store(tmp_path / "s")
    summary = export_flow(store.root, tmp_path / "out", layout=layout)
    assert (summary.videos, summary.done, summary.failed, summary.clipped) == (2, 2, {}, {})
    videos = find_flow(tmp_path / "out")
    assert [video.name for video in videos] == ["run/b", "walk/a [1]#"]
    back = import_flow(
        videos, store=tmp_path / "back", settings=import_settings(bound_px=20, codec="lossless")
    )
    assert back.layouts == {layout: 2} and not back.warnings
    again = FlowStore.open(tmp_path / "back")
    error = np.abs(again.clip("run/b", "forward").fields() - fields(5))
    assert error.max() < STEP_PX / 2 + 0.2 and error.mean() < STEP_PX / 2
    rgb = again.clip("run/b", "rgb").frames()
    assert np.abs(rgb.astype(int) - (200, 80, 20)).max() < 4  # and not blue for red
    if layout == "denseflow":
        error = np.abs(again.clip("run/b", "backward").fields() + fields(5, 1))
        assert error.max() < STEP_PX / 2 + 0.2
    else:
        assert summary.without_backward == 2
        assert not again.has("run/b", "backward")


def test_the_files_are_those_that_other_tools_read(tmp_path: Path) -> None:
    """TSN: from 1, grey JPEGs, round(255 (f + 20) / 40)."""
    store = make_store(tmp_path / "s", "c/v.avi")
    export_flow(store.root, tmp_path / "out", layout="tsn")
    wanted = {f"c/v/flow_{axis}_{n:05}.jpg" for axis in "xy" for n in range(1, 6)}
    wanted |= {f"c/v/img_{n:05}.jpg" for n in range(1, 7)}
    assert names(tmp_path / "out") - {".lock"} == wanted | {"export.json"}
    for k, axis in enumerate("xy"):
        path = tmp_path / "out" / "c" / "v" / f"flow_{axis}_00002.jpg"
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (HEIGHT, WIDTH)
        expected = np.round(255 * (fields(5)[1, k] + 20) / 40)
        assert np.abs(picture - expected).max() <= 3


def test_import_knows_the_bound_of_an_export(tmp_path: Path) -> None:
    store, back = make_store(tmp_path / "s").root, tmp_path / "back"
    export_flow(store, tmp_path / "out", bound_px=32)
    assert run(["import-flow", str(tmp_path / "out"), "--store", str(back)]) == 0
    opened = FlowStore.open(back)
    assert opened.settings.parameters == {"bound_px": 32}
    assert np.abs(opened.clip("run/b", "forward").fields() - fields(5)).max() < 0.5


def test_clipping_is_counted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = FlowStore.create(tmp_path / "s", StoreSettings(codec="lossless"))
    flow = np.zeros((2, 2, HEIGHT, WIDTH), np.float32)
    flow[0, 0, :10] = 30
    flow[1, 1, :5] = -20  # on the bound, not beyond
    add(store, "a.avi", "forward", flow)
    add(store, "b.avi", "forward", flow * 0)
    command = ["export-flow", "--store", str(store.root), "--out", str(tmp_path / "out"), "--json"]
    assert run(command) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    assert result["clipped"] == {"a.avi": 10 * WIDTH / flow.size}
    assert result["clipped_share"] == pytest.approx(10 * WIDTH / flow.size / 2)
    assert (
        "3.1% of the values lie beyond +-20 px" in captured.err and "a.avi (6.2%)" in captured.err
    )
    picture = cv2.imread(str(tmp_path / "out/a/flow_x_00000.jpg"), cv2.IMREAD_GRAYSCALE)
    assert picture[:8].min() > 250 and abs(int(picture[20, 20]) - 128) <= 1


def test_again_skips_and_a_broken_one_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "s", "a.avi", "b.avi", "c.avi")
    out = tmp_path / "out"

    def interrupt(task: str, done: float, total: float, detail: str = "") -> None:
        if done:
            raise KeyboardInterrupt

    def until_stopped(job: flow_export._Job, item: tuple[Path, str]) -> bool:
        if (out / "a").exists():  # else all may be done before the interruption is seen
            assert job.stop.wait(60)
        return export_one(job, item)

    export_one = flow_export._Job.run
    before = set(threading.enumerate())  # other tests may have left threads of their libraries
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(flow_export._Job, "run", until_stopped)
        export_flow(store.root, out, workers=1, progress=interrupt)
    assert set(threading.enumerate()) <= before
    finished = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert finished == {"a", "export.json"}
    (out / ".exporting-123").mkdir()  # what a killed run left
    (out / ".exporting-123" / "flow_x_00000.jpg").write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in (out / "a").iterdir()}
    summary = export_flow(store.root, out)
    assert (summary.done, summary.skipped) == (2, 1)
    assert {path: path.stat().st_mtime_ns for path in (out / "a").iterdir()} == before
    assert not list(out.glob(".exporting-*"))
    assert export_flow(store.root, out).skipped == 3


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", "a.avi", "b.avi")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="is not empty and holds no export"):
        export_flow(store.root, out)
    assert names(out) == {"mine.txt"}
    (out / "mine.txt").unlink()
    export_flow(make_store(tmp_path / "s2", "z.avi").root, out)
    with pytest.raises(StoreError, match=r"other settings: layout was 'denseflow', wanted 'tsn'"):
        export_flow(store.root, out, layout="tsn")
    with pytest.raises(StoreError, match=r"bound_px was 20\.0, wanted 15\.0"):
        export_flow(store.root, out, bound_px=15)
    (out / "a").mkdir()
    (out / "a" / "flow_x_00000.jpg").write_text("mine")
    summary = export_flow(store.root, out)
    assert summary.done == 1 and "is not this video's export" in summary.failed["a.avi"]
    assert (out / "a" / "flow_x_00000.jpg").read_text() == "mine"
    add(store, "b.avi", "forward", fields(5, 9))
    os.utime(store.path("b.avi", "forward"), (2e9, 2e9))
    assert "older than the store's clip" in export_flow(store.root, out).failed["b.avi"]
    with pytest.raises(StoreError, match="is a file"):
        export_flow(store.root, store.root / "store.json")


def test_a_store_that_is_dated_in_the_future_is_exported_once(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", "a.avi")
    os.utime(store.path("a.avi", "forward"), (4e9, 4e9))
    assert export_flow(store.root, tmp_path / "out").done == 1
    again = export_flow(store.root, tmp_path / "out")
    assert (again.skipped, again.failed) == (1, {})


def test_two_videos_of_one_name_keep_their_suffixes(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", "a.avi", "a.mp4", "b.v2")
    export_flow(store.root, tmp_path / "out")
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"a.avi", "a.mp4", "b.v2"}


def test_a_damaged_clip_fails_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", "a.avi", "b.avi")
    path = store.path("a.avi", "forward")
    path.write_bytes(path.read_bytes()[:-9])
    summary = export_flow(store.root, tmp_path / "out")
    assert summary.done == 1 and list(summary.failed) == ["a.avi"]


def test_wrong_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make_store(tmp_path / "s", "a.avi").root
    with pytest.raises(
        UsageError, match="'flownet' to export: use one of denseflow, tsn, mmaction2"
    ):
        export_flow(store, tmp_path / "out", layout="flownet")
    with pytest.raises(UsageError, match="bound must be a number above 0"):
        export_flow(store, tmp_path / "out", bound_px=-1)
    assert run(["export-flow", "--store", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "holds no flow store" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    from filelock import FileLock

    with (
        FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(StoreError, match="another export is writing"),
    ):
        export_flow(store, tmp_path / "out")


def test_what_a_store_has_come_to_hold_since_is_told(tmp_path: Path) -> None:
    """Frames and backward flow were extracted later: the folder is whole no more."""
    store = FlowStore.create(tmp_path / "s", StoreSettings(codec="lossless"))
    add(store, "a.avi", "forward", fields(5))
    assert export_flow(store.root, tmp_path / "out").done == 1
    assert export_flow(store.root, tmp_path / "out").skipped == 1
    add(store, "a.avi", "rgb", np.full((6, HEIGHT, WIDTH, 3), 80, np.uint8))
    summary = export_flow(store.root, tmp_path / "out")
    assert (summary.done, summary.skipped) == (0, 0)
    assert "which the store has by now: delete it to export again" in summary.failed["a.avi"]

"""Imported flow of a part of its video is told: by the import, and by what trains on it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from flow_layouts import LAYOUTS, fields, flat, pictures
from frame_images import write_video
from twostream.__main__ import run
from twostream.datasets import load_dataset
from twostream.extraction import extract
from twostream.interchange import import_settings
from twostream.interchange.partial_flow import partial_warning
from twostream.threads import StoppedError
from twostream.video import VideoInfo, open_reader

FRAMES, FPS = 40, 25.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with a video of 40 frames each."""
    root = tmp_path_factory.mktemp("whole") / "clips"
    for name in ("run/a", "walk/b"):
        write_video(root / f"{name}.avi", pictures(10).repeat(FRAMES // 10, axis=0), FPS)
    return root


def said(
    data: Path, count: int, *, step: int = 1, fps: float | None = None, **claims: object
) -> str:
    with open_reader(data / "run" / "a.avi") as reader:
        info: VideoInfo = replace(reader.info, **claims)  # type: ignore[arg-type]
    stop = threading.Event()
    return partial_warning(count, step=step, info=info, fps=fps, stop=stop) or ""


@pytest.mark.parametrize("count", [37, 38, 39, 40, 41])
def test_a_field_less_or_more_is_the_whole_video(data: Path, count: int) -> None:
    assert said(data, count) == ""


@pytest.mark.parametrize("count", [1, 10, 13, 36, 42, 80])
def test_flow_of_other_frames_is_told(data: Path, count: int) -> None:
    why = said(data, count)
    assert f"{count} fields are there, but its video has 40 frames, so that about 39" in why
    assert "compute the flow of all its frames, or say with --fps" in why


def test_steps_and_rates_that_are_said_count(data: Path) -> None:
    assert said(data, 19, step=2) == said(data, 20, step=2) == ""
    assert "10 fields of step 2 are there" in said(data, 10, step=2)
    assert said(data, 13, fps=FPS / 3) == said(data, 13, fps=8.3) == ""
    assert "about 13 are expected at 8.3 fps" in said(data, 5, fps=8.3)
    assert said(data, 39, fps=30) == ""  # one rate for all videos, and every frame is there
    # images in a folder tell no rate, and --fps is theirs
    assert "13 fields" in said(data, 13, fps=FPS / 3, fps_told=False)


def test_a_container_is_not_believed_against_its_frames(data: Path) -> None:
    assert said(data, 39, num_frames_claimed=400) == ""
    assert "has 40 frames" in said(data, 399 // 2, num_frames_claimed=400)
    assert said(data, 5, num_frames_claimed=0) == ""  # nothing is known
    with open_reader(data / "run" / "a.avi") as reader:
        info, stop = reader.info, threading.Event()
    gone = replace(info, path=data / "gone.avi")
    assert partial_warning(5, step=1, info=gone, fps=None, stop=stop) is None
    stop.set()
    with pytest.raises(StoppedError):
        partial_warning(5, step=1, info=info, fps=None, stop=stop)


@pytest.mark.parametrize("frames", [0, 11])
def test_the_import_and_the_extraction_name_it(
    data: Path, tmp_path: Path, frames: int, capsys: pytest.CaptureFixture[str]
) -> None:
    LAYOUTS["tsn"][1](tmp_path / "in", "a", fields(10), pictures(frames))
    LAYOUTS["tsn"][1](tmp_path / "in", "b", fields(FRAMES - 1), pictures(0))
    command = ["import-flow", str(tmp_path / "in"), "--store", str(tmp_path / "s")]
    for _ in ("done", "skipped"):
        assert run([*command, "--data", str(data), "--json"]) == 0
        captured = capsys.readouterr()
        (name, why), *more = json.loads(captured.out.splitlines()[-1])["warnings"].items()
        assert (name, more) == ("a", []) and why.startswith("10 fields are there, but its video")
        assert f"a: {why}" in " ".join(captured.err.split())
    videos = load_dataset(data).videos
    for _ in ("frames are decoded", "all is there"):
        found = extract(videos, store=tmp_path / "s", settings=import_settings(bound_px=20))
        assert found.warnings == {"run/a.avi": why}


def test_flow_two_frames_ahead_is_whole(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write = flat("flow_{axis}_p2_{n:05}.jpg", 0)
    write(tmp_path / "in", "a", fields(FRAMES - 2), pictures(0))
    write(tmp_path / "in", "b", fields(20), pictures(0))
    command = ["import-flow", str(tmp_path / "in"), "--store", str(tmp_path / "s")]
    assert run([*command, "--data", str(data), "--json"]) == 0
    (why,) = json.loads(capsys.readouterr().out.splitlines()[-1])["warnings"].items()
    assert why[0] == "b" and why[1].startswith("10 fields of step 2 are there")

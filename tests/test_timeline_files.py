"""What a time line is written to: tables, subtitles, names, and the film."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twostream.prediction import Segment, Timeline, TwoStreamPredictor
from twostream.prediction.annotate import (
    PANEL_HEIGHT_PX,
    class_colour,
    draw,
    draw_strip,
    write_annotated,
)
from twostream.prediction.timeline_files import scores_csv, segments_csv, srt, write_text
from twostream.prediction.videos import find_videos, output_paths
from twostream.types import DataError, UsageError
from twostream.video import VideoReader
from untrained import write_clip

TIMELINE = Timeline(
    Path("a, b.mp4"),
    ("walk", "run, fast"),
    np.array([1.0, 2.0]),
    np.array([[0.75, 0.25], [0.375, 0.625]], np.float32),
    {"temporal": np.array([[1, 0], [0, 1]], np.float32)},
    (Segment(0, 1.5, "walk", 0.75), Segment(1.5, 3, "run, fast", 0.625), Segment(3, 4, None, 0.3)),
    None,
    4.0,
)


def test_tables_can_be_read_back() -> None:
    head, *rows = csv.reader(io.StringIO(segments_csv(TIMELINE)))
    assert head == ["video", "start_seconds", "end_seconds", "label", "score"]
    assert rows == [
        ["a, b.mp4", "0.000", "1.500", "walk", "0.7500"],
        ["a, b.mp4", "1.500", "3.000", "run, fast", "0.6250"],
        ["a, b.mp4", "3.000", "4.000", "", "0.3000"],
    ]
    head, *rows = csv.reader(io.StringIO(scores_csv(TIMELINE)))
    assert head == [
        "seconds",
        *("fused walk", "fused run, fast", "temporal walk", "temporal run, fast"),
    ]
    assert rows[1] == ["2.000", "0.3750", "0.6250", "0.0000", "1.0000"]


def test_subtitles_are_those_of_the_format() -> None:
    assert srt(TIMELINE.segments) == (
        "1\n00:00:00,000 --> 00:00:01,500\nwalk (75%)\n\n"
        "2\n00:00:01,500 --> 00:00:03,000\nrun, fast (62%)\n\n"
        "3\n00:00:03,000 --> 00:00:04,000\nnone of these (30%)\n\n"
    )


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.srt", "text")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.srt"]
    with pytest.raises(DataError, match="cannot be written"):
        write_text(tmp_path / "new" / "a.srt" / "b.srt", "text")


def test_a_name_that_is_no_text(run_folder: Path, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.avi").rename(tmp_path / os.fsdecode(b"clip\xff.avi"))
    command = [sys.executable, "-m", "twostream", "predict", str(run_folder), str(video)]
    command += ["--timeline", "--csv", str(tmp_path / "out.csv"), "--json"]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}  # as in most languages' locales
    done = subprocess.run(command, capture_output=True, env=strict)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("utf-8"))[0]["video"] == str(video)
    assert "clip\\udcff.avi,0.000," in (tmp_path / "out.csv").read_text("utf-8")


def test_no_video_of_a_folder_is_left_out_in_silence(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("far/a.mp4", "here/old.asf", "here/cam.MXF", "here/locked/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "again").symlink_to(tmp_path / "far")  # each folder once
    (tmp_path / "here" / "an other name").symlink_to(tmp_path / "here" / "z")
    (tmp_path / "here" / "z").mkdir()
    (tmp_path / "here" / "z" / "c.avi").touch()
    for number in (1, 2, 3):
        (tmp_path / "here" / "frames").mkdir(exist_ok=True)
        (tmp_path / "here" / "frames" / f"img_0000{number}.jpg").touch()
    scandir = os.scandir

    def refuses(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuses)
    found = find_videos([tmp_path / "here"])
    assert [name.as_posix() for name in found.values()] == [
        *("again/a.mp4", "cam.MXF", "old.asf", "z/c.avi")
    ]
    assert len([line for line in said if "locked: this folder cannot be read" in line]) == 1
    assert len([line for line in said if "1 not taken, beside video files" in line]) == 1


def test_videos_of_folders_and_the_names_of_what_is_written(tmp_path: Path) -> None:
    for name in ("b/clip.avi", "b/clip.mp4", "a/clip.avi", "a/notes.txt", "a/.hidden.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_videos([tmp_path, tmp_path / "b" / "clip.avi"])
    names = [name.as_posix() for name in found.values()]
    assert names == ["a/clip.avi", "b/clip.avi", "b/clip.mp4"]
    out = tmp_path / "out"
    paths = output_paths(found, out, ".srt", several=True)
    assert [path.relative_to(out).as_posix() for path in paths.values()] == [
        *("a/clip.srt", "b/clip.avi.srt", "b/clip.mp4.srt")
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="folder without videos"):
        find_videos([tmp_path / "empty"])
    twins = find_videos([tmp_path / "a" / "clip.avi", tmp_path / "b" / "clip.avi"])
    with pytest.raises(UsageError, match=r"several videos are called clip\.avi"):
        output_paths(twins, out, ".srt", several=True)
    one = find_videos([tmp_path / "a" / "clip.avi"])
    for wrong, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "x.srt", "no folder"),
        (tmp_path / "b" / ".." / "a" / "clip.avi", "is one of the videos"),
    ):
        with pytest.raises(UsageError, match=words):
            output_paths(one, wrong, ".srt", several=False)
    with pytest.raises(UsageError, match="is a file"):
        output_paths(twins, tmp_path / "a" / "notes.txt", ".srt", several=True)


# --- the film


def test_the_film_shows_labels_scores_flow_and_the_place(
    predictor: TwoStreamPredictor, tmp_path: Path
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=40)
    timeline = predictor.timeline(video, window_seconds=0.4, every_seconds=0.2, threshold=0)
    told: list[tuple[float, float]] = []
    specs = [stream.spec for stream in predictor.streams.values()]
    out = tmp_path / "film.mp4"
    write_annotated(timeline, out, specs, progress=lambda _, *seconds: told.append(seconds))
    with VideoReader(out) as reader:
        frames = [frame.rgb for frame in reader]
    assert len(frames) == 40 and told[-1] == (1.6, 1.6)
    assert frames[0].shape == (240 + PANEL_HEIGHT_PX, 320, 3)  # 48 px, five times enlarged
    inset = [frame[8:60, 230:312] for frame in frames]
    assert inset[0].mean() > 250  # no motion before the first pair
    red, _, blue = inset[20].reshape(-1, 3).mean(axis=0)
    assert blue > red + 100  # the texture drifts to the left
    places = [int(frame[-12, :, :].min(axis=1).argmax()) for frame in (frames[4], frames[36])]
    assert places == [pytest.approx(320 * t / 1.6, abs=3) for t in (4 / 25, 36 / 25)]
    alone = draw(np.zeros((64, 48, 3), np.uint8), None, timeline, 99.0, draw_strip(timeline, 10))
    assert alone.shape == (256 + PANEL_HEIGHT_PX, 320, 3)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"] == ["film.mp4"]


def test_a_film_that_is_stopped_leaves_nothing(
    predictor: TwoStreamPredictor, tmp_path: Path
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=40)
    timeline = predictor.timeline(video)

    def stop(task: str, done: float, total: float) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    out = tmp_path / "film.mp4"
    with pytest.raises(KeyboardInterrupt):
        write_annotated(timeline, out, [], progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]
    with pytest.raises(UsageError, match="a film is written as one of"):
        write_annotated(timeline, tmp_path / "film.txt", [])


def test_colours_and_strip_follow_the_segments() -> None:
    colours = {class_colour(TIMELINE, name) for name in (*TIMELINE.classes, None)}
    assert len(colours) == 3
    (row,) = draw_strip(TIMELINE, 8)
    wanted = [class_colour(TIMELINE, label) for label in ("walk", "run, fast", None)]
    assert [tuple(c) for c in row.tolist()] == [
        *[wanted[0]] * 3,
        *[wanted[1]] * 3,
        *[wanted[2]] * 2,
    ]

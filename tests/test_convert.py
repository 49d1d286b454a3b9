"""The verb convert, and predict --labels: label files from and to every tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frame_images import write_images
from twostream.__main__ import run
from twostream.cli.convert import FORMAT
from twostream.labels import FORMATS, Bout, Recording, read_labels, write_labels
from twostream.labels.formats import recognise
from twostream.prediction import Segment, Timeline
from twostream.prediction.timeline_labels import timeline_labels
from untrained import write_clip

TABLE = """path,label,start,end,subject,confidence
day 1.avi,walk,1,2.6,Ann,0.75
day 1.avi,jump,2,2,,
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(TABLE)
    return path


def test_the_help_names_every_format() -> None:
    assert FORMAT.split(", ") == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_convert_writes_every_format_and_says_what_is_lost(
    name: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / f"new{FORMATS[name].HOLDS.suffixes[0]}"
    command = ["convert", str(table), "--to", name, "--out", str(out), "--fps", "25", "--json"]
    assert run(command) == 0
    said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    assert result["bouts"] == 2 and all(sentence in said.err for sentence in result["lost"])
    assert recognise(out) == name
    labels = read_labels(out, fps=25)
    first, *_ = labels.recordings[0].bouts
    assert (first.start_seconds, first.end_seconds, first.label) == (1, 2.6, "walk")
    if name == "csv":
        assert labels == read_labels(table) and result["lost"] == []


def test_a_rate_that_is_not_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label,start,end,seconds,fps\na.mp4,walk,1,2,4,10\n")
    assert run(["convert", str(table), "--to", "frames", "--fps", "25"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "--fps 25 is for recordings whose rate is not known: 1 of 1 are" in said
    rows = (tmp_path / "labels-frames.csv").read_text().splitlines()
    assert len(rows) == 41


def test_a_default_name_replaces_nothing(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(table), "--to", "elan"]) == 0
    assert (tmp_path / "labels.eaf").is_file()
    assert run(["convert", str(table), "--to", "csv"]) == 0
    assert (tmp_path / "labels-csv.csv").is_file() and table.read_text() == TABLE
    for options, words in (
        (["elan"], "labels.eaf is there already"),
        (["csv", "--out", str(table)], "is what is read"),
    ):
        assert run(["convert", str(table), "--to", *options]) == 2
        assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--to", "word"], 2, "no format 'word': use one of csv, boris"),
        (["--to", "frames"], 1, "day 1.avi is not in"),
        (["--to", "frames", "--fps", "0"], 2, "--fps must be a number from 0.01 to 10000, got 0"),
        (["--to", "srt", "--from", "elan"], 1, "is not readable as XML"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    options: list[str],
    status: int,
    words: str,
    table: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["convert", str(table), *options]) == status
    said = capsys.readouterr().err
    assert words in " ".join(said.split()) and "Traceback" not in said


def test_the_rate_of_frames_is_read_from_the_video_beside(table: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "day 1.avi")  # 25 frames a second
    assert run(["convert", str(table), "--to", "frames", "--out", str(tmp_path / "f.csv")]) == 0
    rows = (tmp_path / "f.csv").read_text().splitlines()
    assert rows[0] == ",background,jump,walk" and len(rows) == 1 + 65
    assert rows[1 + 24 : 1 + 27] == ["24,1,0,0", "25,0,0,1", "26,0,0,1"]


def test_a_folder_of_files_replaces_none(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder was named, not the file that somebody made by hand."""
    table.write_text(TABLE + "day 2.avi,jump,3,4,,\n")
    (tmp_path / "videos").mkdir()
    mine = tmp_path / "videos" / "day 2.srt"
    mine.write_text("by hand")
    assert run(["convert", str(table), "--to", "srt", "--out", str(tmp_path / "videos")]) == 2
    assert "is there already: name another folder with --out" in capsys.readouterr().err
    assert mine.read_text() == "by hand" and list((tmp_path / "videos").iterdir()) == [mine]


def test_several_recordings_make_a_folder_of_files(table: Path, tmp_path: Path) -> None:
    table.write_text(TABLE + "day 2.avi,jump,3,4,,\n")
    assert run(["convert", str(table), "--to", "srt"]) == 0
    folder = tmp_path / "labels-srt"
    assert sorted(path.name for path in folder.iterdir()) == ["day 1.srt", "day 2.srt"]
    back = read_labels(folder)
    assert back.recordings[1] == Recording("day 2", (Bout(3, 4, "jump"),))


# --- what a run says


def six_seconds(
    folder: Path, classes: tuple[str, ...], segments: tuple[Segment, ...], **more: Any
) -> Timeline:
    """What a run says of a video of six seconds, segment by segment."""
    scores = np.full((2, len(classes)), 0.3, np.float32)
    video = write_clip(folder / "clip.avi", frames=30)
    return Timeline(video, classes, np.array([1.0, 2.0]), scores, {}, segments, None, 6.0, **more)


def test_segments_are_bouts_and_pauses_are_not_watched(tmp_path: Path) -> None:
    timeline = six_seconds(
        tmp_path,
        ("walk", "run", "other"),
        (
            Segment(0, 1.5, "walk", 0.87654321),
            Segment(1.5, 3, None, 0.3),
            Segment(3, 5, None, None),
            Segment(5, 5.5, "walk", 0.5),
            Segment(5.5, 6, "other", 0.9),
        ),
        pauses=((3.0, 5.0),),
    )
    labels = timeline_labels(timeline, tmp_path)
    bouts = (Bout(0, 1.5, "walk", confidence=0.8765), Bout(5, 5.5, "walk", confidence=0.5))
    watched = ((0.0, 3.0), (5.0, 6.0))
    assert labels.recordings == (Recording("clip.avi", bouts, 6.0, 25.0, watched),)
    assert labels.classes == ("walk", "run")
    named = timeline_labels(timeline, tmp_path / "elsewhere").recordings[0].video
    assert named == str(timeline.video.resolve())


def test_a_folder_of_frames_has_the_rate_at_which_it_was_looked_at(tmp_path: Path) -> None:
    """Images tell no rate: forty of them in four seconds are ten a second, not 25."""
    folder = write_images(tmp_path / "images", np.zeros((40, 8, 8, 3), np.uint8))
    segments = (Segment(0, 2, "walk", 0.9), Segment(2, 4, "run", 0.9))
    scores = np.full((2, 2), 0.3, np.float32)
    line = Timeline(folder, ("walk", "run"), np.array([1.0, 3.0]), scores, {}, segments, None, 4.0)
    (found,) = timeline_labels(line, tmp_path).recordings
    assert (found.fps, found.seconds) == (10, 4)


def test_a_class_of_labels_that_hold_at_once_is_a_bout_of_each(tmp_path: Path) -> None:
    timeline = six_seconds(
        tmp_path,
        ("sit", "groom + sit", "other"),
        (
            Segment(0, 1, "sit", 0.9),
            Segment(1, 4, "groom + sit", 0.5),
            Segment(4, 5, "other", 0.9),
            Segment(5, 6, "sit", 0.8),
        ),
        together={"groom + sit": ("groom", "sit")},
    )
    labels = timeline_labels(timeline, tmp_path)
    assert labels.classes == ("sit", "groom")
    assert labels.recordings[0].bouts == (
        Bout(0, 4, "sit", confidence=0.6),  # (1 * .9 + 3 * .5) / 4
        Bout(1, 4, "groom", confidence=0.5),
        Bout(5, 6, "sit", confidence=0.8),
    )


def test_a_point_event_stands_in_the_middle_of_its_segment(tmp_path: Path) -> None:
    timeline = six_seconds(
        tmp_path,
        ("sit", "bite + sit", "peck", "other"),
        (
            Segment(0, 1, "sit", 0.9),
            Segment(1, 2, "bite + sit", 0.5),
            Segment(2, 5, "sit", 0.9),
            Segment(5, 6, "other", 0.8),
        ),
        together={"bite + sit": ("bite", "sit")},
        points=("bite", "peck"),
    )
    labels = timeline_labels(timeline, tmp_path)
    assert labels.points == {"bite", "peck"} and labels.classes == ("sit", "bite", "peck")
    assert labels.recordings[0].bouts == (
        Bout(0, 5, "sit", confidence=0.82),
        Bout(1.5, 1.5, "bite", confidence=0.5),
    )
    write_labels(labels, tmp_path / "found.boris")
    kinds = json.loads((tmp_path / "found.boris").read_text())["behaviors_conf"]
    assert {each["code"]: each["type"] for each in kinds.values()} == {
        "sit": "State event",
        "bite": "Point event",
        "peck": "Point event",
    }


def test_predict_writes_labels_that_open_again(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=60)
    command = ["predict", str(run_folder), str(video), "--timeline", "--threshold", "0", "--json"]
    assert run([*command, "--labels", str(tmp_path / "out.boris")]) == 0
    (timeline,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    labels = read_labels(tmp_path / "out.boris")
    (recording,) = labels.recordings
    assert recording.video == "clip.avi" and recording.fps == 25
    assert labels.classes == tuple(timeline["classes"])
    wanted = [(s["label"], pytest.approx(s["score"], abs=1e-4)) for s in timeline["segments"]]
    assert [(b.label, b.confidence) for b in recording.bouts] == wanted and wanted
    for options, words in (
        (["--labels", str(tmp_path / "out.json")], "does not say which format"),
        (["--labels-format", "srt"], "--labels-format is for --labels OUT: add it"),
    ):
        assert run([*command, *options]) == 2
        assert words in " ".join(capsys.readouterr().err.split())


# --- the document


def test_the_document_has_what_each_format_holds() -> None:
    document = Path(__file__).resolve().parents[1] / "docs" / "labels.md"
    flags = (
        *("subjects", "annotators", "confidences", "comments", "points", "overlaps", "watched"),
        *("classes", "empty", "several", "names", "length", "fps", "groups", "splits"),
    )
    rows = []
    for name, module in FORMATS.items():
        holds = module.HOLDS
        files = ", ".join(f"`{suffix}`" for suffix in holds.suffixes)
        yes = ["yes" if getattr(holds, flag) else "" for flag in flags]
        rows.append(f"| {' | '.join([f'`{name}`', holds.title, files, holds.times, *yes])} |")
    assert "\n".join(["|---" * (4 + len(flags)) + "|", *rows, ""]) in document.read_text()

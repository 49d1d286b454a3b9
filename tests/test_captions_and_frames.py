"""Subtitles and tables of frames as label files, as people's tools write them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from timed_clips import write_timed
from twostream.labels import (
    Bout,
    Labels,
    Recording,
    frame_table,
    kept,
    lost,
    read_labels,
    srt,
    vtt,
    write_labels,
)
from twostream.labels.csv_table import SEGMENTS
from twostream.labels.video_facts import with_rates
from twostream.prediction import Segment
from twostream.prediction.timeline_files import segment_rows
from twostream.prediction.timeline_files import srt as timeline_srt
from twostream.types import DataError
from untrained import write_clip


def test_subtitles_of_players_and_browsers(tmp_path: Path) -> None:
    (one := tmp_path / "a.srt").write_bytes(
        b"\xef\xbb\xbf1\r\n00:00:01,000 --> 01:00:02,500 X1:40 X2:600\r\n<i>walks</i>\r\n"
        b"away (90%)\r\n\r\n2\r\n00:00:03.5 --> 00:00:04,000\r\n\r\n"
    )
    labels = read_labels(one)
    assert labels.recordings[0].bouts == (Bout(1, 3602.5, "walks away", confidence=0.9),)
    assert labels.notes == (f"{one}: line 7: no label: left out",)
    (two := tmp_path / "a.vtt").write_text(
        "WEBVTT - of a day\n\nNOTE nothing\n\nfirst\n01:02.500 --> 01:04.000 align:start\n"
        "<v.loud Ann &amp; Bob><c>run &lt;fast&gt;</c>\n"
    )
    assert read_labels(two).recordings[0].bouts == (Bout(62.5, 64, "run <fast>", "Ann & Bob"),)


def test_time_without_a_bout_is_none_in_files_of_predict(tmp_path: Path) -> None:
    parts = [
        Segment(0.0, 1.0, "walk", 0.9),
        Segment(1.0, 2.0, "other", 0.8),
        Segment(2.0, 3.0, None, 0.3),
        Segment(3.0, 4.0, None, None),
    ]
    (captions := tmp_path / "a.srt").write_text(timeline_srt(parts))
    labels = read_labels(captions)
    assert labels.recordings[0].bouts == (Bout(0, 1, "walk", confidence=0.9),)
    assert (labels.classes, labels.notes) == (("walk",), ())
    rows = [
        ",".join(map(str, (cell or "" for cell in row)))
        for row in segment_rows(Path("a.mp4"), parts)
    ]
    (table := tmp_path / "a.csv").write_text("\n".join([",".join(SEGMENTS), *rows]))
    (found,) = read_labels(table).recordings
    assert found.bouts == (Bout(0, 1, "walk", confidence=0.9),) and found.watched == ((0, 3),)


def test_a_space_before_the_times_of_a_cue_changes_nothing(tmp_path: Path) -> None:
    (path := tmp_path / "a.srt").write_text("1\n 00:00:01,000 --> 00:00:02,000\nwalk\n")
    assert read_labels(path).recordings[0].bouts == (Bout(1, 2, "walk"),)


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_labels_that_subtitles_read_otherwise_are_told(suffix: str, tmp_path: Path) -> None:
    names = ("00:00:01,000 --> 00:00:02,000", "<b>go</b>", "light (50%)", "none of these (9%)")
    bouts = tuple(Bout(i, i + 0.5, name) for i, name in enumerate(names))
    labels = Labels((Recording("", bouts),), names)
    told = write_labels(labels, path := tmp_path / f"a{suffix}")
    title = (srt if suffix == ".srt" else vtt).HOLDS.title
    other = names[2:] if suffix == ".vtt" else names
    of = f"the classes {', '.join(other)}"
    assert told == (f"{of}, which {title} would take for something else",)
    back = read_labels(path).recordings[0].bouts
    assert back == kept(labels, (srt if suffix == ".srt" else vtt).HOLDS).recordings[0].bouts
    assert [bout.label for bout in back][-1] == "light" and back[-1].confidence == 0.5


def test_segments_of_predict_are_labels(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_text(
        "video,start_seconds,end_seconds,label,score\n'-a.mp4,0.000,1.500,walk,0.9000\n"
        "'-a.mp4,1.500,3.000,,0.3000\n'-a.mp4,3.000,5.000,,\n'-a.mp4,5.000,6.000,run,0.5000\n"
    )
    bouts = (Bout(0, 1.5, "walk", confidence=0.9), Bout(5, 6, "run", confidence=0.5))
    (recording,) = read_labels(path).recordings
    assert recording == Recording("-a.mp4", bouts, watched=((0, 3), (5, 6)))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.srt", "walk\n", "has no cue"),
        ("a.srt", "WEBVTT\n", "may be srt or vtt: say which with --from"),
        ("a.xyz", "walk\n", r"is no label file that is known \(csv, boris"),
        ("a.srt", "1\nsoon --> 00:00:02,000\nwalk\n", "line 2: expected two times"),
        (
            "a.srt",
            "1\n00:00:01,000 --> 00:00:02,000\nwalk\n2\n00:00:03,000 --> 00:00:04,000\nrun\n",
            "line 5: no empty line stands before this cue",
        ),
        ("a.csv", ",background,walk\n0,1,0\n1,0,2\n", "line 3: expected 2 cells of 0, 1 or -1"),
        ("a.csv", ",background,walk\n0,1,0\n1,0\n", "line 3: expected 2 cells.*got 1"),
        ("a.csv", ",walk,walk\n0,1,0\n", "a class for each column, each once"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (path := tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(path, fps=25)


FRAMES = ",background,walk,jump\n0,1,0,0\n1,0,1,0\n2,0,1,1\n3,-1,-1,-1\n4,0,0,1\n"


def test_frames_are_times_at_their_rate(tmp_path: Path) -> None:
    (path := tmp_path / "mouse_labels.csv").write_text(FRAMES)
    labels = read_labels(path, fps=29.97)
    walk, first, second = (
        Bout(1 / 29.97, 3 / 29.97, "walk"),
        Bout(2 / 29.97, 3 / 29.97, "jump"),
        Bout(4 / 29.97, 5 / 29.97, "jump"),
    )
    watched = ((0, 3 / 29.97), (4 / 29.97, 5 / 29.97))
    recording = Recording("", (walk, first, second), 5 / 29.97, 29.97, watched)
    assert labels == Labels((recording,), ("walk", "jump"))
    write_labels(labels, tmp_path / "again.csv", "frames")
    assert (tmp_path / "again.csv").read_text() == FRAMES
    with pytest.raises(DataError, match="say it with --fps, or put the video beside it"):
        read_labels(path)
    write_clip(tmp_path / "mouse.avi")
    recording = read_labels(path).recordings[0]
    assert (recording.video, recording.fps, recording.seconds) == ("mouse.avi", 25, 0.2)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ("0 10 20", "line 3: expected frame 1, got 10: there must be a row for each frame"),
        ("2 1 0", "line 2: expected frame 0, got 2"),
        ("1 2 4", "line 4: expected frame 3, got 4"),
        ("0 1 1", "line 4: expected frame 2, got 1"),
        ("0 x 2", "line 3: expected frame 1, got x"),
    ],
)
def test_frames_that_are_not_numbered_one_by_one_are_refused(
    numbers: str, words: str, tmp_path: Path
) -> None:
    rows = [f"{number},1,0" for number in numbers.split()]
    (path := tmp_path / "a.csv").write_text("\n".join(["frame,walk,jump", *rows]))
    with pytest.raises(DataError, match=words):
        read_labels(path, fps=25)


@pytest.mark.parametrize("numbers", ["0 1 2", "1 2 3", "0.0 1.0 2.0", "a.png b.png c.png"])
def test_frames_may_be_numbered_from_0_or_1(numbers: str, tmp_path: Path) -> None:
    rows = [f"{number},{i},0" for i, number in zip((0, 1, 1), numbers.split(), strict=True)]
    (path := tmp_path / "a.csv").write_text("\n".join([",walk,jump", *rows]))
    assert read_labels(path, fps=10).recordings[0].bouts == (Bout(0.1, 0.3, "walk"),)


def test_labels_of_a_copy_at_another_rate_are_told(tmp_path: Path) -> None:
    """120 frames of 10 a second, beside the video of 25: 12 s were taken for 4.8."""
    for name in ("a", "b"):
        write_timed(tmp_path / f"{name}.mp4", [i / 25 for i in range(300)])
    table, feral = tmp_path / "a.csv", tmp_path / "feral.json"
    said = "has 120 labelled frames, which at 25 a second are 4.8 s, and lasts 12.0 s"
    for rows, fps, told in (
        (120, None, True),
        (120, 10, False),
        (300, None, False),
        (298, None, False),
        (300, 10, True),
    ):
        table.write_text("\n".join([",walk", *(f"{i},{int(i < 50)}" for i in range(rows))]))
        frames = [int(i < 50) for i in range(rows)]
        names = {"0": "other", "1": "walk"}
        of_videos = {"a.mp4": frames, "b.mp4": frames, "gone.mp4": frames}
        body = {"is_multilabel": False, "class_names": names, "labels": of_videos, "splits": {}}
        if fps is None:
            del of_videos["gone.mp4"]
        feral.write_text(json.dumps(body))
        one, several = (read_labels(path, fps=fps).notes for path in (table, feral))
        assert len(one) == len(several) == int(told)
        if told and fps is None:
            assert one[0].startswith(f"{table}: a.mp4 {said}: if a copy at another rate")
            assert several[0].startswith(f"{feral}: a.mp4 {said} (and 1 more videos likewise): if")


def test_minutes_of_frames_at_29_97_end_where_the_video_does(tmp_path: Path) -> None:
    end = 8_991 / 29.97  # frames of five minutes; at 30 a second it would be 0.3 s less
    labels = Labels((Recording("", (Bout(299.95, end, "walk"),), end, 29.97),), ("walk",))
    write_labels(labels, tmp_path / "a.csv", "frames")
    (recording,) = read_labels(tmp_path / "a.csv", fps=29.97).recordings
    assert recording.seconds == end and recording.bouts[0].end_seconds == end
    assert recording.bouts[0].start_seconds == pytest.approx(299.95, abs=0.5 / 29.97)


def test_a_class_called_background_is_refused(tmp_path: Path) -> None:
    labels = Labels((Recording("", (), 1, 25),), ("Background",))
    with pytest.raises(DataError, match="a class is called Background"):
        write_labels(labels, tmp_path / "a.csv", "frames")


def test_what_is_lost_is_counted() -> None:
    bouts = (
        Bout(0.0004, 1, "walk", "Ann", "EK", 0.5, "slow"),
        Bout(1, 1, "jump"),
        Bout(2, 4, "walk"),
        Bout(3, 5, "walk"),
    )
    recording = Recording("a.mp4", bouts, 10, 25, ((0, 5),), "g1", "train")
    labels = Labels((recording,), ("rest", "walk", "jump"))
    assert lost(labels, srt.HOLDS) == (
        "1 bout names a subject, which SubRip subtitles cannot hold",
        "1 bout names an annotator, which SubRip subtitles cannot hold",
        "1 bout names a comment, which SubRip subtitles cannot hold",
        "1 time rounded to milliseconds",
        "what was watched of 1 recording, which SubRip subtitles cannot hold",
        "the video's length of 1 recording, which SubRip subtitles cannot hold",
        "the frame rate of 1 recording, which SubRip subtitles cannot hold",
        "the group of 1 recording, which SubRip subtitles cannot hold",
        "the split of 1 recording, which SubRip subtitles cannot hold",
        "the name of 1 video, which SubRip subtitles cannot hold",
        "the class rest: SubRip subtitles cannot hold classes without a bout",
    )
    said = lost(labels, frame_table.HOLDS)
    assert "1 point event made to last: table of frames cannot hold what has no duration" in said
    joined = "1 bout joined with others of the same label, which table of frames cannot tell apart"
    assert joined in said


FERAL = """{"is_multilabel": false, "class_names": {"0": "other", "1": "walk", "2": "jump"},
 "labels": {"a.mp4": [0, 1, 1, 2, 2], "b.mp4": [2]},
 "splits": {"train": ["a.mp4"], "val": [], "test": ["b.mp4"], "inference": []}}"""


def test_feral_has_a_number_for_each_frame(tmp_path: Path) -> None:
    (path := tmp_path / "labels.json").write_text(FERAL)
    labels = read_labels(path, fps=10)
    bouts = (Bout(0.1, 0.3, "walk"), Bout(0.3, 0.5, "jump"))
    a = Recording("a.mp4", bouts, 0.5, 10, split="train")
    b = Recording("b.mp4", (Bout(0, 0.1, "jump"),), 0.1, 10, split="test")
    assert labels == Labels((a, b), ("walk", "jump"))
    path.write_text(FERAL.replace('"test"', '"tset"'))
    (note,) = read_labels(path, fps=10).notes
    assert "splits has tset, which is none of train, val, test" in note
    both = Labels(
        (Recording("a.mp4", (Bout(0, 0.2, "x"), Bout(0.1, 0.2, "y")), 0.3, 10),), ("x", "y")
    )
    write_labels(both, path, "feral")
    written = json.loads(path.read_text())
    assert written["is_multilabel"] and written["splits"]["inference"] == ["a.mp4"]
    assert written["labels"]["a.mp4"] == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    for wrong, words in (
        (FERAL.replace("[2]", "[3]"), r"frame 0 of b\.mp4 is 3, expected a class from 0 to 2"),
        (FERAL.replace('"2": "jump"', '"3": "jump"'), "class_names must name the classes 0, 1"),
        (FERAL, r"a\.mp4 is not in .*, and without it the frame rate is not known"),
    ):
        path.write_text(wrong)
        with pytest.raises(DataError, match=words):
            read_labels(path)


def test_bouts_that_touch_are_one_in_frames_and_two_elsewhere(tmp_path: Path) -> None:
    recording = Recording("", (Bout(0, 1, "walk"), Bout(1, 2, "walk")), 3, 25)
    labels = Labels((recording,), ("walk",))
    said = write_labels(labels, tmp_path / "a.csv", "frames")
    assert said == (
        "1 bout joined with others of the same label, which table of frames cannot tell apart",
    )
    assert read_labels(tmp_path / "a.csv", fps=25).recordings[0].bouts == (Bout(0, 2, "walk"),)
    assert write_labels(labels, tmp_path / "a.boris") == ()
    assert read_labels(tmp_path / "a.boris") == labels


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_whose_frames_are_unevenly_spaced_is_told(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every second frame is missing for ten seconds, as a phone's are in the dark."""
    times = [i / 30 for i in range(600)]
    dark = [t for i, t in enumerate(times) if i < 150 or i >= 450 or i % 2]
    for name, some in (("even", times), ("dark", dark)):
        write_timed(tmp_path / f"{name}.{suffix}", some, fps=30)
        (tmp_path / f"{name}-2.{suffix}").write_bytes((tmp_path / f"{name}.{suffix}").read_bytes())
        rows = [f"{i},{int(30 <= i < 60)}" for i in range(len(some))]
        (tmp_path / f"{name}.csv").write_text("\n".join([",walk", *rows]))
        caplog.clear()
        (found,) = read_labels(tmp_path / f"{name}.csv").recordings
        assert found.bouts == (Bout(1, 2, "walk"),)
        told = "450 frames at 30 a second are 15.0 s, and it lasts 20.0 s"
        assert (f"dark.{suffix}: {told}" in caplog.text) == (name == "dark")
        caplog.clear()
        with_rates(Labels((found,), ("walk",)), tmp_path)  # what was told is not told again
        assert not caplog.records
        bouts = (Bout(15, 16, "walk"),)
        written = Labels((Recording(f"{name}-2.{suffix}", bouts, 20, 30),), ("walk",))
        assert with_rates(written, tmp_path) == written  # also where labels are to be written
        assert (f"dark-2.{suffix}: {told}" in caplog.text) == (name == "dark")
        warned = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert bool(warned) == (name == "dark")

"""Labels in time that say something else than their writer meant: told, or refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from test_recordings import labels, write
from twostream.datasets import Dataset, load_dataset
from twostream.datasets.labelled_recordings import RECORDINGS
from twostream.types import DataError


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in "abc":
        write(folder / f"{name}.mp4", 12, seed=ord(name))
    return folder


@pytest.fixture
def folder(videos: Path, tmp_path: Path) -> Path:
    for each in videos.iterdir():
        (tmp_path / each.name).symlink_to(each)
    return tmp_path


def bouts(data: Dataset, video: str) -> dict[str, str]:
    return {
        each.video_id.partition("#")[2]: data.classes[each.label]
        for each in data.videos
        if each.video_id.startswith(f"{video}.mp4") and data.classes[each.label] != "other"
    }


ROWS = "path,label,start,end\n" + "".join(f"{name}.mp4,walk,1,2.5\n" for name in "abc")


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        "\n \n" + ROWS,
        "sep=;\n" + ROWS.replace(",", ";"),
        '\n"sep=,"\n' + ROWS,
        ROWS.replace(",", "|"),
    ],
)
def test_what_stands_above_a_header_makes_no_list_of_clips(folder: Path, text: str) -> None:
    file = folder / "labels.csv"
    file.write_text(text)
    data = load_dataset(file)
    assert data.kind == RECORDINGS and bouts(data, "b") == {"1.000-2.500": "walk"}
    file.write_text(text + "|".join("abcdef") + ",;,,;;,\n")
    with pytest.raises(DataError, match=f"line {text.count(chr(10)) + 1}"):
        load_dataset(file)


@pytest.mark.parametrize(
    "header",
    [
        "file,label,start,end",
        "path,label,start_time,end_time",
        "path,label,start_frame,end_frame",
        "video_id,label,t-start,t-end",
        "path,action,onset,offset",
        "path,class,begin_s,stop_s",
        "path,class,begin (s),finish (s)",
        "path,label,start,duration",
    ],
)
def test_clips_with_a_start_and_an_end_are_refused(folder: Path, header: str) -> None:
    file = folder / "x.csv"
    text = ROWS.replace("b.mp4,walk", "b.mp4,run")
    file.write_text(text.replace("path,label,start,end", header))
    spans = re.escape(", ".join(header.split(",")[2:]))
    with pytest.raises(DataError, match=rf"columns {spans}\).*path,label,start,end"):
        load_dataset(file)


def test_columns_that_are_not_used_are_said(folder: Path) -> None:
    file = folder / "x.csv"
    rows = "a.mp4,walk,s1,0,5,120\nb.mp4,run,s2,1,5,90\n"
    file.write_text(f"path,label,subject_id,fold,start,frames\n{rows}")
    notes = load_dataset(file).notes
    assert any(
        "subject_id is not used: call it group where clips of one subject " in n for n in notes
    )
    assert "the column start is not used: clips in a list are labelled whole" in notes
    assert any(note.startswith("the column fold is not used") for note in notes)
    assert not any("frames" in note for note in notes)


def test_bouts_beyond_the_end_are_said(folder: Path) -> None:
    labels(folder, "a.mp4,walk,1,13", "a.mp4,run,12,20", "b.mp4,walk,2,12.4", "c.mp4,run,0,12")
    data = load_dataset(folder)
    late, cut = (note for note in data.notes if "of 4 bouts" in note)
    assert "1 of 4 bouts begin after the end" in late and "run at 12 s of a.mp4" in late
    assert "1 of 4 bouts are cut" in cut and "walk at 1 s of a.mp4, which lasts 12.0 s" in cut


@pytest.mark.parametrize("times", [("5", "40"), ("0", "4000")])
def test_frames_and_milliseconds_are_no_seconds(folder: Path, times: tuple[str, str]) -> None:
    start, end = times
    rows = [f"{n}.mp4,{what}" for n in "abc" for what in (f"walk,{start},{end}", f"run,{end},9e3")]
    labels(folder, *rows, "c.mp4,run,9000,9001")
    with pytest.raises(DataError, match=r"4 of 7 bouts begin after .*frames or milliseconds"):
        load_dataset(folder)


def test_a_video_that_is_shorter_than_its_labels_say(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "path,label,start,end,seconds\na.mp4,walk,1,30,40\nb.mp4,walk,1,3,12.01\n"
    )
    data = load_dataset(folder)
    ends = [float(each.video_id.rpartition("-")[2]) for each in data.videos]
    assert max(ends) == 12.01 and any("walk at 1 s of a.mp4" in note for note in data.notes)
    assert max(float(span.rpartition("-")[2]) for span in bouts(data, "a")) == 12


def test_recordings_of_neither_side_are_said(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "path,label,start,end,split\na.mp4,walk,1,5,train\nb.mp4,walk,1,5,test\nc.mp4,walk,1,5,\n"
    )
    said = "1 of 3 recordings have no split value and are on neither side: c.mp4"
    assert said in load_dataset(folder).notes


def test_a_forgotten_label_is_asked_for(folder: Path) -> None:
    labels(folder, "a.mp4,walk,1,5", "a.mp4,,6,7", "b.mp4,walk,1,5", "b.mp4,,0,12")
    said = [note for note in load_dataset(folder).notes if "is a label missing?" in note]
    assert len(said) == 1 and "in 1 of 2 recordings (a.mp4 (1.0 s))" in said[0]


def test_a_video_of_another_suffix_is_said(folder: Path) -> None:
    labels(folder, "a.avi,walk,1,5", "old/b.mp4,walk,1,5", "c,walk,1,5")
    (note,) = (note for note in load_dataset(folder).notes if "suffix" in note)
    assert note.startswith("1 videos have") and note.endswith("same: a.mp4 for a.avi")

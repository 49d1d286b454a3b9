"""Lists as people have them: other suffixes, slashes, headers, line ends, and missing videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clip_folders import touch, write
from moving_clips import make_clip
from twostream.__main__ import run
from twostream.datasets import Dataset, load_dataset
from twostream.datasets.kept_videos import keep_videos
from twostream.recipes import QUICK
from twostream.run import RunSettings
from twostream.run.training_run import job_of
from twostream.training import TrainerOptions
from twostream.types import DataError, no_progress


def labelled(data: Dataset) -> dict[str, str]:
    return {video.video_id: data.classes[video.label] for video in data.videos}


# --- official lists -----------------------------------------------------------------------------


def ucf(root: Path, *, suffix: str = ".avi", listed: Callable[[str], str] = str) -> Path:
    """Two classes of three groups; group 1 is tested, which no split made here does by chance."""
    train, test = [], []
    for number, cls in enumerate(("Archery", "BabyCrawling"), start=1):
        for group in range(1, 10):
            name = f"{cls}/v_{cls}_g{group:02}_c01"
            touch(root, f"UCF-101/{name}{suffix}")
            line = listed(f"{name}.avi")
            if group == 1:
                test.append(line)
            else:
                train.append(f"{line} {number}")
    lists = root / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 Archery\n2 BabyCrawling\n")
    write(lists / "trainlist01.txt", "\n".join(train) + "\n")
    write(lists / "testlist01.txt", "\n".join(test) + "\n")
    return root


@pytest.mark.parametrize(
    ("suffix", "listed"),
    [
        (".mp4", str),
        (".avi", lambda name: name.replace("/", "\\")),
        (".MKV", lambda name: f"./{name}"),
        (".webm", lambda name: name.rpartition("/")[2]),
        (".avi", lambda name: name.removesuffix(".avi")),
        (".avi", str.lower),
    ],
)
def test_official_lists_find_their_videos(
    tmp_path: Path, suffix: str, listed: Callable[[str], str]
) -> None:
    data = load_dataset(ucf(tmp_path, suffix=suffix, listed=listed))
    assert (data.kind, data.given_splits) == ("UCF-101", (1,))
    split = data.split(1)
    assert {video.group for video in split.test} == {"g01"}
    assert (len(split.train), len(split.test)) == (16, 2)
    other = any("another suffix here" in note for note in data.notes)
    assert other == (suffix != ".avi" or listed("a.avi") == "a")


def test_official_lists_of_other_videos_are_no_made_split(tmp_path: Path) -> None:
    touch(tmp_path / "data", "walk/a.mp4", "walk/b.mp4", "run/a.mp4", "run/b.mp4")
    write(tmp_path / "ucfTrainTestlist" / "trainlist01.txt", "A/a.mp4 1\nA/b.mp4 1\n")
    beside = load_dataset(tmp_path / "data")
    assert beside.kind == "class folders"
    assert any("split 1" in note and "are not used: 0 of the 2" in note for note in beside.notes)
    (tmp_path / "ucfTrainTestlist").rename(tmp_path / "data" / "ucfTrainTestlist")
    with pytest.raises(DataError, match=r"0 of the 2 training .* first is A/a\.mp4.*take the list"):
        load_dataset(tmp_path / "data")


def test_marks_of_one_side_beside_clips_without_any_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    file = write(tmp_path / "x.csv", "path,label,split\na.mp4,w,test\nb.mp4,r,\nc.mp4,w,\n")
    data = load_dataset(file)
    said = "1 clips are marked test, 2 are not marked and none is marked train"
    assert not data.given and any(note.startswith(said) for note in data.notes)


def test_a_split_without_a_side_is_said(tmp_path: Path) -> None:
    write(ucf(tmp_path) / "ucfTrainTestlist" / "trainlist02.txt", "Archery/v_Archery_g05_c01.avi 1")
    data = load_dataset(tmp_path)
    assert data.given_splits == (1,)
    assert any("split 2" in note and "0 of the 0 test" in note for note in data.notes)


def test_a_listed_name_never_means_another_classs_file(tmp_path: Path) -> None:
    """A/1.avi is missing: B/1.avi, which trains, must not be tested in its place."""
    touch(tmp_path, "A/2.avi", "B/1.avi", "B/2.avi")
    write(tmp_path / "trainlist01.txt", "A/2.avi 1\nB/1.avi 2\n")
    write(tmp_path / "testlist01.txt", "A/1.avi\nB/2.avi\n")
    split = load_dataset(tmp_path).split(1)
    assert [video.video_id for video in split.test] == ["B/2.avi"]
    touch(tmp_path, "B/2.mp4")
    write(tmp_path / "testlist01.txt", "A/1.avi\nB/2.mov\n")
    with pytest.raises(DataError, match=r"name B/2\.mov, which may be B/2\.avi and B/2\.mp4"):
        load_dataset(tmp_path)
    write(tmp_path / "testlist01.txt", "B/1.avi\nB/2.mp4\n")
    with pytest.raises(DataError, match=r"1 videos for training and for the test.*B/1\.avi"):
        load_dataset(tmp_path)


# --- CSV and plain lists ------------------------------------------------------------------------

CLIPS = {"walk/a 1.mp4": "walk slowly", "walk/b.mp4": "walk slowly", "run/c.mp4": "run"}


def rows(pattern: str, end: str = "\n") -> str:
    """A line a clip: {path} with folder and suffix, {stem} without the suffix, {label}."""
    clips = CLIPS.items()
    lines = (
        pattern.format(path=p, stem=p[:-4], label=c, name=p[:-4].split("/")[1]) for p, c in clips
    )
    return end.join(lines) + end


LISTS = {
    "other headers": "video_name,tag\n" + rows("{path},{label}"),
    "file and class": "Class;File\n" + rows("{label};{path}"),
    "old Macintosh": "path,label\r" + rows("{path},{label}", "\r"),
    "Excel": "sep=;\r\npath;label\r\n" + rows("{path};{label}", "\r\n"),
    "pipes": "path|label\n" + rows("{path}|{label}"),
    "no suffix": "name,label\n" + rows("{stem},{label}"),
    "suffixes of before": "path,label\n" + rows("{stem}.avi,{label}"),
    "from the root": "path,label\n" + rows("/{path},{label}"),
    "Kaggle": "clip_name,clip_path,label\n" + rows("{name},/{path},{label}"),
}
PLAIN = {
    "labels with spaces": rows("{path} {label}"),
    "tabs": rows("{path}\t{label}"),
    "quotes": rows('"{path}" "{label}"'),
    "Macintosh": rows("{path} {label}", "\r"),
    "a header of words": "video class\n" + rows("{path} {label}"),
}


@pytest.mark.parametrize("case", [*LISTS, *PLAIN])
def test_lists_as_people_write_them(tmp_path: Path, case: str) -> None:
    touch(tmp_path, *CLIPS)
    text = LISTS.get(case) or PLAIN[case]
    data = load_dataset(write(tmp_path / ("l.csv" if case in LISTS else "l.txt"), text))
    assert labelled(data) == CLIPS
    if case == "Excel":  # lines are those of the file
        (tmp_path / "run" / "c.mp4").unlink()
        with pytest.raises(DataError, match="line 5: run/c"):
            load_dataset(tmp_path / "l.csv")


@pytest.mark.parametrize("counted", [True, False])
def test_lists_of_folders_of_frames_take_the_videos_of_that_name(
    tmp_path: Path, counted: bool
) -> None:
    """TSN's and mmaction2's `folder number-of-frames label`."""
    touch(tmp_path, "x/a b.avi", "y/c.mp4")
    (tmp_path / "x" / "a b").mkdir()
    number = " 97" if counted else ""
    data = load_dataset(write(tmp_path / "train.txt", f"x/a b{number} 0\ny/c{number} 10\n"))
    assert labelled(data) == {"x/a b.avi": "0", "y/c.mp4": "10"}
    (tmp_path / "x" / "a b.avi").unlink()
    with pytest.raises(DataError, match=r"line 1: x/a b is a folder without numbered im"):
        load_dataset(tmp_path / "train.txt")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_labels_of_some_words_after_the_number_of_frames(tmp_path: Path, kind: str) -> None:
    """One label of two words among many of one; without the number each clip was a class."""
    lines = []
    for i in range(3):
        for name, label in ((f"a {i}", "jump high"), (f"b{i}", "run")):
            touch(
                tmp_path,
                *([f"{name}.mp4"] if kind == "file" else [f"{name}/{k}.jpg" for k in "12"]),
            )
            lines.append(f"{name} {2 + i} {label}")
    file = write(tmp_path / "l.txt", "\n".join(lines))
    data = load_dataset(file)
    assert {name[0]: label for name, label in labelled(data).items()} == {
        "a": "jump high",
        "b": "run",
    }
    assert any("read as numbers of frames" in note for note in data.notes) == (kind == "file")
    with pytest.raises(DataError, match=r"line 7: z 1 does not exist"):
        load_dataset(write(file, "\n".join([*lines, "z 1 80 jump high"])))
    touch(tmp_path, "c.mp4")
    write(file, "\n".join([*lines, "c run"]))
    if kind == "file":
        assert any("line 7 has none: is it a number" in note for note in load_dataset(file).notes)


def test_a_label_may_begin_with_a_number(tmp_path: Path) -> None:
    """Beside names with a suffix it is no number of frames, nor where some labels have none."""
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    for text in (
        "a.mp4 2 big steps\nb.mp4 3 steps\nc.mp4 2 big steps\nd 4 big steps\n",
        "a 2 big steps\nb 3 steps\nc 2 big steps\nd walk\n",
    ):
        data = load_dataset(write(tmp_path / "l.txt", text))
        assert {"2 big steps", "3 steps"} < set(data.classes)
        assert not any("number" in note for note in data.notes)


def test_a_column_of_another_name_splits(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    text = "file,class,subset\na.mp4,x,test\nb.mp4,x,train\nc.mp4,y,test\nd.mp4,y,Training\n"
    data = load_dataset(write(tmp_path / "clips.csv", text))
    assert {video.video_id for video in data.split(1).test} == {"a.mp4", "c.mp4"}
    assert any("columns file and class are read as path and label" in n for n in data.notes)
    assert any("the column subset is read as split" in note for note in data.notes)
    file = write(tmp_path / "clips.csv", text.replace("Training", "tset"))
    with pytest.raises(
        DataError, match="line 5: subset must be train, val or test, got tset: mend"
    ):
        load_dataset(file)
    for name, number in {"Training": "4", "train": "2", "test": "1"}.items():
        text = text.replace(name, number)
    data = load_dataset(write(tmp_path / "clips.csv", text))
    assert data.given == ()
    assert any("subset is not used: '1' is none of train" in note for note in data.notes)
    lines = text.splitlines()
    sides = ["partition", "train", "test", "train", "test"]
    both = "\n".join(f"{line},{side}" for line, side in zip(lines, sides, strict=True))
    data = load_dataset(write(tmp_path / "clips.csv", both))
    assert {video.video_id for video in data.split().test} == {"b.mp4", "d.mp4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nwalk/z,x\nrun/c.mp4,y\n", r"walk/z may be z\.avi or z\.mp4 in .*walk"),
        ("video;title\na;b\n", "has no header"),
        (
            "path,label\nz1,x\nz2,x\nz3,y\nz4,y\nrun/c.mp4,y\n",
            "4 of the 5 videos do not exist: z1 ",
        ),
        ("path,label\nz1,x\nz2,x\n", r"z1 \(line 2\), z2 \(line 3\)"),
        ("path,label\nrun/c.mp4,y\nrun/c,y\n", r"line 3: run/c stands in line 2 already"),
    ],
)
def test_what_a_list_does_not_tell_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "walk/z.avi", "walk/z.mp4", "run/c.mp4")
    with pytest.raises(DataError, match=message):
        load_dataset(write(tmp_path / "l.csv", text))


def test_missing_videos_are_counted_named_and_left_out_on_demand(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    lines = ["a.mp4,x", "b.mp4,y", *(f"gone{i}.mp4,x" for i in range(5))]
    file = write(tmp_path / "clips.csv", "path,label\n" + "\n".join(lines))
    with pytest.raises(DataError) as caught:
        load_dataset(file)
    said = str(caught.value)
    assert "5 of the 7 videos do not exist: gone0.mp4 (line 4), gone1.mp4 (line 5)" in said
    assert "gone2.mp4 (line 6), ..." in said and "--skip-unreadable" in said
    data = load_dataset(file, missing="leave out")
    assert len(data.videos) == 2
    assert any("5 of the 7 videos do not exist" in n and "left out" in n for n in data.notes)
    assert len(load_dataset(file, missing="keep").videos) == 7
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "b.mp4").unlink()
    with pytest.raises(DataError, match="7 of the 7 videos"):
        load_dataset(file, missing="leave out")


def test_extract_and_doctor_name_each_missing_video_and_do_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "a.avi", 3)
    make_clip(tmp_path / "b.avi", 3, seed=1)
    file = write(tmp_path / "clips.csv", "path,label\na.avi,x\nb.avi,y\ngone.avi,x\nlost.avi,y\n")
    store = ["--store", str(tmp_path / "s"), "--flow", "farneback", "--short-side", "48"]
    assert run(["extract", str(file), *store, "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])
    assert (found["done"], found["failed"]) == (2, 2)
    assert "gone.avi" in captured.err and "lost.avi" in captured.err
    assert run(["doctor", str(file), "--json"]) == 0
    problems = json.loads(capsys.readouterr().out.splitlines()[-1])["problems"]
    unreadable = [Path(p["path"]).name for p in problems if p["problem"] == "unreadable"]
    assert unreadable == ["gone.avi", "lost.avi"]


def test_a_run_goes_on_without_missing_videos_where_it_may(tmp_path: Path, said: list[str]) -> None:
    """With --skip-unreadable, and where they went after the run had begun."""
    names = [f"{cls}/v_{cls}_g{group:02}_c01.avi" for cls in "xy" for group in range(1, 7)]
    touch(tmp_path, *names[1:])
    text = "path,label\n" + "".join(f"{name},{name[0]}\n" for name in names)
    settings = RunSettings(data=str(write(tmp_path / "clips.csv", text)), recipe=QUICK)
    with pytest.raises(DataError, match=r"line 2: x/v_x_g01_c01\.avi does not exist"):
        job_of(settings, tmp_path / "run", TrainerOptions(), None, no_progress)
    asked = replace(settings, skip_unreadable=True)
    job = job_of(asked, tmp_path / "run", TrainerOptions(), None, no_progress)
    assert len(job.split.videos()) == 11
    assert any("x/v_x_g01_c01.avi does not exist" in line and "left out" in line for line in said)
    begun = tmp_path / "begun"
    touch(tmp_path, names[0])
    whole = job_of(settings, begun, TrainerOptions(), None, no_progress)
    keep_videos(begun, whole.dataset, whole.split)
    (tmp_path / names[0]).unlink()
    again = job_of(settings, begun, TrainerOptions(), None, no_progress)
    assert again.split.videos() == whole.split.videos()
    assert any("1 video is gone since the run began" in line for line in said)


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("run", "Run", '"Run" and "run"'),
        ("caf\xe9", "cafe\u0301", '"cafe\\u0301" and "caf\xe9"'),
        ("sit down", "sit\xa0down", '"sit down" and "sit\\xa0down"'),
        ("sit down", "sit  down", '"sit  down" and "sit down"'),
        ("sit down", "sit\u200b down", '"sit down" and "sit\\u200b down"'),
        ("run", "\uff52un", '"run" and "\\uff52un"'),
        ("1", "01", '"01" and "1"'),
        ("2", "2.0", '"2" and "2.0"'),
        ("1.1", "1.10", ""),
        ("run", "ran", ""),
    ],
)
def test_classes_and_groups_that_look_alike_are_told(
    tmp_path: Path, one: str, other: str, named: str
) -> None:
    for name in "abcdef":
        touch(tmp_path, f"{name}.avi")
    rest = "d.avi,sit,x\ne.avi,sit,y\n"
    text = f"path,label,group\na.avi,{one},x\nb.avi,{other},y\n{rest}"
    data = load_dataset(write(tmp_path / "list.csv", text))
    assert sorted(data.classes) == sorted({one, other, "sit"})  # as they were read
    text = f"path,label,group\na.avi,run,{one}\nb.avi,run,{other}\n{rest}"
    grouped = load_dataset(write(tmp_path / "list.csv", text))
    assert set(grouped.groups) == {one, other, "x", "y"}
    if not named:
        assert not data.notes and not grouped.notes
        return
    (of_classes,), (of_groups,) = data.notes, grouped.notes
    assert of_classes.startswith("classes that differ in capitals") and named in of_classes
    assert of_groups.startswith("groups that differ") and named in of_groups
    assert "both sides of a split" in of_groups and "write them alike" in of_groups

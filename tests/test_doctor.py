"""The doctor finds what is planted, names it in a fixed order, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frame_images import write_video
from odd_videos import MATRICES, blank_packets, encode, moving_square, set_matrix
from twostream import doctor
from twostream.doctor import DoctorReport, examine
from twostream.types import DataError, UsageError
from twostream.video import VideoReader


def clip(path: Path, *, frames: int = 12, fps: float = 25, seed: int = 0) -> Path:
    """Write a small real video whose bytes depend on the seed."""
    rng = np.random.default_rng([seed, *path.name.encode()])
    return write_video(path, rng.integers(0, 256, (frames, 24, 32, 3), np.uint8), fps)


def found(report: DoctorReport) -> list[tuple[str, str]]:
    return [(Path(problem.path).name, problem.problem) for problem in report.problems]


def detail(report: DoctorReport, problem: str) -> str:
    (only,) = [p.detail for p in report.problems if p.problem == problem]
    return only


@pytest.fixture
def healthy(tmp_path: Path) -> Iterator[Path]:
    """Two classes of three clips, no groups."""
    root = tmp_path / "data"
    for i, cls in enumerate(("run", "walk")):
        for n in range(3):
            clip(root / cls / f"{n}.avi", seed=10 * i + n)
    yield root


def test_a_healthy_data_set_has_no_problem(healthy: Path) -> None:
    report = examine(healthy, min_clips=3)
    assert report.to_json() == {"videos": 6, "problems": []}
    assert "6 videos of 2 classes" in report.description


@pytest.mark.parametrize(("length", "short"), [(11, False), (12, True)])
def test_a_stack_needs_one_frame_more_than_its_length(
    tmp_path: Path, length: int, short: bool
) -> None:
    report = examine(clip(tmp_path / "a.avi", frames=12), stack_length=length)
    assert report.videos == 1
    assert found(report) == ([("a.avi", "too short")] if short else [])
    if short:
        assert "12 frames, but a stack of length 12 needs 13" in report.problems[0].detail


def test_planted_file_problems_are_all_named(healthy: Path) -> None:
    (healthy / "run" / "3.mp4").write_text("no video at all")
    (healthy / "run" / "4.mp4").touch()
    (healthy / "run" / "5.mp4").touch()  # as empty as the other, yet no duplicate worth naming
    whole = clip(healthy / "walk" / "3.avi", frames=40, seed=7)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    shutil.copy(healthy / "run" / "0.avi", healthy / "walk" / "copy of 0.avi")
    report = examine(healthy, min_clips=3)
    assert found(report) == [
        ("3.mp4", "unreadable"),
        ("4.mp4", "unreadable"),
        ("5.mp4", "unreadable"),
        ("3.avi", "truncated"),
        ("copy of 0.avi", "duplicate"),
    ]
    assert report.videos == 11
    assert "the file is empty" in report.problems[1].detail
    duplicate = detail(report, "duplicate")
    assert str(healthy / "run" / "0.avi") in duplicate
    assert "of class walk instead of run" in duplicate
    for problem in report.problems:
        assert problem.path not in problem.detail
        assert "\n" not in problem.detail


def test_order_does_not_depend_on_the_workers(healthy: Path) -> None:
    (healthy / "run" / "3.mp4").write_text("x")
    clip(healthy / "walk" / "9.avi", frames=3)
    one, many = (examine(healthy, workers=workers) for workers in (1, 5))
    assert one == many


def test_few_readable_clips_of_a_class(healthy: Path) -> None:
    (healthy / "walk" / "0.avi").write_bytes(b"gone")
    report = examine(healthy, min_clips=3)
    assert found(report) == [("0.avi", "unreadable"), ("data", "class with too few clips")]
    assert "class walk has 2 readable, at least 3" in detail(report, "class with too few clips")


def test_one_rate_among_others(healthy: Path) -> None:
    clip(healthy / "walk" / "fast.avi", fps=50)
    clip(healthy / "walk" / "nearly.avi", fps=26)
    clip(healthy / "walk" / "photo.avi", fps=1, frames=1)
    report = examine(healthy, min_clips=1)
    assert found(report) == [("photo.avi", "too short"), ("data", "mixed frame rates")]
    assert "1 of 8 videos are not near the usual 25 frames/s (from 25 to 50)" in detail(
        report, "mixed frame rates"
    )


def test_groups_duplicates_and_classes_of_a_given_split(tmp_path: Path) -> None:
    rows = ["path,label,group,split"]
    for n, (cls, group, side) in enumerate(
        [
            ("run", "anna", "train"),
            ("run", "bert", "test"),
            ("walk", "anna", "test"),
            ("walk", "carl", "train"),
            ("fly", "carl", "train"),
        ]
    ):
        clip(tmp_path / f"{n}.avi", seed=n)
        rows.append(f"{n}.avi,{cls},{group},{side}")
    shutil.copy(tmp_path / "0.avi", tmp_path / "1.avi")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    report = examine(tmp_path / "clips.csv", min_clips=1)
    assert found(report) == [
        ("1.avi", "duplicate"),
        ("clips.csv", "groups on both sides"),
        ("clips.csv", "class on one side"),
    ]
    assert detail(report, "duplicate").endswith("0.avi, on both sides of split 1")
    assert "split 1: 1 groups (anna)" in detail(report, "groups on both sides")
    assert "1 classes (fly) in training only" in detail(report, "class on one side")


def test_a_class_of_one_group_cannot_be_tested(tmp_path: Path) -> None:
    for n in (1, 2):
        clip(tmp_path / "run" / f"v_run_g0{n}_c01.avi", seed=n)
        clip(tmp_path / "walk" / f"v_walk_g05_c0{n}.avi", seed=10 + n)
    report = examine(tmp_path, min_clips=2)
    assert [problem.problem for problem in report.problems] == ["class of one group"]
    assert "class walk are of group g05" in report.problems[0].detail


def test_missing_official_videos_and_loose_files(tmp_path: Path) -> None:
    for cls in ("A", "B"):
        for n in (1, 2):
            clip(tmp_path / "UCF-101" / cls / f"v_{cls}_g0{n}_c01.avi", seed=n)
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text(
        "A/v_A_g01_c01.avi 1\nB/v_B_g01_c01.avi 2\nB/v_B_g03_c01.avi 2\n"
    )
    (lists / "testlist01.txt").write_text("A/v_A_g02_c01.avi\n")
    report = examine(tmp_path, min_clips=1)
    assert [problem.problem for problem in report.problems] == [
        "missing videos",
        "class on one side",
        "left out",
    ]
    assert "1 videos (B/v_B_g03_c01.avi)" in detail(report, "missing videos")
    assert "1 videos are in none of the official lists" in detail(report, "left out")


def test_robustness_clips_without_class_folders(shared_data: Path) -> None:
    report = examine(shared_data / "robustness")
    assert report.videos == 11
    assert set(found(report)) == {
        ("corrupted.mp4", "damaged"),
        ("h265_video.mp4", "too short"),
        ("one_frame.gif", "too short"),
        ("phone_hevc_rotated_vfr.mov", "rotated"),
        ("phone_hevc_rotated_vfr.mov", "variable frame rate"),
        ("video_270.mov", "too short"),
        ("video_270.mov", "rotated"),
        ("video_90.mov", "too short"),
        ("video_90.mov", "rotated"),
        ("robustness", "mixed frame rates"),
    }
    turned = {Path(p.path).name: p.detail for p in report.problems if p.problem == "rotated"}
    for name, told in turned.items():
        with VideoReader(shared_data / "robustness" / name) as reader:
            assert f"turned {reader.info.rotation} degrees" in told


def test_weizmann_is_healthy(shared_data: Path) -> None:
    report = examine(shared_data / "weizmann" / "clips.csv")
    assert report.to_json() == {"videos": 83, "problems": []}


def test_what_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        examine(tmp_path / "nothing")
    clip(tmp_path / "walk" / "a.avi")
    with pytest.raises(DataError, match="only the class walk"):
        examine(tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match=r"no video lies in run"):
        examine(tmp_path)


def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.avi")
    with pytest.raises(DataError, match="neither a folder nor a file"):
        examine(tmp_path / "pipe.avi")
    clip(tmp_path / "walk" / "a.avi")
    (tmp_path / "run").mkdir()
    os.rename(tmp_path / "pipe.avi", tmp_path / "run" / "b.avi")
    (problem, *_) = examine(tmp_path, min_clips=1).problems
    assert (problem.problem, Path(problem.path).name) == ("unreadable", "b.avi")


def test_a_single_text_file_named_mp4(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    report = json.loads(json.dumps(examine(tmp_path / "a.mp4").to_json()))
    (problem,) = report.pop("problems")
    assert report == {"videos": 1}
    assert problem.pop("detail").startswith("cannot be opened as a video")
    assert problem == {"path": str(tmp_path / "a.mp4"), "problem": "unreadable"}


@pytest.mark.parametrize("wrong", [{"stack_length": 0}, {"min_clips": 0}, {"workers": 0}])
def test_wrong_numbers_are_usage_errors(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        examine(tmp_path, **wrong)


def test_progress_counts_up_to_all(healthy: Path) -> None:
    calls: list[tuple] = []
    examine(healthy, progress=lambda *call: calls.append(call))
    assert calls[-1][:3] == ("decode", 6, 6)
    assert [call[1] for call in calls] == sorted(call[1] for call in calls)


def test_an_interrupt_ends_it_soon_and_is_passed_on(healthy: Path) -> None:
    def interrupt(task: str, done: float, total: float, detail: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(healthy, progress=interrupt)


def test_what_nobody_foresaw_costs_one_video(
    healthy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_of_one(path: Path, *rest: Any) -> Any:
        if path.name == "1.avi" and path.parent.name == "run":
            raise ZeroDivisionError("none of five")
        return check(path, *rest)

    check = doctor._check
    monkeypatch.setattr(doctor, "_check", fail_of_one)
    (problem,) = examine(healthy, min_clips=2).problems
    assert (problem.path, problem.problem) == (str(healthy / "run" / "1.avi"), "unreadable")
    assert "an unexpected ZeroDivisionError (none of five)" in problem.detail


def test_damage_mirrors_and_raw_streams_are_told_apart(healthy: Path) -> None:
    folder = healthy / "run"
    encode(folder / "dvr.mp4", moving_square(12), form="h264")  # frames without times: no problem
    mirrored = encode(folder / "mirrored.mp4", moving_square(13))
    set_matrix(mirrored, MATRICES["hflip"][0])
    set_matrix(encode(folder / "turned.mp4", moving_square(14)), MATRICES["vflip"][0])
    damaged = folder / "damaged.avi"
    encode(damaged, moving_square(20), codec="mjpeg", pixels="yuvj420p")
    blank_packets(damaged, [7])
    report = examine(healthy, min_clips=3)
    assert found(report) == [
        ("damaged.avi", "damaged"),
        ("mirrored.mp4", "rotated"),
        ("turned.mp4", "rotated"),
    ]
    told = [problem.detail for problem in report.problems]
    assert "a damaged packet was left out" in told[0] and "19 of about 20 frames" in told[0]
    assert told[1] == "it is mirrored, left to right, when read"
    assert told[2] == "it is turned 180 degrees clockwise and mirrored, left to right, when read"


def recordings(root: Path) -> Path:
    """Write six sound recordings of two stretches each, and their labels beside them."""
    rows = ["path,label,start,end,group"]
    for n, name in enumerate("abcdef"):
        clip(root / f"{name}.mp4", frames=100, seed=n)
        rows += [f"{name}.mp4,up,0,2,{name}", f"{name}.mp4,down,2,4,{name}"]
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize("place", [".", "labels.csv"])
def test_labels_in_time_are_a_data_set_whose_files_are_decoded_once(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def counted(path: Path, *rest: Any) -> Any:
        decoded.append(path.name)
        return check(path, *rest)

    check = doctor._check
    monkeypatch.setattr(doctor, "_check", counted)
    recordings(tmp_path / "data")
    labels = tmp_path / "data" / "labels.csv"  # one is named by where it lies
    labels.write_text(labels.read_text().replace("a.mp4", f"{tmp_path}/data/a.mp4"))
    (tmp_path / "link").symlink_to(tmp_path / "data")
    report = examine(tmp_path / "link" / place)
    assert report.to_json() == {"videos": 6, "problems": []}
    assert sorted(decoded) == [f"{name}.mp4" for name in "abcdef"]
    assert "12 labelled stretches of 6 recordings, of 2 classes" in report.description


def test_a_recording_twice_a_damaged_one_and_one_without_labels(tmp_path: Path) -> None:
    folder = recordings(tmp_path)
    shutil.copy(folder / "a.mp4", folder / "f.mp4")
    (folder / "b.mp4").write_text("no video at all")
    clip(folder / "new.mp4", frames=3)
    report = examine(folder, min_clips=6)
    assert report.videos == 7
    assert found(report)[:3] == [
        ("b.mp4", "unreadable"),
        ("new.mp4", "too short"),
        ("f.mp4", "duplicate"),
    ]
    same = detail(report, "duplicate")
    assert same.endswith("a.mp4, but of group f instead of a")  # and nothing of classes
    few = [p.detail for p in report.problems if p.problem == "class with too few clips"]
    assert [each.partition(" readable")[0] for each in few] == [
        "class down has 5",
        "class up has 5",
    ]


def test_videos_beside_labels_that_cannot_be_used_are_decoded(tmp_path: Path) -> None:
    folder = recordings(tmp_path)
    (folder / "labels.csv").write_text("path,label,start,end\na.mp4,up,0,9\na.mp4,up,x,9\n")
    report = examine(folder)
    assert (report.videos, [kind for _, kind in found(report)]) == (6, ["labels"])
    assert "labels.csv" in detail(report, "labels")

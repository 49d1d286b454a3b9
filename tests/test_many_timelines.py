"""Time lines of many videos: a stopped job goes on, and the tables are those of all videos."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from frame_images import moving_frames, write_images
from seen_timelines import Seen, contents, three_videos
from twostream import timelines
from twostream.__main__ import run
from twostream.judging import time_budget
from twostream.labels import read_labels
from twostream.prediction import Timeline
from twostream.types import RunError, UsageError
from twostream.video.fingerprint import source_hash
from untrained import write_clip

OPTIONS: dict[str, Any] = {"window_seconds": 0.8, "every_seconds": 0.2, "positions": 1}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return three_videos(tmp_path / "clips")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """In place of the networks."""
    return Seen.instead(monkeypatch)


# --- the tables


def test_the_tables_have_the_numbers_of_all_videos(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    seen.segments = {
        "a/one.avi": [
            (0.0, 2.0, "other", 0.75),
            (2.0, 5.0, "a", 0.5),
            (5.0, 6.0, None, 0.25),
            (6.0, 16.0, None, None),  # a pause: nobody watched
            (16.0, 19.0, "a", 0.875),
            (19.0, 20.0, "a and b", 0.625),
        ],
        "a/two.avi": [(0.0, 5.0, "b", 0.5)],
        "b/one.avi": [(0.0, 1.0, None, 0.25), (1.0, 5.0, "a", 0.5)],
    }
    found = timelines(run_folder, clips, out=tmp_path / "out")
    assert (found.videos, found.done, found.before, found.failed) == (3, 3, 0, {})
    assert found.seconds == found.done_seconds == 30.0
    rows = (tmp_path / "out" / "segments.csv").read_text().replace(f"{clips}/", "").splitlines()
    assert rows == [
        "video,start_seconds,end_seconds,label,score",
        "a/one.avi,0.000,2.000,other,0.7500",
        "a/one.avi,2.000,5.000,a,0.5000",
        "a/one.avi,5.000,6.000,,0.2500",
        "a/one.avi,6.000,16.000,,",
        "a/one.avi,16.000,19.000,a,0.8750",
        "a/one.avi,19.000,20.000,a and b,0.6250",
        "a/two.avi,0.000,5.000,b,0.5000",
        "b/one.avi,0.000,1.000,,0.2500",
        "b/one.avi,1.000,5.000,a,0.5000",
    ]
    budget = (tmp_path / "out" / "time-budget.csv").read_text().replace(f"{clips}/", "")
    assert budget.splitlines() == [
        "video,label,count,total_seconds,mean_seconds,latency_seconds,share",
        "a/one.avi,a,2,7.0000,3.5000,2.0000,0.7000",  # of the 10 seconds with frames
        "a/one.avi,b,1,1.0000,1.0000,19.0000,0.1000",
        "a/two.avi,a,0,0.0000,,,0.0000",
        "a/two.avi,b,1,5.0000,5.0000,0.0000,1.0000",
        "b/one.avi,a,1,4.0000,4.0000,1.0000,0.8000",
        "b/one.avi,b,0,0.0000,,,0.0000",
        "(all),a,3,11.0000,3.6667,1.5000,0.5500",  # latency: of those that have a bout
        "(all),b,2,6.0000,3.0000,9.5000,0.3000",
    ]
    labels = read_labels(tmp_path / "out" / "labels.csv")
    assert labels.classes == ("a", "b")
    first = labels.recordings[0]
    assert (first.video, first.seconds, first.fps) == (str(clips / "a/one.avi"), 20.0, 25.0)
    assert first.watched == ((0.0, 6.0), (16.0, 20.0))
    assert [(b.start_seconds, b.end_seconds, b.label, b.confidence) for b in first.bouts] == [
        (2.0, 5.0, "a", 0.5),
        (16.0, 20.0, "a", 0.8125),  # three seconds alone, one with b
        (19.0, 20.0, "b", 0.625),
    ]
    # who judges label files comes to the same numbers
    judged = [row.split(",") for row in time_budget(labels, labels).splitlines()]
    ours = [row.split(",") for row in budget.splitlines()]
    assert [[row[1], *row[2::2]] for row in judged[1:]] == [row[1:] for row in ours[1:]]


def test_point_events_are_counted_in_the_tables(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    seen.points = ("b",)
    seen.segments = {"a/two.avi": [(0.0, 2.0, "b", 0.5), (2.0, 3.0, "a", 0.5), (3.0, 4.0, "b", 1)]}
    timelines(run_folder, clips / "a" / "two.avi", out=tmp_path / "out")
    labels = read_labels(tmp_path / "out" / "labels.csv")
    assert labels.points == {"b"}
    assert [(b.start_seconds, b.end_seconds, b.label) for b in labels.recordings[0].bouts] == [
        (1.0, 1.0, "b"),
        (2.0, 3.0, "a"),
        (3.5, 3.5, "b"),
    ]
    budget = (tmp_path / "out" / "time-budget.csv").read_text().splitlines()[1:]
    assert [row.split(",", 1)[1] for row in budget] == [
        "a,1,1.0000,1.0000,2.0000,0.2500",
        "b,2,,,1.0000,",
    ]
    assert time_budget(labels, labels).count("\n") == 3


def test_real_videos_have_the_time_lines_that_each_has_alone(
    run_folder: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    command = ["predict", str(run_folder), str(clips), "--timeline", "--window=0.8", "--every=0.2"]
    assert run([*command, f"--csv={alone}", f"--scores={tmp_path / 'scores'}"]) == 0
    assert run([*command, f"--out={out}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["videos"], said["done"], said["seconds"]) == (3, 3, 3.0)
    assert said["times_real_time"] == pytest.approx(3 / said["took_seconds"])
    names = ["a/one", "a/two", "b/one"]
    one_by_one = [(alone / f"{name}.csv").read_text().splitlines() for name in names]
    wanted = [one_by_one[0][0], *(row for rows in one_by_one for row in rows[1:])]
    assert (out / "segments.csv").read_text().splitlines() == wanted
    for name in names:
        scores = (tmp_path / "scores" / f"{name}.csv").read_bytes()
        assert (out / "scores" / f"{name}.avi.csv").read_bytes() == scores


# --- stopped, and going on


def test_stopped_in_the_middle_it_goes_on_and_ends_the_same(
    run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    timelines(run_folder, clips, out=whole, **OPTIONS)
    told: list[tuple[float, float, str]] = []

    def stop(task: str, done: float, total: float, detail: str = "") -> None:
        told.append((done, total, detail))
        if "a/two.avi" in detail and done > 1.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        timelines(run_folder, clips, out=out, progress=stop, **OPTIONS)
    # seconds of video, of all
    assert (pytest.approx(1.2), pytest.approx(3.0), "a/two.avi (2 of 3)") in told
    assert sorted(contents(out)) == [
        "asked.json",
        "scores/a/one.avi.csv",
        "timelines/a/one.avi.json",
    ]
    first = (out / "timelines" / "a" / "one.avi.json").stat().st_mtime_ns
    told.clear()
    found = timelines(
        run_folder,
        clips,
        out=out,
        progress=lambda task, done, total, detail="": told.append((done, total, detail)),
        **OPTIONS,
    )
    assert (found.before, found.done) == (1, 2)
    assert (found.seconds, found.done_seconds) == (pytest.approx(3.0), pytest.approx(1.8))
    assert (out / "timelines" / "a" / "one.avi.json").stat().st_mtime_ns == first
    assert contents(out) == contents(whole)
    parts = [each for each in told if "one.avi (2 of 2)" in each[2]]
    assert all(0.8 <= done < total for done, total, _ in parts) and len(parts) > 2
    assert told[-1][0] == told[-1][1] == pytest.approx(1.8)
    timelines(run_folder, clips, out=out, **OPTIONS)
    assert contents(out) == contents(whole)


def test_a_disk_that_is_full_at_any_moment_costs_nothing_that_is_done(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clips / "bad.avi").write_text("no video")
    whole = tmp_path / "whole"
    assert timelines(run_folder, clips, out=whole).failed
    replace, done = os.replace, 0
    for writes in range(100):
        out = tmp_path / f"out{writes}"
        left = iter(range(writes))

        def full(*paths: Any, left: Any = left) -> None:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device", str(paths[1]))
            replace(*paths)

        monkeypatch.setattr(os, "replace", full)
        try:
            timelines(run_folder, clips, out=out)
            break
        except OSError as error:
            assert error.errno == errno.ENOSPC
        assert not (out / "results.json").exists()
        monkeypatch.setattr(os, "replace", replace)
        timelines(run_folder, clips, out=out)
        assert contents(out) == contents(whole)
        done += 1
    assert done == writes > 10


def test_a_full_disk_is_one_sentence(
    seen: Seen,
    run_folder: Path,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "scores.csv")

    command = ["predict", str(run_folder), str(clips), "--timeline", "--out", str(tmp_path / "o")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert run(command) == 1
    assert "no space left for scores.csv: free some; what is finished" in capsys.readouterr().err

    def stop(video: Path) -> None:
        raise KeyboardInterrupt

    seen.before = stop
    assert run(command) == 130
    assert "what is finished is kept, the same command goes on" in capsys.readouterr().err


def test_what_a_power_cut_left_is_done_again(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path, said: list[str]
) -> None:
    out = tmp_path / "out"
    timelines(run_folder, clips, out=out)
    whole = contents(out)
    (out / "timelines" / "a" / "two.avi.json").write_bytes(b"\0" * 100)
    text = (out / "timelines" / "b" / "one.avi.json").read_bytes()
    (out / "timelines" / "b" / "one.avi.json").write_bytes(text[:-30])
    seen.videos.clear()
    timelines(run_folder, clips, out=out)
    assert seen.videos == ["a/two.avi", "b/one.avi"]
    assert contents(out) == whole
    assert sum("is damaged" in line for line in said) == 2


def test_a_video_that_ends_the_process_costs_itself(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    out, fatal = tmp_path / "out", tmp_path / "out" / "fatal.json"
    video = clips / "a" / "one.avi"
    left: list[bytes] = []
    seen.before = lambda video: left.append(fatal.read_bytes())
    timelines(run_folder, clips, out=out)
    assert not fatal.exists()
    assert json.loads(left[0]) == {source_hash(video): 1}  # what a process that dies leaves
    shutil.rmtree(out / "timelines")
    fatal.write_bytes(left[0])
    seen.videos.clear()
    timelines(run_folder, clips, out=out)
    assert seen.videos == ["a/two.avi", "b/one.avi", "a/one.avi"]  # the others come first
    shutil.rmtree(out / "timelines")
    fatal.write_text(json.dumps({source_hash(video): 2}))
    found = timelines(run_folder, clips, out=out)
    assert (found.done, list(found.failed)) == (2, [str(video)])
    assert "killed or crashed 2 times over it" in found.failed[str(video)]
    write_clip(video, frames=5)  # another file is another chance
    assert timelines(run_folder, clips, out=out).failed == {}


# --- which videos


def test_a_bad_video_costs_itself_and_is_tried_again(
    seen: Seen,
    run_folder: Path,
    clips: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, bad = tmp_path / "out", clips / "a" / "bad.avi"
    bad.write_text("no video")
    command = ["predict", str(run_folder), str(clips), "--timeline", "--out", str(out), "--json"]
    assert run(command) == 1
    told = capsys.readouterr()
    assert list(json.loads(told.out.splitlines()[-1])["failed"]) == [str(bad)]
    assert "bad.avi: is no video" in told.err.replace("\n", " ")
    assert list(json.loads((out / "results.json").read_text())["failed"]) == [str(bad)]
    assert "bad.avi" not in (out / "segments.csv").read_text()
    write_clip(bad, frames=5)
    seen.videos.clear()
    assert run(command) == 0
    assert seen.videos == ["a/bad.avi"]
    assert "bad.avi" in (out / "segments.csv").read_text()
    assert json.loads((out / "results.json").read_text())["failed"] == {}


def test_a_replaced_video_is_done_again_and_another_of_its_name_is_refused(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path, said: list[str]
) -> None:
    out = tmp_path / "out"
    timelines(run_folder, clips / "a", out=out)
    seen.videos.clear()
    write_clip(clips / "a" / "two.avi", frames=7)
    seen.segments = {"a/two.avi": [(0.0, 9.0, "b", 0.5)]}
    found = timelines(run_folder, clips / "a", out=out)
    assert seen.videos == ["a/two.avi"] and found.before == 1
    assert "two.avi,0.000,9.000,b" in (out / "segments.csv").read_text()
    assert any("is not what it was when its time line was made" in line for line in said)
    before = contents(out)
    with pytest.raises(RunError, match=r"one\.avi is another video of that name: choose another"):
        timelines(run_folder, clips / "b", out=out)
    assert contents(out) == before
    # the same video elsewhere is the same video
    shutil.move(clips / "a", clips / "moved")
    assert timelines(run_folder, clips / "moved", out=out).before == 2
    assert "moved/one.avi" in (out / "segments.csv").read_text()


def test_a_video_that_is_still_written_fails(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    def grow(video: Path) -> None:
        if video.name == "two.avi":
            with open(video, "ab") as file:
                file.write(b"more")

    seen.before = grow
    found = timelines(run_folder, clips, out=tmp_path / "out")
    (why,) = found.failed.values()
    assert found.done == 2 and "two.avi: has changed while it was read" in why
    seen.before = lambda video: None
    assert timelines(run_folder, clips, out=tmp_path / "out").done == 1


def test_the_tables_are_of_the_videos_that_are_asked_for(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path, said: list[str]
) -> None:
    out = tmp_path / "out"
    timelines(run_folder, [clips / "a" / "one.avi"], out=out)
    assert "(all)" not in (out / "time-budget.csv").read_text()
    seen.videos.clear()
    write_clip(clips / "a" / "one.mp4", frames=5)  # its neighbour keeps its name
    timelines(run_folder, clips / "a", out=out)
    assert seen.videos == ["a/one.mp4", "a/two.avi"]
    assert not any("other videos" in line for line in said)
    seen.videos.clear()
    found = timelines(run_folder, clips / "a" / "two.avi", out=out)
    assert seen.videos == [] and (found.videos, found.before) == (1, 1)
    assert len((out / "segments.csv").read_text().splitlines()) == 2
    assert any("has time lines of 2 other videos: they stay there" in line for line in said)
    with pytest.raises(UsageError, match=r"several videos are called one\.avi"):
        timelines(run_folder, [clips / "a", clips / "b"], out=out)
    seen.before = lambda video: left.extend(out.glob("*.csv"))  # of before, while there is work
    left: list[Path] = []
    timelines(run_folder, clips / "a", out=out)
    timelines(run_folder, [clips / "a", write_clip(tmp_path / "new.avi", frames=5)], out=out)
    assert seen.videos[-1].endswith("new.avi") and left == []


def test_nothing_of_a_video_is_kept_in_memory(
    seen: Seen, run_folder: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[ref[Any]] = []
    make = Seen.timeline

    def watched(self: Seen, video: Path, **options: Any) -> Timeline:
        assert not any(each() is not None for each in alive)
        timeline = make(self, video, **options)
        alive.append(ref(timeline.scores))
        return timeline

    monkeypatch.setattr(seen, "timeline", watched.__get__(seen))
    timelines(run_folder, clips, out=tmp_path / "out")
    assert len(alive) == 3


def test_a_folder_of_frames_has_its_own_name_wherever_one_stands(
    seen: Seen, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = tmp_path / "frames"
    write_images(frames, moving_frames(3))
    monkeypatch.chdir(frames)
    for place in (".", frames, f"{frames}/../frames"):
        found = timelines(run_folder, place, out=tmp_path / "out")
    assert found.before == 1 and found.failed == {}
    assert (tmp_path / "out" / "timelines" / "frames.json").is_file()

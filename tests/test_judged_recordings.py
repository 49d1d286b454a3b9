"""A run's time lines beside the labels of its test recordings: what counts, and what is kept."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from test_recordings import labels, write
from twostream.datasets import Dataset, load_dataset
from twostream.labels import Bout, Labels, Recording, csv_table
from twostream.run import judged_recordings
from twostream.run.judged_recordings import judge_recordings
from twostream.types import LabeledVideo, StoreError

SAID = {  # what the invented run says: a second of walk too few, and a run that is none
    "a.mp4": (Bout(1, 4, "walk", confidence=0.9), Bout(6, 8, "run", confidence=0.8)),
    "b.mp4": (Bout(0, 4, "run", confidence=0.7), Bout(8, 9, "run", confidence=0.6)),
}


class Run:
    """A RUN folder whose predictor says ``SAID`` of recordings of 10 seconds, and counts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("a", "b"):
            write(folder / f"{name}.mp4", 10, seed=ord(name))
        rows = ("a.mp4,walk,0,4", "a.mp4,run,6,8", "b.mp4,run,0,4", "b.mp4,walk,5,6")
        self.data: Dataset = load_dataset(labels(folder, *rows))
        self.path, self.asked = folder / "run", list[str]()
        self.bad, self.seconds = set[str](), 10.0
        self.within: dict[str, Any] = {}
        self.path.mkdir()
        (self.path / "spatial.safetensors").write_bytes(b"weights")
        monkeypatch.setattr(judged_recordings.TwoStreamPredictor, "load", lambda *_, **__: self)
        monkeypatch.setattr(judged_recordings, "timeline_labels", lambda line, _: line.labels)
        monkeypatch.setattr(judged_recordings, "stored_timeline", self.timeline)

    def __getitem__(self, video_id: str) -> SimpleNamespace:
        """What is stored of a recording."""
        if video_id in self.bad:
            self.asked.append(video_id)
            raise StoreError("moov atom not found")
        return SimpleNamespace(warning="broke off" if video_id == "b.mp4" else None)

    def timeline(
        self, predictor: Any, clip: Any, video: Path, *, within: Any, progress: Any
    ) -> SimpleNamespace:
        self.asked.append(video.name)
        self.within[video.name] = within
        progress("seconds", 5, 10)
        progress("seconds", 10, 10)
        said = Labels((Recording("/x.mp4", SAID[video.name], self.seconds),), ("walk", "run"))
        return SimpleNamespace(labels=said, warning=clip.warning)

    def judge(
        self, test: tuple[LabeledVideo, ...] | None = None, **how: Any
    ) -> dict[str, Any] | None:
        self.asked.clear()
        chosen = self.data.videos if test is None else test
        place = self.path / "recordings"
        clips: Any = self
        return judge_recordings(self.path, self.data, chosen, place, clips, **how)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def test_measures_are_those_of_both_sides(run: Run) -> None:
    told: list[tuple[float, ...]] = []
    found = run.judge(progress=lambda _, done, total, detail="": told.append((done, total)))
    assert found is not None and run.asked == ["a.mp4", "b.mp4"]
    assert told == [(5, 20), (10, 20), (15, 20), (20, 20)]
    ran, walk = found["classes"]
    assert (walk["true_seconds"], walk["predicted_seconds"]) == pytest.approx((5, 3))
    assert walk["recall"] == pytest.approx(3 / 5) and walk["precision"] == 1
    assert ran["precision"] == pytest.approx(6 / 7) and ran["recall"] == 1
    assert found["confusion"]["states"] == ("run", "walk", "(none)")
    expected = [6, 0, 0, 0, 3, 2, 1, 0, 8]
    assert [s for row in found["confusion"]["seconds"] for s in row] == pytest.approx(expected)
    assert found["overall"]["agreed"]["value"] == pytest.approx(17 / 20)
    # b's second run lies on background, of which there are 9 seconds
    assert found["overall"]["false_bouts_an_hour"]["value"] == pytest.approx(3600 / 9)
    assert "b.mp4: broke off" in found["notes"]
    folder = run.path / "recordings"
    assert json.loads((folder / "agreement.json").read_text()) == json.loads(json.dumps(found))
    kept = csv_table.read(folder / "predicted" / "a.csv")
    assert kept.recordings[0].video == "a.mp4" and kept.recordings[0].bouts == SAID["a.mp4"]
    budget = (folder / "time-budget.csv").read_text().splitlines()
    assert budget[0].startswith("video,label,true_count,predicted_count,true_total_seconds")
    assert "a.mp4,walk,1,1,4.0000,3.0000,4.0000,3.0000,0.0000,1.0000,0.4000,0.3000" in budget


def test_what_is_kept_is_not_predicted_again(run: Run) -> None:
    first = run.judge()
    assert run.judge() == first and run.asked == []
    (run.path / "results.json").write_text("{}")  # of which no prediction depends
    assert run.judge() == first and run.asked == []


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ("run/spatial.safetensors", ["a.mp4", "b.mp4"]),
        ("run/fusion.json", ["a.mp4", "b.mp4"]),
        ("run/bouts.json", ["a.mp4", "b.mp4"]),
        ("run/recordings/made.json", ["a.mp4", "b.mp4"]),
        ("run/recordings/predicted/b.csv", ["b.mp4"]),
    ],
)
def test_what_is_kept_is_refused_where_it_is_of_something_else(
    run: Run, changed: str, asked: list[str]
) -> None:
    first = run.judge()
    file = run.path.parent / changed
    file.write_bytes((file.read_bytes() if file.exists() else b"{}") + b" \n}")
    assert run.judge() == first and run.asked == asked
    assert run.judge() == first and run.asked == []


def test_a_video_of_another_content_is_predicted_again(run: Run) -> None:
    run.judge()
    write(run.path.parent / "a.mp4", 10, seed=9)
    run.judge()
    assert run.asked == ["a.mp4"]


def test_one_that_cannot_be_read_counts_as_missed(run: Run) -> None:
    run.bad = {"b.mp4"}
    found = run.judge()
    assert found is not None and len(found["recordings"]) == 2
    assert any(
        "b.mp4 cannot be read, so all its bouts count as missed" in n for n in found["notes"]
    )
    assert [c["recall"] for c in found["classes"]] == pytest.approx([2 / 6, 3 / 5])
    skipped = run.judge(skip_unreadable=True)
    assert skipped is not None and skipped["recordings"] == ("a.mp4",)
    assert run.asked == ["b.mp4"]  # it may be there again


def test_only_the_blocks_that_are_tested_count(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c.mp4", 60)
    rows = [f"c.mp4,{'walk' if i % 2 else 'run'},{2 * i},{2 * i + 2}" for i in range(30)]
    run.data = load_dataset(labels(tmp_path, *rows))
    monkeypatch.setitem(SAID, "c.mp4", (Bout(0, 30, "run"), Bout(30, 60, "walk")))
    run.seconds = 60.0
    test = run.data.split(test_groups=["c.mp4, part 2 of 6"]).test
    found = run.judge(test)
    assert found is not None and found["watched_seconds"] == pytest.approx(8)  # 11 to 19
    assert run.within == {"c.mp4": ((11.0, 19.0),)}  # nothing else is computed
    by_label = {each["label"]: each for each in found["classes"]}
    assert by_label["run"]["predicted_seconds"] == pytest.approx(8)
    assert by_label["walk"]["predicted_seconds"] == 0 and by_label["walk"]["true_bouts"] == 3
    # what is kept is of these blocks: of others it is made again, and of the same it is not
    other = run.data.split(test_groups=["c.mp4, part 4 of 6"]).test
    assert run.judge(other) is not None and run.within == {"c.mp4": ((31.0, 39.0),)}
    assert run.asked == ["c.mp4"]
    assert run.judge(other) is not None and run.asked == []


def test_what_cannot_be_compared_is_said_and_costs_no_run(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.judge()
    (run.path.parent / "labels.csv").unlink()
    with caplog.at_level(logging.WARNING):
        assert run.judge() is None
    assert "labels in time any more" in caplog.text
    assert not (run.path / "recordings" / "agreement.json").exists()


def test_clips_have_no_time_lines(run: Run, tmp_path: Path) -> None:
    run.data = Dataset("clips", "CSV", tmp_path, ("a", "b"), run.data.videos)
    assert run.judge() is None and run.asked == []


def test_recordings_are_called_after_what_tells_them_apart(tmp_path: Path) -> None:
    """A file labels.csv is of its folder, as lists are; a folder's name may have points."""
    (folder := tmp_path / "site.2024-01").mkdir()
    write(folder / "a.mp4", 4)
    file = labels(folder, "a.mp4,walk,0,2")
    assert load_dataset(file).name == load_dataset(folder).name == "site.2024-01"
    assert load_dataset(file.rename(folder / "night.2.csv")).name == "night.2"

"""Recordings with labels in time as a data set, and stretches of a stored video as clips."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frame_images import write_video
from twostream.__main__ import run as command
from twostream.bout_model import read_bouts
from twostream.datasets import (
    Dataset,
    SplitChoice,
    known_alone,
    load_dataset,
    recordings_under_test,
)
from twostream.datasets.labelled_recordings import stretches_of
from twostream.datasets.time_spans import within, without
from twostream.extraction import extract
from twostream.labels import Bout, Recording
from twostream.labels.stretch_ids import have_in_common, span_id, span_of, stored_id
from twostream.recipes import make_recipe
from twostream.run import RunSettings, train_run
from twostream.run.bout_durations import count_bouts, labelled_bouts, learn_bouts
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import DataError, DatasetSplit, LabeledVideo, StoreError, TemporalInput

FPS = 10


def write(path: Path, seconds: float, seed: int = 0) -> Path:
    """A clip whose frame i is i grey values brighter than its ground, with a square that moves."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(40, 90, (48, 64, 3), np.uint8)
    frames = ground[None].repeat(round(seconds * FPS), axis=0)
    for i, frame in enumerate(frames):
        frame[10:22, 4 + i % 40 : 16 + i % 40] = 240
    return write_video(path, frames, FPS, quality=1)


def labels(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("path,label,start,end\n" + "\n".join(rows) + "\n")
    return path


def sitting_and_grooming(folder: Path, *rows: str) -> Path:
    """Two recordings of 20 s; for 6 s of each groom holds with sit, and never alone."""
    said = ("sit,0,12", "groom,4,10", "walk,12,18")
    for name in ("a.mp4", "b.mp4"):
        write(folder / name, 20)
        rows += tuple(f"{name},{each}" for each in said)
    return labels(folder, *rows)


def ids(videos: tuple[LabeledVideo, ...]) -> list[str]:
    return [video.video_id for video in videos]


class TestSpans:
    def test_ids_name_seconds_and_the_stored_video(self) -> None:
        video_id = span_id("day/a#1.mp4", 3.5, 61.25)
        assert video_id == "day/a#1.mp4#3.500-61.250"
        assert span_of(video_id) == (3.5, 61.25) and stored_id(video_id) == "day/a#1.mp4"
        assert span_of("day/a#1.mp4") is None and stored_id("day/a#1.mp4") == "day/a#1.mp4"

    @pytest.mark.parametrize(
        ("one", "other", "common"),
        [
            ("a.mp4", "a.mp4#1.000-2.000", True),
            ("a.mp4#1.000-2.000", "a.mp4#2.000-3.000", False),
            ("a.mp4#1.000-2.001", "a.mp4#2.000-3.000", True),
        ],
    )
    def test_what_two_ids_share(self, one: str, other: str, common: bool) -> None:
        assert have_in_common(one, other) is have_in_common(other, one) is common

    def test_what_is_left_of_spans(self) -> None:
        assert without([(0, 10), (12, 13)], [(2, 3), (9, 12.5)]) == ((0, 2), (3, 9), (12.5, 13))
        assert without([(0, 1)], [(0, 1)]) == () and without([(0, 1)], []) == ((0, 1),)
        assert within([(0, 2), (1, 5), (7, 8)], 4) == ((0, 4),)


def stretches(seconds: float, *bouts: Bout, **options: Any) -> dict[str, tuple[Any, ...]]:
    found = stretches_of(Recording("a", bouts, **options), seconds)
    return {" ".join(sorted(of)): spans for of, spans in found.items()}


class TestStretches:
    def test_the_rest_of_what_was_watched_is_other(self) -> None:
        bouts = (Bout(2, 4, "walk"), Bout(6, 7, "run"))
        assert stretches(10.0, *bouts, watched=((1, 8),)) == {
            "walk": ((2, 4),),
            "run": ((6, 7),),
            "other": ((1, 2), (4, 6), (7, 8)),
        }

    def test_labels_that_hold_at_once_stand_together(self) -> None:
        bouts = (Bout(0, 4, "walk"), Bout(3, 6, "wave"), Bout(3.5, 4, "walk"), Bout(5, 7, "other"))
        assert stretches(10.0, *bouts) == {
            "walk": ((0, 3),),
            "walk wave": ((3, 4),),
            "wave": ((4, 6),),
            "other": ((6, 10),),
        }

    def test_bouts_that_touch_leave_nothing_between_them(self) -> None:
        bouts = [Bout(i * 0.1, i * 0.1 + 0.1, "walk") for i in range(60)]
        assert any(a.start_seconds + 0.1 != b.start_seconds for a, b in pairwise(bouts))
        assert stretches(10.0, *bouts) == {"walk": ((0, 6),), "other": ((6, 10),)}

    def test_a_point_event_is_a_second_and_ends_are_the_videos(self) -> None:
        bouts = (Bout(0.2, 0.2, "touch"), Bout(9, 15, "walk"), Bout(20, 30, "walk"))
        found = stretches(10.0, *bouts)
        assert found == {"touch": ((0, 0.7),), "walk": ((9, 10),), "other": ((0.7, 9),)}


class TestReading:
    def test_each_piece_of_a_bout_is_a_clip(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            write(tmp_path / f"{name}.mp4", 10)
        file = labels(tmp_path, "a.mp4,walk,2,7", "b.mp4,run,0,10", "b.mp4,walk,10.0,10.0")
        data = load_dataset(file)
        assert data.kind == "recordings" and data.classes == ("run", "walk", "other")
        walks = [video.video_id for video in data.videos if video.label == 1]
        assert walks[:2] == ["a.mp4#2.000-4.500", "a.mp4#4.500-7.000"]
        assert {v.group for v in data.videos} == {"a.mp4", "b.mp4"}
        rest = [video.video_id for video in data.videos if video.label == 2]
        assert rest == ["a.mp4#0.000-2.000", "a.mp4#7.000-8.500", "a.mp4#8.500-10.000"]
        assert "stretches of 2 recordings" in data.describe()

    def test_one_recording_is_split_by_time_with_gaps(self, tmp_path: Path) -> None:
        write(tmp_path / "a.mp4", 60)
        rows = [f"a.mp4,{'walk' if i % 2 else 'run'},{2 * i},{2 * i + 2}" for i in range(30)]
        data = load_dataset(labels(tmp_path, *rows))
        assert data.groups == tuple(f"a.mp4, part {i} of 6" for i in range(1, 7))
        borders = [10, 20, 30, 40, 50]
        for video in data.videos:
            start, end = span_of(video.video_id) or (0, 0)
            assert all(end <= border - 1 or start >= border + 1 for border in borders)
        split = data.split(fold="1/3")
        assert not {v.group for v in split.train} & {v.group for v in split.test}
        assert any("blocks of time" in note for note in data.notes)

    def test_labels_that_often_hold_at_once_are_a_class(self, tmp_path: Path) -> None:
        """3 s of sit and sniff are too few."""
        data = load_dataset(sitting_and_grooming(tmp_path, "a.mp4,sniff,0,3"))
        assert data.classes == ("sit", "walk", "groom + sit", "other")
        assert data.together == {"groom + sit": ("groom", "sit")}
        both = [v.video_id for v in data.videos if v.label == 2]
        assert both[:3] == ["a.mp4#4.000-6.000", "a.mp4#6.000-8.000", "a.mp4#8.000-10.000"]
        assert any("classes of their own: groom + sit" in note for note in data.notes)
        assert any("7.5% of the watched time" in note for note in data.notes)
        assert any("so not learnt: sniff" in note for note in data.notes)

    def test_two_observers_who_contradict_make_no_class(self, tmp_path: Path) -> None:
        """Of 60 s they agree on 48; ben's jump is nobody else's label, and holds with walk."""
        rows = ["path,label,start,end,annotator"]
        for name in ("a", "b"):
            write(tmp_path / f"{name}.mp4", 32)
            said = ("walk,0,10,ann", "rest,10,28,ann", "walk,0,16,ben", "rest,16,30,ben")
            rows += [f"{name}.mp4,{each}" for each in (*said, "jump,0,5,ben")]
        file = tmp_path / "labels.csv"
        file.write_text("\n".join(rows))
        data = load_dataset(file)
        assert data.classes == ("rest", "walk", "jump + walk", "other")
        assert any("same (ann, ben): " in n and "for 12.0 s in which" in n for n in data.notes)
        rest = [v.video_id for v in data.videos if v.label == 0 and v.group == "a.mp4"]
        assert rest[0] == "a.mp4#16.000-18.000" and rest[-1] == "a.mp4#28.000-30.000"
        # who watches another animal contradicts nobody
        two = [f"{row},{'m1' if row.endswith('ann') else 'm2'}" for row in rows[1:]]
        file.write_text("\n".join([rows[0] + ",subject", *two]))
        assert "rest + walk" in load_dataset(file).classes

    def test_a_label_that_stands_alone_for_a_sliver_is_no_class(self, tmp_path: Path) -> None:
        rows = []
        for name in ("a", "b"):
            write(tmp_path / f"{name}.mp4", 20)
            rows += [f"{name}.mp4,sleep,0.1,10", f"{name}.mp4,nest,0,10", f"{name}.mp4,walk,12,18"]
        data = load_dataset(labels(tmp_path, *rows))
        assert data.classes == ("walk", "nest + sleep", "other")
        assert {v.label for v in data.videos} == {0, 1, 2}

    def test_missing_videos_are_counted(self, tmp_path: Path) -> None:
        write(tmp_path / "a.mp4", 4)
        file = labels(tmp_path, "a.mp4,walk,0,2", "gone.mp4,run,0,2", "b/lost.mp4,run,0,2")
        with pytest.raises(DataError, match=r"2 of the 3 videos .*gone.mp4, b/lost.mp4"):
            load_dataset(file)
        data = load_dataset(file, missing="leave out")
        assert data.classes == ("walk", "other") and any("left out" in n for n in data.notes)

    def test_two_names_of_one_file_are_refused(self, tmp_path: Path) -> None:
        """Its labels would be those of two videos, and one of them is not there."""
        write(tmp_path / "day.mp4", 20)
        file = labels(tmp_path, "cam1/day.mp4,walk,0,8", "cam2/day.mp4,run,10,17")
        with pytest.raises(DataError, match=r"cam1/day.mp4 and cam2/day.mp4 would both be .*/day"):
            load_dataset(file)
        (tmp_path / "cam2").mkdir()
        write(tmp_path / "cam2" / "day.mp4", 20)
        assert {v.group for v in load_dataset(file).videos} == {"day.mp4", "cam2/day.mp4"}

    def test_one_recording_too_short_for_its_gaps_is_one_sentence(self, tmp_path: Path) -> None:
        write(tmp_path / "a.mp4", 9)
        data = load_dataset(labels(tmp_path, "a.mp4,walk,0,4", "a.mp4,run,4,8"))
        with pytest.raises(DataError, match=r"labels.csv has nothing to train .*label more"):
            data.split()

    def test_recordings_of_one_group_are_not_called_one_recording(self, tmp_path: Path) -> None:
        rows = ["path,label,start,end,group"]
        for name in ("a", "b"):
            write(tmp_path / f"{name}.mp4", 30)
            rows += [f"{name}.mp4,walk,0,10,m1", f"{name}.mp4,run,15,25,m1"]
        (tmp_path / "labels.csv").write_text("\n".join(rows))
        data = load_dataset(tmp_path / "labels.csv")
        assert any("all 2 recordings are of the group m1, so each is" in n for n in data.notes)
        assert all(group.startswith("m1, part ") for group in data.groups)

    def test_label_files_beside_their_videos(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            write(tmp_path / f"{name}.mp4", 4)
            (tmp_path / f"{name}.txt").write_text("0.5\t2\twalk\n2\t3.5\trun\n")
        data = load_dataset(tmp_path)
        assert data.kind == "recordings" and data.classes == ("run", "walk", "other")
        walks = ["a.mp4#0.500-2.000", "b.mp4#0.500-2.000"]
        assert [v.video_id for v in data.videos if v.label == 1] == walks
        (tmp_path / "jump").mkdir()  # a class: what was meant is not to be guessed
        write(tmp_path / "jump" / "c.mp4", 1)
        with pytest.raises(DataError):
            load_dataset(tmp_path)


class TestTested:
    def test_all_that_was_watched_of_a_recording_that_trains_nowhere(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            write(tmp_path / f"{name}.mp4", 10)
        rows = ("a.mp4,walk,2,7", "b.mp4,run,0,4", "b.mp4,,0,8", "b.mp4,other,5,6")
        data = load_dataset(labels(tmp_path, *rows))
        tested = recordings_under_test(data, data.split(test_groups=["b.mp4"]).test)
        (one,) = tested.labels.recordings
        assert one.video == "b.mp4" and one.watched == ((0, 8),)
        assert one.bouts == (Bout(0, 4, "run"),)  # "other" is no label
        assert set(tested.labels.classes) == {"run", "walk"}
        assert tested.videos == {"b.mp4": tmp_path / "b.mp4"}
        (whole,) = recordings_under_test(
            data, data.split(test_groups=["a.mp4"]).test
        ).labels.recordings
        assert whole.watched is None
        (tmp_path / "b.mp4").unlink()
        left = recordings_under_test(data, data.videos).labels
        assert len(left.recordings) == 1 and "labels are gone: b.mp4" in left.notes[-1]

    def test_of_one_recording_the_blocks_that_are_tested(self, tmp_path: Path) -> None:
        write(tmp_path / "a.mp4", 60)
        rows = [f"a.mp4,{'walk' if i % 2 else 'run'},{2 * i},{2 * i + 2}" for i in range(30)]
        data = load_dataset(labels(tmp_path, *rows, "a.mp4,,0,8", "a.mp4,,12,60"))
        parts = [f"a.mp4, part {i} of 6" for i in (1, 4)]
        (one,) = recordings_under_test(data, data.split(test_groups=parts).test).labels.recordings
        # blocks of 10 s, a second of gap on both sides of a border, and nobody watched 8 to 12
        assert one.watched == ((0, 8), (31, 39)) and len(one.bouts) == 30
        trained = data.split(test_groups=parts).train
        for start, end in filter(None, (span_of(v.video_id) for v in trained)):
            assert all(end <= a or start >= b for a, b in one.watched)

    def test_what_is_no_label_of_its_own_may_be_unknown_to_a_model(self, tmp_path: Path) -> None:
        """Of these recordings sit and groom hold together, of the model's they did not."""
        data = load_dataset(sitting_and_grooming(tmp_path))
        assert data.classes == ("sit", "walk", "groom + sit", "other")
        left, test = known_alone(data, data.videos, ("walk", "groom", "sit"))
        assert left.classes == ("sit", "walk") and left.videos == test
        assert {v.video_id: left.classes[v.label] for v in test} == {
            v.video_id: data.classes[v.label] for v in data.videos if v.label < 2
        }
        # whole recordings are compared, with all their labels
        for each in recordings_under_test(left, test).labels.recordings:
            assert each.watched is None and len(each.bouts) == 3
        assert known_alone(data, data.videos, data.classes) == (data, data.videos)
        assert known_alone(data, data.videos, ("run",))[0].classes == ("sit", "walk")  # refused


class TestStored:
    @pytest.fixture
    def store(self, tmp_path: Path) -> FlowStore:
        path = write(tmp_path / "a.mp4", 4)
        stretches = [LabeledVideo(f"a.mp4#{i}.000-{i + 1}.000", path, 0) for i in range(4)]
        settings = StoreSettings(flow="farneback", short_side=48, fps=FPS)
        summary = extract(stretches, store=tmp_path / "store", settings=settings, workers=1)
        assert summary.videos == summary.done == 1  # once, whatever is labelled in it
        return FlowStore.open(tmp_path / "store")

    @pytest.mark.parametrize("budget", [0, None])
    def test_a_stretch_has_the_recordings_own_frames_and_fields(
        self, store: FlowStore, budget: int | None
    ) -> None:
        cache = ClipCache(store, ("rgb", "forward"), budget_bytes=budget)
        whole, part = cache["a.mp4"], cache["a.mp4#1.000-2.500"]
        assert [len(whole.readers[k]) for k in ("rgb", "forward")] == [40, 39]
        assert [len(part.readers[k]) for k in ("rgb", "forward")] == [15, 14]
        rows = [0, 14, 3]
        there = [row + 10 for row in rows]
        frames = part.readers["rgb"].frames(rows)
        assert np.array_equal(frames, whole.readers["rgb"].frames(there))
        fields = part.readers["forward"].fields([0, 13])
        assert np.array_equal(fields, whole.readers["forward"].fields([10, 23]))
        assert np.abs(fields).max() > 0.5 and cache.fps("a.mp4#1.000-2.500") == FPS

    def test_a_stretch_ends_with_its_video_and_is_named_where_it_begins_later(
        self, store: FlowStore
    ) -> None:
        cache = ClipCache(store, ("rgb",))
        assert len(cache["a.mp4#3.500-9.000"].readers["rgb"]) == 5
        assert len(cache["a.mp4#3.510-3.520"].readers["rgb"]) == 1
        with pytest.raises(StoreError, match=r"begins at 4\.000 s, but a\.mp4 ends at 4\.000 s"):
            cache["a.mp4#4.000-5.000"]


def test_training_on_labels_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a table of bouts to scores, the recordings kept apart and stored once."""
    rows = []
    for i in range(6):
        write(tmp_path / f"r{i}.mp4", 6, seed=i)
        rows += [f"r{i}.mp4,walk,0,2", f"r{i}.mp4,run,2,4"]
    rows.append("r0.mp4,run,8,9")
    recipe = make_recipe("quick", flow="farneback", steps=2, short_side=48, crop_size=32)
    recipe = replace(recipe, fit_scores="in-sample", test_positions=2, batch_size=4)
    settings = RunSettings(
        data=str(labels(tmp_path, *rows)),
        recipe=recipe,
        choice=SplitChoice(fold="1/3"),
        temporal=TemporalInput(length=3),
    )
    results = train_run(settings, tmp_path / "run")
    assert results["classes"] == ["run", "walk", "other"]
    assert results["train_videos"] == 12 and results["test_videos"] == 6
    run = tmp_path / "run"
    stored = sorted(path.name for path in (run / "flow" / "rgb").iterdir())
    assert stored == [f"r{i}.mp4.clip" for i in range(6)]
    bouts = read_bouts(run)
    assert bouts is not None and bouts.bouts == 12 and bouts.shares == (1 / 3, 1 / 3, 1 / 3)
    assert bouts.mean_seconds == pytest.approx((2.0, 2.0, 2.0))

    # the time lines of the two recordings that are tested, beside their labels
    found = results["recordings"]
    assert json.loads((run / "results.json").read_text())["recordings"] == json.loads(
        (run / "recordings" / "agreement.json").read_text()
    )
    assert len(found["recordings"]) == 2 and found["watched_seconds"] == pytest.approx(12.0)
    assert sum(map(sum, found["confusion"]["seconds"])) == pytest.approx(12.0)
    assert [(c["label"], c["true_bouts"], c["true_seconds"]) for c in found["classes"]] == [
        ("run", 2, pytest.approx(4.0)),
        ("walk", 2, pytest.approx(4.0)),
    ]
    assert 'id="bouts"' in (run / "report.html").read_text()
    told = sorted((run / "recordings" / "predicted").iterdir())
    assert [path.stem + ".mp4" for path in told] == sorted(found["recordings"])
    # `evaluate` says the same without a time line more
    before = [path.stat().st_mtime_ns for path in told]
    assert command(["evaluate", str(run), "--accelerator", "cpu", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["recordings"] == json.loads(json.dumps(found))
    assert json.loads(said.out)["report"] == str(run / "report.html")  # it tells of time lines
    assert "time: 2 recordings, 12.0 s watched" in said.err and "boundary error" in said.err
    assert [path.stat().st_mtime_ns for path in told] == before


def test_damaged_durations_are_learnt_again(tmp_path: Path) -> None:
    """As the sentence about them says; what is there is kept."""
    ids = ("a.mp4#0.000-2.000", "a.mp4#2.000-4.000", "b.mp4#1.000-2.000")
    train = tuple(LabeledVideo(each, Path("a.mp4"), 0) for each in ids)
    split = DatasetSplit("data", "split", ("walk",), train, ())
    dataset = Dataset("data", "recordings", Path("."), ("walk", "bite"), train, points=("bite",))
    learn_bouts(tmp_path, split, dataset)
    written = (tmp_path / "bouts.json").read_bytes()
    bouts = read_bouts(tmp_path)
    assert bouts is not None and bouts.mean_seconds == pytest.approx((2.5,))
    assert bouts.points == ("bite",)
    learn_bouts(tmp_path, replace(split, train=train[:1]), dataset)
    assert (tmp_path / "bouts.json").read_bytes() == written
    (tmp_path / "bouts.json").write_text("{")
    learn_bouts(tmp_path, split, dataset)
    assert (tmp_path / "bouts.json").read_bytes() == written


def test_pieces_of_a_bout_are_one_bout() -> None:
    ids = ("a.mp4#0.000-1.667", "a.mp4#1.667-3.333", "a.mp4#3.333-5.000", "a.mp4#9.000-10.000")
    pieces = [LabeledVideo(video_id, Path("a.mp4"), 1) for video_id in ids]
    pieces.append(LabeledVideo("b.mp4#5.000-7.500", Path("b.mp4"), 1))
    pieces.append(LabeledVideo("a.mp4#5.000-9.000", Path("a.mp4"), 0))
    found = sorted(labelled_bouts(pieces, ("rest", "walk")))
    assert [name for name, _ in found] == ["rest", "walk", "walk", "walk"]
    assert [seconds for _, seconds in found] == pytest.approx([4.0, 1.0, 2.5, 5.0])
    clips = [LabeledVideo(f"{i}.avi", Path(f"{i}.avi"), 0) for i in range(3)]
    assert count_bouts(pieces) == 4 and count_bouts([*clips, *pieces]) == 7 and not count_bouts(())

"""What an update is given: where videos lie, what they are called, what is in its folder before."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from test_quick_update import NOTHING, PARTS, SECONDS, base_run, place_of, write_motions
from timed_clips import paused, write_timed
from twostream.bout_model import learn, read_bouts, write_bouts
from twostream.datasets import Dataset, load_dataset
from twostream.extraction import pauses
from twostream.files import PROBED
from twostream.labels.stretch_ids import span_id, span_of
from twostream.prediction.video_features import VideoFeatures
from twostream.recipes import make_recipe
from twostream.run.bout_durations import labelled_bouts, learn_bouts
from twostream.run.cross_fitting import fused_out_of_fold
from twostream.run.probed_run import probe_run
from twostream.run.quick_update import store_in, update_run
from twostream.run.steps import extract_split
from twostream.types import STREAMS, DatasetSplit, LabeledVideo, RunError, VideoScores
from twostream.video import VideoWriter
from twostream.web.training_job import in_words
from untrained import make_model, write_clip


def label(folder: Path, names: dict[str, Path], **other: str) -> None:
    """Write labels.csv for videos, by the names it calls them; other words for labels of some."""
    rows = ["path,label,start,end"]
    for seed, (name, path) in enumerate(names.items()):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_motions(path, seed)
        rows += [
            f"{name},{other.get(path.stem + said, said)},{i * SECONDS:g},{(i + 1) * SECONDS:g}"
            for i, (said, _) in enumerate(PARTS)
            if said
        ]
    (folder / "labels.csv").write_text("\n".join(rows))


def test_an_update_writes_over_nothing(tmp_path: Path) -> None:
    """What was pulled holds models and results, and no mark of a training or of an update."""
    folder = tmp_path / "videos"
    label(folder, {name: folder / name for name in ("a.mp4", "b.mp4")})
    base = base_run(tmp_path)
    write_bouts(base, learn(("x", "y"), [("x", 9.0), ("y", 9.0)]))
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    place = place_of(folder, tmp_path, base)
    with pytest.raises(RunError, match="holds a run: choose another --out"):
        update_run(place, base)
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"holds something else \(thesis.txt\): choose another"):
        update_run(place, mine)
    with pytest.raises(RunError, match="is a file: --out needs a folder"):
        update_run(place, mine / "thesis.txt")
    # what one that was stopped keeps is no hindrance
    (tmp_path / "out" / "flow-standard").mkdir(parents=True)
    (tmp_path / "out" / "features").mkdir()
    found = update_run(place, tmp_path / "out")
    assert json.loads((tmp_path / "out" / PROBED).read_text())["stretches"] == found["stretches"]


def test_videos_in_folders_and_through_links_are_learnt_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of one name, in folders of days; one named in full, where the folder is a link."""
    folder = tmp_path / "videos"
    label(
        folder,
        {
            "day1/a.mp4": folder / "day1" / "a.mp4",
            "day2/a.mp4": folder / "day2" / "a.mp4",
            str(folder / "c.mp4"): folder / "c.mp4",
        },
        cright="jump",
    )
    (tmp_path / "link").symlink_to(folder)
    place = place_of(tmp_path / "link" / "labels.csv", tmp_path, base_run(tmp_path))
    found = update_run(place, tmp_path / "out", {"c.mp4": tmp_path / "link" / "c.mp4"})
    whole = load_dataset(str(folder / "labels.csv"))
    assert found["stretches"] == len(whole.videos) and found["folds"] == 3
    assert "jump" in found["classes"]
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_video_smaller_than_the_crop_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "videos"
    label(folder, {name: folder / name for name in ("a.mp4", "b.mp4")})
    with VideoWriter(folder / "small.mp4", fps=25, width=32, height=24) as writer:
        for _ in range(50):
            writer.write(np.zeros((24, 32, 3), np.uint8))
    place = place_of(folder, tmp_path, base_run(tmp_path))
    videos = {path.name: path for path in folder.glob("*.mp4")}
    assert update_run(place, tmp_path / "out", videos)["folds"] == 2
    assert "small.mp4: its frames of 32x24 px are smaller than the model's crop" in caplog.text


def test_videos_of_another_rate_have_a_store_of_their_own(tmp_path: Path) -> None:
    """What was stored when all had 25 frames/s keeps each video's rate, also that of one of 60."""
    folder, rows = tmp_path / "videos", ["path,label,start,end"]
    folder.mkdir()
    stores = []
    for name, fps in (("a.mp4", 25), ("b.mp4", 25), ("c.mp4", 60)):
        write_clip(folder / name, fps=fps, frames=fps)
        rows += [f"{name},walk,0,0.4", f"{name},run,0.4,0.8"]
        (folder / "labels.csv").write_text("\n".join(rows))
        stores.append(store_in(tmp_path, "quick", folder).name)
    assert stores == ["flow-quick", "flow-quick", "flow-quick-25"]


def dataset_of(tmp_path: Path, labels: dict[str, list[int]]) -> Dataset:
    """Stretches of two seconds, of recordings that stand for groups."""
    videos = [
        LabeledVideo(span_id(f"{name}.mp4", 2.0 * i, 2.0 * i + 2), tmp_path / name, of, name)
        for name, own in labels.items()
        for i, of in enumerate(own)
    ]
    return Dataset("mice", "recordings", tmp_path, ("walk", "run", "other"), tuple(videos))


def test_classes_that_were_not_tested_are_named(tmp_path: Path) -> None:
    """Behaviours of one recording: the others, of nothing, would be all right whatever is said."""
    dataset = dataset_of(tmp_path, {"x": [0, 1, 2] * 2, "y": [2] * 6, "z": [2] * 6})
    spans = np.array([(i, i + 5) for i in range(0, 300, 5)])
    values = np.random.default_rng(0).standard_normal((60, 1, 192)).astype(np.float16)
    share = np.ones(1, np.float32)
    seen = VideoFeatures(25.0, 300, spans, (), {"spatial": values}, {"spatial": share})
    features = {f"{name}.mp4": seen for name in "xyz"}
    told = probe_run([make_model(None)], dataset, NOTHING, features, tmp_path / "run")
    assert told["untested"] == ["walk", "run"] and told["tested"] == 12
    assert in_words(told).endswith("None of them is walk or run: label it in another video too.")


def test_a_fold_is_judged_by_weights_that_others_chose() -> None:
    """One stream is right in one fold and wrong in the other, and the second the other way."""
    clips = [LabeledVideo(f"{i}", Path(f"{i}"), i % 2, f"{i // 8}") for i in range(16)]
    parts = [tuple(clips[:8]), tuple(clips[8:])]
    folds = [
        DatasetSplit(dataset="d", name="f", classes=("a", "b"), train=train, test=test)
        for test, train in (parts, parts[::-1])
    ]
    labels = np.array([clip.label for clip in clips])
    ids = tuple(clip.video_id for clip in clips)
    right = np.where(np.arange(2) == labels[:, None], 0.8, 0.2).astype(np.float32)
    first_fold = np.arange(16)[:, None] < 8
    fit = [
        VideoScores(ids, labels, ("a", "b"), np.where(own, right, right[:, ::-1]), stream=stream)
        for stream, own in zip(STREAMS, (first_fold, ~first_fold), strict=True)
    ]
    scores = fused_out_of_fold(fit, folds, alike=True)
    assert not (scores.argmax(axis=1) == labels).any()
    alone = fused_out_of_fold([each.select(ids[:8]) for each in fit], folds[:1])
    assert np.allclose(alone, 0.5)  # no other fold: the average


def test_bouts_of_a_recording_that_stands_alone_last_as_long_as_they_do(tmp_path: Path) -> None:
    """Its blocks of time, and the gaps between them, cut the stretches that are learnt from."""
    bouts = [(0, 90, "rest"), (90, 110, "walk"), (110, 200, "rest"), (200, 220, "walk")]
    rows = [f"a.mp4,{label},{start},{end}" for start, end, label in (*bouts, (220, 310, "rest"))]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "videos" / "labels.csv").write_text("\n".join(["path,label,start,end", *rows]))
    dataset = load_dataset(str(tmp_path / "videos"))
    assert max(seconds for _, seconds in labelled_bouts(dataset.videos, dataset.classes)) < 60
    for fold, (rest, walk) in {None: (90, 20), "1/3": (90, 20)}.items():
        split = dataset.split(fold=fold) if fold else whole(dataset)
        run = tmp_path / f"run-{str(fold)[0]}"
        learn_bouts(run, split, dataset)
        found = read_bouts(run)
        assert found is not None
        lasting = dict(zip(found.classes, found.mean_seconds, strict=True))
        assert (lasting["rest"], lasting["walk"]) == (rest, walk)


def whole(dataset: Dataset) -> DatasetSplit:
    """All of it, to train."""
    return DatasetSplit(
        dataset="d", name="all", classes=dataset.classes, train=dataset.videos, test=()
    )


def test_time_without_frames_teaches_nothing(tmp_path: Path) -> None:
    """Unlabelled time is "other", but not a pause, which would show the frame before it."""
    times = [i / 25 for i in range(100)] + [20 + i / 25 for i in range(100)]
    rows = ["path,label,start,end"]
    for name in ("a.mkv", "b.mkv"):
        write_timed(tmp_path / name, times)
        rows += [f"{name},walk,0,2", f"{name},run,20,22"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    dataset = load_dataset(str(tmp_path))
    split = whole(dataset)
    settings = make_recipe("quick").stored()
    found = extract_split(
        split, tmp_path / "store", settings, kinds=("forward",), smallest_side=16, device="cpu"
    )
    spans = [span_of(video.video_id) or (0.0, 0.0) for video in found.split.train]
    assert {0.0, 20.0} <= {start for start, _ in spans}
    assert not [span for span in spans if span[0] >= 4.1 and span[1] <= 19.9]
    assert len(found.split.train) < len(split.train) and not found.unusable


def test_a_video_is_found_whatever_system_named_it(tmp_path: Path) -> None:
    (tmp_path / "mouse.mp4").touch()
    named = "C:\\Users\\me\\mouse.mp4"
    rows = ["path,label,start,end", f"{named},walk,0,30", f"{named},run,30,60"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (video,) = {video.path.name for video in load_dataset(str(tmp_path)).videos}
    assert video == "mouse.mp4"


def test_labels_after_a_pause_that_was_cut_are_not_taken_for_other_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Three seconds of a pause of sixteen are stored: what comes later stands 13 s earlier."""
    monkeypatch.setattr(pauses, "MAX_FILLED_SECONDS", 3.0)
    rows = ["path,label,start,end"]
    for name in ("a.mkv", "b.mkv"):
        write_timed(tmp_path / name, paused(4, 16, 20))
        rows += [f"{name},walk,0,2", f"{name},run,21,23", f"{name},walk,30,34"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    split = whole(load_dataset(str(tmp_path)))
    settings = make_recipe("quick").stored()
    found = extract_split(
        split, tmp_path / "store", settings, kinds=("forward",), smallest_side=16, device="cpu"
    )
    ends = [(span_of(video.video_id) or (0.0, 0.0))[1] for video in found.split.train]
    assert ends and max(ends) <= 4.01
    assert "so that what was at a time after 4.0 s is not known: cut the video there" in caplog.text

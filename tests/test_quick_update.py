"""New last layers for networks that stay: their answers, and labels that they know in seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import cv2
import numpy as np
import pytest

from timed_clips import paused, write_timed
from twostream.__main__ import run
from twostream.checkpoint import StreamModel
from twostream.datasets import Dataset, load_dataset
from twostream.datasets.kept_videos import keep_videos
from twostream.files import PROBED
from twostream.hub import push
from twostream.judging import compare_labels
from twostream.labels import Labels, read_labels
from twostream.labels.formats import joined_labels
from twostream.labels.stretch_ids import span_id
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.contract import CONTRACT_NAME
from twostream.prediction.stored_timeline import stored_clip, stored_timeline
from twostream.prediction.timeline_labels import timeline_labels
from twostream.prediction.video_features import (
    VideoFeatures,
    _halves,
    featured_timeline,
    features_id,
    kept_features,
)
from twostream.recipes import make_recipe
from twostream.report.run_contents import read_run
from twostream.run import RunSettings, evaluate_run
from twostream.run.probed_run import _looks_at, probe_run
from twostream.run.quick_update import FeaturesOf, UpdatePlace, trained_on, update_run
from twostream.types import DataError, DatasetSplit, LabeledVideo, ModelError, RunError, UsageError
from twostream.video import VideoWriter
from untrained import INPUTS, SETTINGS, make_model, make_models, save_run

FPS, SIZE = 25, 48
NOTHING = Labels((), ())
PARTS = [("right", 3), ("", 0), ("left", -3), ("", 0), ("right", 3), ("left", -3), ("", 0)]
SECONDS = 2.4  # of each part


def write_motions(path: Path, seed: int) -> Path:
    """A texture that moves to the right, to the left, or stands, as ``PARTS`` says."""
    noise = np.random.default_rng(seed).integers(0, 255, (SIZE, 400, 3), np.uint8)
    big = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    shift = 0
    with VideoWriter(path, fps=FPS, width=64, height=SIZE) as writer:
        for _, px in PARTS:
            for _ in range(round(SECONDS * FPS)):
                shift += px
                writer.write(np.ascontiguousarray(np.roll(big, shift, axis=1)[:, :64]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labelled recordings of moving textures."""
    folder = tmp_path_factory.mktemp("motions")
    rows = ["path,label,start,end"]
    for seed, name in enumerate(("a.mp4", "b.mp4", "c.mp4")):
        write_motions(folder / name, seed)
        rows += [
            f"{name},{label},{i * SECONDS:g},{(i + 1) * SECONDS:g}"
            for i, (label, _) in enumerate(PARTS)
            if label
        ]
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def place_of(folder: Path, tmp_path: Path, base: Path | None) -> UpdatePlace:
    settings = RunSettings(data=str(folder), recipe=make_recipe("quick"))
    return UpdatePlace(labels=folder, runs=tmp_path / "runs", base=base, settings=settings)


def base_run(tmp_path: Path, **changes: Any) -> Path:
    """Networks that are not mirrored: the two motions are each other's mirror image."""
    models = [
        make_model(None, flips=False, **changes),
        make_model(INPUTS["stack"], flips=False, **changes),
    ]
    return save_run(tmp_path / "base", models)


def test_labels_are_known_after_an_update(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Networks with random weights and other classes: all that is learnt is the last layers."""
    place = place_of(folder, tmp_path, base_run(tmp_path))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    new = write_motions(tmp_path / "new.mp4", 7)
    videos = {path.name: path for path in (*sorted(folder.glob("*.mp4")), new, bad)}
    said = update_run(place, tmp_path / "run", videos)
    assert "bad.mp4" in caplog.text
    assert said["folds"] == 3 and said["stretches"] == 3 * len(PARTS)
    assert said["accuracy"]["temporal"] > 0.8 > 0.6 > said["accuracy"]["spatial"]
    assert said["accuracy"]["fused"] > 0.8

    predictor = TwoStreamPredictor.load(tmp_path / "run")
    assert predictor.spec.classes == ("left", "right", "other")
    assert predictor.fusion is not None and predictor.bouts is not None
    true = replace(read_labels(folder).recordings[0], video=new.name)
    for line in (
        predictor.timeline(new),
        featured_timeline(predictor, features(predictor, new, place), new),
    ):
        found = timeline_labels(line, new.parent)
        agreement = compare_labels(Labels((true,), ("left", "right")), joined_labels(new, [found]))
        assert (agreement.overall["f1"].value or 0) > 0.75


def features(predictor: TwoStreamPredictor, video: Path, place: UpdatePlace) -> VideoFeatures:
    clip = stored_clip(predictor, place.runs.glob("flow-*"), video)
    assert clip is not None
    return kept_features(predictor, clip, video, place.runs / "features")


@pytest.mark.parametrize("name", list(INPUTS))
def test_kept_features_answer_as_the_networks_do(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_run(tmp_path / "base", make_models(INPUTS[name]))
    place = place_of(folder, tmp_path, base)
    video = write_timed(tmp_path / "pause.mkv", paused(2.0, 6.0, 3.0))
    dict(FeaturesOf(place, [each.model for each in loaded(base)], {video.name: video}, quiet))
    predictor = TwoStreamPredictor.load(base)
    # as a run that knows how long bouts last: each moment is looked at once
    monkeypatch.setattr(TwoStreamPredictor, "windows", TwoStreamPredictor.moments)
    clip = stored_clip(predictor, place.runs.glob("flow-*"), video)
    assert clip is not None
    wanted = stored_timeline(predictor, clip, video)
    kept = features(predictor, video, place)
    found = featured_timeline(predictor, kept, video)
    np.testing.assert_allclose(found.times, wanted.times)
    np.testing.assert_allclose(found.ends, wanted.ends)
    assert found.seconds == wanted.seconds and found.pauses == wanted.pauses
    for stream, scores in wanted.streams.items():
        assert np.ptp(scores) > 0.1
        np.testing.assert_allclose(found.streams[stream], scores, atol=5e-3)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=5e-3)


def loaded(run: Path) -> list[Any]:
    return list(TwoStreamPredictor.load(run).streams.values())


def quiet(task: str, done: float, total: float, detail: str = "") -> None:
    """Hear what is told."""


def test_features_are_made_once_for_networks_and_a_video(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twostream.prediction import model_files

    base = base_run(tmp_path)
    place, videos = place_of(folder, tmp_path, base), {"a.mp4": folder / "a.mp4"}
    models = [each.model for each in loaded(base)]
    first = dict(FeaturesOf(place, models, videos, quiet))["a.mp4"]
    monkeypatch.setattr(model_files.TorchStream, "features", None)  # nothing is looked at again
    again = dict(FeaturesOf(place, models, videos, quiet))["a.mp4"]
    for stream, values in first.features.items():
        np.testing.assert_array_equal(values, again.features[stream])
    (file,) = (place.runs / "features").iterdir()
    file.write_bytes(file.read_bytes()[:5000])
    monkeypatch.undo()
    mended = dict(FeaturesOf(place, models, videos, quiet))["a.mp4"]
    np.testing.assert_array_equal(mended.features["temporal"], first.features["temporal"])


def test_networks_are_told_apart_by_all_but_their_last_layers() -> None:
    def told(**changes: Any) -> str:
        return features_id([make_model(INPUTS["stack"], **changes)])

    def changed(change: Any) -> str:
        model = make_model(INPUTS["stack"])
        change(model)
        return features_id([model])

    def last(model: StreamModel) -> None:
        from twostream.models import classifier

        next(classifier(model.network).parameters()).data += 1

    def first(model: StreamModel) -> None:
        next(model.network.parameters()).data[0] += 1

    assert told() == changed(last)
    others = {changed(first), told(crop_size=24), told(flips=False), told(fps=30)}
    others.add(told(settings=replace(SETTINGS, short_side=44)))
    assert len(others) == 5 and told() not in others


def test_what_cannot_be_updated_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    videos = {"a.mp4": folder / "a.mp4"}
    with pytest.raises(UsageError, match=r"recipe quick start from nothing.*train first"):
        update_run(place_of(folder, tmp_path, None), tmp_path / "run", videos)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "a.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (alone / "labels.csv").write_text("path,label,start,end\na.mp4,left,0,16.8\n")
    with pytest.raises(DataError, match="only the class left"):
        update_run(place_of(alone, tmp_path, base_run(tmp_path)), tmp_path / "run", videos)
    squeeze = make_model(None, architecture="squeezenet1_0", crop_size=40)
    base = save_run(tmp_path / "squeeze", [squeeze])
    with pytest.raises(ModelError, match="squeezenet1_0 does not end with one full layer"):
        update_run(place_of(folder, tmp_path, base), tmp_path / "run", videos)
    (tmp_path / "squeeze" / CONTRACT_NAME).write_text("{}")
    with pytest.raises(UsageError, match="is an export, which gives its answers alone"):
        update_run(place_of(folder, tmp_path, base), tmp_path / "run", videos)
    empty = Dataset("alone", "recordings", alone, ("left", "other"), ())
    with pytest.raises(DataError, match="too short, or lies in gaps"):
        probe_run([squeeze], empty, NOTHING, {}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_of_one_group_alone_is_learnt_all_the_same(folder: Path, tmp_path: Path) -> None:
    text = (folder / "labels.csv").read_text().splitlines()
    mine = tmp_path / "labels"
    mine.mkdir()
    for path in folder.glob("*.mp4"):
        (mine / path.name).write_bytes(path.read_bytes())
    rows = [text[0], *(row.replace("right", "jump") if "a.mp4" in row else row for row in text[1:])]
    (mine / "labels.csv").write_text("\n".join(rows))
    place = place_of(mine, tmp_path, base_run(tmp_path))
    videos = {path.name: path for path in mine.glob("*.mp4")}
    update_run(place, tmp_path / "run", videos)
    predictor = TwoStreamPredictor.load(tmp_path / "run")
    assert "jump" in predictor.spec.classes
    said = predictor.timeline(mine / "a.mp4")
    assert "jump" in {segment.label for segment in said.segments}


def test_the_verb_updates_from_run_to_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, first, second = base_run(tmp_path), tmp_path / "one", tmp_path / "two"
    assert run(["update", str(folder), "--run", str(base), "--out", str(first), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["stretches"] == 3 * len(PARTS) and set(said["accuracy"]) == {
        *("spatial", "temporal", "fused")
    }
    before = {path: path.stat().st_mtime_ns for path in (first / "features").iterdir()}
    assert len(before) == 3
    assert run(["update", str(folder), "--run", str(first), "--out", str(second)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (first / "features").iterdir()} == before
    assert sorted(path.name for path in second.iterdir()) == [
        *("bouts.json", "fusion.json", "probed.json", "spatial.safetensors"),
        "temporal.safetensors",
    ]
    one, two = ((path / "temporal.safetensors").read_bytes() for path in (first, second))
    assert one == two
    told = " ".join(capsys.readouterr().out.split())
    tested = (
        f"{said['tested']} of them tested by last layers that did not see them, nor their video"
    )
    assert f"{said['stretches']} labelled stretches are learnt from, {tested}" in told
    assert run(["update", str(folder), "--run", str(base), "--out", str(first)]) == 1
    assert "holds a run: choose another --out" in capsys.readouterr().err
    assert run(["predict", str(second), str(folder / "a.mp4"), "--timeline"]) == 0


def test_what_the_labels_mark_test_is_not_learnt_from(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The update of a, b and of c, which is tested, is that of a and b alone.

    At the second one the networks are known to be trained on a.
    """
    rows = (folder / "labels.csv").read_text().splitlines()
    sides = {"a.mp4": "train", "b.mp4": "train", "c.mp4": "test"}
    split = [f"{rows[0]},split", *(f"{row},{sides[row.split(',')[0]]}" for row in rows[1:])]
    apart = [row for row in rows if not row.startswith("c.mp4")]
    mine = copytree(folder, tmp_path / "mine")
    base, one, two = base_run(tmp_path), tmp_path / "one", tmp_path / "two"
    command = ["update", str(mine / "labels.csv"), "--run", str(base), "--json", "--kept"]
    known = f"{len(PARTS)} of {2 * len(PARTS)} videos to test are among those that the run was"
    aside = "14 labelled stretches, those that train, are learnt from; 7 others are not (c.mp4)"
    for out, lines in ((one, split), (two, apart)):
        (mine / "labels.csv").write_text("\n".join(lines))
        assert run([*command, str(tmp_path / "kept"), "--out", str(out)]) == 0
        told, said = capsys.readouterr()
        assert json.loads(told.splitlines()[-1])["stretches"] == 2 * len(PARTS)
        said = " ".join(said.split())
        assert (aside in said, known in said) == (out is one, out is two)
        assert len(list((tmp_path / "kept" / "features").iterdir())) == 2
        dataset = load_dataset(str(mine))
        train = tuple(video for video in dataset.videos if video.path.name == "a.mp4")
        keep_videos(tmp_path, dataset, DatasetSplit("mine", "1", dataset.classes, train, ()))
        copy(tmp_path / "videos.json", base)
    for name in ("spatial.safetensors", "temporal.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    trained = trained_on(two)
    assert trained is not None and trained.split.train == train and trained_on(None) is None


def test_what_a_video_does_not_show_is_not_learnt_from() -> None:
    """Three seconds at 25 frames/s, of which the second one is a pause."""
    spans = np.array([(end - 5, end) for end in (5, 10, 15, 20, 25, 55, 60, 65, 70, 75)])
    seen = VideoFeatures(25.0, 75, spans, ((25, 50),), {}, {})
    assert _looks_at(seen, (0.0, 1.0)) == [0, 2, 4]
    assert set(_looks_at(seen, (0.95, 1.8))) == {4}  # the last look before the pause
    assert set(_looks_at(seen, (1.2, 2.15))) == {5}
    assert not any(_looks_at(seen, span) for span in [(1.0, 2.0), (1.2, 1.6), (3.0, 9.0)])


def test_rates_that_are_one_are_one(folder: Path, tmp_path: Path) -> None:
    """Of networks of 30 frames/s and videos of 29.97, say: these are stored at their own rate."""
    place = place_of(folder, tmp_path, base_run(tmp_path, fps=25.1))
    models = [each.model for each in loaded(tmp_path / "base")]
    found = dict(FeaturesOf(place, models, {"a.mp4": folder / "a.mp4"}, quiet))
    assert found["a.mp4"].rate == 25


def test_features_that_cannot_be_kept_are_used(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = place_of(folder, tmp_path, base_run(tmp_path))
    models = [each.model for each in loaded(tmp_path / "base")]
    place.runs.mkdir()
    (place.runs / "features").write_text("in the way")
    assert dict(FeaturesOf(place, models, {"a.mp4": folder / "a.mp4"}, quiet))
    assert "cannot be written (" in caplog.text


@pytest.mark.parametrize("value", [7e4, np.nan])
def test_features_beyond_half_a_float_are_refused(value: float) -> None:
    with pytest.raises(ModelError, match="the spatial net's last layer"):
        _halves(np.array([[1.0, value]], np.float32), "spatial")


def test_only_what_was_held_out_is_counted(tmp_path: Path) -> None:
    """A fold whose training side is of one class says nothing; parts of one video are no videos."""

    def said(layout: dict[str, list[int]]) -> dict[str, Any]:
        rng, features, videos = np.random.default_rng(0), {}, []
        for name, labels in layout.items():
            spans = np.array([(i, i + 5) for i in range(0, 50 * len(labels), 5)])
            values = rng.normal(size=(len(spans), 1, 192)).astype(np.float16)
            features[name] = VideoFeatures(
                25.0, 50 * len(labels), spans, (), {"spatial": values}, {"spatial": np.ones(1)}
            )
            videos += [
                LabeledVideo(
                    span_id(name, 2 * i, 2 * i + 2),
                    Path(name),
                    label,
                    f"part {i}" if len(layout) == 1 else name,
                )
                for i, label in enumerate(labels)
            ]
        dataset = Dataset("mice", "recordings", tmp_path, ("a", "b"), tuple(videos))
        out = tmp_path / "-".join(layout)
        return probe_run([make_model(None)], dataset, NOTHING, features, out)

    told = said({"x": [0, 0, 0], "y": [0, 0], "z": [1, 1]})  # without z all is of one class
    assert (told["stretches"], told["folds"], told["tested"], told["apart"]) == (7, 2, 5, True)
    told = said({"alone": [0, 1, 0, 1, 0, 1]})
    assert (told["tested"], told["apart"]) == (6, False)


def test_what_an_update_lacks_is_said(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", [make_model(None)])
    (run / PROBED).write_text("{}")
    for verb in (lambda run: push(run, str(tmp_path / "out")), evaluate_run, read_run):
        with pytest.raises(RunError, match="is of an update of last layers, without results"):
            verb(run)

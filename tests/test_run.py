"""The whole job on real video files: results, RUN folder, resuming, refusing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from twostream import initialise
from twostream.cli.console import Shown
from twostream.cli.train import show_results
from twostream.datasets import Dataset, SplitChoice, load_dataset
from twostream.files import read_json, write_json
from twostream.fusion import log_linear_fusion
from twostream.initialise import Start
from twostream.log_linear import read_fusion
from twostream.prediction import TwoStreamPredictor
from twostream.recipe import Recipe
from twostream.recipes import make_recipe
from twostream.run import RunSettings, evaluate_run, other_data, train_run
from twostream.run.cross_fitting import learnt_fusion, said_before
from twostream.run.evaluation_run import name_in
from twostream.run.steps import say_rates
from twostream.schema import differences
from twostream.scoring import load_scores
from twostream.types import (
    STREAMS,
    DataError,
    DatasetSplit,
    LabeledVideo,
    RunError,
    StoreError,
    TemporalInput,
    UsageError,
    VideoScores,
)


def tiny_recipe(**changes: object) -> Recipe:
    return make_recipe("quick", **{"steps": 4, "test_positions": 2, "fit_folds": 2, **changes})


def test_results_are_those_of_the_score_files(tiny_run: Path, tiny_data: Path) -> None:
    results = json.loads((tiny_run / "results.json").read_text())
    assert (results["train_videos"], results["test_videos"]) == (42, 14)
    assert set(results["accuracy"]) == {"spatial", "temporal", "average", "svm", "fused"}
    assert set(results["seconds"]) == {"extract", "train", "evaluate"}
    for stream, accuracy in results["accuracy"].items():
        assert load_scores(tiny_run / "scores" / f"{stream}-test.npz").accuracy() == accuracy
    test = {video.video_id for video in load_dataset(tiny_data).split(1).test}
    assert set(load_scores(tiny_run / "scores" / "average-test.npz").video_ids) == test
    for name in ("spatial.safetensors", "report.html", "logs/temporal/history.json"):
        assert (tiny_run / name).is_file()


def test_cross_fitted_scores_cover_each_training_clip_once(tiny_run: Path) -> None:
    for stream in ("spatial", "temporal"):
        fitted = load_scores(tiny_run / "scores" / f"{stream}-crossfit.npz")
        seen = load_scores(tiny_run / "scores" / f"{stream}-train.npz")
        assert sorted(fitted.video_ids) == sorted(seen.video_ids)
        assert not np.array_equal(fitted.select(seen.video_ids).scores, seen.scores)


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(
    few_data: Path, tiny_run: Path, tmp_path: Path
) -> None:
    store = str(tiny_run / "flow")  # what is extracted is killed elsewhere
    settings = RunSettings(data=str(few_data), recipe=tiny_recipe(), store=store)
    whole = train_run(settings, tmp_path / "whole")

    class KilledError(Exception):
        pass

    def kill(task: str, done: int, total: int, detail: str = "") -> None:
        if task == "evaluate temporal" and done > 1:
            raise KilledError

    run = tmp_path / "killed"
    with pytest.raises(KilledError):
        train_run(settings, run, progress=kill)
    kept = (run / "spatial.safetensors").stat().st_mtime_ns
    with pytest.raises(RunError, match="unfinished run: add --resume"):
        train_run(settings, run)
    (run / "logs" / "spatial" / "history.json").unlink()  # a log ends no run
    resumed = train_run(settings, run, resume=True)
    assert (run / "spatial.safetensors").stat().st_mtime_ns == kept
    assert resumed["accuracy"] == whole["accuracy"]
    assert resumed["loader_wait"]["spatial"] is None and resumed["loader_wait"]["temporal"] >= 0
    for path in (tmp_path / "whole" / "scores").glob("*.npz"):
        again = load_scores(run / "scores" / path.name)
        assert np.array_equal(load_scores(path).scores, again.scores)


def test_a_run_folder_is_never_overwritten(tiny_run: Path, tiny_data: Path, tmp_path: Path) -> None:
    settings = RunSettings(data=str(tiny_data), recipe=tiny_recipe(steps=10, test_positions=3))
    before = (tiny_run / "results.json").read_bytes()
    with pytest.raises(RunError, match="holds a finished run"):
        train_run(settings, tiny_run)
    other = RunSettings(data=str(tiny_data), recipe=tiny_recipe(), seed=3)
    with pytest.raises(RunError, match=r"recipe.steps: 10 -> 4.*seed: 0 -> 3"):
        train_run(other, tiny_run, resume=True)
    with FileLock(tiny_run / ".lock"), pytest.raises(RunError, match="in use"):
        train_run(settings, tiny_run, resume=True)
    assert (tiny_run / "results.json").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(RunError, match="holds something else"):
        train_run(settings, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_unreadable_videos_are_named_and_counted_as_wrong(
    few_data: Path, tmp_path: Path, said: list[str]
) -> None:
    data = tmp_path / "clips"
    shutil.copytree(few_data, data)
    split = load_dataset(data).split(seed=0)
    whole = {video: video.path.read_bytes() for video in split.videos()[:1] + split.test[:1]}
    for video in (split.test[0], split.train[0]):
        video.path.write_text("this is no video")
    settings = RunSettings(data=str(data), recipe=tiny_recipe(), streams=("spatial",))
    results = train_run(settings, tmp_path / "run")
    assert set(results["unreadable"]) == {split.test[0].video_id, split.train[0].video_id}
    assert any(split.test[0].video_id in line for line in said)
    scores = load_scores(tmp_path / "run" / "scores" / "spatial-test.npz")
    assert len(scores.video_ids) == 4 and list(scores.unreadable) == [split.test[0].video_id]
    skipping = evaluate_run(tmp_path / "run", skip_unreadable=True, out=tmp_path / "scores")
    assert skipping["accuracy"]["spatial"] == pytest.approx(scores.correct().sum() / 3)
    # what a run says of itself stays, however it is looked at
    readable = evaluate_run(tmp_path / "run", skip_unreadable=True)
    assert readable["scores"] == str(tmp_path / "run" / "scores-readable")
    left_out = replace(settings, skip_unreadable=True, store=str(tmp_path / "run" / "flow"))
    trained = train_run(left_out, tmp_path / "left out")
    # the accuracy is of as many clips as are told
    told = [each["test_videos"] for each in (results, skipping, readable, trained)]
    assert told == [4, 3, 3, 3]
    assert (
        load_scores(tmp_path / "run" / "scores" / "spatial-test.npz").video_ids == scores.video_ids
    )

    # a finished run shows what was made then, so it names what could not be read then
    for video, content in whole.items():
        video.path.write_bytes(content)
    gone = (split.train[1], split.test[1])
    for video in gone:
        video.path.write_text("nor is this")
    said.clear()
    again = train_run(settings, tmp_path / "run", resume=True)
    same = ("accuracy", "train_accuracy", "unreadable", "train_scored")
    assert {key: again[key] for key in same} == {key: results[key] for key in same}
    names = [", ".join(sorted(v.video_id for v in videos)) for videos in (gone, whole)]
    now, then = (line for line in said if line.startswith("2 videos can"))
    assert "cannot be used any more" in now and names[0] in now
    assert "could not when" in then and names[1] in then
    assert not any("are left out" in line for line in said)


def test_evaluation_again_gives_the_same_scores(tiny_run: Path, tmp_path: Path) -> None:
    evaluate_run(tiny_run, out=tmp_path)
    for stream in ("spatial", "temporal", "average", "svm", "fused"):
        again = load_scores(tmp_path / f"{stream}-test.npz")
        before = load_scores(tiny_run / "scores" / f"{stream}-test.npz")
        assert again.video_ids == before.video_ids
        assert np.allclose(again.scores, before.scores, atol=1e-6)


def test_scores_of_a_fusion_that_is_gone_go_too(tiny_run: Path, tmp_path: Path) -> None:
    """Else the report would take those of before for what the run answers with."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "fusion.json").unlink()
    evaluate_run(run)
    left = {path.name for path in (run / "scores").glob("*-test.npz")}
    assert left == {f"{name}-test.npz" for name in ("spatial", "temporal", "average", "svm")}


def test_videos_of_another_rate_are_told(said: list[str]) -> None:
    say_rates({"a": 25.0, "b": 25.1, "c": 50.0})
    say_rates({"a": 29.97, "b": 30.0})
    say_rates({"a": 25.0, "b": 25.0}, learnt=12.5)
    assert [line.partition(":")[0] for line in said] == [
        "1 of 3 videos are stored at another rate than 25 fps, the first is c at 50",
        "2 of 2 videos are stored at another rate than 12.5 fps, the first is a at 25",
    ]


def test_predict_gives_the_fused_scores_of_the_table(tiny_run: Path, tiny_data: Path) -> None:
    results = json.loads((tiny_run / "results.json").read_text())
    assert results["fusion"] == json.loads((tiny_run / "fusion.json").read_text())
    fused = load_scores(tiny_run / "scores" / "fused-test.npz")
    crossfit = [load_scores(tiny_run / "scores" / f"{s}-crossfit.npz") for s in STREAMS]
    assert read_fusion(tiny_run) == log_linear_fusion(crossfit)
    video = load_dataset(tiny_data).split(1).test[3]
    found = TwoStreamPredictor.load(tiny_run).predict(video.path)
    wanted = fused.select([video.video_id]).scores[0]
    np.testing.assert_allclose(found.scores, wanted, atol=1e-5)


def test_an_old_run_without_a_fusion_stays_as_it_was(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("flow", ".lock", "fusion.json"))
    asked = json.loads((run / "asked.json").read_text())
    (run / "asked.json").write_text(json.dumps(asked | {"store": str(tiny_run / "flow")}))
    results = evaluate_run(run, out=tmp_path / "scores")
    assert set(results["accuracy"]) == {"spatial", "temporal", "average", "svm"}
    assert not (run / "fusion.json").exists()
    (run / "fusion.json").write_text("{}")
    with pytest.raises(RunError, match=r"fusion\.json cannot be read"):
        evaluate_run(run, out=tmp_path / "scores")


def test_fusion_learns_nothing_from_classes_that_a_folds_nets_did_not_know(
    said: list[str],
) -> None:
    """All clips of class 2 are of one fold, whose nets were trained on 0 and 1 alone."""
    labels = np.array([0, 1] * 8 + [2] * 4)
    videos = [LabeledVideo(f"{i}.avi", Path(f"{i}.avi"), int(k)) for i, k in enumerate(labels)]
    ids = tuple(video.video_id for video in videos)
    sure = (0.1 + 0.7 * np.eye(3)[np.where(labels == 2, 0, labels)]).astype(np.float32)
    fit = [VideoScores(ids, labels, tuple("abc"), sure, stream=s) for s in STREAMS]
    first, second = videos[:8], videos[8:]
    folds = [
        DatasetSplit("d", "fold 1/2", tuple("abc"), tuple(second), tuple(first)),
        DatasetSplit("d", "fold 2/2", tuple("abc"), tuple(first), tuple(second)),
    ]
    found = learnt_fusion(fit, folds)
    assert found is not None and found.clips == 16 and found.loss < 0.1
    assert any("learnt from 16 clips out of fold: the streams count alike" in line for line in said)
    part = [each.select(ids[:8]) for each in fit]  # of one fold alone, as it was held out
    assert learnt_fusion(part, folds[:1]) == log_linear_fusion(part)
    assert learnt_fusion([each.select(ids[16:]) for each in fit], folds[1:]) is None
    assert "the average of the streams answers" in said[-1]


def test_evaluation_on_other_data_matches_classes_by_name(
    tiny_run: Path,
    tiny_data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("flow", ".lock"))
    other = tmp_path / "other"
    for name in ("StandUp", "SitDown"):
        if (tiny_data / name).is_dir():
            shutil.copytree(tiny_data / name, other / name)
    if not other.is_dir():
        names = load_dataset(tiny_data).classes[-2:]
        for name in names:
            shutil.copytree(tiny_data / name, other / name)
    results = evaluate_run(run, str(other))
    assert results["test_videos"] == 8
    show_results(Shown(as_json=False), results)
    shown = capsys.readouterr().out
    assert "8 test videos" in shown and "report:" not in shown  # RUN's says nothing of these
    scores = load_scores(run / "scores-other" / "spatial-test.npz")
    truth = {scores.classes[label] for label in scores.labels}
    assert truth == {path.name for path in other.iterdir()}
    assert (results["split"], results["root"]) == ("whole", str(other.resolve()))
    assert not {"others", "loader_wait"} & results.keys()
    for name in truth:  # data of the same name that lie elsewhere
        (tmp_path / "b" / "other" / name).mkdir(parents=True)
        clip = min((other / name).glob("*.avi"))
        shutil.copy(clip, tmp_path / "b" / "other" / name)
    assert evaluate_run(run, str(tmp_path / "b" / "other"))["scores"] == f"{run}/scores-other-2"
    assert read_json(run / "scores-other" / "results.json") == results
    assert "replace" not in caplog.text
    with caplog.at_level("INFO"):
        evaluate_run(run, str(other), choice=SplitChoice(fold="1/2"))
    assert "scores-other holds results of whole, which those of fold 1/2 replace" in caplog.text
    assert sorted(path.name for path in run.glob("flow*")) == ["flow-other", "flow-other-2"]
    (other / "Juggle").mkdir()
    shutil.copy(next(tiny_data.glob("*/*.avi")), other / "Juggle" / "a.avi")
    with pytest.raises(DataError, match=r"does not know 1 classes.*Juggle"):
        evaluate_run(run, str(other))


def test_results_of_other_data_are_found_again_and_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(path: str, name: str = "labels") -> str:
        return name_in(tmp_path / "run", Dataset(name, "CSV", Path(path), ("a", "b"), ()))

    def write(name: str, **said: str) -> None:
        write_json(tmp_path / "run" / f"scores-{name}" / "results.json", said)

    monkeypatch.chdir(tmp_path)
    assert of("a/x.csv") == "labels"
    write("labels", data="a/x.csv", root=str(tmp_path / "a" / "x.csv"))
    write("readable", data="own", root=str(tmp_path / "own"))
    assert of("a/x.csv") == of(str(tmp_path / "a" / "x.csv")) == "labels"
    assert of("a/x.csv", "a") == "labels"  # what it was called before
    assert of("b/x.csv") == "labels-2" and of("b/x.csv", "b") == "b"
    assert (of("own", "own"), of("b", "readable")) == ("own", "readable-2")
    write("labels-2", data="x.csv", root=str(tmp_path / "b" / "x.csv"))
    assert (of("b/x.csv"), of("x.csv")) == ("labels-2", "labels-3")
    (tmp_path / "run" / "scores-labels" / "results.json").write_text("{")
    assert (of("b/x.csv"), of("a/x.csv")) == ("labels-2", "labels-3")


@pytest.mark.parametrize(
    "temporal",
    [
        TemporalInput(length=4, trajectory=True),
        pytest.param(
            TemporalInput(length=4, bidirectional=True, subtract_mean=False),
            marks=pytest.mark.slow,
        ),
        TemporalInput(length=3, rgb=True),
        TemporalInput(length=3, rgb=True, differences=True),
    ],
    ids=["trajectory", "bi-directional", "rgb-stack", "differences"],
)
def test_every_temporal_input_trains_and_predicts(
    temporal: TemporalInput, few_data: Path, tiny_run: Path, tmp_path: Path
) -> None:
    settings = RunSettings(
        data=str(few_data),
        recipe=tiny_recipe(steps=2),
        streams=("temporal",),
        temporal=temporal,
        store=None if temporal.bidirectional else str(tiny_run / "flow"),  # that has no backward
    )
    results = train_run(settings, tmp_path / "run")
    video = load_dataset(few_data).split(seed=0).test[0]
    prediction = TwoStreamPredictor.load(tmp_path / "run").predict(video.path)
    scored = load_scores(tmp_path / "run" / "scores" / "temporal-test.npz").select([video.video_id])
    assert np.allclose(prediction.scores, scored.scores[0], atol=1e-6)
    assert set(results["accuracy"]) == {"temporal"}


def test_last_layer_needs_weights() -> None:
    with pytest.raises(UsageError, match="--weights"):
        RunSettings(data="x", recipe=tiny_recipe(), train="last-layer", start=Start())


def test_differences_name_nested_settings() -> None:
    assert differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}) == ["b.c: 2 -> 3"]


def test_the_folds_repeat_no_note_but_tell_what_is_worse(said: list[str]) -> None:
    with said_before():
        initialise.logger.info("it starts from a file")
        other_data.logger.info("trained on both")
        initialise.logger.warning("a file is damaged")
    initialise.logger.info("the next run")
    assert said == ["a file is damaged", "the next run"]


def test_evaluation_refuses_a_store_that_was_made_anew_at_another_rate(
    tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns(".lock"))
    made = json.loads((run / "flow" / "store.json").read_text())
    (run / "flow" / "store.json").write_text(json.dumps(made | {"fps": 5.0}))
    with pytest.raises(StoreError, match=r"fps is 5\.0, wanted None"):
        evaluate_run(run)

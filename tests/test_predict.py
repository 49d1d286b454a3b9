"""Prediction on a video file gives exactly what evaluation gives on its stored extraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream.__main__ import run
from twostream.checkpoint import StreamModel
from twostream.extraction import extract, extract_to_memory
from twostream.prediction import TwoStreamPredictor
from twostream.scoring import evaluate
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import (
    LabeledVideo,
    ModelError,
    RunError,
    VideoError,
    VideoScores,
)
from untrained import CLASSES, INPUTS, SETTINGS, make_models, save_run, write_clip


def stored_scores(
    video: Path, models: Sequence[StreamModel], settings: StoreSettings, store: Path
) -> list[VideoScores]:
    labeled = LabeledVideo(video.name, video, 0)
    kinds = ("rgb", "forward", "backward")
    summary = extract([labeled], store=store, settings=settings, kinds=kinds, workers=1)
    assert summary.done == 1
    clips = ClipCache(FlowStore.open(store), kinds)
    return [evaluate(model, [labeled], clips) for model in models]


@pytest.mark.parametrize("name", list(INPUTS))
@pytest.mark.parametrize("codec", ["jpeg", "lossless"])
def test_prediction_equals_evaluation_exactly(tmp_path: Path, name: str, codec: str) -> None:
    settings = replace(SETTINGS, codec=codec)
    video = write_clip(tmp_path / "a clip [1].avi")
    models = make_models(INPUTS[name], settings)
    wanted = stored_scores(video, models, settings, tmp_path / "store")
    prediction = TwoStreamPredictor.from_models(models).predict(video)
    for scores in wanted:
        np.testing.assert_array_equal(prediction.streams[scores.stream], scores.scores[0])
    assert np.ptp(prediction.streams["temporal"]) > 0.01
    mean = (wanted[0].scores[0] + wanted[1].scores[0]) / 2
    np.testing.assert_allclose(prediction.scores, mean, atol=1e-7)
    assert prediction.warning is None


def test_a_run_folder_predicts_like_its_models(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.avi")
    models = make_models(INPUTS["stack"])
    save_run(tmp_path / "run", models)
    wanted = TwoStreamPredictor.from_models(models).predict(video)
    got = TwoStreamPredictor.load(tmp_path / "run").predict(str(video))
    np.testing.assert_array_equal(got.scores, wanted.scores)
    (tmp_path / "run" / "spatial.safetensors").unlink()
    alone = TwoStreamPredictor.load(tmp_path / "run").predict(video)
    assert set(alone.streams) == {"temporal"}
    np.testing.assert_array_equal(alone.scores, wanted.streams["temporal"])


def test_a_video_of_another_rate_is_resampled_to_the_models(tmp_path: Path) -> None:
    fast = write_clip(tmp_path / "fast.avi", fps=50, frames=25)
    slow = write_clip(tmp_path / "slow.avi", fps=12.5, frames=7)
    models = make_models(INPUTS["stack"])
    at_25 = replace(SETTINGS, fps=25.0)
    for video in (slow, fast):
        predicted = TwoStreamPredictor.from_models(models).predict(video)
        (resampled,) = stored_scores(video, models[1:], at_25, tmp_path / video.stem)
        np.testing.assert_array_equal(predicted.streams["temporal"], resampled.scores[0])
    (native,) = stored_scores(fast, models[1:], SETTINGS, tmp_path / "native")
    assert np.abs(predicted.streams["temporal"] - native.scores[0]).max() > 1e-3
    assert len(extract_to_memory(fast, at_25)["rgb"]) == 13
    # the same motion filmed at 25 frames/s has the same flow, up to coding noise
    same = write_clip(tmp_path / "same.avi", fps=25, frames=13)
    fields = [extract_to_memory(path, at_25)["forward"].fields() for path in (fast, same)]
    assert np.abs(fields[0] - fields[1]).mean() < 0.25 * np.abs(fields[1]).mean()


@pytest.mark.parametrize("frames", [1, 2])
def test_clips_shorter_than_the_stack(tmp_path: Path, frames: int) -> None:
    prediction = TwoStreamPredictor.from_models(
        make_models(INPUTS["trajectory, both ways"])
    ).predict(write_clip(tmp_path / "short.avi", frames=frames))
    np.testing.assert_allclose(prediction.scores.sum(), 1, atol=1e-5)


def test_the_best_classes_come_first(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.avi")
    prediction = TwoStreamPredictor.from_models(make_models(INPUTS["stack"])).predict(video)
    top = prediction.top()
    assert len(top) == 5
    assert [score for _, score in top] == sorted(prediction.scores.tolist(), reverse=True)[:5]
    assert top[0][0] == CLASSES[int(prediction.scores.argmax())]
    temporal = prediction.top(1, "temporal")
    assert temporal[0][0] == CLASSES[int(prediction.streams["temporal"].argmax())]
    said = prediction.to_json(3)
    assert said["video"] == str(video)
    assert said["labels"] == [{"label": label, "score": score} for label, score in top[:3]]
    assert set(said["streams"]) == {"spatial", "temporal"}
    assert len(said["streams"]["temporal"]) == 3
    assert said["streams"]["temporal"][0]["label"] == temporal[0][0]


def test_what_is_no_video_is_one_error(tmp_path: Path) -> None:
    predictor = TwoStreamPredictor.from_models(make_models(INPUTS["stack"]))
    text = tmp_path / "text.mp4"
    text.write_text("this is no video")
    for path in (text, tmp_path / "nowhere.avi", tmp_path):
        with pytest.raises(VideoError) as error:
            predictor.predict(path)
        assert path.name in str(error.value)
        assert "\n" not in str(error.value)


def test_a_video_that_breaks_off_is_scored_with_a_warning(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", frames=60)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    prediction = TwoStreamPredictor.from_models(make_models(INPUTS["stack"])).predict(cut)
    assert prediction.warning is not None
    assert "cut.avi" in prediction.warning
    assert np.isfinite(prediction.scores).all()


def test_a_video_smaller_than_the_crop_is_refused(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "tiny.avi", size=24)
    with pytest.raises(VideoError, match="32x24 px are smaller than the model's crop of 32 px"):
        TwoStreamPredictor.from_models(make_models(INPUTS["stack"])).predict(video)


def test_a_gpu_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    save_run(tmp_path / "run", make_models(INPUTS["stack"]))
    video = write_clip(tmp_path / "clip.avi")
    assert run(["predict", str(tmp_path / "run"), str(video), "--accelerator", "gpu"]) == 2
    assert "torch finds no GPU here: use the CPU" in capsys.readouterr().err
    TwoStreamPredictor.load(tmp_path / "run", device="auto")


def test_a_folder_without_a_model_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no trained model: train first"):
        TwoStreamPredictor.load(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("classes", tuple("abcdefx")), ("store", {"flow": "farneback"}), ("fps", 30.0)],
)
def test_models_of_different_runs_are_refused(field: str, value: object) -> None:
    spatial, temporal = make_models(INPUTS["stack"])
    temporal.spec = replace(temporal.spec, **{field: value})
    with pytest.raises(ModelError, match=f"spatial and temporal models differ in {field}"):
        TwoStreamPredictor.from_models([spatial, temporal])

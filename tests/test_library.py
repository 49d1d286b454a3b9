"""The public names, and the main path as the design writes it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import twostream
from twostream import evaluate, export_onnx, extract, fuse, load_dataset, predict, train
from twostream.store.flow_store import FlowStore
from twostream.types import DataError, DatasetSplit, StoreError, TemporalInput, UsageError

PUBLIC = [
    "DatasetSplit",
    "Prediction",
    "RunSettings",
    "TemporalInput",
    "TwoStreamError",
    "TwoStreamPredictor",
    "VideoScores",
    "evaluate",
    "export_onnx",
    "extract",
    "fuse",
    "load_dataset",
    "predict",
    "timelines",
    "train",
    "train_run",
]


def test_the_public_names_are_these() -> None:
    assert twostream.__all__ == PUBLIC
    for name in PUBLIC:
        assert callable(getattr(twostream, name)), name
        assert inspect.getdoc(getattr(twostream, name)), f"{name} has no docstring"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = twostream.nothing


@pytest.mark.slow
@pytest.mark.parametrize("first", ["rooms", "functions"])
def test_functions_and_their_rooms_do_not_hide_each_other(first: str) -> None:
    lines = [
        "from twostream.scoring import score_stacks",
        "from twostream.training import fit",
        "from twostream.extraction import extract_clip",
        "from twostream.prediction import Prediction",
    ]
    code = ["import inspect, twostream"]
    uses = [f"assert inspect.isfunction(twostream.{n}), '{n}'" for n in PUBLIC if n.islower()]
    code += [*lines, *uses] if first == "rooms" else [*uses, *lines, *uses]
    subprocess.run([sys.executable, "-c", "\n".join(code)], check=True)


def test_import_is_quick_and_light() -> None:
    code = "import sys, twostream; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.fixture(scope="module")
def split(tiny_data: Path) -> DatasetSplit:
    return load_dataset(tiny_data).split(1)


@pytest.mark.slow
def test_the_main_path(split: DatasetSplit, tmp_path: Path) -> None:
    """As in the design's "The main path"."""
    store, out = tmp_path / "flow", tmp_path / "run"
    summary = extract(split, estimator="dis", store=store)
    assert summary.done == len(split.train) + len(split.test) and not summary.failed
    spatial = train(split, stream="spatial", store=store, out=out, steps=5)
    temporal = train(split, stream="temporal", store=store, out=out, steps=5)
    train_scores = [evaluate(m, split, subset="train", store=store) for m in (spatial, temporal)]
    scores = [evaluate(m, split, subset="test", store=store) for m in (spatial, temporal)]
    fused = fuse(scores, method="svm", fit=train_scores)
    assert fused.video_ids == tuple(video.video_id for video in split.test)
    assert 0 <= fused.accuracy() <= 1

    unstored = evaluate(temporal, split)  # flow computed on the way, nothing kept
    np.testing.assert_array_equal(unstored.scores, scores[1].scores)
    by_file = evaluate(out / "temporal.safetensors", split, store=store)
    np.testing.assert_array_equal(by_file.scores, scores[1].scores)

    video = split.test[0].path
    predicted = predict(out, video)
    # its crops are enlarged from whole frames, those of evaluate from what the store keeps
    np.testing.assert_allclose(predicted.streams["spatial"], scores[0].scores[0], atol=1e-6)
    np.testing.assert_allclose(predicted.streams["temporal"], scores[1].scores[0], atol=1e-6)
    np.testing.assert_array_equal(predict([spatial, temporal], video).scores, predicted.scores)
    export_onnx(out, tmp_path / "onnx")
    exported = predict(tmp_path / "onnx", video)
    np.testing.assert_allclose(exported.scores, predicted.scores, atol=1e-5)


def test_training_is_a_function_of_its_arguments(split: DatasetSplit, tmp_path: Path) -> None:
    few = replace(split, train=split.train[::3], test=())
    extract(few, store=tmp_path / "flow", backward=True)
    models = [
        train(
            few,
            recipe="quick",
            stream="temporal",
            store=tmp_path / "flow",
            steps=2,
            seed=seed,
            flips=False,
            temporal=TemporalInput(length=4, bidirectional=True),
        )
        for seed in (1, 1, 2)
    ]
    assert models[0].spec.temporal == TemporalInput(length=4, bidirectional=True)
    assert not models[0].spec.flips
    weights = [next(model.network.parameters()).detach().numpy() for model in models]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_the_stores_settings_stand(split: DatasetSplit, tmp_path: Path) -> None:
    small = replace(split, train=split.train[:36:3], test=split.test[:2])
    extract(small, store=tmp_path / "flow", estimator="farneback", short_side=70)
    model = train(small, recipe="quick", stream="temporal", store=tmp_path / "flow", steps=1)
    assert model.spec.store["flow"] == "farneback" and model.spec.store["short_side"] == 70
    extract(small, store=tmp_path / "dis")
    with pytest.raises(StoreError, match="was made with other settings"):
        evaluate(model, small, store=tmp_path / "dis")
    with pytest.raises(StoreError, match="was made with other settings"):
        extract(small, store=tmp_path / "dis", estimator="farneback")


def test_a_store_of_another_rate_is_refused(split: DatasetSplit, tmp_path: Path) -> None:
    small = replace(split, train=split.train[:36:3], test=split.test[:2])
    model = train(small, recipe="quick", stream="spatial", steps=1)
    extract(small, store=tmp_path / "slow", fps=5)
    with pytest.raises(StoreError, match=r"fps is 5(\.0)?, wanted"):
        evaluate(model, small, store=tmp_path / "slow")
    assert FlowStore.open(tmp_path / "slow").settings.fps == 5


def test_other_data_is_matched_by_class_name(split: DatasetSplit) -> None:
    pair = tuple(split.classes[:2])
    own = [video for video in split.train if video.label < 2]
    few = replace(split, classes=pair, train=tuple(own), test=tuple(own[:2]))
    model = train(few, recipe="quick", stream="spatial", steps=1)
    swapped = replace(
        few, classes=pair[::-1], test=tuple(replace(v, label=1 - v.label) for v in few.test)
    )
    assert evaluate(model, swapped).labels.tolist() == [video.label for video in few.test]
    with pytest.raises(DataError, match="does not know"):
        evaluate(model, split)
    lonely = replace(few, train=tuple(v for v in own if v.label == 0))
    with pytest.raises(DataError, match="at least two classes"):
        train(lonely, stream="spatial", steps=1)
    with pytest.raises(UsageError, match="recipe has no"):
        train(few, stream="spatial", stepz=1)

"""An exported folder predicts what its RUN predicts, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream.bout_model import BoutModel, read_bouts, write_bouts
from twostream.export import export_onnx
from twostream.log_linear import write_fusion
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.onnx import OnnxStream
from twostream.types import ModelError, RunError, TemporalInput, UsageError, VideoError
from twostream.video import VideoReader
from untrained import FUSION, INPUTS, SETTINGS, make_models, save_run, write_clip

FLOW = TemporalInput(length=4)
BOUTS = BoutModel(
    FUSION.classes, *((value,) * len(FUSION.classes) for value in (0.2, 0.4, 0.1)), 99
)
HEAVY = ("torch", "torchvision", "lightning", "timm", "sklearn", "safetensors", "onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN with a learnt fusion, its export, and a video."""
    root = tmp_path_factory.mktemp("exported")
    save_run(root / "run", make_models(FLOW))
    write_fusion(root / "run", FUSION)
    write_bouts(root / "run", BOUTS)
    export_onnx(root / "run", root / "onnx")
    write_clip(root / "clip.avi", frames=40)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", list(INPUTS))
@pytest.mark.parametrize("codec", ["jpeg", "lossless"])
def test_scores_of_every_input_are_those_of_the_run(name: str, codec: str, tmp_path: Path) -> None:
    models = make_models(INPUTS[name], replace(SETTINGS, codec=codec))
    export_onnx(models, tmp_path / "onnx")
    same_scores(TwoStreamPredictor.from_models(models), tmp_path)


def test_scores_are_those_of_the_run(folder: Path) -> None:
    same_scores(TwoStreamPredictor.load(folder / "run"), folder)


def same_scores(predictor: TwoStreamPredictor, folder: Path) -> None:
    exported = TwoStreamPredictor.load(folder / "onnx")
    for frames in (1, 2, 13, 40):
        video = write_clip(folder / f"{frames}.avi", frames=frames)
        wanted = predictor.predict(video)
        found = exported.predict(video)
        assert found.streams.keys() == wanted.streams.keys()
        for stream, scores in wanted.streams.items():
            np.testing.assert_allclose(found.streams[stream], scores, atol=1e-5)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        assert found.label == wanted.label
        assert np.ptp(found.scores) > 0.05


def test_a_learnt_fusion_answers_from_the_run_and_from_its_export(
    folder: Path, tmp_path: Path
) -> None:
    """On every way: a video, windows of a time line, a stream of frames; without one the mean."""
    video = folder / "clip.avi"
    for name in ("spatial.safetensors", "temporal.safetensors"):
        (tmp_path / name).write_bytes((folder / "run" / name).read_bytes())
    old = TwoStreamPredictor.load(tmp_path).predict(video)  # as RUN folders were
    average = np.mean(list(old.streams.values()), axis=0)
    np.testing.assert_array_equal(old.scores, average)

    predictor = TwoStreamPredictor.load(folder / "run")
    wanted = predictor.predict(video)
    product = FUSION.fused([old.streams["spatial"], old.streams["temporal"]])
    np.testing.assert_array_equal(wanted.scores, product)
    assert np.abs(product - average).max() > 0.1
    for stream, scores in old.streams.items():
        np.testing.assert_array_equal(wanted.streams[stream], FUSION.calibrated(stream, scores))
        assert wanted.streams[stream].argmax() == scores.argmax()
    timeline = predictor.timeline(video, window_seconds=0.5, positions=1, smooth_seconds=0)
    frames = VideoReader(video, short_side=SETTINGS.short_side)
    windows = list(predictor.stream(frames, fps=25, window_seconds=0.5, positions=1))
    np.testing.assert_allclose(timeline.scores[0], windows[0].scores, atol=1e-6)

    exported = TwoStreamPredictor.load(folder / "onnx")
    found = exported.predict(video)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
    for stream, scores in wanted.streams.items():
        np.testing.assert_allclose(found.streams[stream], scores, atol=1e-5)
    for positions in (1, 5):
        asked = {"window_seconds": 0.5, "positions": positions, "smooth_seconds": 0}
        again, timeline = exported.timeline(video, **asked), predictor.timeline(video, **asked)
        np.testing.assert_allclose(again.scores, timeline.scores, atol=1e-5)


def test_a_run_that_knows_how_long_bouts_last_looks_at_each_moment_once(folder: Path) -> None:
    """Windows of one stack, 0.2 s apart; the export does as the run; without the file as before."""
    predictor = TwoStreamPredictor.load(folder / "run")
    exported = TwoStreamPredictor.load(folder / "onnx")
    assert predictor.bouts == exported.bouts == BOUTS == read_bouts(folder / "run")
    assert predictor.windows == exported.windows
    assert predictor.windows.seconds == pytest.approx(5 / 25)  # four fields lie in five frames
    timeline = predictor.timeline(folder / "clip.avi")
    np.testing.assert_allclose(timeline.times[:-1], 0.1 + 0.2 * np.arange(len(timeline.times) - 1))
    lasted = [s.end_seconds - s.start_seconds for s in timeline.segments[1:-1]]
    assert all(seconds > 0.19 for seconds in lasted)
    again = exported.timeline(folder / "clip.avi")
    assert [s.title for s in again.segments] == [s.title for s in timeline.segments]
    unaware = TwoStreamPredictor(list(predictor.streams.values()), FUSION)
    assert unaware.windows.seconds == 2.0


def test_the_contract_has_the_fusion_and_an_old_one_answers_with_the_mean(
    folder: Path, tmp_path: Path
) -> None:
    for path in (folder / "onnx").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    contract = json.loads((tmp_path / "contract.json").read_text())
    assert contract["format"] == "twostream-onnx-2"
    assert contract["fusion"]["streams"]["temporal"] == {"weight": 1.7, "alone": 2.5}
    parity = contract["fusion"]["parity_with_torch"]
    assert parity["largest_difference"] <= parity["tolerance"] == 1e-4 and parity["inputs"] > 10

    def write(**changes: object) -> None:
        (tmp_path / "contract.json").write_text(json.dumps(contract | changes))

    write(format="twostream-onnx-1", fusion="the mean of the streams' scores")
    old = TwoStreamPredictor.load(tmp_path).predict(folder / "clip.avi")
    np.testing.assert_array_equal(old.scores, np.mean(list(old.streams.values()), axis=0))
    for damaged, words in (
        (contract["fusion"] | {"floor": 0.1}, "floor of 0.1"),
        ("the mean of the streams' scores", "indices"),
        (contract["fusion"] | {"classes": ["a"]}, "not of one run"),
    ):
        write(fusion=damaged)
        with pytest.raises(ModelError, match=words):
            TwoStreamPredictor.load(tmp_path)


def test_a_fusion_of_another_run_is_refused(folder: Path, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", make_models(FLOW))
    write_fusion(run, replace(FUSION, classes=tuple("hijklmn")))
    for use in (TwoStreamPredictor.load, lambda each: export_onnx(each, tmp_path / "onnx")):
        with pytest.raises(ModelError, match=r"they are not of one run; without fusion\.json"):
            use(run)
    (run / "fusion.json").write_text("{}")
    with pytest.raises(RunError, match=r"fusion\.json cannot be read"):
        TwoStreamPredictor.load(run)
    (run / "temporal.safetensors").unlink()
    write_fusion(run, FUSION)
    lone = TwoStreamPredictor.load(run).predict(folder / "clip.avi")
    np.testing.assert_array_equal(lone.scores, lone.streams["spatial"])


def test_chunks_of_stacks_add_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = TwoStreamPredictor.load(folder / "onnx")
    whole = predictor.predict(folder / "clip.avi")
    monkeypatch.setattr(sys.modules[OnnxStream.__module__], "_BATCH_BYTES", 1)
    single = TwoStreamPredictor.load(folder / "onnx").predict(folder / "clip.avi")
    np.testing.assert_allclose(single.scores, whole.scores, atol=1e-6)


def test_no_torch_is_imported(folder: Path) -> None:
    wanted = TwoStreamPredictor.load(folder / "run").predict(folder / "clip.avi").to_json()
    code = (
        "import sys; from twostream.__main__ import run\n"
        "status = run(sys.argv[1:])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        "sys.exit(status)"
    )
    arguments = ["predict", str(folder / "onnx"), str(folder / "clip.avi"), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    said, imported = done.stdout.splitlines()
    assert imported == "[]"
    (found,) = json.loads(said)
    assert [row["label"] for row in found["labels"]] == [row["label"] for row in wanted["labels"]]
    for mine, theirs in zip(found["labels"], wanted["labels"], strict=True):
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-4)


def test_onnxruntime_that_is_missing_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"not installed: pip install 'twostream\[onnx\]'"):
        TwoStreamPredictor.load(folder / "onnx")


def test_a_gpu_that_is_not_there_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="has no GPU"):
        TwoStreamPredictor.load(folder / "onnx", device="cuda")
    assert TwoStreamPredictor.load(folder / "onnx", device="auto").streams


def test_a_video_smaller_than_the_crop_is_refused(folder: Path, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "tiny.avi", size=24)
    with pytest.raises(VideoError, match="smaller than the model's crop"):
        TwoStreamPredictor.load(folder / "onnx").predict(video)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "{", "cannot be read"),
        (lambda text: "[]", "cannot be read"),
        (lambda text: text.replace("twostream-onnx-2", "twostream-onnx-9"), "has format"),
        (lambda text: text.replace('"crop_size"', '"crop"'), "cannot be read"),
        (lambda text: text.replace('"spatial.onnx"', '"../run.onnx"'), "names run.onnx"),
        (lambda text: json.dumps({**json.loads(text), "streams": {}}), "names no network"),
    ],
)
def test_a_damaged_contract_is_one_sentence(
    change: object, words: str, folder: Path, tmp_path: Path
) -> None:
    for path in (folder / "onnx").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "contract.json").read_text()
    (tmp_path / "contract.json").write_text(change(text))  # type: ignore[operator]
    with pytest.raises(ModelError, match=words) as error:
        TwoStreamPredictor.load(tmp_path)
    assert "\n" not in str(error.value)

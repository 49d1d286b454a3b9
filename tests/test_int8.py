"""Int8 networks: what they cost on clips, which layers stay in float32, and the verb."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import numpy as np
import onnx
import pytest

from twostream.__main__ import run
from twostream.datasets import AskedData, SplitChoice, load_dataset
from twostream.datasets.kept_videos import keep_videos, kept_videos
from twostream.export import export_onnx, graph, onnx_export, quantize
from twostream.export.onnx_export import _clips, _sides
from twostream.export.parity import TOLERANCE
from twostream.log_linear import write_fusion
from twostream.prediction import whole_videos
from twostream.prediction.contract import read_contract
from twostream.store.clips import Clip
from twostream.types import (
    LabeledVideo,
    ModelError,
    ModelSpec,
    TemporalInput,
    UsageError,
    no_progress,
)
from untrained import (
    FUSION,
    make_model,
    make_models,
    save_run,
    write_clip,
)

FLOW = TemporalInput(length=4)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of six clips of the classes a and b."""
    root = tmp_path_factory.mktemp("clips")
    for label in "ab":
        (root / label).mkdir()
        for i in range(3):
            write_clip(root / label / f"{i}.avi", size=48 + 4 * i, frames=12 + i)
    return root


@pytest.mark.slow
def test_int8_says_what_it_costs(clips: Path, tmp_path: Path) -> None:
    folder = save_run(tmp_path / "run", make_models(FLOW))
    write_fusion(folder, FUSION)
    plain = export_onnx(folder, tmp_path / "plain")
    assert plain.quantization is None
    report = export_onnx(folder, tmp_path / "int8", int8=True, calibrate=clips)
    cost = report.quantization
    assert cost is not None
    assert cost["calibration_clips"] == 4 and cost["clips"] == 2
    assert cost["first_convolutions_in_float32"] == {"spatial": 0, "temporal": 0}
    for precision in ("float32", "int8"):
        assert set(cost["accuracy"][precision]) == {"spatial", "temporal", "average", "fused"}
    assert 0 < cost["largest_difference"] < 0.3
    for name in ("spatial.onnx", "temporal.onnx"):
        sizes = [(tmp_path / each / name).stat().st_size for each in ("plain", "int8")]
        assert sizes[1] < 0.5 * sizes[0]
    contract = json.loads((tmp_path / "int8" / "contract.json").read_text())
    assert [each["precision"] for each in contract["streams"].values()] == ["int8", "int8"]
    assert contract["quantization"] == json.loads(json.dumps(cost))
    assert read_contract(tmp_path / "int8").fusion == FUSION


@pytest.fixture(scope="module")
def spatial(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, Path]:
    """A network, and its graph."""
    model, path = make_model(None), tmp_path_factory.mktemp("graph") / "net.onnx"
    graph.write_graph(model, path)
    return model.spec, path


@pytest.mark.parametrize(("after", "kept"), [((0.95,), 0), ((0.6, 0.95), 4), ((0.6, 0.7), 7)])
def test_first_layers_stay_in_float32_where_int8_changes_the_answer(
    spatial: tuple[ModelSpec, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    after: tuple[float, ...],
    kept: int,
) -> None:
    """The network has seven convolutions; what is tried is 0, 4 and 16."""
    (spec, source), target = spatial, tmp_path / "int8.onnx"
    first = {"net": 1.0, "16": 0.8, **dict(zip(("0", "4"), after, strict=False))}
    found = {name: np.array([[share, 1 - share]], np.float32) for name, share in first.items()}
    monkeypatch.setattr(quantize, "_scores", lambda path, spec, inputs: found[path.stem])
    inputs = [{"frames": np.random.default_rng(0).integers(0, 255, (1, 1, 64, 70, 3), np.uint8)}]
    shown: list[tuple[str, float, float]] = []

    def progress(task: str, done: float, total: float, detail: str = "") -> None:
        shown.append((task, done, total))

    assert quantize.quantize(source, target, spec, inputs, progress) == kept
    tries = {0: 1, 4: 2, 7: 3}[kept]
    assert shown == [(f"int8 spatial, try {n + 1}", 1, 1) for n in range(tries)]
    told = [text for text in said if "convolutions" in text]
    assert [f"the first {kept} of 7 convolutions" in text for text in told] == [True] * bool(kept)
    assert len([text for text in said if "int8 moves 20%" in text]) == (kept == 7)
    nodes = onnx.load(target).graph.node
    made = {out: node.op_type for node in nodes for out in node.output}
    coded = [made.get(n.input[1]) == "DequantizeLinear" for n in nodes if n.op_type == "Conv"]
    assert coded == [False] * kept + [True] * (7 - kept)


def test_int8_needs_a_clip_that_can_be_read(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_run(tmp_path / "run", [make_model(None)])
    monkeypatch.setattr(onnx_export, "_clips", lambda *given: iter(()))  # all are left out
    with pytest.raises(ModelError, match="no clip to measure the ranges of int8 on"):
        export_onnx(folder, tmp_path / "int8", int8=True, calibrate=clips)
    assert not (tmp_path / "int8").exists()


def test_int8_is_not_tested_on_what_the_run_was_trained_on(clips: Path, tmp_path: Path) -> None:
    """The run's own split, seed and all, unless other data or another split is asked for."""
    dataset = load_dataset(clips)
    own = AskedData(data=str(clips), fold="2/3", seed=7)
    nothing = SplitChoice()
    expected = dataset.split(fold="2/3", seed=7)
    assert expected.test != dataset.split(fold="2/3").test
    for data in (None, clips, clips.parent / "." / clips.name):
        assert _sides(own, data, nothing).test == expected.test
    chosen = _sides(own, clips, SplitChoice(fold="1/3"))
    assert chosen.test == dataset.split(fold="1/3", seed=7).test
    other = copytree(clips, tmp_path / "other")
    found = _sides(own, other, nothing)
    assert [v.video_id for v in found.test] == [v.video_id for v in dataset.split().test]
    with pytest.raises(UsageError, match="name their data set"):
        _sides(None, None, nothing)


def test_int8_is_tested_on_those_that_the_run_began_with(clips: Path, tmp_path: Path) -> None:
    """Clips that were added would move others from one side to the other."""
    data, run = copytree(clips, tmp_path / "data"), tmp_path / "run"
    run.mkdir()
    dataset = load_dataset(data)
    split = dataset.split()
    keep_videos(run, dataset, split)
    own, kept = AskedData(data=str(data), seed=0), kept_videos(run)
    for number, path in enumerate(sorted(data.glob("*/*"))[::3]):
        copyfile(path, path.with_name(f"more{number}{path.suffix}"))
    assert load_dataset(data).split().test != split.test
    # called from elsewhere since, a relative name leads nowhere
    for named in (own, replace(own, data="data", seed=3)):
        found = _sides(named, None, None, kept)
        assert [v.video_id for v in found.test] == [v.video_id for v in split.test]


def test_int8_sees_the_stretches_of_recordings_that_are_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 frames at 25 a second the stretches have 6 and 3; the recording is decoded once."""
    write_clip(tmp_path / "a.avi", frames=12)
    decoded = list[Path]()

    def read_whole(video: Path, specs: list[ModelSpec]) -> Any:
        decoded.append(video)
        return whole_videos.read_whole(video, specs)

    monkeypatch.setattr(onnx_export, "read_whole", read_whole)
    ids = ("a.avi#0.080-0.320", "a.avi#0.360-0.480", "a.avi#9.000-9.500")
    videos = [LabeledVideo(each, tmp_path / "a.avi", label) for label, each in enumerate(ids)]
    found = list(_clips(videos, [make_model(FLOW).spec], "measure", no_progress))
    counts = [(len(clip.readers["forward"]) + 1, label) for clip, label in found]
    assert counts == [(6, 0), (3, 1)] and decoded == [tmp_path / "a.avi"]


def test_the_cost_is_counted_against_the_labels() -> None:
    class Fixed:
        def __init__(self, rows: list[list[float]]) -> None:
            self.spec = make_model(None).spec
            self.rows = iter(rows)

        def score(self, clip: Clip, positions: int | None = None) -> np.ndarray:
            return np.array(next(self.rows), np.float32)

    before = Fixed([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    after = Fixed([[0.7, 0.3], [0.1, 0.9], [0.3, 0.7], [0.6, 0.4]])
    cost = quantize.compare([before], [after], [(Clip({}), label) for label in (0, 0, 1, 1)])
    assert cost["accuracy"]["float32"] == {"spatial": 0.75, "average": 0.75}
    assert cost["accuracy"]["int8"] == {"spatial": 0.5, "average": 0.5}
    assert cost["same_label"] == 0.75
    assert cost["largest_difference"] == pytest.approx(0.7)
    with pytest.raises(ModelError, match="no clip to measure"):
        quantize.compare([before], [after], [])


@pytest.mark.slow
def test_the_verb(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_run(tmp_path / "run", make_models(FLOW))
    out = tmp_path / "out"
    asked = ["export", str(folder), "--out", str(out), "--json"]
    assert run([*asked, "--quantize", "--calibrate", str(clips)]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out.splitlines()[-1])
    assert said["parity"]["temporal"]["largest_difference"] <= TOLERANCE
    assert said["quantization"]["clips"] == 2
    assert "torch and onnxruntime differ by at most" in printed.err
    assert run([*asked, "--quantize"]) == UsageError.exit_status  # a run without asked.json
    assert run([*asked, "--calibrate", str(clips)]) == UsageError.exit_status
    assert run(["export", str(tmp_path / "nothing"), "--out", str(out)]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("twostream: ")

"""An export gives what torch gives, says everything in its contract, or is not written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from twostream.__main__ import run
from twostream.checkpoint import StreamModel
from twostream.datasets import AskedData, SplitChoice, load_dataset
from twostream.datasets.kept_videos import keep_videos, kept_videos
from twostream.export import export_onnx, graph, onnx_export, quantize
from twostream.export.graph import OPSET, StackScorer, follow_trajectories
from twostream.export.onnx_export import _clips, _sides
from twostream.export.parity import TOLERANCE, both_scores, check_parity
from twostream.inputs import follow_trajectories as follow_in_numpy
from twostream.log_linear import write_fusion
from twostream.prediction import whole_videos
from twostream.prediction.contract import exported_fusion, read_contract
from twostream.prediction.onnx import OnnxStream
from twostream.store.clips import Clip
from twostream.types import (
    LabeledVideo,
    ModelError,
    ModelSpec,
    RunError,
    TemporalInput,
    UsageError,
    no_progress,
)
from untrained import (
    CLASSES,
    FUSION,
    INPUTS,
    SETTINGS,
    make_model,
    make_models,
    save_run,
    write_clip,
)

FLOW = TemporalInput(length=4)
NETWORKS = {
    "small-bn": make_model,
    "squeezenet1_0": lambda t: make_model(t, architecture="squeezenet1_0"),
    "resnet18": lambda t: make_model(t, architecture="resnet18"),
    "cnn-m-2048": lambda t: make_model(t, architecture="cnn-m-2048", crop_size=41),
}


def exported(models: list[StreamModel], out: Path) -> list[OnnxStream]:
    export_onnx(models, out)
    return [OnnxStream(path, spec) for path, spec in read_contract(out)]


@pytest.mark.parametrize("temporal", [None, FLOW], ids=["spatial", "temporal"])
@pytest.mark.parametrize(
    "name",
    [n if n == "small-bn" else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS],
)
def test_every_network_gives_what_torch_gives(
    name: str, temporal: TemporalInput | None, tmp_path: Path
) -> None:
    model = NETWORKS[name](temporal)
    report = export_onnx([model], tmp_path / "out")
    parity = report.parity[model.spec.stream]
    assert 0 <= parity.largest_difference <= TOLERANCE
    assert len(parity.sizes) == 5 and parity.inputs >= 16
    written = onnx.load(tmp_path / "out" / f"{model.spec.stream}.onnx")
    assert [each.version for each in written.opset_import if not each.domain] == [OPSET]


@pytest.mark.parametrize(
    "model",
    [
        lambda: make_model(INPUTS["trajectory, both ways"]),
        pytest.param(
            lambda: make_model(TemporalInput(length=10, trajectory=True)), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda: make_model(TemporalInput(length=4, trajectory=True, subtract_mean=False)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: make_model(TemporalInput(length=2, bidirectional=True)), marks=pytest.mark.slow
        ),
        lambda: make_model(FLOW, replace(SETTINGS, codec="lossless")),
        lambda: make_model(FLOW, replace(SETTINGS, short_side=32)),  # as high as the crop
        lambda: make_model(None, replace(SETTINGS, short_side=32)),
        lambda: make_model(None, replace(SETTINGS, short_side=20), test_crops="centre"),
        pytest.param(lambda: make_model(FLOW, flips=False), marks=pytest.mark.slow),
        lambda: make_model(INPUTS["rgb stack"]),
        pytest.param(
            lambda: make_model(
                TemporalInput(length=8, rgb=True),
                stream="temporal",
                architecture="slow-fusion-small",
            ),
            marks=pytest.mark.slow,
        ),
        lambda: make_model(None, channel_order="bgr", value_range=255, mean=(99, 110, 120)),
    ],
)
def test_every_input_gives_what_torch_gives(
    model: Callable[[], StreamModel], tmp_path: Path
) -> None:
    (parity,) = export_onnx([model()], tmp_path / "out").parity.values()
    assert parity.largest_difference <= TOLERANCE


def test_trajectories_in_torch_are_those_in_numpy() -> None:
    fields = np.random.default_rng(0).normal(0, 4, (2, 5, 2, 9, 12)).astype(np.float32)
    found = follow_trajectories(torch.from_numpy(fields)).numpy()
    for one, wanted in zip(found, fields, strict=True):
        np.testing.assert_allclose(one, follow_in_numpy(wanted), atol=1e-6)


class NoNegation(StackScorer):
    """Mirrors flow without changing the sign of x."""

    def __init__(self, model: StreamModel) -> None:
        super().__init__(model)
        self.mirror.fill_(1)


class MeanOfCrop(StackScorer):
    """Subtracts each crop's mean instead of the whole field's."""

    def crops(self, stacks: torch.Tensor) -> torch.Tensor:
        crops = super().crops(stacks)
        return crops - crops.mean(dim=(-2, -1), keepdim=True)


class NoMean(StackScorer):
    """Forgets to subtract the mean."""

    def stacks(self, *inputs: torch.Tensor) -> torch.Tensor:
        return (inputs[0].float() - 128) * (inputs[1] / 127)[..., None, None]


class ClassicCodes(StackScorer):
    """Decodes as if 127.5 were no motion."""

    def stacks(self, *inputs: torch.Tensor) -> torch.Tensor:
        fields = (inputs[0].float() - 127.5) * (inputs[1] / 127)[..., None, None]
        return fields - 0.5 * inputs[1].mean(dim=2)[:, :, None, None, None]


class CentreOnly(StackScorer):
    """Weighs the centre crop alone."""

    def __init__(self, model: StreamModel) -> None:
        super().__init__(model)
        self.weights.copy_(torch.tensor([0, 0, 0, 0, 1.0] * 2).view(1, -1, 1) / 2)


@pytest.mark.parametrize("wrong", [NoNegation, MeanOfCrop, NoMean, ClassicCodes, CentreOnly])
def test_a_wrong_graph_is_not_written(
    wrong: type[StackScorer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "StackScorer", wrong)
    with pytest.raises(ModelError, match=r"temporal network \(small-bn\) does not give what torch"):
        export_onnx([make_model(FLOW)], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_check_compares_with_this_model(tmp_path: Path) -> None:
    (stream,) = exported([make_model(FLOW)], tmp_path / "out")
    other = make_model(FLOW)
    with torch.no_grad():
        next(other.network.parameters()).mul_(1.5)
    with pytest.raises(ModelError, match="scores differ by up to"):
        check_parity(both_scores(other, stream))


def test_the_contract_says_what_goes_in(tmp_path: Path) -> None:
    report = export_onnx(make_models(FLOW), tmp_path / "out")
    assert report.files == ("contract.json", "labels.txt", "spatial.onnx", "temporal.onnx")
    assert (tmp_path / "out" / "labels.txt").read_text().split() == list(CLASSES)
    text = json.loads((tmp_path / "out" / "contract.json").read_text())
    assert text["classes"] == list(CLASSES)
    assert text["opset"] == OPSET and text["quantization"] is None
    assert {"twostream", "torch", "onnx", "onnxruntime"} <= set(text["versions"])
    assert text["video"]["fps"] == 25 and text["video"]["short_side_px"] == 40
    assert text["video"]["codec"] == "jpeg"
    assert text["video"]["flow"]["estimator"] == "dis"
    assert text["video"]["flow"]["parameters"] == SETTINGS.parameters
    temporal = text["streams"]["temporal"]
    assert temporal["samples"]["positions"] == 6
    assert temporal["temporal_input"]["length"] == 4
    for name, stream in text["streams"].items():
        described = {each["name"]: each for each in stream["inputs"]}
        written = onnx.load(tmp_path / "out" / stream["file"]).graph
        assert [each.name for each in written.input] == list(described)
        for each in written.input:
            tensor = each.type.tensor_type
            sizes = [d.dim_param or d.dim_value for d in tensor.shape.dim]
            assert sizes == described[each.name]["shape"], name
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
            assert dtype == described[each.name]["dtype"]
        assert [each.name for each in written.output] == [stream["output"]["name"]]
        assert stream["parity_with_torch"]["largest_difference"] <= TOLERANCE


@pytest.mark.slow
def test_an_export_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    export_onnx(make_models(FLOW), tmp_path / "out")
    export_onnx([make_model(None)], tmp_path / "out")
    assert not (tmp_path / "out" / "temporal.onnx").exists()
    assert len(read_contract(tmp_path / "out")) == 1
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something else"):
        export_onnx([make_model(None)], foreign)
    with pytest.raises(RunError, match="is a file"):
        export_onnx([make_model(None)], foreign / "thesis.txt")
    with pytest.raises(UsageError, match="is an export: give the RUN folder"):
        export_onnx(tmp_path / "out", tmp_path / "new")
    with pytest.raises(RunError, match="holds no trained model"):
        export_onnx(foreign, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "out"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_sentence(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"{package}.* not installed: pip install") as error:
        export_onnx([make_model(None)], tmp_path / "out")
    assert "\n" not in str(error.value)


def test_what_onnx_cannot_express_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(StackScorer):
        def crops(self, stacks: torch.Tensor) -> torch.Tensor:
            if stacks.sum() > 0:  # depends on values
                return super().crops(stacks)
            return super().crops(-stacks)

    monkeypatch.setattr(graph, "StackScorer", Odd)
    with pytest.raises(ModelError, match=r"small-bn cannot be written as ONNX \(opset") as error:
        export_onnx([make_model(None)], tmp_path / "out")
    assert "\n" not in str(error.value)


# Int8


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of four clips of the classes a and b."""
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
    assert exported_fusion(tmp_path / "int8") == FUSION


@pytest.mark.parametrize(("after", "kept"), [((0.95,), 0), ((0.6, 0.95), 4), ((0.6, 0.7), 7)])
def test_first_layers_stay_in_float32_where_int8_changes_the_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    after: tuple[float, ...],
    kept: int,
) -> None:
    """The network has seven convolutions; what is tried is 0, 4 and 16."""
    model, source, target = make_model(None), tmp_path / "net.onnx", tmp_path / "int8.onnx"
    graph.write_graph(model, source)
    first = {"net": 1.0, "16": 0.8, **dict(zip(("0", "4"), after, strict=False))}
    found = {name: np.array([[share, 1 - share]], np.float32) for name, share in first.items()}
    monkeypatch.setattr(quantize, "_scores", lambda path, spec, inputs: found[path.stem])
    inputs = [{"frames": np.random.default_rng(0).integers(0, 255, (1, 1, 64, 70, 3), np.uint8)}]
    assert quantize.quantize(source, target, model.spec, inputs) == kept
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
    folder = save_run(tmp_path / "run", make_models(FLOW))
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


def test_an_export_replaces_its_own_networks_alone(tmp_path: Path) -> None:
    nets = make_models(FLOW)
    export_onnx(nets, tmp_path / "out")
    (tmp_path / "out" / "my-detector.onnx").write_bytes(b"mine")
    export_onnx(nets[:1], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").glob("*.onnx")}
    assert names == {f"{nets[0].spec.stream}.onnx", "my-detector.onnx"}


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


def test_a_lone_stream_can_be_opened(tmp_path: Path) -> None:
    export_onnx([make_model(None)], tmp_path / "out")
    spec = make_model(None).spec
    (tmp_path / "out" / "spatial.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="onnxruntime cannot read"):
        OnnxStream(tmp_path / "out" / "spatial.onnx", spec)

"""An export gives what torch gives, says everything in its contract, or is not written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from twostream.checkpoint import StreamModel
from twostream.export import export_onnx, graph, parity
from twostream.export.graph import OPSET, StackScorer, follow_trajectories
from twostream.export.parity import TOLERANCE, Compared, both_scores, check_fused, check_parity
from twostream.inputs import follow_trajectories as follow_in_numpy
from twostream.models import classifier
from twostream.prediction.contract import read_contract
from twostream.prediction.onnx import OnnxStream
from twostream.store.coding import decode_fields
from twostream.types import (
    Codec,
    ModelError,
    ModelSpec,
    RunError,
    TemporalInput,
    UsageError,
)
from untrained import (
    CLASSES,
    FUSION,
    INPUTS,
    SETTINGS,
    make_model,
    make_models,
)

FLOW = TemporalInput(length=4)
NETWORKS = {
    "squeezenet1_0": lambda t: make_model(t, architecture="squeezenet1_0"),
    "resnet18": lambda t: make_model(t, architecture="resnet18"),
    "cnn-m-2048": lambda t: make_model(t, architecture="cnn-m-2048", crop_size=41),
}


@pytest.mark.slow
@pytest.mark.parametrize("temporal", [None, FLOW], ids=["spatial", "temporal"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_what_torch_gives(
    name: str, temporal: TemporalInput | None, tmp_path: Path
) -> None:
    (found,) = export_onnx([NETWORKS[name](temporal)], tmp_path / "out").parity.values()
    assert 0 <= found.largest_difference <= TOLERANCE


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
        # frames as high as the crop
        lambda: make_model(FLOW, replace(SETTINGS, short_side=32, codec="lossless")),
        lambda: make_model(None, replace(SETTINGS, short_side=20), test_crops="centre"),
        pytest.param(lambda: make_model(FLOW, flips=False), marks=pytest.mark.slow),
        lambda: make_model(INPUTS["rgb stack"]),
        lambda: make_model(INPUTS["differences"], std=(0.1,)),
        pytest.param(
            lambda: make_model(
                TemporalInput(length=8, rgb=True),
                stream="temporal",
                architecture="slow-fusion-small",
            ),
            marks=pytest.mark.slow,
        ),
        lambda: make_model(
            None,
            replace(SETTINGS, short_side=32),
            channel_order="bgr",
            value_range=255,
            mean=(99, 110, 120),
        ),
    ],
)
def test_every_input_gives_what_torch_gives(
    model: Callable[[], StreamModel], tmp_path: Path
) -> None:
    (found,) = export_onnx([model()], tmp_path / "out").parity.values()
    assert found.largest_difference <= TOLERANCE


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


def test_a_wrong_graph_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "StackScorer", NoNegation)
    with pytest.raises(ModelError, match=r"temporal network \(small-bn\) does not give what torch"):
        export_onnx([make_model(FLOW)], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class Energy(torch.nn.Module):
    """Says the first class of strong inputs, whatever is in them; of weak ones it looks."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        values = spec.in_channels * spec.crop_size**2
        self.weight = torch.nn.Parameter(torch.randn(len(spec.classes), values) / values**0.5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits = torch.nn.functional.linear(inputs.flatten(1), self.weight)
        return logits + inputs.square().mean((1, 2, 3))[:, None] * torch.eye(len(CLASSES))[0]


def energy_model(temporal: TemporalInput | None, **changes: Any) -> StreamModel:
    spec = replace(make_model(temporal).spec, **changes)
    return StreamModel(spec, Energy(spec)).eval()


class InTorch:
    """Stands where the ONNX file would: what is written in it, computed by torch."""

    def __init__(self, graph: StackScorer) -> None:
        self.graph = graph.eval()

    @torch.no_grad()
    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        values = [torch.from_numpy(inputs[name]) for name in graph.input_names(self.graph.spec)]
        return self.graph(*values).numpy()


def compared(model: StreamModel, wrong: type[StackScorer] = StackScorer) -> Compared:
    return both_scores(model, InTorch(wrong(model)))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [NoNegation, MeanOfCrop, NoMean, ClassicCodes, CentreOnly])
def test_a_wrong_graph_is_seen(wrong: type[StackScorer]) -> None:
    with pytest.raises(ModelError, match=r"temporal network \(small-bn\) does not give what torch"):
        check_parity(compared(make_model(FLOW), wrong))


@pytest.mark.parametrize("subtract_mean", [True, False])
def test_a_wrong_graph_of_slow_motion_is_seen(subtract_mean: bool) -> None:
    """Noise of some pixels is 50 deviations here, of which any graph makes one class for sure."""
    model = energy_model(replace(FLOW, subtract_mean=subtract_mean), std=(0.1,))
    found = check_parity(compared(model))
    assert found.largest_difference < TOLERANCE and found.telling >= found.inputs / 2
    both = compared(model, NoNegation)
    with pytest.raises(ModelError, match="does not give what torch"):
        check_parity(both)
    with pytest.raises(ModelError, match="the exported networks, fused, do not give"):
        check_fused([both], FUSION.of(["temporal"], CLASSES))


@pytest.mark.parametrize(
    ("temporal", "std"),
    [(None, (0.01, 0.01, 0.01)), (FLOW, (0.1,)), (INPUTS["rgb stack"], (0.01,))],
)
def test_a_network_that_is_sure_is_shown_weaker_inputs(
    temporal: TemporalInput | None, std: tuple[float, ...]
) -> None:
    model = energy_model(temporal, std=std, mean=(0.0,) if temporal == FLOW else (0.5,))
    with torch.no_grad():
        model.network.weight.mul_(5)
    graph = StackScorer(model)
    found = check_parity(both_scores(model, InTorch(graph)))  # type: ignore[arg-type]
    assert found.telling >= found.inputs / 2
    graph.weights.copy_(torch.tensor([0, 0, 0, 0, 1.0] * 2).view(1, -1, 1) / 2)
    with pytest.raises(ModelError, match="does not give what torch"):
        check_parity(both_scores(model, InTorch(graph)))  # type: ignore[arg-type]


def test_a_check_that_says_little_is_told(said: list[str]) -> None:
    model = make_model(FLOW)
    *_, bias = classifier(model.network).parameters()
    with torch.no_grad():
        bias[0] += 1000
    found = check_parity(compared(model))
    assert found.telling == 0 and found.largest_difference <= TOLERANCE
    (text,) = [text for text in said if "says little" in text]
    assert text.startswith("temporal: torch gives each of the 72 stacks to one class with more")
    said.clear()
    check_parity(compared(make_model(FLOW, classes=("a",))))  # its scores are always 1
    assert not said


@pytest.mark.parametrize("std", [(0.01,), (0.1, 0.3), (8.0,)])
@pytest.mark.parametrize("codec", ["jpeg", "lossless"])
def test_flow_is_as_strong_as_what_the_network_learnt_from(
    std: tuple[float, ...], codec: Codec
) -> None:
    model = make_model(FLOW, replace(SETTINGS, codec=codec), std=std)
    strengths = []
    for drawn, strength in parity._cases(model.spec, np.random.default_rng(0)):
        inputs = parity._inputs(model.spec, drawn, strength)
        fields = inputs.get("fields")
        if fields is None:
            pairs = zip(inputs["codes"], inputs["ranges"], strict=True)
            fields = np.stack([decode_fields(*pair) for pair in pairs])
        moving = fields.reshape(-1, *fields.shape[2:])[1:]  # the first one stands still
        seen = (moving - moving.mean(axis=(2, 3), keepdims=True)) / np.reshape(std, (-1, 1, 1))
        strengths.append(float(np.sqrt(np.square(seen).mean())) / strength)
    assert np.allclose(strengths, 1, atol=0.35) and np.isclose(np.mean(strengths), 1, atol=0.05)


def test_the_check_compares_with_this_model() -> None:
    stream, other = InTorch(StackScorer(make_model(FLOW))), make_model(FLOW)
    with torch.no_grad():
        next(other.network.parameters()).mul_(1.5)
    with pytest.raises(ModelError, match="scores differ by up to"):
        check_parity(both_scores(other, stream))  # type: ignore[arg-type]


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
    assert "within 1% of fps" in text["video"]["times"]
    assert "longer than 1 s and 3 usual" in text["video"]["pauses"]
    assert text["video"]["flow"]["estimator"] == "dis"
    assert text["video"]["flow"]["parameters"] == SETTINGS.parameters
    temporal = text["streams"]["temporal"]
    assert temporal["samples"]["positions"] == 6
    assert temporal["temporal_input"]["length"] == 4
    for name, stream in text["streams"].items():
        described = {each["name"]: each for each in stream["inputs"]}
        file = onnx.load(tmp_path / "out" / stream["file"])
        assert [each.version for each in file.opset_import if not each.domain] == [OPSET]
        written = file.graph
        assert [each.name for each in written.input] == list(described)
        for each in written.input:
            tensor = each.type.tensor_type
            sizes = [d.dim_param or d.dim_value for d in tensor.shape.dim]
            assert sizes == described[each.name]["shape"], name
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
            assert dtype == described[each.name]["dtype"]
        assert [each.name for each in written.output] == [stream["output"]["name"]]
        assert stream["parity_with_torch"]["largest_difference"] <= TOLERANCE
        found = report.parity[name]  # type: ignore[index]
        assert len(found.sizes) == 5 and found.inputs >= 16


def test_an_export_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    export_onnx([make_model(None)], tmp_path / "out")
    (tmp_path / "out" / "my-detector.onnx").write_bytes(b"mine")
    export_onnx([make_model(FLOW)], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").glob("*.onnx")}
    assert names == {"temporal.onnx", "my-detector.onnx"}
    assert len(read_contract(tmp_path / "out").networks) == 1
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
    written: list[object] = []
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **_: written.append(given))
    with pytest.raises(ModelError, match=rf"{package}.* not installed: pip install") as error:
        export_onnx([make_model(None)], tmp_path / "out")
    assert "\n" not in str(error.value) and not written


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


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "spatial.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="onnxruntime cannot read"):
        OnnxStream(tmp_path / "spatial.onnx", make_model(None).spec)

"""The model file: what comes back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from twostream.checkpoint import FORMAT, ModelSpec, StreamModel, load_model, save_model
from twostream.models import read_weights
from twostream.store.flow_store import StoreSettings
from twostream.types import ModelError, TemporalInput, UsageError
from untrained import make_spec


def spec(**changes: object) -> ModelSpec:
    values: dict = {
        "temporal": TemporalInput(length=4, trajectory=True, bidirectional=True),
        "classes": ("jump", "run (fast)", "wäve"),
        "crop_size": 24,
        "std": (1.75,),
        "dropout": 0.3,
        "flips": False,
        "store": asdict(StoreSettings(short_side=32).complete()),
        "fps": 29.97,
        "dataset": "clips",
        "split": "fold 1/3",
        "recipe": "quick",
    }
    return make_spec(**{**values, **changes})


def spatial_spec(**changes: object) -> ModelSpec:
    colours = {"mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    return spec(stream="spatial", temporal=None, **{**colours, **changes})


def trained(some: ModelSpec) -> StreamModel:
    """A model whose batch-norm statistics are no longer the initial ones."""
    torch.manual_seed(3)
    model = StreamModel(some).train()
    for _ in range(3):
        model(torch.randn_like(crops(some, 4)) * 2 + 0.3)
    return model.eval()


def crops(some: ModelSpec, n: int = 3) -> torch.Tensor:
    channels = (some.temporal.length, 2) if some.temporal else (1, 3)
    size = (some.crop_size, some.crop_size)
    return torch.randn((n, *channels, *size), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "some",
    [
        spec(),
        spatial_spec(),
        spatial_spec(architecture="resnet18"),
        spatial_spec(architecture="cnn-m-2048", crop_size=41),
    ],
    ids=lambda some: f"{some.stream} {some.architecture}",
)
def test_a_model_comes_back_identical(tmp_path: Path, some: ModelSpec) -> None:
    model = trained(some)
    path = tmp_path / "deep" / "model.safetensors"
    save_model(path, model)
    again = load_model(path)
    assert again.spec == some
    assert not again.training
    with torch.inference_mode():
        assert torch.equal(again(crops(some)), model(crops(some)))
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_equal_nets_have_equal_files(tmp_path: Path) -> None:
    """The library's own order of the metadata is drawn anew for each file."""
    model, files = StreamModel(spec()), [tmp_path / f"{i}.safetensors" for i in range(8)]
    for path in files:
        save_model(path, model)
    assert len({path.read_bytes() for path in files}) == 1
    start = files[0].read_bytes()[8:].decode("utf-8", "replace")
    assert start.startswith('{"__metadata__":{"format":"twostream-model-1","spec":')


def test_a_model_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spec()))
    before = path.read_bytes()

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", disk_full)
    with pytest.raises(OSError, match="No space"):
        save_model(path, trained(spatial_spec()))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_file_says_all_that_prediction_needs(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spec()))
    _, metadata = read_weights(path)
    said = json.loads(metadata["spec"])
    assert metadata["format"] == FORMAT
    assert said["temporal"]["bidirectional"] is True
    assert said["store"]["parameters"]["finest_scale"] == 0
    assert (said["fps"], said["crop_size"], said["flips"]) == (29.97, 24, False)


def test_channel_2k_minus_1_is_x_and_channel_2k_is_y_of_field_k() -> None:
    """Equation 1, counted from 1."""
    stacks = crops(spec())
    model = StreamModel(spec(mean=(0.0,), std=(1.0,)), torch.nn.Identity())
    channels = model.channels(stacks)
    for k in range(1, stacks.shape[1] + 1):
        assert torch.equal(channels[:, 2 * k - 1 - 1], stacks[:, k - 1, 0])
        assert torch.equal(channels[:, 2 * k - 1], stacks[:, k - 1, 1])


def test_channels_follow_from_the_input() -> None:
    assert spec().in_channels == 8
    assert spatial_spec().in_channels == 3
    assert spec(temporal=TemporalInput(length=5, rgb=True)).in_channels == 15
    differences = TemporalInput(length=5, rgb=True, differences=True)
    assert spec(temporal=differences).in_channels == 12


def test_differences_are_what_each_frame_has_more_than_the_one_before() -> None:
    differences = TemporalInput(length=3, rgb=True, differences=True)
    model = StreamModel(spec(temporal=differences, mean=(0.3,), std=(0.5,)), torch.nn.Identity())
    first = torch.rand(2, 3, 6, 7)
    brighter = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    stacks = torch.stack([first, first + brighter, first], dim=1)
    channels = model.channels(stacks)
    assert channels.shape == (2, 6, 6, 7)
    for k, share in enumerate((0.2, 0.4, 0.6, -0.2, -0.4, -0.6)):  # colour by colour
        torch.testing.assert_close(channels[:, k], torch.full((2, 6, 7), share))
    for wrong in ({"length": 1, "rgb": True}, {"length": 4}):
        with pytest.raises(UsageError, match="differences are those of RGB frames"):
            TemporalInput(**wrong, differences=True)


def test_the_door_normalises_and_keeps_equation_1s_order() -> None:
    class Peek(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    model = StreamModel(spec(mean=(0.5,), std=(2.0,)), Peek())
    stack = crops(spec())
    seen = model(stack)
    assert seen.shape == (3, 8, 24, 24)
    for k in range(4):
        torch.testing.assert_close(seen[:, 2 * k], (stack[:, k, 0] - 0.5) / 2)
        torch.testing.assert_close(seen[:, 2 * k + 1], (stack[:, k, 1] - 0.5) / 2)
    colours = StreamModel(spatial_spec(), Peek())
    frame = crops(spatial_spec())
    seen = colours(frame)
    for c, (mean, std) in enumerate(((0.4, 0.1), (0.5, 0.2), (0.6, 0.3))):
        torch.testing.assert_close(seen[:, c], (frame[:, 0, c] - mean) / std)
    rgb = spec(temporal=TemporalInput(length=2, rgb=True), mean=(0.4, 0.5, 0.6), std=(1, 2, 3))
    frames = torch.randn(1, 2, 3, 24, 24)
    seen = StreamModel(rgb, Peek())(frames)
    torch.testing.assert_close(seen[:, 4], (frames[:, 1, 1] - 0.5) / 2)


def test_the_door_brings_colours_into_the_nets_order_and_scale() -> None:
    class Peek(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    caffe: dict = {"channel_order": "bgr", "value_range": 255, "mean": (10, 20, 30)}
    frame = torch.rand(3, 1, 3, 24, 24)
    seen = StreamModel(spatial_spec(**caffe, std=(1, 2, 4)), Peek())(frame)
    for c, (colour, mean, std) in enumerate(((2, 10, 1), (1, 20, 2), (0, 30, 4))):
        torch.testing.assert_close(seen[:, c], (255 * frame[:, 0, colour] - mean) / std)
    stack = torch.rand(3, 2, 3, 24, 24)  # of RGB frames: each one by itself
    rgb = spec(temporal=TemporalInput(length=2, rgb=True), **caffe, std=(1, 2, 4))
    seen = StreamModel(rgb, Peek())(stack)
    torch.testing.assert_close(seen[:, 3], 255 * stack[:, 1, 2] - 10)


def test_a_file_from_before_these_fields_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spatial_spec()))
    said = asdict(spatial_spec())
    assert (said.pop("channel_order"), said.pop("value_range")) == ("rgb", 1)
    save_file(load_file(path), path, {"format": FORMAT, "spec": json.dumps(said)})
    assert load_model(path).spec == spatial_spec()


@pytest.mark.parametrize("change", [{"channel_order": "grb"}, {"value_range": 100}])
def test_an_order_or_scale_that_nobody_knows_is_refused(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spatial_spec()))
    said = json.dumps({**asdict(spatial_spec()), **change})
    save_file(load_file(path), path, {"format": FORMAT, "spec": said})
    with pytest.raises(ModelError, match=r"must be one of (rgb, bgr|1, 255), got"):
        load_model(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model file .*train first"):
        load_model(tmp_path / "spatial.safetensors")


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"not a twostream model file \(format None.*--weights"):
        load_model(path)
    save_file({"a": torch.zeros(2)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="format 'pt', expected 'twostream-model-1'"):
        load_model(path)
    path.write_text("not at all")
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(path)


def test_real_imagenet_weights_are_no_model_file(shared_weights: Path) -> None:
    with pytest.raises(ModelError, match="plain weights go to `twostream train --weights`"):
        load_model(shared_weights)


@pytest.mark.parametrize("damage", ["no spec", "no json", "a field too many", "a field missing"])
def test_a_description_that_cannot_be_read_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spec()))
    said = asdict(spec())
    if damage == "a field too many":
        said["heads"] = 2
    elif damage == "a field missing":
        del said["fps"]
    text = "{" if damage == "no json" else json.dumps(said)
    metadata = {"format": FORMAT} | ({} if damage == "no spec" else {"spec": text})
    save_file(load_file(path), path, metadata)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(path)


def test_weights_that_contradict_the_description_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spec()))
    tensors = load_file(path)
    said = asdict(replace(spec(), classes=("jump", "run")))
    save_file(tensors, path, {"format": FORMAT, "spec": json.dumps(said)})
    with pytest.raises(ModelError, match="does not hold what it says") as error:
        load_model(path)
    assert "classifier.weight" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_model_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, trained(spec()))
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"damaged .*: delete it and run .*--resume") as error:
            load_model(path)
        assert "\n" not in str(error.value)

"""The networks: CNN-M-2048 layer by layer, the others' doors, and weights that do not fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from twostream.models import (
    CnnM2048,
    build_model,
    classifier,
    cross_modality_weights,
    first_convolution,
    first_layer_name,
    load_weights,
    read_weights,
)
from twostream.types import ModelError, UsageError

ARCHITECTURES = ["cnn-m-2048", "small-bn", "squeezenet1_0", "resnet18", "mobilenetv3_small_050"]


def build(architecture: str, num_classes: int = 5, **changes: object) -> nn.Module:
    values: dict = {
        "stream": "temporal",
        "in_channels": 20,
        "dropout": 0.5,
        "input_size": 64,
    }
    return build_model(architecture, num_classes, **{**values, **changes})


@pytest.fixture(scope="module")
def paper_nets() -> dict[str, nn.Module]:
    """The paper's two nets at 224 px and 101 classes: shapes and counts only, no memory."""
    with torch.device("meta"):
        return {
            "spatial": build("cnn-m-2048", 101, stream="spatial", in_channels=3, input_size=224),
            "temporal": build("cnn-m-2048", 101, stream="temporal", input_size=224),
        }


@pytest.mark.parametrize(("stream", "count"), [("spatial", 90_627_813), ("temporal", 90_707_781)])
def test_the_papers_parameter_counts(paper_nets: dict, stream: str, count: int) -> None:
    assert sum(p.numel() for p in paper_nets[stream].parameters()) == count


@pytest.mark.parametrize(("stream", "channels"), [("spatial", 3), ("temporal", 20)])
def test_the_papers_layer_shapes(paper_nets: dict, stream: str, channels: int) -> None:
    net = paper_nets[stream]
    shapes = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        for layer in net.features
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    out = net(torch.empty(2, channels, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    assert out.shape == (2, 101)
    assert shapes == [
        (96, 109, 109),  # conv1
        (96, 54, 54),
        (256, 26, 26),  # conv2
        (256, 13, 13),
        (512, 13, 13),  # conv3
        (512, 13, 13),  # conv4
        (512, 13, 13),  # conv5
        (512, 6, 6),
    ]
    assert (net.full6.in_features, net.full6.out_features) == (6 * 6 * 512, 4096)
    assert (net.full7.out_features, net.full8.out_features) == (2048, 101)


def test_the_temporal_net_lacks_the_second_normalisation_alone(paper_nets: dict) -> None:
    kinds = {
        stream: [type(layer).__name__ for layer in net.features]
        for stream, net in paper_nets.items()
    }
    assert kinds["spatial"].count("LocalResponseNorm") == 2
    differing = [i for i, (a, b) in enumerate(zip(*kinds.values(), strict=True)) if a != b]
    assert [(kinds["spatial"][i], kinds["temporal"][i]) for i in differing] == [
        ("LocalResponseNorm", "Identity")
    ]
    assert kinds["spatial"][:8] == [
        *("Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"),
        *("Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"),
    ]


def test_normalisation_is_krizhevskys() -> None:
    (norm,) = [
        layer
        for layer in build("cnn-m-2048", input_size=48).modules()
        if isinstance(layer, nn.LocalResponseNorm)
    ]
    maps = 30 * torch.rand(1, 9, 2, 2, generator=torch.Generator().manual_seed(0))
    padded = np.pad(maps.numpy(), ((0, 0), (2, 2), (0, 0), (0, 0))) ** 2
    sums = sum(padded[:, i : i + 9] for i in range(5))
    wanted = maps.numpy() / (2 + 1e-4 * sums) ** 0.75
    np.testing.assert_allclose(norm(maps).numpy(), wanted, rtol=1e-5)


def test_dropout_stands_after_both_full_layers_and_only_in_training() -> None:
    torch.manual_seed(0)
    net = CnnM2048(5, in_channels=2, dropout=0.9, input_size=48)
    seen: list[float] = []
    net.dropout.register_forward_hook(
        lambda _, __, out: seen.append(float((out == 0).float().mean()))
    )
    x = torch.randn(2, 2, 48, 48)
    net.train()(x)
    # ReLU leaves about half, dropout a tenth of that
    assert len(seen) == 2
    assert all(0.92 < share < 0.98 for share in seen)
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize("size", [41, 48, 56, 64, 97, 112])
def test_cnn_m_fits_any_crop(size: int) -> None:
    with torch.device("meta"):
        net = CnnM2048(3, in_channels=2, input_size=size)
        assert net(torch.empty(1, 2, size, size)).shape == (1, 3)


@pytest.mark.parametrize("size", [8, 39, 40])
def test_cnn_m_refuses_crops_that_leave_nothing(size: int) -> None:
    with pytest.raises(UsageError, match=rf"cnn-m-2048 needs crops .*got {size}"):
        CnnM2048(3, input_size=size)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [3, 20])
def test_every_network_takes_2l_channels_and_learns(architecture: str, channels: int) -> None:
    torch.manual_seed(0)
    with torch.device("meta" if architecture == "cnn-m-2048" else "cpu"):
        net = build(architecture, 5, in_channels=channels)
        logits = net(torch.randn(2, channels, 64, 64))
    assert logits.shape == (2, 5)
    assert first_convolution(net).in_channels == channels
    assert net.state_dict()[first_layer_name(net)] is not None
    assert first_layer_name(net) in dict(net.named_parameters())
    last = classifier(net)
    assert sum(1 for _ in last.parameters()) == 2
    wide = [m for m in last.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(wide) == 1
    assert wide[0].weight.shape[0] == 5
    if logits.device.type == "meta":
        return
    assert torch.isfinite(logits).all()
    logits.square().sum().backward()
    gradients = [p.grad for p in net.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_squeezenets_scores_may_be_negative() -> None:
    torch.manual_seed(0)
    net = build("squeezenet1_0", 50, in_channels=3).eval()
    # torchvision's own ReLU on the class scores would leave none below zero
    assert (net(torch.randn(2, 3, 64, 64)) < 0).float().mean() > 0.2


@pytest.mark.parametrize("size", [8, 31, 56])
def test_the_small_net_takes_any_crop(size: int) -> None:
    net = build("small-bn", 3, in_channels=4).eval()
    assert net(torch.randn(1, 4, size, size)).shape == (1, 3)


def test_an_unknown_architecture_names_close_ones() -> None:
    with pytest.raises(ModelError, match=r"unknown architecture 'resnet1'.*small-bn.*resnet1\d"):
        build("resnet1")
    with pytest.raises(ModelError, match=r"unknown architecture 'xyzzy'.*such as resnet18"):
        build("xyzzy")


@pytest.mark.parametrize("architecture", ["cnn-m-2048", "small-bn", "squeezenet1_0"])
def test_our_own_nets_have_no_hub_weights(architecture: str) -> None:
    with pytest.raises(ModelError, match=f"no hub weights for {architecture}.*--weights"):
        build(architecture, pretrained=True)


def test_a_hub_that_cannot_be_reached_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"^the hub weights of resnet18 cannot be .*--weights$"
    ) as e:
        build("resnet18", pretrained=True)
    assert "\n" not in str(e.value)


# Weights


def small_net() -> nn.Module:
    torch.manual_seed(1)
    return build("small-bn", 5, in_channels=4)


def test_weights_that_fit_are_all_loaded() -> None:
    torch.manual_seed(2)
    source, target = build("small-bn", 5, in_channels=4), small_net()
    report = load_weights(target, source.state_dict())
    assert set(report.loaded) == set(target.state_dict())
    assert not (report.missing or report.unexpected or report.mismatched)
    assert report.describe() == f"{len(report.loaded)} weights loaded"
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_every_weight_that_does_not_fit_is_named() -> None:
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    tensors = {name: torch.ones_like(value) for name, value in before.items()}
    del tensors["features.3.weight"], tensors["features.4.bias"]
    tensors["module.extra"] = torch.zeros(1)
    tensors["head.bias"] = torch.zeros(2)
    tensors["classifier.weight"] = torch.zeros(7, 192)
    report = load_weights(net, tensors)
    assert set(report.missing) == {"features.3.weight", "features.4.bias"}
    assert set(report.unexpected) == {"module.extra", "head.bias"}
    assert report.mismatched == {"classifier.weight": ((7, 192), (5, 192))}
    text = report.describe()
    assert "\n" not in text
    for name in (*report.missing, *report.unexpected, *report.mismatched):
        assert name in text
    assert "file (7, 192), model (5, 192)" in text
    after = net.state_dict()
    for name in (*report.missing, *report.mismatched):
        assert torch.equal(after[name], before[name]), name
    assert torch.equal(after["features.0.weight"], torch.ones_like(before["features.0.weight"]))


def test_weights_of_another_network_are_refused_and_change_nothing() -> None:
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    foreign = {f"module.{name}": value for name, value in net.state_dict().items()}
    with pytest.raises(ModelError, match=r"only 0 of \d+ fit.*module\.classifier\.bias"):
        load_weights(net, foreign)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_real_squeezenet_weights_lack_only_our_classes(shared_weights: Path) -> None:
    tensors, metadata = read_weights(shared_weights)
    net = build("squeezenet1_0", 10, in_channels=3)
    report = load_weights(net, tensors)
    assert set(report.mismatched) == {"classifier.1.weight", "classifier.1.bias"}
    assert report.mismatched["classifier.1.weight"] == ((1000, 512, 1, 1), (10, 512, 1, 1))
    assert len(report.loaded) == 50
    assert not (report.missing or report.unexpected)
    assert metadata["architecture"].endswith("squeezenet1_0")
    assert torch.equal(net.features[0].weight, tensors["features.0.weight"])


def test_the_file_of_weights_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no weights file .*none\.safetensors"):
        read_weights(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="not a weights file"):
        read_weights(tmp_path)
    for name, content in (("text", b"hello, this is text"), ("empty", b"")):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name}\.safetensors is not a safetensors file"):
            read_weights(path)


def test_a_truncated_file_is_one_sentence(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({"a": torch.zeros(500)}, whole)
    files = {"cut.safetensors": whole.read_bytes()}
    for name, zipped in (("new.pth", True), ("old.tar", False)):
        torch.save({"a": torch.zeros(500)}, whole, _use_new_zipfile_serialization=zipped)
        files[name] = whole.read_bytes()
    for name, content in files.items():
        path = tmp_path / name
        for share in (0.0, 0.02, 0.3, 0.7, 0.95):
            path.write_bytes(content[: int(share * len(content))])
            with pytest.raises(ModelError, match=rf"{name} is not a .*damaged.*copy it") as error:
                read_weights(path)
            assert "\n" not in str(error.value) and "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"hello, this is text" * 9, bytes(range(256)) * 9, b"\x80\x04"]
)
def test_a_file_that_is_no_torch_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.pt is not a file of torch\.save .*damaged") as error:
        read_weights(path)
    assert "\n" not in str(error.value)


TENSORS = {"a.weight": torch.arange(3.0), "a.bias": torch.ones(1)}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar", ".BIN"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_and_prefixes_come_off(
    tmp_path: Path, suffix: str, wrapper: str | None, prefix: str
) -> None:
    content: dict = {prefix + name: nn.Parameter(value) for name, value in TENSORS.items()}
    if wrapper:
        content = {"epoch": 7, "optimizer": {"state": {}}, wrapper: content, "arch": "x"}
    path = tmp_path / f"w{suffix}"
    torch.save(content, path, _use_new_zipfile_serialization=suffix != ".pt")
    tensors, metadata = read_weights(path)
    assert metadata == {}
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        assert torch.equal(tensors[name], value)
        assert not tensors[name].requires_grad


def test_a_prefix_is_taken_off_only_where_it_is_one(tmp_path: Path) -> None:
    def names(*given: str) -> set[str]:
        path = tmp_path / "w.safetensors"
        save_file({name: torch.zeros(1) for name in given}, path)
        return set(read_weights(path)[0])

    # torch.optim.swa_utils.AveragedModel counts beside the model
    assert names("n_averaged", "module.a", "module.b") == {"n_averaged", "a", "b"}
    assert names("module.a", "b", "c") == {"module.a", "b", "c"}  # a part called module
    assert names("module.a", "module.b", "a") == {"module.a", "module.b", "a"}  # would clash
    assert names("modules.a", "modules.b") == {"modules.a", "modules.b"}


def test_a_file_without_a_state_dict_names_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for content, words in (
        ({"epoch": 3, "model": None}, "only epoch, model: expected"),
        ({"state_dict": {}}, "only state_dict: expected"),
        ([1, 2], "holds no state dict: expected"),
    ):
        torch.save(content, path)
        with pytest.raises(ModelError, match=words):
            read_weights(path)


class Malicious:
    """Unpickled without care, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pth", ".bin"])
def test_code_in_a_file_is_refused_and_not_executed(
    tmp_path: Path, zipped: bool, suffix: str
) -> None:
    path, made = tmp_path / f"w{suffix}", tmp_path / "made"
    content = {"state_dict": TENSORS, "extra": Malicious(made)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"would run \w+\.mkdir .*refused.*safetensors") as error:
        read_weights(path)
    assert "\n" not in str(error.value) and "weights_only" not in str(error.value)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the file is what it is meant to be
    assert made.is_dir()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"torch\.nn\.modules\.linear\.Linear.*state dict alone"):
        read_weights(tmp_path / "w.pth")


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(3.0)}, path, {"architecture": "resnet18"})
    tensors, metadata = read_weights(path)
    assert tensors["a"].tolist() == [0, 1, 2]
    assert metadata == {"architecture": "resnet18"}


def test_cross_modality_averages_colours_and_repeats_them() -> None:
    weight = torch.randn(96, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    other = torch.ones(2)
    result = cross_modality_weights({"first": weight, "other": other}, "first", 20)
    assert result["first"].shape == (96, 20, 7, 7)
    wanted = (weight[:, 0] + weight[:, 1] + weight[:, 2]) / 3
    for channel in range(20):
        torch.testing.assert_close(result["first"][:, channel], wanted)
    assert result["other"] is other

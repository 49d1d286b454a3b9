"""Slow fusion: what each layer sees of the frames, and that their order can be learnt from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from twostream.__main__ import run
from twostream.checkpoint import ModelSpec, StreamModel, load_model, save_model
from twostream.models import (
    SLOW_FUSION,
    SLOW_FUSION_SMALL,
    SlowFusion,
    SlowFusionSmall,
    build_model,
    check_input,
    classifier,
    first_convolution,
    first_layer_name,
)
from twostream.types import ModelError, TemporalInput, UsageError
from untrained import make_spec

BOTH = [SLOW_FUSION, SLOW_FUSION_SMALL]


def build(architecture: str, length: int = 11, **changes: object) -> nn.Module:
    values: dict = {
        "stream": "temporal",
        "in_channels": 3 * length,
        "dropout": 0.5,
        "input_size": 64,
    }
    return build_model(architecture, 5, **{**values, **changes})


def time_layers(net: nn.Module) -> list[nn.Conv3d]:
    """The three convolutions that reduce time."""
    found = [m for m in net.modules() if isinstance(m, nn.Conv3d) and m.stride[0] == 2]
    assert len(found) == 3
    return found


def spec(architecture: str = SLOW_FUSION_SMALL, **changes: object) -> ModelSpec:
    values: dict = {
        "temporal": TemporalInput(length=11, rgb=True),
        "classes": ("a", "b"),
        "mean": (0.4, 0.5, 0.6),
        "std": (0.1, 0.2, 0.3),
    }
    return make_spec(architecture=architecture, **{**values, **changes})


def test_karpathys_layer_shapes_and_parameter_count() -> None:
    with torch.device("meta"):
        net = build_model(
            SLOW_FUSION, 101, stream="temporal", in_channels=33, dropout=0.5, input_size=170
        )
        shapes = []
        for layer in (net.conv1, net.conv2, net.conv3, net.conv4, net.conv5, net.norm):
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        assert net(torch.empty(2, 33, 170, 170)).shape == (2, 101)
    assert shapes == [
        *((96, 4, 54, 54), (96, 4, 54, 54)),  # conv1, its normalisation
        *((256, 2, 27, 27), (256, 2, 27, 27)),  # conv2, its normalisation
        *((384, 1, 13, 13), (384, 13, 13), (256, 13, 13)),  # conv3, conv4, conv5
    ]
    assert isinstance(net.norm, nn.LocalResponseNorm)
    by_hand = (
        (96 * 3 * 5 * 11 * 11 + 96)
        + (256 * 96 * 2 * 5 * 5 + 256)
        + (384 * 256 * 2 * 3 * 3 + 384)
        + (384 * 384 * 3 * 3 + 384)
        + (256 * 384 * 3 * 3 + 256)
        + (4096 * 256 * 6 * 6 + 4096)
        + (4096 * 4096 + 4096)
        + (101 * 4096 + 101)
    )
    assert sum(p.numel() for p in net.parameters()) == by_hand == 60_333_669


def test_the_small_nets_layer_shapes_and_parameter_count() -> None:
    with torch.device("meta"):
        net = build(SLOW_FUSION_SMALL)
        shapes = []
        for layer in net.features:
            if isinstance(layer, nn.Conv3d):
                layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        net(torch.empty(2, 33, 64, 64))
    assert shapes == [
        (24, 4, 32, 32),
        *((48, 2, 16, 16), (48, 2, 16, 16)),
        *((96, 1, 8, 8), (96, 1, 8, 8)),
        *((192, 1, 4, 4), (192, 1, 4, 4)),
    ]
    assert sum(p.numel() for p in net.parameters()) == 716_381


@pytest.mark.parametrize("architecture", BOTH)
@pytest.mark.parametrize(("length", "extent"), [(8, 2), (10, 4), (11, 5), (20, 14)])
def test_the_first_layer_gives_four_responses_that_see_their_own_frames(
    architecture: str, length: int, extent: int
) -> None:
    torch.manual_seed(0)
    net = build(architecture, length)
    first = time_layers(net)[0]
    assert first is first_convolution(net)
    seen: list[Tensor] = []
    first.register_forward_hook(lambda _, __, out: seen.append(out))
    x = torch.randn(1, 3 * length, 64, 64, requires_grad=True)
    net.eval()(x)
    (responses,) = seen
    assert responses.shape[2] == 4
    for i in range(4):
        (gradient,) = torch.autograd.grad(responses[:, :, i].square().sum(), x, retain_graph=True)
        by_frame = gradient.unflatten(1, (length, 3)).abs().amax(dim=(0, 3, 4))
        expected = [2 * i <= frame < 2 * i + extent for frame in range(length)]
        assert (by_frame > 0).all(dim=1).tolist() == expected  # all colours
        assert (by_frame > 0).any(dim=1).tolist() == expected
    assert 2 * 3 + extent == length  # the last window ends with the last frame


@pytest.mark.parametrize("architecture", BOTH)
def test_the_third_layer_and_the_scores_see_every_frame(architecture: str) -> None:
    torch.manual_seed(0)
    net = build(architecture).eval()
    seen: list[Tensor] = []
    time_layers(net)[2].register_forward_hook(lambda _, __, out: seen.append(out))
    x = torch.randn(2, 33, 64, 64, requires_grad=True)
    scores = net(x)
    assert seen[0].shape[2] == 1
    for result in (seen[0], scores):
        (gradient,) = torch.autograd.grad(result.square().sum(), x, retain_graph=True)
        assert (gradient.unflatten(1, (11, 3)).abs().amax(dim=(0, 2, 3, 4)) > 0).all()


def test_a_sample_does_not_see_the_frames_of_its_neighbour() -> None:
    torch.manual_seed(0)
    net = build(SLOW_FUSION_SMALL).eval()
    x = torch.randn(3, 33, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[1].sum(), x)
    assert (gradient.flatten(1).abs().amax(dim=1) > 0).tolist() == [False, True, False]


def windows_reference(frames: list[Tensor], layer: nn.Conv3d) -> list[Tensor]:
    """A layer over time by the book: for each window, the sum of one 2D convolution a frame."""
    extent, (_, stride, _), (_, padding, _) = layer.kernel_size[0], layer.stride, layer.padding
    responses = []
    for start in range(0, len(frames) - extent + 1, 2):
        total = sum(
            functional.conv2d(
                frames[start + k], layer.weight[:, :, k], stride=stride, padding=padding
            )
            for k in range(extent)
        )
        responses.append(total if layer.bias is None else total + layer.bias[:, None, None])
    return responses


def test_slow_fusion_equals_a_sum_over_frames_one_by_one() -> None:
    torch.manual_seed(0)
    net = SlowFusion(5, in_channels=33, input_size=40).eval()
    clip = torch.randn(2, 11, 3, 40, 40)
    x = list(clip.unbind(1))  # not by to_clip: the channels of x are frame by frame
    for layer in (net.conv1, net.conv2, net.conv3):
        x = [torch.relu(response) for response in windows_reference(x, layer)]
        if layer is not net.conv3:
            x = [functional.max_pool2d(net.norm(response), 2) for response in x]
    (last,) = x
    last = torch.relu(net.conv5(torch.relu(net.conv4(last))))
    expected = functional.max_pool2d(last, 2).flatten(1)
    for layer in (net.full6, net.full7):
        expected = torch.relu(layer(expected))
    torch.testing.assert_close(net(clip.flatten(1, 2)), net.full8(expected), rtol=1e-3, atol=1e-4)


def test_the_small_net_equals_a_sum_over_frames_one_by_one() -> None:
    torch.manual_seed(0)
    net = SlowFusionSmall(5, in_channels=33, dropout=0.2)
    warm = torch.randn(4, 33, 32, 32)
    net(warm)  # moves the running statistics
    net.eval()
    clip = torch.randn(2, 11, 3, 32, 32)
    x = list(clip.unbind(1))
    for i in range(0, len(net.features), 3):
        convolution, norm = net.features[i], net.features[i + 1]
        if convolution.kernel_size[0] > 1:
            x = windows_reference(x, convolution)
        else:
            x = [convolution(frame[:, :, None])[:, :, 0] for frame in x]
        x = [torch.relu(norm(frame[:, :, None])[:, :, 0]) for frame in x]
    (last,) = x
    expected = net.classifier(last.mean(dim=(2, 3)))
    torch.testing.assert_close(net(clip.flatten(1, 2)), expected, rtol=1e-4, atol=1e-5)


def moving_textures(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random textures that move 2 px a frame, to the right (class 0) or to the left (1).

    They wrap around, so that every single frame of both classes is a random texture, and a clip of
    one class played backwards is one of the other.
    """
    coarse = torch.rand(n, 3, 8, 8, generator=generator)
    texture = functional.interpolate(coarse, size=32, mode="nearest")
    labels = torch.randint(0, 2, (n,), generator=generator)
    frames = []
    for t in range(11):
        right, left = texture.roll(2 * t, dims=3), texture.roll(-2 * t, dims=3)
        frames.append(torch.where(labels[:, None, None, None] == 0, right, left))
    return torch.stack(frames, dim=1), labels


def test_the_small_net_learns_what_the_order_of_frames_alone_tells() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = StreamModel(spec())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(40):
        crops, labels = moving_textures(16, generator)
        loss = functional.cross_entropy(model(crops), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    crops, labels = moving_textures(100, generator)
    with torch.inference_mode():
        forward, backward = model(crops).argmax(1), model(crops.flip(1)).argmax(1)
        frozen = model(crops[:, 5:6].repeat(1, 11, 1, 1, 1)).softmax(1)
    assert (forward == labels).float().mean() > 0.95
    assert (backward == 1 - labels).float().mean() > 0.95
    right = frozen.gather(1, labels[:, None]).mean()
    assert abs(right - 0.5) < 0.15  # standing still tells nothing


@pytest.mark.parametrize("architecture", BOTH)
def test_the_first_and_the_last_layer_are_found(architecture: str) -> None:
    with torch.device("meta"):
        net = build(architecture)
    first = first_convolution(net)
    assert isinstance(first, nn.Conv3d)
    assert first.weight.shape[1:3] == (3, 5)
    assert dict(net.named_parameters())[first_layer_name(net)] is first.weight
    last = classifier(net)
    assert isinstance(last, nn.Linear)
    assert last.out_features == 5


def test_dropout_stands_after_both_full_layers() -> None:
    torch.manual_seed(0)
    net = SlowFusion(5, in_channels=33, dropout=0.9, input_size=32)
    shares: list[float] = []
    net.dropout.register_forward_hook(
        lambda _, __, out: shares.append(float((out == 0).float().mean()))
    )
    net.train()(torch.randn(1, 33, 32, 32))
    assert len(shares) == 2
    assert all(share > 0.9 for share in shares)


def test_slow_fusion_takes_crops_from_32_px_and_the_small_net_any() -> None:
    sizes = {SLOW_FUSION: (32, 40, 63, 64, 112, 170, 224), SLOW_FUSION_SMALL: (8, 31, 56)}
    for architecture, size in ((name, each) for name in BOTH for each in sizes[name]):
        with torch.device("meta"):
            net = build(architecture, input_size=size).eval()
            assert net(torch.empty(1, 33, size, size)).shape == (1, 5)
    for size in (9, 31):
        with pytest.raises(UsageError, match=f"slow-fusion needs crops of at least 32 px.*{size}"):
            build(SLOW_FUSION, input_size=size)


@pytest.mark.parametrize("architecture", BOTH)
def test_flow_and_short_stacks_are_refused(architecture: str) -> None:
    with pytest.raises(UsageError, match=r"not the 20 channels of optical flow.*--rgb-stack"):
        build(architecture, in_channels=20)
    with pytest.raises(UsageError, match=r"8 RGB frames or more \(11 in the paper\), got 7"):
        build(architecture, 7)
    with pytest.raises(UsageError, match="got 1: give --rgb-stack"):
        build(architecture, in_channels=3, stream="spatial")
    with pytest.raises(ModelError, match=f"no hub weights for {architecture}"):
        build(architecture, pretrained=True)
    # flow also where its channels would fit
    flow = TemporalInput(length=12)
    assert flow.num_channels % 3 == 0
    with pytest.raises(UsageError, match=f"{architecture} sees a stack of RGB frames, not optical"):
        StreamModel(spec(architecture, temporal=flow, mean=(0.0, 0.0), std=(1.0, 1.0)))
    with pytest.raises(UsageError, match="not single frames: give it as --temporal-arch"):
        check_input(architecture, None)
    check_input(architecture, TemporalInput(length=8, rgb=True))
    check_input("small-bn", flow)


@pytest.mark.parametrize("architecture", BOTH)
def test_filters_lie_channels_last_and_come_back_from_a_file(
    architecture: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = StreamModel(spec(architecture)).eval()
    for weight in model.parameters():
        if weight.ndim >= 4:
            kind = torch.channels_last if weight.ndim == 4 else torch.channels_last_3d
            assert weight.is_contiguous(memory_format=kind)
    save_model(tmp_path / "slow.safetensors", model)
    again = load_model(tmp_path / "slow.safetensors")
    crops = torch.rand(2, 11, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(again(crops), model(crops))


def test_slow_fusion_trains_from_the_command_line(few_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["train", str(few_data), "--out", str(out), "--stream", "temporal"]
    arguments += ["--rgb-stack", "--length", "11", "--temporal-arch", SLOW_FUSION_SMALL]
    arguments += ["--short-side", "24", "--crop-size", "24", "--no-flip"]
    assert run([*arguments, "--steps", "2", "--batch-size", "8"]) == 0
    model = load_model(out / "temporal.safetensors")
    assert isinstance(model.network, SlowFusionSmall)
    assert model.spec.in_channels == 33
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "the 5 frames that a filter spans in order" in page

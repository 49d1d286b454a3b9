"""How a stream starts: scratch, files, a hub, or the RGB net's weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from listening import listening
from twostream.checkpoint import ModelSpec, StreamModel, load_model, save_model
from twostream.initialise import NetSettings, Start, initial_model
from twostream.models import IMAGENET_MEAN, IMAGENET_STD, build_model
from twostream.recipes import QUICK, make_recipe
from twostream.store.clips import ClipCache
from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import (
    DatasetSplit,
    LabeledVideo,
    ModelError,
    Stream,
    TemporalInput,
    UsageError,
)
from untrained import make_spec

CLASSES = ("jump", "run", "skip", "walk")
FLOW_PX = 2.5
VIDEOS = tuple(LabeledVideo(name, Path(name), i) for i, name in enumerate("abcd"))
SPLIT = DatasetSplit("clips", "split 1", CLASSES, VIDEOS, ())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipCache:
    """Clips whose flow is 2.5 px everywhere: down right in one half, up left in the other."""
    store = FlowStore.create(tmp_path_factory.mktemp("data") / "store", StoreSettings())
    field = np.full((2, 64, 80), FLOW_PX, np.float32)
    field[..., :40] *= -1
    for video in VIDEOS:
        header = ClipHeader(kind="forward", video_id=video.video_id, height=64, width=80, fps=25)
        writer = store.writer(header)
        for _ in range(4):
            writer.append(field)
        writer.close()
    return ClipCache(store, ["forward"])


def start_model(
    clips: ClipCache, stream: Stream, start: Start | None = None, **changes: object
) -> tuple[StreamModel, list[str]]:
    values: dict = {"start": start or Start(), "temporal": TemporalInput(length=3), "seed": 1}
    with listening() as said:
        settings = NetSettings(stream=stream, **{**values, **changes})
        return initial_model(settings, SPLIT, clips), said


def weights_file(path: Path, *, channels: int = 3, metadata: dict | None = None, **kwargs) -> Path:
    torch.manual_seed(7)
    values = {"stream": "spatial", "dropout": 0.0, "input_size": 56}
    net = build_model("small-bn", 9, in_channels=channels, **{**values, **kwargs})
    save_file(net.state_dict(), path, metadata)
    return path


# Combinations


def test_nothing_given_starts_from_scratch() -> None:
    assert Start().file("spatial") is None
    assert Start().file("temporal") is None
    assert not Start().fine_tunes("spatial")


def test_weights_are_for_the_rgb_net_alone() -> None:
    start = Start(weights="rgb.safetensors")
    assert start.file("spatial") == Path("rgb.safetensors")
    assert start.file("temporal") is None
    assert (start.fine_tunes("spatial"), start.fine_tunes("temporal")) == (True, False)


def test_each_stream_may_have_its_own_file() -> None:
    start = Start(weights="rgb.safetensors", temporal_weights="flow.safetensors")
    assert start.file("temporal") == Path("flow.safetensors")
    across = Start(weights="rgb.safetensors", cross_modality=True)
    assert across.file("temporal") == Path("rgb.safetensors")
    assert across.fine_tunes("temporal")
    assert Start(pretrained=True).fine_tunes("temporal")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cross_modality": True}, "give --weights"),
        ({"cross_modality": True, "weights": "a", "temporal_weights": "b"}, "or --cross-modality"),
        ({"pretrained": True, "weights": "a"}, "not from both"),
        ({"pretrained": True, "temporal_weights": "a"}, "not from both"),
    ],
)
def test_contradictions_are_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Start(**options)


# Scratch


def test_from_scratch_the_recipe_and_the_seed_decide(clips: ClipCache) -> None:
    model, said = start_model(clips, "spatial")
    assert said == []
    spec = model.spec
    assert (spec.architecture, spec.classes, spec.temporal) == ("small-bn", CLASSES, None)
    assert (spec.crop_size, spec.dropout, spec.flips) == (QUICK.crop_size, QUICK.dropout, True)
    assert (spec.test_positions, spec.recipe, spec.fps) == (QUICK.test_positions, "quick", 25.0)
    assert (spec.dataset, spec.split, spec.store["flow"]) == ("clips", "split 1", "dis")
    assert (spec.mean, spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
    again, _ = start_model(clips, "spatial")
    other, _ = start_model(clips, "spatial", seed=2)
    first = model.network.features[0].weight
    assert torch.equal(first, again.network.features[0].weight)
    assert not torch.equal(first, other.network.features[0].weight)


def test_flow_is_normalised_by_what_the_net_will_see(clips: ClipCache) -> None:
    model, _ = start_model(clips, "temporal")
    assert model.spec.mean == (0.0,)
    assert model.spec.std[0] == pytest.approx(FLOW_PX, rel=0.02)
    assert model.spec.in_channels == 6
    assert model.network.features[0].in_channels == 6
    logits = model.eval()(torch.randn(2, 3, 2, 56, 56))
    assert logits.shape == (2, 4)


def test_an_rgb_stack_is_normalised_as_colours(clips: ClipCache) -> None:
    model, _ = start_model(clips, "temporal", temporal=TemporalInput(length=3, rgb=True))
    assert (model.spec.mean, model.spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert model.network.features[0].in_channels == 9


def test_the_user_chooses_the_network(clips: ClipCache) -> None:
    model, _ = start_model(clips, "temporal", architecture="mobilenetv3_small_050")
    assert model.spec.architecture == "mobilenetv3_small_050"
    with pytest.raises(ModelError, match="unknown architecture 'resnet-x'"):
        start_model(clips, "spatial", architecture="resnet-x")


# Files


def test_weights_are_loaded_and_every_misfit_is_named(clips: ClipCache, tmp_path: Path) -> None:
    path = weights_file(tmp_path / "rgb.safetensors")
    model, said = start_model(clips, "spatial", Start(weights=str(path)))
    (line,) = said
    assert line.startswith("spatial: small-bn from rgb.safetensors:")
    assert "classifier.weight: file (9, 192), model (4, 192)" in line
    assert "classifier.bias: file (9,), model (4,)" in line
    torch.manual_seed(7)
    source = build_model(
        "small-bn", 9, stream="spatial", in_channels=3, dropout=0.0, input_size=56
    ).state_dict()
    for name, value in model.network.state_dict().items():
        if not name.startswith("classifier"):
            assert torch.equal(value, source[name]), name
    scratch, said = start_model(clips, "temporal", Start(weights=str(path)))
    assert said == []
    assert scratch.spec.in_channels == 6


def test_an_rgb_net_without_cross_modality_names_its_first_layer(
    clips: ClipCache, tmp_path: Path
) -> None:
    path = weights_file(tmp_path / "rgb.safetensors")
    _, said = start_model(clips, "temporal", Start(temporal_weights=str(path)))
    assert "mis-shaped features.0.weight: file (24, 3, 5, 5), model (24, 6, 5, 5)" in said[0]


def test_temporal_weights_with_their_own_channels_fit(clips: ClipCache, tmp_path: Path) -> None:
    path = weights_file(tmp_path / "flow.safetensors", channels=6)
    model, said = start_model(clips, "temporal", Start(temporal_weights=str(path)))
    assert "features.0.weight" not in said[0]
    assert model.spec.std[0] == pytest.approx(FLOW_PX, rel=0.02)


def test_cross_modality_repeats_the_colour_mean(clips: ClipCache, tmp_path: Path) -> None:
    path = weights_file(tmp_path / "rgb.safetensors")
    start = Start(weights=str(path), cross_modality=True)
    model, said = start_model(clips, "temporal", start)
    torch.manual_seed(7)
    source = build_model(
        "small-bn", 9, stream="spatial", in_channels=3, dropout=0.0, input_size=56
    ).state_dict()
    first = model.network.features[0].weight
    assert first.shape == (24, 6, 5, 5)
    for channel in range(6):
        torch.testing.assert_close(first[:, channel], source["features.0.weight"].mean(dim=1))
    assert torch.equal(model.network.features[3].weight, source["features.3.weight"])
    assert any("averaged over colour and repeated 6 times" in line for line in said)
    assert not any("features.0.weight" in line for line in said)


def test_cross_modality_brings_flow_to_the_scale_of_the_filters(
    clips: ClipCache, tmp_path: Path
) -> None:
    # a net whose inputs are 0..255 less a mean sees colours of a deviation of some 57
    said = {"mean": "123,117,104", "std": "1,1,1", "value_range": "255"}
    path = weights_file(tmp_path / "rgb.safetensors", metadata=said)
    model, _ = start_model(clips, "temporal", Start(weights=str(path), cross_modality=True))
    assert FLOW_PX / model.spec.std[0] == pytest.approx(255 * 0.226, rel=0.02)
    assert (model.spec.value_range, model.spec.mean) == (1, (0.0,))
    plain = weights_file(tmp_path / "plain.safetensors")
    model, _ = start_model(clips, "temporal", Start(weights=str(plain), cross_modality=True))
    assert FLOW_PX / model.spec.std[0] == pytest.approx(1, rel=0.02)


def test_cross_modality_from_another_network_is_refused(clips: ClipCache, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"stem.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(ModelError, match=r"no first layer features\.0\.weight"):
        start_model(clips, "temporal", Start(weights=str(path), cross_modality=True))
    flow = build_model("small-bn", 9, stream="temporal", in_channels=6, dropout=0.0, input_size=56)
    save_file(flow.state_dict(), path)
    with pytest.raises(UsageError, match=r"saw 6 channels and not colours.*--temporal-weights"):
        start_model(clips, "temporal", Start(weights=str(path), cross_modality=True))


def test_a_file_names_its_network_and_its_normalisation(clips: ClipCache, tmp_path: Path) -> None:
    said = {"architecture": "our own small-bn", "mean": "0.1,0.2,0.3", "std": "0.4,0.5,0.6"}
    path = weights_file(tmp_path / "rgb.safetensors", metadata=said)
    recipe = make_recipe("quick", spatial_architecture="squeezenet1_0")
    model, _ = start_model(clips, "spatial", Start(weights=str(path)), recipe=recipe)
    assert model.spec.architecture == "small-bn"
    assert model.spec.mean == pytest.approx((0.1, 0.2, 0.3))
    assert model.spec.std == pytest.approx((0.4, 0.5, 0.6))


@pytest.mark.parametrize("mean", ["a,b,c", "0.5", "", "1,2,3,4"])
def test_a_normalisation_that_cannot_be_read_is_imagenets(
    clips: ClipCache, tmp_path: Path, mean: str
) -> None:
    path = weights_file(tmp_path / "rgb.safetensors", metadata={"mean": mean})
    model, said = start_model(clips, "spatial", Start(weights=str(path)))
    assert model.spec.mean == IMAGENET_MEAN
    assert any(f"its mean {mean!r} is not three numbers" in line for line in said) == bool(mean)


def other_spec(temporal: TemporalInput | None, **changes: object) -> ModelSpec:
    """A model file of another run: another network, other classes, another normalisation."""
    values: dict = {
        "architecture": "squeezenet1_0",
        "classes": ("sit", "stand"),
        "crop_size": 64,
        "mean": (0.25,) if temporal else (12.0, 34.0, 56.0),
        "std": (7.5,) if temporal else (2.0, 3.0, 4.0),
    }
    return make_spec(temporal, **{**values, **changes})


def test_a_model_file_gives_its_network_and_normalisation(clips: ClipCache, tmp_path: Path) -> None:
    path = tmp_path / "spatial.safetensors"
    source = StreamModel(other_spec(None, channel_order="bgr", value_range=255))
    save_model(path, source)
    model, said = start_model(clips, "spatial", Start(weights=str(path)))
    spec = model.spec
    assert (spec.architecture, spec.channel_order, spec.value_range) == (
        "squeezenet1_0",
        "bgr",
        255,
    )
    assert (spec.mean, spec.std) == ((12.0, 34.0, 56.0), (2.0, 3.0, 4.0))
    assert (spec.classes, spec.crop_size, spec.dropout) == (CLASSES, QUICK.crop_size, QUICK.dropout)
    assert len(said) == 1 and said[0].count("mis-shaped") == 2 and "classifier.1" in said[0]
    first = "features.0.weight"
    assert torch.equal(model.network.state_dict()[first], source.network.state_dict()[first])
    # the user's word goes before the file's, and then little fits
    with pytest.raises(ModelError, match="do not belong to this model"):
        start_model(clips, "spatial", Start(weights=str(path)), architecture="small-bn")
    across, _ = start_model(clips, "temporal", Start(weights=str(path), cross_modality=True))
    assert (across.spec.architecture, across.spec.channel_order) == ("squeezenet1_0", "rgb")
    assert (across.spec.value_range, across.spec.mean) == (1, (0.0,))
    # flow of a deviation like that of the colours which the filters were made for
    assert across.spec.std[0] == pytest.approx(FLOW_PX / (255 * 0.226 / 3), rel=0.02)


def test_flow_is_scaled_by_the_training_videos_whatever_a_model_file_says(
    clips: ClipCache, tmp_path: Path
) -> None:
    path = tmp_path / "temporal.safetensors"
    save_model(path, StreamModel(other_spec(TemporalInput(length=3))))
    model, said = start_model(clips, "temporal", Start(temporal_weights=str(path)))
    assert (model.spec.architecture, model.spec.mean) == ("squeezenet1_0", (0.0,))
    assert model.spec.std[0] == pytest.approx(FLOW_PX, rel=0.02)
    assert not any("was trained on" in line for line in said)
    trajectories = TemporalInput(length=3, trajectory=True)
    model, said = start_model(
        clips, "temporal", Start(temporal_weights=str(path)), temporal=trajectories
    )
    assert "was trained on TemporalInput(length=3, trajectory=False" in said[0]
    # and flow says nothing of colours
    model, said = start_model(clips, "spatial", Start(weights=str(path)))
    assert (model.spec.mean, model.spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert "this net sees single frames" in said[0]
    assert "mis-shaped features.0.weight: file (96, 6, 7, 7), model (96, 3, 7, 7)" in said[1]


def test_a_damaged_model_file_is_one_sentence(clips: ClipCache, tmp_path: Path) -> None:
    said = {"format": "twostream-model-1", "spec": "{"}
    path = weights_file(tmp_path / "rgb.safetensors", metadata=said)
    with pytest.raises(ModelError, match=r"the description in .* cannot be read"):
        start_model(clips, "spatial", Start(weights=str(path)))


def test_a_bgr_net_of_caffe_gives_the_same_as_its_rgb_twin(
    clips: ClipCache, tmp_path: Path
) -> None:
    """The twin sees RGB in 0..1 unchanged: its first layer does the subtraction's scale itself."""
    torch.manual_seed(3)
    values: dict = {"stream": "spatial", "in_channels": 3, "dropout": 0.0, "input_size": 56}
    caffe = build_model("squeezenet1_0", 9, **values).state_dict()
    mean_bgr = (103.939, 116.779, 123.68)
    first = "features.0.weight"
    twin = {**caffe, first: caffe[first].flip(1) * 255}
    torch.save({"state_dict": {f"module.{k}": v for k, v in caffe.items()}}, tmp_path / "bgr.pth")
    declared = {
        "architecture": "squeezenet1_0",
        "channel_order": "bgr",
        "value_range": 255,
        "mean": mean_bgr,
    }
    (tmp_path / "bgr.pth.json").write_text(json.dumps(declared))
    mean_rgb = ",".join(str(value / 255) for value in reversed(mean_bgr))
    said = {"architecture": "squeezenet1_0", "mean": mean_rgb, "std": "1,1,1"}
    save_file(twin, tmp_path / "rgb.safetensors", said)
    # the same in the metadata of safetensors
    save_file(
        caffe,
        tmp_path / "bgr.safetensors",
        {k: str(v).strip("()") for k, v in declared.items()},
    )
    crops = torch.rand(2, 1, 3, 56, 56)
    outputs = []
    for name in ("bgr.pth", "bgr.safetensors", "rgb.safetensors"):
        model, _ = start_model(clips, "spatial", Start(weights=str(tmp_path / name)))
        path = tmp_path / "again.safetensors"
        save_model(path, model)
        outputs.append(load_model(path)(crops))
        assert torch.equal(model.eval()(crops), outputs[-1])
    assert torch.equal(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[0], outputs[2], rtol=1e-3, atol=1e-4)
    assert outputs[0].std() > 0.1
    (tmp_path / "bgr.pth.json").write_text(json.dumps({**declared, "channel_order": "rgb"}))
    wrong, _ = start_model(clips, "spatial", Start(weights=str(tmp_path / "bgr.pth")))
    assert (wrong.eval()(crops) - outputs[0]).abs().max() > 0.1


def test_real_squeezenet_starts_both_streams(clips: ClipCache, shared_weights: Path) -> None:
    start = Start(weights=str(shared_weights), cross_modality=True)
    spatial, said = start_model(clips, "spatial", start)
    assert spatial.spec.architecture == "squeezenet1_0"
    assert spatial.spec.mean == pytest.approx((0.4824, 0.4588, 0.4078))
    assert spatial.spec.std == pytest.approx((0.0039216,) * 3)
    assert said[0].count("mis-shaped") == 2
    assert "mis-shaped classifier.1.weight: file (1000, 512, 1, 1), model (4, 512, 1, 1)" in said[0]
    assert "missing" not in said[0]
    assert "unexpected" not in said[0]
    temporal, said = start_model(clips, "temporal", start)
    colours = spatial.network.features[0].weight.mean(dim=1)
    first = temporal.network.features[0].weight
    assert first.shape == (96, 6, 7, 7)
    for channel in range(6):
        torch.testing.assert_close(first[:, channel], colours)
    assert said[-1].count("mis-shaped") == 2
    assert temporal.spec.mean == (0.0,)


def test_a_wrong_file_is_one_sentence(clips: ClipCache, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no weights file .*none"):
        start_model(clips, "spatial", Start(weights=str(tmp_path / "none")))
    path = tmp_path / "foreign.safetensors"
    save_file({"encoder.weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match=r"do not belong to this model.*encoder\.weight") as error:
        start_model(clips, "spatial", Start(weights=str(path)))
    assert "\n" not in str(error.value)


# The hub


@pytest.mark.parametrize("stream", ["spatial", "temporal"])
def test_a_hub_that_cannot_be_reached_says_what_to_do(
    clips: ClipCache, stream: Stream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"go online.* or give a local file") as error:
        start_model(clips, stream, Start(pretrained=True), architecture="resnet18")
    assert "\n" not in str(error.value)


def test_the_quick_net_has_no_hub_weights(clips: ClipCache) -> None:
    with pytest.raises(ModelError, match="no hub weights for small-bn"):
        start_model(clips, "spatial", Start(pretrained=True))
